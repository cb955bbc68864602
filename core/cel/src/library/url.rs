//! URLs: absolute ones, and absolute paths.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::library::convert::quoted;
use crate::thing::Thing;
use crate::value::{Key, Map, Text, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function { name: "url", overloads: &["string_to_url: (string) -> url"], run: url },
    Function { name: "isURL", overloads: &["is_url_string: (string) -> bool"], run: is_url },
    Function {
        name: "getScheme",
        overloads: &["url_get_scheme: url.() -> string"],
        run: |args| part(args, |url| url.scheme.clone()),
    },
    Function {
        name: "getHost",
        overloads: &["url_get_host: url.() -> string"],
        run: |args| part(args, |url| url.host.clone()),
    },
    Function {
        name: "getHostname",
        overloads: &["url_get_hostname: url.() -> string"],
        run: |args| part(args, |url| url.hostname().to_owned()),
    },
    Function {
        name: "getPort",
        overloads: &["url_get_port: url.() -> string"],
        run: |args| part(args, |url| url.port().to_owned()),
    },
    Function {
        name: "getEscapedPath",
        overloads: &["url_get_escaped_path: url.() -> string"],
        run: |args| part(args, |url| url.path.clone()),
    },
    Function { name: "getQuery", overloads: &["url_get_query: url.() -> map(string, list(string))"], run: query },
];

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    host: String,
    /// Percent-encoded.
    path: String,
    query: String,
}

impl Url {
    fn hostname(&self) -> &str {
        match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None => self.host.rsplit_once(':').map_or(&*self.host, |(host, _)| host),
        }
    }
    fn port(&self) -> &str {
        let after = self.host.rfind(']').map_or(&*self.host, |at| &self.host[at..]);
        after.rsplit_once(':').map_or("", |(_, port)| port)
    }
    /// wire: whether it is one is asked as of a request's first line, and its parts are found as in any other place:
    /// only there a fragment is no part of the path.
    fn parse(text: &str) -> Result<Url, String> {
        Self::read(text)?;
        Self::read(text.split_once('#').map_or(text, |(before, _)| before))
    }
    fn read(text: &str) -> Result<Url, String> {
        if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        if text.is_empty() {
            return Err("empty url".to_owned());
        }
        if text == "*" {
            return Ok(Url { scheme: String::new(), host: String::new(), path: "*".to_owned(), query: String::new() });
        }
        let (scheme, rest) = scheme(text)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = Url { scheme, host: String::new(), path: String::new(), query: query.to_owned() };
        if !rest.starts_with('/') {
            return if url.scheme.is_empty() { Err("invalid URI for request".to_owned()) } else { Ok(url) };
        }
        let mut path = rest;
        if let Some(after) = rest.strip_prefix("//")
            && (!url.scheme.is_empty() || !after.starts_with('/'))
        {
            let end = after.find('/').unwrap_or(after.len());
            path = &after[end..];
            url.host = host(after[..end].rsplit_once('@').map_or(&after[..end], |(_, host)| host))?;
        }
        url.path = escaped_path(path)?;
        Ok(url)
    }
}

fn scheme(text: &str) -> Result<(String, &str), String> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => return Ok((text[..at].to_ascii_lowercase(), &text[at + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), text))
}

fn host(text: &str) -> Result<String, String> {
    let port = match text.strip_prefix('[') {
        Some(_) => &text[text.rfind(']').ok_or("missing ']' in host")? + 1..],
        None => text.find(':').map_or("", |at| &text[text.rfind(':').unwrap_or(at)..]),
    };
    if !port.is_empty() && (!port.starts_with(':') || !port[1..].bytes().all(|b| b.is_ascii_digit())) {
        return Err(format!("invalid port {} after host", quoted(port)));
    }
    let allowed = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(format!("invalid character {} in host name", quoted(&c.to_string()))),
        None => Ok(text.to_owned()),
    }
}

/// The path as it is, if it is encoded well; else encoded.
fn escaped_path(path: &str) -> Result<String, String> {
    let mut decoded = Vec::with_capacity(path.len());
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            decoded.push(bytes[at]);
            at += 1;
            continue;
        }
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let Some(byte) = byte else {
            let wrong = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 3)]).into_owned();
            return Err(format!("invalid URL escape {}", quoted(&wrong)));
        };
        decoded.push(byte);
        at += 3;
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&b);
    if path.bytes().all(|b| plain(b) || b"!'()*[]%".contains(&b)) {
        return Ok(path.to_owned());
    }
    Ok(decoded.into_iter().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect())
}

fn url<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    match Url::parse(text) {
        Ok(url) => Ok(Value::Thing(Thing::Url(Arc::new(url)))),
        Err(why) => {
            Err(EvalError::new(format!("URL parse error during conversion from string: parse {}: {why}", quoted(text))))
        }
    }
}

fn is_url<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    Ok(Value::Bool(Url::parse(text).is_ok()))
}

fn part<'a>(args: &[Value<'a>], of: fn(&Url) -> String) -> Outcome<'a> {
    match args {
        [Value::Thing(Thing::Url(url))] => Ok(Value::text(of(url))),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn query<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Thing(Thing::Url(url))] = args else { return Err(EvalError::no_such_overload()) };
    let mut found: BTreeMap<String, Vec<Value<'a>>> = BTreeMap::new();
    for pair in url.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(name), Some(value)) = (unescaped(name), unescaped(value)) {
            found.entry(name).or_default().push(Value::text(value));
        }
    }
    let entries = found.into_iter().map(|(name, values)| (Key::String(Text::Made(name.into())), Value::list(values)));
    Ok(Value::Map(Map::Made(Arc::new(entries.collect()))))
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        match b {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
            }
            b => bytes.push(b),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What is wrong with the text as a URL.
pub(crate) fn check(text: &str) -> Result<(), String> {
    Url::parse(text).map(drop).map_err(|why| format!("parse {}: {why}", quoted(text)))
}
