//! Regular expressions, as RE2 reads them, in linear time.
//!
//! The engine reads a larger language: classes such as `\d` are cut down to ASCII, and what means something only to
//! it is taken literally.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::error::EvalError;
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
    let translated = translate(text).map_err(|why| wrong(why.0, &why.1))?;
    let built = RegexBuilder::new(&translated).size_limit(limits::REGEX_BYTES).build();
    built.map_err(|error| {
        let error = error.to_string();
        let (why, part) = REASONS.iter().find(|(said, _)| error.contains(said)).map_or(UNKNOWN, |(_, why)| *why);
        let part = match part {
            Some(c) => text.find(c).map_or(text, |at| if c == '[' { &text[at..] } else { &text[at..=at] }),
            None => text,
        };
        wrong(why, part)
    })
}

fn wrong(why: &str, part: &str) -> EvalError {
    EvalError::new(format!("error parsing regexp: {why}: `{part}`"))
}

/// What the engine says, what RE2 says, and the character from which on it shows the pattern.
const REASONS: [(&str, (&str, Option<char>)); 5] = [
    ("unclosed group", ("missing closing )", None)),
    ("unopened group", ("unexpected )", None)),
    ("unclosed character class", ("missing closing ]", Some('['))),
    ("repetition operator missing expression", ("missing argument to repetition operator", Some('*'))),
    ("compiled regex exceeds size limit", ("expression too large", None)),
];
const UNKNOWN: (&str, Option<char>) = ("invalid or unsupported Perl syntax", None);

/// What RE2 does not know, and the part that it is about.
type Unknown = (&'static str, String);

fn perl(part: impl Into<String>) -> Unknown {
    (UNKNOWN.0, part.into())
}

/// The pattern as the engine must read it.
fn translate(text: &str) -> Result<String, Unknown> {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text.chars().peekable();
    let mut class = 0usize;
    let mut repeated = String::new();
    let mut before = ' ';
    while let Some(c) = rest.next() {
        let repeats = class == 0 && (matches!(c, '*' | '+' | '?') || c == '{' && counts(&rest).is_some());
        match repeats {
            true if c == '?' && !repeated.is_empty() && !repeated.ends_with('?') => {}
            true if !repeated.is_empty() => {
                return Err(("invalid nested repetition operator", repeated + &operator(c, &rest)));
            }
            _ => repeated.clear(),
        }
        if repeats {
            repeated += &operator(c, &rest);
        }
        match c {
            '\\' => match rest.next().ok_or(("trailing backslash at end of expression", String::new()))? {
                'd' => out.push_str(if class > 0 { "0-9" } else { "[0-9]" }),
                'w' => out.push_str(if class > 0 { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                's' => out.push_str(if class > 0 { "\\t\\n\\f\\r " } else { "[\\t\\n\\f\\r ]" }),
                'D' => out.push_str("[^0-9]"),
                'W' => out.push_str("[^0-9A-Za-z_]"),
                'S' => out.push_str("[^\\t\\n\\f\\r ]"),
                'b' if class == 0 => out.push_str("(?-u:\\b)"),
                'B' if class == 0 => out.push_str("(?-u:\\B)"),
                'Q' if class == 0 => literal(&mut rest, &mut out),
                named @ ('p' | 'P' | 'x') => {
                    out.push('\\');
                    out.push(named);
                    if rest.peek() == Some(&'{') {
                        through(&mut rest, '}', &mut out);
                    }
                }
                'z' => out.push_str("\\z"),
                'A' => out.push_str("\\A"),
                letter @ ('a' | 'f' | 'n' | 'r' | 't' | 'v') => {
                    out.push('\\');
                    out.push(letter);
                }
                unknown if unknown.is_ascii_alphanumeric() || !unknown.is_ascii() => {
                    return Err(("invalid escape sequence", format!("\\{unknown}")));
                }
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
                // A named class, `[:alpha:]`.
                out.push('[');
                through(&mut rest, ']', &mut out);
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
            '-' if class > 0
                && rest.peek().is_some_and(|to| *to < before && before.is_ascii_alphanumeric() && *to != ']') =>
            {
                let to = rest.peek().map_or(String::new(), char::to_string);
                return Err(("invalid character class range", format!("{before}-{to}")));
            }
            '{' if class == 0 => repetition(&mut rest, &mut out)?,
            '(' if class == 0 && look_around(&rest).is_some() => {
                return Err(perl(format!("(?{}", look_around(&rest).unwrap_or_default())));
            }
            '(' if class == 0 && flags(&rest).is_some_and(|f| f.contains(['x', 'u', 'R'])) => return Err(perl(text)),
            c => out.push(c),
        }
        before = c;
    }
    Ok(out)
}

/// Copies up to and with the character.
fn through(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, end: char, out: &mut String) {
    for c in rest.by_ref() {
        out.push(c);
        if c == end {
            return;
        }
    }
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

/// What is between braces that count; a brace around anything else means itself.
fn counts(rest: &std::iter::Peekable<std::str::Chars<'_>>) -> Option<(String, [Option<u32>; 2])> {
    let inner: String = rest.clone().take_while(|c| *c != '}').collect();
    let closed = rest.clone().nth(inner.chars().count()) == Some('}');
    let (least, most) = inner.split_once(',').unwrap_or((&inner, &inner));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !closed || least.is_empty() || !digits(least) || !digits(most) {
        return None;
    }
    let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse().ok() };
    let numbers = [number(least), number(most)];
    Some((inner, numbers))
}

/// The operator that begins with the character.
fn operator(c: char, rest: &std::iter::Peekable<std::str::Chars<'_>>) -> String {
    match counts(rest) {
        Some((inner, _)) if c == '{' => format!("{{{inner}}}"),
        _ => c.to_string(),
    }
}

fn repetition(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<(), Unknown> {
    match counts(rest) {
        None => out.push_str("\\{"),
        Some((inner, numbers)) if numbers.iter().all(|n| n.is_some_and(|n| n <= limits::REGEX_REPEAT)) => {
            out.push_str(&format!("{{{inner}}}"));
            rest.nth(inner.len());
        }
        Some((inner, _)) => return Err(("invalid repeat count", format!("{{{inner}}}"))),
    }
    Ok(())
}

/// What a group begins with that looks ahead or back.
fn look_around(rest: &std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let mut rest = rest.clone();
    rest.next_if_eq(&'?')?;
    let first = rest.next()?;
    let name = first == '<' && !matches!(rest.next(), Some('=' | '!'));
    (matches!(first, '=' | '!' | '<') && !name).then_some(first)
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
