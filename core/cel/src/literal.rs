//! The text of literals to their values.

/// The text of a string token without quotes and escapes.
pub(crate) fn string(token: &str) -> Result<String, &'static str> {
    let (body, raw) = body(token);
    if raw {
        return Ok(body);
    }
    let mut out = String::with_capacity(body.len());
    unescape(&body, false, |piece| match piece {
        Piece::Character(c) => out.push(c),
        Piece::Byte(b) => out.push(char::from(b)),
    })?;
    Ok(out)
}

/// The bytes of a bytes token.
pub(crate) fn bytes(token: &str) -> Result<Vec<u8>, &'static str> {
    let (body, raw) = body(&token[1..]);
    if raw {
        return Ok(body.into_bytes());
    }
    let mut out = Vec::with_capacity(body.len());
    unescape(&body, true, |piece| match piece {
        Piece::Character(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        Piece::Byte(b) => out.push(b),
    })?;
    Ok(out)
}

/// The number of an integer token.
pub(crate) fn int(token: &str, negative: bool) -> Option<i64> {
    let magnitude = magnitude(token)?;
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// The number of an unsigned token.
pub(crate) fn uint(token: &str) -> Option<u64> {
    magnitude(token.trim_end_matches(['u', 'U']))
}

fn magnitude(digits: &str) -> Option<u64> {
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

enum Piece {
    Character(char),
    Byte(u8),
}

/// What is between the quotes, with line breaks made one kind, and whether escapes mean nothing in it.
fn body(token: &str) -> (String, bool) {
    let raw = token.starts_with(['r', 'R']);
    let quoted = &token[usize::from(raw)..];
    let quotes = if quoted.len() >= 6 && (quoted.starts_with("\"\"\"") || quoted.starts_with("'''")) { 3 } else { 1 };
    let body = &quoted[quotes..quoted.len() - quotes];
    (body.replace("\r\n", "\n").replace('\r', "\n"), raw)
}

fn unescape(body: &str, bytes: bool, mut put: impl FnMut(Piece)) -> Result<(), &'static str> {
    let mut rest = body.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            put(Piece::Character(c));
            continue;
        }
        let escape = rest.next().ok_or("unable to unescape string, found '\\' as last character")?;
        let plain = match escape {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '\'' | '"' | '`' | '?' => escape,
            _ => {
                put(coded(escape, &mut rest, bytes)?);
                continue;
            }
        };
        put(Piece::Character(plain));
    }
    Ok(())
}

/// The character or byte of an escape that gives its number.
fn coded(escape: char, rest: &mut std::str::Chars<'_>, bytes: bool) -> Result<Piece, &'static str> {
    const WRONG: &str = "unable to unescape string";
    let (mut code, digits, radix) = match escape {
        'x' | 'X' => (0, 2, 16),
        'u' if !bytes => (0, 4, 16),
        'U' if !bytes => (0, 8, 16),
        '0'..='3' => (escape.to_digit(8).unwrap_or(0), 2, 8),
        _ => return Err(WRONG),
    };
    for _ in 0..digits {
        let digit = rest.next().and_then(|c| c.to_digit(radix)).ok_or(WRONG)?;
        code = (code << if radix == 8 { 3 } else { 4 }) | digit;
    }
    if bytes {
        return u8::try_from(code).map(Piece::Byte).map_err(|_| WRONG);
    }
    char::from_u32(code).map(Piece::Character).ok_or("invalid unicode code point")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_mean_characters_in_strings_and_bytes_in_bytes() {
        assert_eq!(string(r#""a\n\x41\u00e9\101""#).unwrap(), "a\nA\u{e9}A");
        assert_eq!(string(r#"'\xff'"#).unwrap(), "\u{ff}");
        assert_eq!(bytes(r#"b'\xff\303\u'"#), Err("unable to unescape string"));
        assert_eq!(bytes(r#"b'\xff\303é'"#).unwrap(), [0xff, 0xc3, 0xc3, 0xa9]);
        assert_eq!(string(r#"r'\d'"#).unwrap(), "\\d");
        assert_eq!(string("'''a'b'''").unwrap(), "a'b");
        assert_eq!(string(r"'\ud800'"), Err("invalid unicode code point"));
    }

    #[test]
    fn integers_reach_their_ends() {
        assert_eq!(int("9223372036854775808", true), Some(i64::MIN));
        assert_eq!(int("9223372036854775808", false), None);
        assert_eq!(int("0xFF", true), Some(-255));
        assert_eq!(uint("18446744073709551615u"), Some(u64::MAX));
    }
}
