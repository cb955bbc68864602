//! JSON: one pass that builds the tree, notices duplicate keys with their paths, and words its errors as Go does.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use super::{DecodeError, Decoded, MAX_DEPTH, SHADOWED_MAX};

/// Decodes one JSON document.
pub fn json(body: &[u8]) -> Result<Decoded, DecodeError> {
    let mut reader = Reader { body, at: 0, path: Vec::new(), duplicates: Vec::new(), shadowed: Vec::new() };
    let value = reader.value(0)?;
    reader.blank();
    match reader.peek() {
        None => Ok(Decoded { value, duplicates: reader.duplicates, shadowed: reader.shadowed }),
        Some(_) => Err(reader.unexpected("after top-level value")),
    }
}

enum Step {
    Key(String),
    Index(usize),
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    path: Vec<Step>,
    duplicates: Vec<String>,
    shadowed: Vec<Value>,
}

type Read<T> = Result<T, DecodeError>;

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The error for the byte at hand, or for the end of the body.
    fn unexpected(&self, where_: &str) -> DecodeError {
        let Some(byte) = self.peek() else {
            return DecodeError::Json("unexpected end of JSON input".to_owned());
        };
        let quoted = match byte {
            b'\'' => r"'\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            b'\\' => r"'\\'".to_owned(),
            b'\n' => r"'\n'".to_owned(),
            b'\r' => r"'\r'".to_owned(),
            b'\t' => r"'\t'".to_owned(),
            0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
            0x80..=0x9f => format!("'\\u{byte:04x}'"),
            _ => format!("'{}'", char::from(byte)),
        };
        DecodeError::Json(format!("invalid character {quoted} {where_}"))
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        self.blank();
        match self.peek() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(self.unexpected("exceeded max depth")),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let mut fields = Map::new();
        self.blank();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(fields));
        }
        loop {
            self.blank();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let key = self.string()?;
            self.blank();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("after object key"));
            }
            self.at += 1;
            self.path.push(Step::Key(key.clone()));
            let value = self.value(depth + 1)?;
            if let Some(earlier) = fields.insert(key, value) {
                self.note_duplicate(earlier);
            }
            self.path.pop();
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(fields));
                }
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
    }

    fn note_duplicate(&mut self, earlier: Value) {
        let path = self.render_path();
        if !self.duplicates.contains(&path) {
            self.duplicates.push(path);
        }
        if self.shadowed.len() < SHADOWED_MAX {
            self.shadowed.push(self.path.iter().rev().fold(earlier, |value, step| match step {
                Step::Key(key) => Value::Object(Map::from_iter([(key.clone(), value)])),
                Step::Index(_) => Value::Array(vec![value]),
            }));
        }
    }

    fn array(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.path.push(Step::Index(items.len()));
            items.push(self.value(depth + 1)?);
            self.path.pop();
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.unexpected("after array element")),
            }
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Read<Value> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                let where_ = format!("in literal {word} (expecting '{}')", char::from(expected));
                return Err(self.unexpected(&where_));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self, where_: &str) -> Read<()> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.unexpected(where_));
        }
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Read<Value> {
        let start = self.at;
        let mut whole = true;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            whole = false;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            whole = false;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let text = String::from_utf8_lossy(&self.body[start..self.at]);
        let small =
            if whole { text.parse().map(i64::into).or_else(|_| text.parse().map(u64::into)).ok() } else { None };
        let number: Option<Number> = small.or_else(|| text.parse().ok().and_then(Number::from_f64));
        number.map(Value::Number).ok_or_else(|| {
            DecodeError::Json(format!("json: cannot unmarshal number {text} into Go value of type float64"))
        })
    }

    fn string(&mut self) -> Read<String> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let start = self.at;
            while matches!(self.peek(), Some(b) if b >= 0x20 && b != b'"' && b != b'\\') {
                self.at += 1;
            }
            bytes.extend_from_slice(&self.body[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(match String::from_utf8(bytes) {
                        Ok(text) => text,
                        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
                    });
                }
                Some(b'\\') => {
                    self.at += 1;
                    let letter = self.escape()?;
                    bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => return Err(self.unexpected("in string literal")),
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let letter = match self.peek() {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(letter)
    }

    /// The code point of a `\u` escape and, for a surrogate, of its pair; lone surrogates become U+FFFD.
    fn unicode(&mut self) -> Read<char> {
        let first = self.hex4()?;
        if !(0xd800..0xdc00).contains(&first) || !self.body[self.at..].starts_with(b"\\u") {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let after_first = self.at;
        self.at += 2;
        let second = self.hex4()?;
        if !(0xdc00..0xe000).contains(&second) {
            self.at = after_first;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Read<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.unexpected(r"in \u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn render_path(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            let written = match step {
                Step::Key(key) if text.is_empty() => write!(text, "{key}"),
                Step::Key(key) => write!(text, ".{key}"),
                Step::Index(index) => write!(text, "[{index}]"),
            };
            debug_assert!(written.is_ok(), "writing to a String");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn errors_are_worded_as_go_words_them() {
        let check = |body: &[u8], expected: &str| {
            assert_eq!(super::json(body).expect_err("malformed").to_string(), expected, "{body:?}");
        };
        check(b"{", "unexpected end of JSON input");
        check(b"{}x", "invalid character 'x' after top-level value");
        check(b"{\"a\":1,}", "invalid character '}' looking for beginning of object key string");
        check(b"{\"a\":\"\\q\"}", "invalid character 'q' in string escape code");
        check(b"{\"a\":\"\n\"}", "invalid character '\\n' in string literal");
        check(b"{'a':1}", "invalid character '\\'' looking for beginning of object key string");
        check(b"{\"a\":tru}", "invalid character '}' in literal true (expecting 'e')");
        check(b"{\"a\":\"\\u00\"}", "invalid character '\"' in \\u hexadecimal character escape");
        check(b"{\"a\":01}", "invalid character '1' after object key:value pair");
        check(b"{\"a\":-}", "invalid character '}' in numeric literal");
        check(b"{\"a\":1.}", "invalid character '}' after decimal point in numeric literal");
        check(b"{\"a\":1e}", "invalid character '}' in exponent of numeric literal");
        check(b"{\"a\" 1}", "invalid character '1' after object key");
        check(b"{\"a\":[1 2]}", "invalid character '2' after array element");
        check(b"{\"a\":.5}", "invalid character '.' looking for beginning of value");
        check("{\"a\":é}".as_bytes(), "invalid character 'Ã' looking for beginning of value");
        check("[".repeat(20_000).as_bytes(), "invalid character '[' exceeded max depth");
    }

    #[test]
    fn duplicates_are_told_once_with_their_paths_and_the_last_counts() {
        let decoded = super::json(br#"{"a":[{"b":1,"b":2,"b":3}],"c":1,"c":{"d":4}}"#).expect("JSON");
        assert_eq!(decoded.duplicates, ["a[0].b", "c"]);
        assert_eq!(decoded.value, json!({"a": [{"b": 3}], "c": {"d": 4}}));
    }

    #[test]
    fn broken_text_is_mended_not_refused() {
        let decoded = super::json(b"[\"\\ud83d\\ude00\\ud800x\\ud800\\u0041\xff\"]").expect("JSON");
        assert_eq!(decoded.value, json!(["\u{1f600}\u{fffd}x\u{fffd}A\u{fffd}"]));
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_writes(text in "\\PC*", number: i64, float in -1e300..1e300f64, flag: bool) {
            let value = json!({"text": text, "list": [number, float, flag, null], "deep": {"é\"": {"x": []}}});
            let body = serde_json::to_vec(&value).expect("JSON");
            prop_assert_eq!(super::json(&body).expect("JSON").value, value);
        }

        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = super::json(&body);
        }
    }
}
