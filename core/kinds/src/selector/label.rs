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
            requirements.push(Requirement { key: key.clone(), operator: Operator::In, values });
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

/// A `metav1.LabelSelector` as tables print it: `<none>` where it is empty, `a=b,c in (d,e)` else.
pub fn describe(selector: &Value) -> String {
    match LabelSelector::from_value(selector) {
        Ok(found) if found.requirements.is_empty() => "<none>".to_owned(),
        Ok(mut found) => {
            let labels: BTreeSet<&String> = map_at(selector, "/matchLabels").map(|(key, _)| key).collect();
            for r in &mut found.requirements {
                if r.operator == Operator::In && r.values.len() == 1 && labels.contains(&r.key) {
                    r.operator = Operator::Equals;
                }
            }
            found.to_string()
        }
        Err(_) => "<error>".to_owned(),
    }
}
