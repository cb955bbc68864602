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
    let mut translator = Translator { rest: text.chars().peekable(), out: String::with_capacity(text.len() + 8) };
    let mut repeated = String::new();
    while let Some(c) = translator.rest.next() {
        repeated = translator.repetition(c, repeated)?;
        translator.outside(c, text)?;
    }
    Ok(translator.out)
}

struct Translator<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    out: String,
}

impl Translator<'_> {
    /// What repeats at this character, when something does; two of them are one too many.
    fn repetition(&self, c: char, before: String) -> Result<String, Unknown> {
        let operator = match (c, self.counts()) {
            ('*' | '+' | '?', _) => c.to_string(),
            ('{', Some((inner, _))) => format!("{{{inner}}}"),
            _ => return Ok(String::new()),
        };
        let lazy = c == '?' && !before.is_empty() && !before.ends_with('?');
        if !before.is_empty() && !lazy {
            return Err(("invalid nested repetition operator", before + &operator));
        }
        Ok(before + &operator)
    }
    /// A character that is in no class.
    fn outside(&mut self, c: char, text: &str) -> Result<(), Unknown> {
        match c {
            '\\' => self.escape(false)?,
            '[' => self.class()?,
            '{' => self.braces()?,
            '(' => match (self.looks_around(), self.flags()) {
                (Some(direction), _) => return Err(perl(format!("(?{direction}"))),
                (None, Some(flags)) if flags.contains(['x', 'u', 'R']) => return Err(perl(text)),
                _ => self.out.push('('),
            },
            c => self.out.push(c),
        }
        Ok(())
    }
    fn escape(&mut self, class: bool) -> Result<(), Unknown> {
        let escaped = self.rest.next().ok_or(("trailing backslash at end of expression", String::new()))?;
        let (inside, outside) = match escaped {
            'd' => ("0-9", "[0-9]"),
            'w' => ("0-9A-Za-z_", "[0-9A-Za-z_]"),
            's' => ("\\t\\n\\f\\r ", "[\\t\\n\\f\\r ]"),
            'D' => ("[^0-9]", "[^0-9]"),
            'W' => ("[^0-9A-Za-z_]", "[^0-9A-Za-z_]"),
            'S' => ("[^\\t\\n\\f\\r ]", "[^\\t\\n\\f\\r ]"),
            'b' if !class => ("", "(?-u:\\b)"),
            'B' if !class => ("", "(?-u:\\B)"),
            'Q' if !class => {
                self.literal();
                return Ok(());
            }
            _ => {
                let known = matches!(escaped, 'p' | 'P' | 'x' | 'z' | 'A' | 'a' | 'f' | 'n' | 'r' | 't' | 'v');
                if !known && (escaped.is_ascii_alphanumeric() || !escaped.is_ascii()) {
                    return Err(("invalid escape sequence", format!("\\{escaped}")));
                }
                self.out.push('\\');
                self.out.push(escaped);
                if matches!(escaped, 'p' | 'P' | 'x') && self.rest.peek() == Some(&'{') {
                    self.through('}');
                }
                return Ok(());
            }
        };
        self.out.push_str(if class { inside } else { outside });
        Ok(())
    }
    /// A class, from behind its bracket to its end.
    fn class(&mut self) -> Result<(), Unknown> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        if self.rest.next_if_eq(&']').is_some() {
            self.out.push_str("\\]");
        }
        let mut before = ' ';
        while let Some(c) = self.rest.next() {
            let next = self.rest.peek().copied();
            match (c, next) {
                (']', _) => {
                    self.out.push(']');
                    return Ok(());
                }
                ('\\', _) => self.escape(true)?,
                ('[', Some(':')) => {
                    self.out.push('[');
                    self.through(']');
                }
                ('-', Some('-')) | ('[' | '&' | '~', _) => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                ('-', Some(to)) if before.is_ascii_alphanumeric() && to < before && to != ']' => {
                    return Err(("invalid character class range", format!("{before}-{to}")));
                }
                _ => self.out.push(c),
            }
            before = c;
        }
        Ok(())
    }
    /// Copies up to and with the character.
    fn through(&mut self, end: char) {
        for c in self.rest.by_ref() {
            self.out.push(c);
            if c == end {
                return;
            }
        }
    }
    /// Text up to `\E` means itself.
    fn literal(&mut self) {
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                break;
            }
            text.push(c);
        }
        self.out.push_str(&regex::escape(&text));
    }
    /// What is between braces that count; a brace around anything else means itself.
    fn counts(&self) -> Option<(String, [Option<u32>; 2])> {
        let inner: String = self.rest.clone().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
        let closed = self.rest.clone().nth(inner.len()) == Some('}');
        let (least, most) = inner.split_once(',').unwrap_or((&inner, &inner));
        if !closed || least.is_empty() || most.contains(',') {
            return None;
        }
        let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse().ok() };
        let numbers = [number(least), number(most)];
        Some((inner, numbers))
    }
    fn braces(&mut self) -> Result<(), Unknown> {
        match self.counts() {
            None => self.out.push_str("\\{"),
            Some((inner, numbers)) if numbers.iter().all(|n| n.is_some_and(|n| n <= limits::REGEX_REPEAT)) => {
                self.out.push_str(&format!("{{{inner}}}"));
                self.rest.nth(inner.len());
            }
            Some((inner, _)) => return Err(("invalid repeat count", format!("{{{inner}}}"))),
        }
        Ok(())
    }
    /// What a group begins with that looks ahead or back.
    fn looks_around(&self) -> Option<char> {
        let mut rest = self.rest.clone();
        rest.next_if_eq(&'?')?;
        let first = rest.next()?;
        let name = first == '<' && !matches!(rest.next(), Some('=' | '!'));
        (matches!(first, '=' | '!' | '<') && !name).then_some(first)
    }
    /// The flags of a group that sets some.
    fn flags(&self) -> Option<String> {
        let mut rest = self.rest.clone();
        rest.next_if_eq(&'?')?;
        let flags: String = rest.take_while(|c| c.is_ascii_alphabetic() || *c == '-').collect();
        (!flags.starts_with('P')).then_some(flags)
    }
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
