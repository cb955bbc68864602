//! What names, keys and values may look like. Every function returns the sentences that say what is wrong;
//! none when nothing is.

const LABEL_MAX: usize = 63;
const SUBDOMAIN_MAX: usize = 253;
const PORT_NAME_MAX: usize = 15;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const UNDERSCORES: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' \
    or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
    '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
    used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
    'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_NAME: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";
const HTTP_HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. \
    'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
const PORT_NUMBER: &str = "must be between 1 and 65535, inclusive";

fn small(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |c: Option<&u8>| c.is_some_and(|c| small(*c));
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|c| small(*c) || *c == b'-')
}

fn is_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

fn too_long(what: &str, max: usize, unit: &str) -> String {
    format!("{what}must be no more than {max} {unit}")
}

/// A name, or the part of a `generateName` that has to be valid by itself: a trailing dash may stand.
pub fn stem(name: &str, prefix: bool) -> &str {
    if prefix && name.len() > 1 { name.strip_suffix('-').unwrap_or(name) } else { name }
}

/// A lowercase RFC 1123 label.
pub fn dns_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > LABEL_MAX {
        wrong.push(too_long("", LABEL_MAX, "characters"));
    }
    if !is_label(text) {
        let dots = text.split('.').all(is_label);
        wrong.push(if dots { "must not contain dots" } else { LABEL }.to_owned());
    }
    wrong
}

/// A lowercase label that starts with a letter.
pub fn dns_1035_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > LABEL_MAX {
        wrong.push(too_long("", LABEL_MAX, "characters"));
    }
    if !is_label(text) || text.starts_with(|c: char| c.is_ascii_digit()) {
        wrong.push(LABEL_1035.to_owned());
    }
    wrong
}

/// A lowercase RFC 1123 subdomain: labels joined by dots.
pub fn dns_subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        wrong.push(too_long("", SUBDOMAIN_MAX, "characters"));
    }
    if !text.split('.').all(is_label) {
        wrong.push(SUBDOMAIN.to_owned());
    }
    wrong
}

/// A subdomain whose labels may start with and hold underscores, as search domains of resolvers do.
pub fn dns_subdomain_with_underscores(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        wrong.push(too_long("", SUBDOMAIN_MAX, "characters"));
    }
    let label = |label: &str| {
        let bytes = label.strip_prefix('_').unwrap_or(label).as_bytes();
        let ends = |c: Option<&u8>| c.is_some_and(|c| small(*c));
        ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|c| small(*c) || matches!(c, b'-' | b'_'))
    };
    if !text.split('.').all(label) {
        wrong.push(UNDERSCORES.to_owned());
    }
    wrong
}

/// A name that may stand between the slashes of a path: RBAC objects are named so.
pub fn path_segment(text: &str, prefix: bool) -> Vec<String> {
    if !prefix && matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"].iter().filter(|c| text.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// A label or annotation key, or another name with an optional domain before a slash.
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [domain, name] => {
            if domain.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                for sentence in dns_subdomain(domain) {
                    wrong.push(format!("prefix part {}", sentence.replace("253 characters", "253 bytes")));
                }
            }
            *name
        }
        _ => {
            let shape = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {QUALIFIED} {shape}")];
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        wrong.push(too_long("name part ", LABEL_MAX, "bytes"));
    }
    if !is_qualified(name) {
        wrong.push(format!("name part {QUALIFIED}"));
    }
    wrong
}

/// The value of a label.
pub fn label_value(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > LABEL_MAX {
        wrong.push(too_long("", LABEL_MAX, "bytes"));
    }
    if !text.is_empty() && !is_qualified(text) {
        wrong.push(LABEL_VALUE.to_owned());
    }
    wrong
}

/// A key of a ConfigMap or Secret.
pub fn config_map_key(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        wrong.push(too_long("", SUBDOMAIN_MAX, "characters"));
    }
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.')) {
        wrong.push(CONFIG_KEY.to_owned());
    }
    match text {
        "." => wrong.push("must not be '.'".to_owned()),
        ".." => wrong.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => wrong.push("must not start with '..'".to_owned()),
        _ => {}
    }
    wrong
}

/// The name of an environment variable.
pub fn env_var_name(text: &str) -> Vec<String> {
    let printable = |c: u8| (b' '..=b'~').contains(&c) && c != b'=';
    if !text.is_empty() && text.bytes().all(printable) { Vec::new() } else { vec![ENV_NAME.to_owned()] }
}

/// The name of an HTTP header.
pub fn http_header_name(text: &str) -> Vec<String> {
    let good = !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    if good { Vec::new() } else { vec![HTTP_HEADER.to_owned()] }
}

/// The name of a port: an IANA service name.
pub fn port_name(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > PORT_NAME_MAX {
        wrong.push(too_long("", PORT_NAME_MAX, "characters"));
    }
    let bytes = text.as_bytes();
    if !bytes.iter().all(|c| small(*c) || *c == b'-') {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !bytes.iter().any(u8::is_ascii_lowercase) {
        wrong.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        wrong.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".to_owned());
    }
    wrong
}

/// The number of a port.
pub fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec![PORT_NUMBER.to_owned()] }
}

/// An IPv4 or IPv6 address.
pub fn ip(text: &str) -> Vec<String> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Vec::new();
    }
    let trim = |part: &str| part.trim_start_matches('0').to_owned();
    let plain: Vec<_> = text.split('.').map(|part| Some(trim(part)).filter(|p| !p.is_empty())).collect();
    let plain = plain.into_iter().map(|part| part.unwrap_or_else(|| "0".to_owned())).collect::<Vec<_>>().join(".");
    if plain.parse::<std::net::Ipv4Addr>().is_ok() {
        vec!["must not have leading 0s".to_owned()]
    } else {
        vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains() {
        let check = |wrong: Vec<String>, expected: &[&str]| {
            let heads: Vec<_> =
                wrong.iter().map(|w| w.split_whitespace().take(6).collect::<Vec<_>>().join(" ")).collect();
            assert_eq!(heads, expected);
        };
        check(dns_label("web-1"), &[]);
        check(dns_label("-web"), &["a lowercase RFC 1123 label must"]);
        check(dns_label("a.b"), &["must not contain dots"]);
        check(dns_subdomain("a.b-c.d"), &[]);
        check(dns_subdomain("a..b"), &["a lowercase RFC 1123 subdomain must"]);
        check(dns_subdomain(&"x".repeat(254)), &["must be no more than 253"]);
        check(dns_1035_label("1a"), &["a DNS-1035 label must consist of"]);
    }

    #[test]
    fn keys_and_values() {
        let check = |wrong: Vec<String>, expected: usize| assert_eq!(wrong.len(), expected, "{wrong:?}");
        check(qualified_name("app.kubernetes.io/name"), 0);
        check(qualified_name("/x"), 1);
        check(qualified_name("a/"), 2);
        check(qualified_name("a/b/c"), 1);
        check(qualified_name("UP.com/x"), 1);
        check(label_value(""), 0);
        check(label_value("_"), 1);
        check(config_map_key("..a"), 1);
        check(config_map_key(".a"), 0);
        check(port_name("http-2"), 0);
        check(port_name("123"), 1);
        check(path_segment("system:node", false), 0);
        check(path_segment("a/b%", false), 2);
    }
}
