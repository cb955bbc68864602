//! Semantic versions, 2.0.0.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::library::convert::quoted;
use crate::thing::Thing;
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "semver",
        overloads: &["string_to_semver: (string) -> semver", "string_bool_to_semver: (string, bool) -> semver"],
        run: semver,
    },
    Function {
        name: "isSemver",
        overloads: &["is_semver_string: (string) -> bool", "is_semver_string_bool: (string, bool) -> bool"],
        run: is_semver,
    },
    Function { name: "major", overloads: &["semver_major: semver.() -> int"], run: |args| number(args, 0) },
    Function { name: "minor", overloads: &["semver_minor: semver.() -> int"], run: |args| number(args, 1) },
    Function { name: "patch", overloads: &["semver_patch: semver.() -> int"], run: |args| number(args, 2) },
];

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    before: Vec<String>,
}

impl Version {
    /// The order of precedence.
    pub(crate) fn compare(&self, other: &Version) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.before.is_empty(), other.before.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let pairs = self.before.iter().zip(&other.before).map(|(one, two)| part_order(one, two));
                pairs.fold(Ordering::Equal, Ordering::then).then(self.before.len().cmp(&other.before.len()))
            }
        })
    }
    fn parse(text: &str) -> Result<Version, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let (rest, build) = match text.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (text, None),
        };
        let (core, before) = match rest.split_once('-') {
            Some((core, before)) => (core, Some(before)),
            None => (rest, None),
        };
        let parts: Vec<&str> = core.splitn(3, '.').collect();
        let &[major, minor, patch] = &parts[..] else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let numbers = [numeric(major, "major")?, numeric(minor, "minor")?, numeric(patch, "patch")?];
        for part in build.into_iter().flat_map(|build| build.split('.')) {
            check(part, "build meta data")?;
        }
        let before: Vec<String> = before.into_iter().flat_map(|before| before.split('.')).map(str::to_owned).collect();
        for part in &before {
            check(part, "prerelease")?;
            if part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("Numeric PreRelease version must not contain leading zeroes {}", quoted(part)));
            }
        }
        Ok(Version { numbers, before })
    }
}

fn check(part: &str, what: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err(format!("{}{} is empty", what[..1].to_uppercase(), &what[1..]));
    }
    let valid = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if valid { Ok(()) } else { Err(format!("Invalid character(s) found in {what} {}", quoted(part))) }
}

fn numeric(part: &str, what: &str) -> Result<u64, String> {
    if part.is_empty() {
        return Err("strconv.ParseUint: parsing \"\": invalid syntax".to_owned());
    }
    if !part.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("Invalid character(s) found in {what} number {}", quoted(part)));
    }
    if part.len() > 1 && part.starts_with('0') {
        let what = what[..1].to_uppercase() + &what[1..];
        return Err(format!("{what} number must not contain leading zeroes {}", quoted(part)));
    }
    part.parse().map_err(|_| format!("strconv.ParseUint: parsing {}: value out of range", quoted(part)))
}

fn part_order(one: &str, two: &str) -> Ordering {
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    match (number(one), number(two)) {
        (true, true) => one.len().cmp(&two.len()).then_with(|| one.cmp(two)),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => one.cmp(two),
    }
}

/// A version as people write it: with a `v`, with fewer numbers, with zeros in front.
fn tidied(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let mut parts: Vec<String> = core
        .splitn(3, '.')
        .map(|part| {
            let short = part.trim_start_matches('0');
            if short.is_empty() && !part.is_empty() { "0".to_owned() } else { short.to_owned() }
        })
        .collect();
    while parts.len() < 3 {
        parts.push("0".to_owned());
    }
    parts.join(".") + rest
}

fn read(args: &[Value<'_>]) -> Result<Result<Version, String>, EvalError> {
    match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Ok(Version::parse(text)),
        [Value::String(text), Value::Bool(true)] => Ok(Version::parse(&tidied(text))),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn semver<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match read(args)? {
        Ok(version) => Ok(Value::Thing(Thing::Semver(Arc::new(version)))),
        Err(message) => Err(EvalError::new(message)),
    }
}

fn is_semver<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    read(args).map(|version| Value::Bool(version.is_ok()))
}

fn number<'a>(args: &[Value<'a>], place: usize) -> Outcome<'a> {
    match args {
        [Value::Thing(Thing::Semver(version))] => Ok(Value::Int(version.numbers[place] as i64)),
        _ => Err(EvalError::no_such_overload()),
    }
}
