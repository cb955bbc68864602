//! Text: searching, cutting, joining, patterns.

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::library::convert::bounded;
use crate::library::lists;
use crate::pattern;
use crate::value::{Text, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "contains",
        overloads: &["contains_string: string.(string) -> bool"],
        run: |args| test(args, |s, p| s.contains(p)),
    },
    Function {
        name: "endsWith",
        overloads: &["ends_with_string: string.(string) -> bool"],
        run: |args| test(args, |s, p| s.ends_with(p)),
    },
    Function {
        name: "startsWith",
        overloads: &["starts_with_string: string.(string) -> bool"],
        run: |args| test(args, |s, p| s.starts_with(p)),
    },
    Function {
        name: "matches",
        overloads: &["matches: (string, string) -> bool", "matches_string: string.(string) -> bool"],
        run: matches,
    },
    Function { name: "find", overloads: &["string_find_string: string.(string) -> string"], run: find },
    Function {
        name: "findAll",
        overloads: &[
            "string_find_all_string: string.(string) -> list(string)",
            "string_find_all_string_int: string.(string, int) -> list(string)",
        ],
        run: find_all,
    },
    Function { name: "charAt", overloads: &["string_char_at_int: string.(int) -> string"], run: char_at },
    Function {
        name: "indexOf",
        overloads: &[
            "string_index_of_string: string.(string) -> int",
            "string_index_of_string_int: string.(string, int) -> int",
            "list_a_index_of_int: list(A).(A) -> int",
        ],
        run: index_of,
    },
    Function {
        name: "lastIndexOf",
        overloads: &[
            "string_last_index_of_string: string.(string) -> int",
            "string_last_index_of_string_int: string.(string, int) -> int",
            "list_a_last_index_of_int: list(A).(A) -> int",
        ],
        run: last_index_of,
    },
    Function {
        name: "lowerAscii",
        overloads: &["string_lower_ascii: string.() -> string"],
        run: |args| made(args, str::to_ascii_lowercase),
    },
    Function {
        name: "upperAscii",
        overloads: &["string_upper_ascii: string.() -> string"],
        run: |args| made(args, str::to_ascii_uppercase),
    },
    Function {
        name: "trim",
        overloads: &["string_trim: string.() -> string"],
        run: |args| made(args, |s| s.trim().to_owned()),
    },
    Function {
        name: "replace",
        overloads: &[
            "string_replace_string_string: string.(string, string) -> string",
            "string_replace_string_string_int: string.(string, string, int) -> string",
        ],
        run: replace,
    },
    Function {
        name: "split",
        overloads: &[
            "string_split_string: string.(string) -> list(string)",
            "string_split_string_int: string.(string, int) -> list(string)",
        ],
        run: split,
    },
    Function {
        name: "substring",
        overloads: &[
            "string_substring_int: string.(int) -> string",
            "string_substring_int_int: string.(int, int) -> string",
        ],
        run: substring,
    },
    Function {
        name: "join",
        overloads: &["list_join: list(string).() -> string", "list_join_string: list(string).(string) -> string"],
        run: join,
    },
    Function { name: "strings.quote", overloads: &["strings_quote: (string) -> string"], run: quote },
    Function {
        name: "jsonpatch.escapeKey",
        overloads: &["string_jsonpatch_escapeKey_string: (string) -> string"],
        run: |args| made(args, |s| s.replace('~', "~0").replace('/', "~1")),
    },
];

const NO: fn() -> EvalError = EvalError::no_such_overload;

fn test<'a>(args: &[Value<'a>], holds: fn(&str, &str) -> bool) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(part)] => Ok(Value::Bool(holds(text, part))),
        _ => Err(NO()),
    }
}

fn made<'a>(args: &[Value<'a>], make: fn(&str) -> String) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::text(make(text))),
        _ => Err(NO()),
    }
}

fn matches<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), pattern] = args else { return Err(NO()) };
    pattern::with(pattern, |pattern| Value::Bool(pattern.is_match(text)))
}

fn find<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), pattern] = args else { return Err(NO()) };
    pattern::with(pattern, |pattern| Value::text(pattern.find(text).map_or("", |found| found.as_str())))
}

fn find_all<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, pattern, limit) = match args {
        [Value::String(text), pattern] => (text, pattern, usize::MAX),
        [Value::String(text), pattern, Value::Int(n)] => (text, pattern, usize::try_from(*n).unwrap_or(usize::MAX)),
        _ => return Err(NO()),
    };
    pattern::with(pattern, |pattern| {
        Value::list(pattern.find_iter(text).take(limit).map(|found| Value::text(found.as_str())).collect())
    })
}

fn range(at: i64) -> EvalError {
    EvalError::new(format!("index out of range: {at}"))
}

/// Where in the bytes the character begins; the end for the one after the last.
fn byte_of(text: &str, at: i64) -> Option<usize> {
    let at = usize::try_from(at).ok()?;
    text.char_indices().map(|(byte, _)| byte).chain([text.len()]).nth(at)
}

fn char_at<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::Int(at)] = args else { return Err(NO()) };
    let byte = byte_of(text, *at).ok_or_else(|| range(*at))?;
    Ok(Value::text(text[byte..].chars().next().map(String::from).unwrap_or_default()))
}

fn count(text: &str) -> i64 {
    text.chars().count() as i64
}

fn index_of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, from) = match args {
        [Value::List(list), item] => return lists::position(list, item, false),
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, *from),
        _ => return Err(NO()),
    };
    if from < 0 {
        return Err(range(from));
    }
    if part.is_empty() {
        return Ok(Value::Int(from.min(count(text))));
    }
    let Some(byte) = byte_of(text, from) else { return Ok(Value::Int(-1)) };
    Ok(Value::Int(text[byte..].find(&**part).map_or(-1, |found| from + count(&text[byte..byte + found]))))
}

fn last_index_of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, from) = match args {
        [Value::List(list), item] => return lists::position(list, item, true),
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, Some(*from)),
        _ => return Err(NO()),
    };
    if let Some(from) = from
        && from < 0
    {
        return Err(range(from));
    }
    if part.is_empty() {
        return Ok(Value::Int(from.unwrap_or(i64::MAX).min(count(text))));
    }
    let end = match from {
        None => text.len(),
        Some(from) => {
            let Some(byte) = byte_of(text, from).filter(|byte| *byte < text.len()) else {
                return Ok(Value::Int(-1));
            };
            // A part that begins there may reach further.
            let characters = part.chars().count();
            text[byte..].char_indices().map(|(at, _)| byte + at).nth(characters).unwrap_or(text.len())
        }
    };
    Ok(Value::Int(text[..end].rfind(&**part).map_or(-1, |found| count(&text[..found]))))
}

fn replace<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, with, times) = match args {
        [Value::String(text), Value::String(part), Value::String(with)] => (text, part, with, usize::MAX),
        [Value::String(text), Value::String(part), Value::String(with), Value::Int(n)] => {
            (text, part, with, usize::try_from(*n).unwrap_or(usize::MAX))
        }
        _ => return Err(NO()),
    };
    let found = text.matches(&**part).take(times).count();
    bounded(text.len().saturating_add(found.saturating_mul(with.len())))?;
    Ok(Value::text(text.replacen(&**part, with, found)))
}

fn split<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, separator, limit) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(n)] => (text, separator, *n),
        _ => return Err(NO()),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(Value::list(Vec::new()));
    }
    let parts: Vec<Value<'a>> = if separator.is_empty() {
        let mut rest: &str = text;
        let mut parts = Vec::new();
        while let Some(c) = rest.chars().next() {
            let length = if parts.len() + 1 == limit { rest.len() } else { c.len_utf8() };
            parts.push(Value::text(&rest[..length]));
            rest = &rest[length..];
        }
        parts
    } else {
        text.splitn(limit, &**separator).map(Value::text).collect()
    };
    Ok(Value::list(parts))
}

fn substring<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, from, to) = match args {
        [Value::String(text), Value::Int(from)] => (text, *from, None),
        [Value::String(text), Value::Int(from), Value::Int(to)] => (text, *from, Some(*to)),
        _ => return Err(NO()),
    };
    if let Some(to) = to
        && from > to
    {
        return Err(EvalError::new(format!("invalid substring range. start: {from}, end: {to}")));
    }
    let start = byte_of(text, from).ok_or_else(|| range(from))?;
    let end = match to {
        None => text.len(),
        Some(to) => byte_of(text, to).ok_or_else(|| range(to))?,
    };
    Ok(match text {
        Text::Data(text) => Value::String(Text::Data(&text[start..end])),
        Text::Made(text) => Value::text(&text[start..end]),
    })
}

fn join<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return Err(NO()),
    };
    let mut joined = String::new();
    for (n, item) in list.items()?.iter().enumerate() {
        let Value::String(text) = item else { return Err(NO()) };
        if n > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
        bounded(joined.len())?;
    }
    Ok(Value::text(joined))
}

fn quote<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = args else { return Err(NO()) };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(Value::text(quoted))
}
