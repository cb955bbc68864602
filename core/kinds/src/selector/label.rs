//! Label selectors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::tree::{list_at, map_at, str_at};

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key in (a,b)`; one value prints as `key=a`
    In,
    /// `key notin (a,b)`
    NotIn,
    /// `key!=a`: as `notin` with one value
    NotEquals,
    /// `key=a`: as `in` with one value
    Equals,
    /// `key>1`
    GreaterThan,
    /// `key<1`
    LessThan,
}

/// One term of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// Comparison.
    pub operator: Operator,
    /// Values to compare with; none for `Exists` and `DoesNotExist`.
    pub values: BTreeSet<String>,
}

impl Requirement {
    /// Whether the labels satisfy this term.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::In | Operator::Equals => value.is_some_and(|v| self.values.contains(v)),
            Operator::NotIn | Operator::NotEquals => value.is_none_or(|v| !self.values.contains(v)),
            Operator::GreaterThan | Operator::LessThan => {
                let number = |text: &String| text.parse::<i64>().ok();
                match (value.and_then(number), self.values.first().and_then(number)) {
                    (Some(have), Some(bound)) if self.operator == Operator::GreaterThan => have > bound,
                    (Some(have), Some(bound)) => have < bound,
                    _ => false,
                }
            }
        }
    }
}

/// A conjunction of label terms, or the selector that matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    pub(super) requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self::default()
    }
    /// Matches no object.
    pub fn nothing() -> Self {
        LabelSelector { requirements: Vec::new(), nothing: true }
    }

    /// The selector for a map of labels that must all be there (`spec.selector` of a Service).
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let equals = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: BTreeSet::from([value.clone()]),
        };
        LabelSelector { requirements: labels.into_iter().map(equals).collect(), nothing: false }
    }

    /// The selector of a `metav1.LabelSelector` object: null matches nothing, `{}` everything.
    pub fn from_value(selector: &Value) -> Result<Self, String> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let mut requirements = Vec::new();
        for (key, value) in map_at(selector, "/matchLabels") {
            let values = BTreeSet::from([value.as_str().unwrap_or_default().to_owned()]);
            requirements.push(Requirement { key: key.clone(), operator: Operator::Equals, values });
        }
        for expression in list_at(selector, "/matchExpressions") {
            let operator = match str_at(expression, "/operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            };
            let values: BTreeSet<String> =
                list_at(expression, "/values").iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let takes_values = matches!(operator, Operator::In | Operator::NotIn);
            if takes_values && values.is_empty() {
                return Err("for 'in', 'notin' operators, values set can't be empty".to_owned());
            }
            if !takes_values && !values.is_empty() {
                return Err("values set must be empty for exists and does not exist".to_owned());
            }
            requirements.push(Requirement { key: str_at(expression, "/key").to_owned(), operator, values });
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// Parses a query such as `app=web,tier in (a, b),!old`.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut requirements = super::query::parse(query)?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// Whether the labels satisfy every term.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(labels))
    }

    /// Whether every object matches.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether no object matches.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// The terms, ordered by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let key = &self.key;
        match self.operator {
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, requirement) in self.requirements.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

/// A `metav1.LabelSelector` as tables and the scale subresource print it: `a=b,c in (d,e)`.
pub fn describe(selector: &Value) -> String {
    LabelSelector::from_value(selector).map_or_else(|_| "<invalid>".to_owned(), |selector| selector.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn queries_parse_and_print() {
        let check = |query: &str, expected: &str| {
            assert_eq!(LabelSelector::parse(query).map_or_else(|e| e, |s| s.to_string()), expected, "{query}");
        };
        check("", "");
        check("a=b,c==d", "a=b,c=d");
        check("x in (b, a),!y,z", "x in (a,b),!y,z");
        check("x notin (a),b!=c", "b!=c,x notin (a)");
        check("x>1,y<2", "x>1,y<2");
        check("a=", "a=");
        check("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
        check("a in b", "unable to parse requirement: found 'b' expected: '('");
        check("a,", "found '', expected: identifier after ','");
    }

    #[test]
    fn matching() {
        let have = labels(&[("app", "web"), ("n", "5")]);
        let check =
            |query, expected| assert_eq!(LabelSelector::parse(query).unwrap().matches(&have), expected, "{query}");
        check("app=web", true);
        check("app!=web", false);
        check("other!=web", true);
        check("app in (a,web)", true);
        check("app notin (a,web)", false);
        check("other notin (a)", true);
        check("app,!other", true);
        check("n>4,n<6", true);
        check("n>5", false);
        check("app>1", false);
    }

    #[test]
    fn objects_match_as_queries_do() {
        let check = |selector: Value, expected: bool, printed: &str| {
            let parsed = LabelSelector::from_value(&selector).unwrap();
            assert_eq!(parsed.matches(&labels(&[("a", "b")])), expected);
            assert_eq!(describe(&selector), printed);
        };
        check(json!(null), false, "");
        check(json!({}), true, "");
        check(json!({"matchLabels": {"a": "b"}}), true, "a=b");
        check(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["c", "b"]}]}), true, "a in (b,c)");
        check(json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}), false, "!a");
        let wrong = json!({"matchExpressions": [{"key": "a", "operator": "In"}]});
        assert!(LabelSelector::from_value(&wrong).is_err());
    }
}
