//! Regular expressions, as RE2 reads them, in linear time.
//!
//! The engine reads a larger language: classes such as `\d` are cut down to ASCII, and what means something only to
//! it is taken literally.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::error::EvalError;
use crate::library::convert::quoted;
use crate::limits;
use crate::thing::Thing;
use crate::value::Value;

/// A pattern that is compiled, as a value.
pub(crate) fn ready(text: &str) -> Result<Value<'static>, EvalError> {
    Ok(Value::Thing(Thing::Pattern(Arc::new((text.to_owned(), compile(text)?)))))
}

/// What the pattern, compiled or not, makes.
pub(crate) fn with<'a>(pattern: &Value<'a>, make: impl FnOnce(&Regex) -> Value<'a>) -> Result<Value<'a>, EvalError> {
    match pattern {
        Value::Thing(Thing::Pattern(pattern)) => Ok(make(&pattern.1)),
        Value::String(text) => compile(text).map(|pattern| make(&pattern)),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn compile(text: &str) -> Result<Regex, EvalError> {
    let wrong = |why: &str| EvalError::new(format!("error parsing regexp: {why}: {}", quoted(text).replace('"', "`")));
    let translated = translate(text).ok_or_else(|| wrong("invalid or unsupported Perl syntax"))?;
    let built = RegexBuilder::new(&translated).size_limit(limits::REGEX_BYTES).build();
    built.map_err(|_| wrong("invalid pattern"))
}

/// The pattern as the engine must read it; none if it says what RE2 does not know.
fn translate(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text.chars().peekable();
    let mut class = 0usize;
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next()? {
                'd' => out.push_str(if class > 0 { "0-9" } else { "[0-9]" }),
                'w' => out.push_str(if class > 0 { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                's' => out.push_str(if class > 0 { "\\t\\n\\f\\r " } else { "[\\t\\n\\f\\r ]" }),
                'D' => out.push_str("[^0-9]"),
                'W' => out.push_str("[^0-9A-Za-z_]"),
                'S' => out.push_str("[^\\t\\n\\f\\r ]"),
                'b' if class == 0 => out.push_str("(?-u:\\b)"),
                'B' if class == 0 => out.push_str("(?-u:\\B)"),
                'Q' if class == 0 => literal(&mut rest, &mut out),
                'C' | 'u' | 'U' | '<' | '>' => return None,
                escaped => {
                    out.push('\\');
                    out.push(escaped);
                }
            },
            '[' if class == 0 => {
                class = 1;
                out.push('[');
                if rest.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if rest.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            '[' if rest.peek() == Some(&':') => {
                out.push('[');
                // A named class, `[:alpha:]`.
                for named in rest.by_ref() {
                    out.push(named);
                    if named == ']' {
                        break;
                    }
                }
            }
            ']' if class > 0 => {
                class = 0;
                out.push(']');
            }
            '[' | '&' | '~' if class > 0 => {
                out.push('\\');
                out.push(c);
            }
            '-' if class > 0 && rest.peek() == Some(&'-') => out.push_str("\\-"),
            '{' if class == 0 => repetition(&mut rest, &mut out)?,
            '(' if class == 0 && flags(&rest).is_some_and(|f| f.contains(['x', 'u', 'R'])) => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

/// Text up to `\E` means itself.
fn literal(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        if c == '\\' && rest.next_if_eq(&'E').is_some() {
            break;
        }
        text.push(c);
    }
    out.push_str(&regex::escape(&text));
}

/// A brace repeats only when it holds numbers; else it means itself.
fn repetition(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Option<()> {
    let inner: String = rest.clone().take_while(|c| *c != '}').collect();
    let closed = rest.clone().nth(inner.chars().count()) == Some('}');
    let (least, most) = inner.split_once(',').unwrap_or((&inner, &inner));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !closed || !digits(least) || !(most.is_empty() || digits(most)) {
        out.push_str("\\{");
        return Some(());
    }
    let fits = |text: &str| text.is_empty() || text.parse::<u32>().is_ok_and(|n| n <= limits::REGEX_REPEAT);
    (fits(least) && fits(most)).then(|| out.push('{'))
}

/// The flags of a group that sets some.
fn flags(rest: &std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut rest = rest.clone();
    rest.next_if_eq(&'?')?;
    let flags: String = rest.take_while(|c| c.is_ascii_alphabetic() || *c == '-').collect();
    (!flags.starts_with('P')).then_some(flags)
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn patterns_mean_what_they_mean_to_re2() {
        for (pattern, text, holds) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "\u{663}", false),
            (r"^[\w-]+$", "a-b_1", true),
            (r"^[^\s/]+$", "a b", false),
            (r"^[[a]+$", "[a", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^\Qa.b\E$", "axb", false),
            (r"^a{,2}$", "a{,2}", true),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"^[]a]+$", "]a", true),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(text), holds, "{pattern} {text}");
        }
        for pattern in ["(", "a{1001}", "(?x)a", r"\C", "[z-a]", "((a{1000}){1000}){1000}"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
