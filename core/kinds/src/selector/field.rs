//! Field selectors: `spec.nodeName=a,status.phase!=Running`.

use std::fmt;

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Path of the field.
    pub field: String,
    /// Whether the field must equal the value, or must not.
    pub equal: bool,
    /// The value.
    pub value: String,
}

/// A conjunction of field terms; empty matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Parses a query such as `metadata.name=web,status.phase!=Running`; `\,`, `\=` and `\\` stand for themselves.
    pub fn parse(query: &str) -> Result<Self, String> {
        let requirements = terms(query).into_iter().filter(|t| !t.is_empty()).map(|term| one(term, query));
        Ok(FieldSelector { requirements: requirements.collect::<Result<_, _>>()? })
    }

    /// Whether every term holds of what `read` gives for its path; a path that `read` does not know counts as empty.
    pub fn matches(&self, read: impl Fn(&str) -> Option<String>) -> bool {
        self.requirements.iter().all(|r| (read(&r.field).unwrap_or_default() == r.value) == r.equal)
    }

    /// The terms, in order.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether there is no term.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The value that a path must equal, if a term says so.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|r| r.equal && r.field == field).map(|r| r.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, r) in self.requirements.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}{}{}", r.field, if r.equal { "=" } else { "!=" }, escape(&r.value))?;
        }
        Ok(())
    }
}

/// A value as it stands in a query.
pub(crate) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

fn terms(query: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in query.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                found.push(&query[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&query[start..]);
    found
}

fn one(term: &str, query: &str) -> Result<FieldRequirement, String> {
    for (at, _) in term.char_indices() {
        for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = term[at..].strip_prefix(operator) {
                return Ok(FieldRequirement { field: term[..at].to_owned(), equal, value: unescape(value)? });
            }
        }
    }
    Err(format!("invalid selector: '{query}'; can't understand '{term}'"))
}

fn unescape(value: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => plain.push(next),
                next => return Err(format!("invalid field selector: invalid escape sequence: \\{}", text_of(next))),
            },
            // wire: the character prints as its number.
            ',' | '=' => return Err(format!("invalid field selector: unescaped character in value: {}", c as u32)),
            _ => plain.push(c),
        }
    }
    Ok(plain)
}

fn text_of(c: Option<char>) -> String {
    c.map(String::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::FieldSelector;

    #[test]
    fn queries_parse_and_print() {
        let check = |query: &str, expected: &str| {
            let printed = FieldSelector::parse(query).map_or_else(|e| e, |s| s.to_string());
            assert_eq!(printed, expected, "{query}");
        };
        check("", "");
        check("a=b,c!=d,,e==f", "a=b,c!=d,e=f");
        check("a=b\\,c\\=d\\\\", "a=b\\,c\\=d\\\\");
        check("a", "invalid selector: 'a'; can't understand 'a'");
        check("a=b=c", "invalid field selector: unescaped character in value: 61");
    }

    #[test]
    fn matching() {
        let read = |path: &str| (path == "status.phase").then(|| "Running".to_owned());
        let check =
            |query, expected| assert_eq!(FieldSelector::parse(query).unwrap().matches(read), expected, "{query}");
        check("", true);
        check("status.phase=Running", true);
        check("status.phase!=Running", false);
        check("spec.nodeName=", true);
    }
}
