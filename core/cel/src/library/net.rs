//! Addresses and ranges of addresses.

use std::net::IpAddr;

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::library::convert::quoted;
use crate::thing::Thing;
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function { name: "ip", overloads: &["string_to_ip: (string) -> ip", "cidr_ip: cidr.() -> ip"], run: ip },
    Function { name: "isIP", overloads: &["is_ip: (string) -> bool"], run: |args| text(args, |s| parse_ip(s).is_ok()) },
    Function { name: "ip.isCanonical", overloads: &["ip_is_canonical: (string) -> bool"], run: is_canonical },
    Function { name: "family", overloads: &["ip_family: ip.() -> int"], run: family },
    Function {
        name: "isUnspecified",
        overloads: &["ip_is_unspecified: ip.() -> bool"],
        run: |args| test(args, IpAddr::is_unspecified),
    },
    Function {
        name: "isLoopback",
        overloads: &["ip_is_loopback: ip.() -> bool"],
        run: |args| test(args, IpAddr::is_loopback),
    },
    Function {
        name: "isLinkLocalMulticast",
        overloads: &["ip_is_link_local_multicast: ip.() -> bool"],
        run: |args| test(args, is_link_local_multicast),
    },
    Function {
        name: "isLinkLocalUnicast",
        overloads: &["ip_is_link_local_unicast: ip.() -> bool"],
        run: |args| test(args, is_link_local),
    },
    Function {
        name: "isGlobalUnicast",
        overloads: &["ip_is_global_unicast: ip.() -> bool"],
        run: |args| test(args, is_global_unicast),
    },
    Function { name: "cidr", overloads: &["string_to_cidr: (string) -> cidr"], run: cidr },
    Function {
        name: "isCIDR",
        overloads: &["is_cidr: (string) -> bool"],
        run: |args| text(args, |s| parse_cidr(s).is_ok()),
    },
    Function {
        name: "containsIP",
        overloads: &["cidr_contains_ip_string: cidr.(string) -> bool", "cidr_contains_ip_ip: cidr.(ip) -> bool"],
        run: contains_ip,
    },
    Function {
        name: "containsCIDR",
        overloads: &["cidr_contains_cidr_string: cidr.(string) -> bool", "cidr_contains_cidr: cidr.(cidr) -> bool"],
        run: contains_cidr,
    },
    Function { name: "prefixLength", overloads: &["cidr_prefix_length: cidr.() -> int"], run: prefix_length },
    Function { name: "masked", overloads: &["cidr_masked: cidr.() -> cidr"], run: masked },
];

const NO: fn() -> EvalError = EvalError::no_such_overload;

fn text<'a>(args: &[Value<'a>], holds: fn(&str) -> bool) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::Bool(holds(text))),
        _ => Err(NO()),
    }
}

fn test<'a>(args: &[Value<'a>], holds: fn(&IpAddr) -> bool) -> Outcome<'a> {
    match args {
        [Value::Thing(Thing::Ip(ip))] => Ok(Value::Bool(holds(ip))),
        _ => Err(NO()),
    }
}

fn is_link_local_multicast(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    }
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_global_unicast(ip: &IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !broadcast && !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && !is_link_local(ip)
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("IP address {} with zone value is not allowed", quoted(text)));
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {} is not allowed", quoted(text)))
        }
        Ok(ip) => Ok(ip),
        Err(_) => Err(format!(
            "IP Address {} parse error during conversion from string: ParseAddr({}): {}",
            quoted(text),
            quoted(text),
            wrong_ip(text)
        )),
    }
}

/// Why a text is no address.
fn wrong_ip(text: &str) -> String {
    let at = |why: &str, at: usize| format!("{why} (at {})", quoted(&text[at..]));
    match text.find(['.', ':', '%']).map(|at| text.as_bytes()[at]) {
        Some(b'.') => wrong_v4(text, at),
        Some(b':') => wrong_v6(text, at),
        Some(_) => "missing IPv6 address".to_owned(),
        None => "unable to parse IP".to_owned(),
    }
}

fn wrong_v4(text: &str, at: impl Fn(&str, usize) -> String) -> String {
    let (mut fields, mut digits, mut value) = (0, 0, 0);
    for (place, c) in text.char_indices() {
        match c {
            '0'..='9' => {
                if digits == 1 && value == 0 {
                    return "IPv4 field has octet with leading zero".to_owned();
                }
                value = value * 10 + u32::from(c as u8 - b'0');
                digits += 1;
                if value > 255 {
                    return "IPv4 field has value >255".to_owned();
                }
            }
            '.' if digits == 0 || place + 1 == text.len() => {
                return at("IPv4 field must have at least one digit", place);
            }
            '.' if fields == 3 => return "IPv4 address too long".to_owned(),
            '.' => (fields, digits, value) = (fields + 1, 0, 0),
            _ => return at("unexpected character", place),
        }
    }
    "IPv4 address too short".to_owned()
}

fn wrong_v6(text: &str, at: impl Fn(&str, usize) -> String) -> String {
    let (mut place, mut groups, mut gap) = (0, 0, false);
    if text.starts_with("::") {
        (place, gap) = (2, true);
    }
    while groups < 8 && place < text.len() {
        let digits = text[place..].bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits == 0 {
            return at("each colon-separated field must have at least one digit", place);
        }
        if digits > 4 {
            return at("each group must have 4 or less digits", place);
        }
        let end = place + digits;
        groups += 1;
        match text.as_bytes().get(end) {
            None => return "address string too short".to_owned(),
            Some(b'.') => return at("embedded IPv4 address must replace the final 2 fields of the address", place),
            Some(b':') if end + 1 == text.len() => return at("colon must be followed by more characters", end),
            Some(b':') => place = end + 1,
            Some(_) => return at("unexpected character, want colon", end),
        }
        if text.as_bytes()[place] == b':' {
            if gap {
                return at("multiple :: in address", place);
            }
            (place, gap) = (place + 1, true);
        }
    }
    at("trailing garbage after address", place)
}

/// wire: said twice where the text is no network at all.
const CIDR_ERROR: &str = "network address parse error during conversion from string: ";

fn parse_cidr(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = |why: &str| format!("{CIDR_ERROR}{CIDR_ERROR}netip.ParsePrefix({}): {why}", quoted(text));
    let (ip, bits) = text.split_once('/').ok_or_else(|| wrong("no '/'"))?;
    if ip.contains('%') {
        return Err(wrong("IPv6 zones cannot be present in a prefix"));
    }
    let parsed: IpAddr = ip.parse().map_err(|_| wrong(&format!("ParseAddr({}): {}", quoted(ip), wrong_ip(ip))))?;
    if matches!(parsed, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()) {
        return Err(format!("{CIDR_ERROR}IPv4-mapped IPv6 address {} is not allowed", quoted(text)));
    }
    let zeros = bits.len() > 1 && bits.starts_with('0');
    let number = bits.parse::<u8>().ok().filter(|_| !zeros && bits.bytes().all(|b| b.is_ascii_digit()));
    let number = number.ok_or_else(|| wrong(&format!("bad bits after slash: {}", quoted(bits))))?;
    if number > length(&parsed) {
        return Err(wrong("prefix length out of range"));
    }
    Ok((parsed, number))
}

fn length(ip: &IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn mask(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

fn contains(net: (IpAddr, u8), ip: IpAddr) -> bool {
    net.0.is_ipv4() == ip.is_ipv4() && mask(net.0, net.1) == mask(ip, net.1)
}

fn ip<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => parse_ip(text).map(|ip| Value::Thing(Thing::Ip(ip))).map_err(EvalError::new),
        [Value::Thing(Thing::Cidr(ip, _))] => Ok(Value::Thing(Thing::Ip(*ip))),
        _ => Err(NO()),
    }
}

fn is_canonical<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = args else { return Err(NO()) };
    let ip = parse_ip(text).map_err(EvalError::new)?;
    Ok(Value::Bool(ip.to_string() == **text))
}

fn family<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Thing(Thing::Ip(ip))] => Ok(Value::Int(if ip.is_ipv4() { 4 } else { 6 })),
        _ => Err(NO()),
    }
}

fn cidr<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = args else { return Err(NO()) };
    parse_cidr(text).map(|(ip, bits)| Value::Thing(Thing::Cidr(ip, bits))).map_err(EvalError::new)
}

fn contains_ip<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (net, ip) = match args {
        [Value::Thing(Thing::Cidr(net, bits)), Value::Thing(Thing::Ip(ip))] => ((*net, *bits), *ip),
        [Value::Thing(Thing::Cidr(net, bits)), Value::String(text)] => {
            ((*net, *bits), parse_ip(text).map_err(|_| NO())?)
        }
        _ => return Err(NO()),
    };
    Ok(Value::Bool(contains(net, ip)))
}

fn contains_cidr<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (net, other) = match args {
        [Value::Thing(Thing::Cidr(net, bits)), Value::Thing(Thing::Cidr(ip, other))] => ((*net, *bits), (*ip, *other)),
        [Value::Thing(Thing::Cidr(net, bits)), Value::String(text)] => {
            ((*net, *bits), parse_cidr(text).map_err(EvalError::new)?)
        }
        _ => return Err(NO()),
    };
    Ok(Value::Bool(net.1 <= other.1 && contains(net, mask(other.0, other.1))))
}

fn prefix_length<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Thing(Thing::Cidr(_, bits))] => Ok(Value::Int(i64::from(*bits))),
        _ => Err(NO()),
    }
}

fn masked<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Thing(Thing::Cidr(ip, bits))] => Ok(Value::Thing(Thing::Cidr(mask(*ip, *bits), *bits))),
        _ => Err(NO()),
    }
}
