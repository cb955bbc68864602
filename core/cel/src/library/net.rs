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
fn wrong_ip(text: &str) -> &'static str {
    if text.contains(':') {
        return "each colon-separated field must have at least one digit";
    }
    if text.contains('.') {
        let fields: Vec<&str> = text.split('.').collect();
        if fields.iter().any(|field| field.bytes().any(|b| !b.is_ascii_digit())) {
            return "unexpected character";
        }
        if fields.iter().any(|field| field.parse::<u64>().is_ok_and(|n| n > 255)) {
            return "IPv4 field has value >255";
        }
        return if fields.len() > 4 { "IPv4 address too long" } else { "IPv4 address too short" };
    }
    "unable to parse IP"
}

fn parse_cidr(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = |why: &str| {
        let q = quoted(text);
        format!("network address parse error during conversion from string: netip.ParsePrefix({q}): {why}")
    };
    let (ip, bits) = text.split_once('/').ok_or_else(|| wrong("no '/'"))?;
    let parsed: IpAddr = ip.parse().map_err(|_| wrong(&format!("ParseAddr({}): {}", quoted(ip), wrong_ip(ip))))?;
    if matches!(parsed, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()) {
        return Err(format!("IPv4-mapped IPv6 address {} is not allowed", quoted(text)));
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
            ((*net, *bits), parse_ip(text).map_err(EvalError::new)?)
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
