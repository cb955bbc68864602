//! Query strings: percent decoding, and values as Go's clients mean them.

use gantry_kinds::Status;

use crate::Refusal;

/// The pairs of a query string, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name, true), decode(value, true))
                })
                .collect(),
        )
    }

    /// The first value of `name`; `None` when it is absent or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.present(name).filter(|value| !value.is_empty())
    }

    /// The first value of `name`, which may be empty.
    pub(crate) fn present(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values of `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    }

    /// A number; 400 with Go's words when it is none.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        // wire: an empty value is no number.
        let Some(text) = self.present(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error: std::num::ParseIntError| {
            let why = match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            Box::new(Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}")))
        })
    }

    /// A switch. wire: everything but `false` and `0` turns it on, the empty value included.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        self.present(name).map(|value| !(value.eq_ignore_ascii_case("false") || value == "0"))
    }

    /// A switch that is off when absent.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.switch(name).unwrap_or(false)
    }
}

/// Percent-decodes; a broken escape stays as it is. `plus`: whether `+` means a space.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape =
            bytes.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (bytes[at], escape) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) if plus => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes everything that is not unreserved.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_broken_ones_kept() {
        let query = Query::parse(Some("a=%7Bx%7D+y&b=%zz&c&a=2"));
        assert_eq!(query.all("a"), ["{x} y", "2"]);
        assert_eq!(query.text("b"), Some("%zz"));
        assert_eq!((query.text("c"), query.present("c")), (None, Some("")));
        assert_eq!(decode("a+b%2Fc", false), "a+b/c");
        assert_eq!(decode(&encode("ä /?&=+"), true), "ä /?&=+");
    }

    #[test]
    fn numbers_and_switches_follow_go() {
        let query = Query::parse(Some("limit=x&big=99999999999999999999&watch=foo&no=False&zero=0&empty"));
        let refused = |name| query.integer(name).unwrap_err().message;
        assert_eq!(refused("limit"), "strconv.ParseInt: parsing \"x\": invalid syntax");
        assert_eq!(refused("big"), "strconv.ParseInt: parsing \"99999999999999999999\": value out of range");
        assert_eq!(refused("empty"), "strconv.ParseInt: parsing \"\": invalid syntax");
        assert_eq!(query.integer("absent"), Ok(None));
        let switches = ["watch", "no", "zero", "empty", "absent"].map(|name| query.on(name));
        assert_eq!(switches, [true, false, false, true, false]);
    }
}
