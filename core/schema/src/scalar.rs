//! Scalars with a grammar of their own: times, quantities and base64, read and normalised as Go does.

use jiff::Timestamp;
use jiff::tz::Offset;

/// Layout of `metav1.Time`, as error texts print it.
const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
/// Layout of `metav1.MicroTime`.
const MICROS: &str = "2006-01-02T15:04:05.000000Z07:00";
/// Decimal digits that a quantity keeps behind the point.
const NANO: u32 = 9;
/// Said of a suffix that looks like one and is none.
const SUFFIX_ERROR: &str = "unable to parse quantity's suffix";
/// Said of everything else.
const QUANTITY_ERROR: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// A time in UTC, cut to seconds (or microseconds); Go's parse error otherwise.
pub fn time(text: &str, micro: bool) -> Result<String, String> {
    let layout = if micro { MICROS } else { SECONDS };
    let at = TimeReader { text, layout, rest: text }.read()?;
    Ok(format_time(at, micro))
}

/// RFC 3339 in UTC with whole seconds, or with six digits of microseconds.
pub fn format_time(at: Timestamp, micro: bool) -> String {
    let civil = Offset::UTC.to_datetime(at);
    let seconds = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    );
    if micro { format!("{seconds}.{:06}Z", civil.subsec_nanosecond() / 1000) } else { format!("{seconds}Z") }
}

struct TimeReader<'a> {
    text: &'a str,
    layout: &'static str,
    rest: &'a str,
}

impl TimeReader<'_> {
    fn read(mut self) -> Result<Timestamp, String> {
        self.digits(4, "2006")?;
        self.byte("-")?;
        let month = self.digits(2, "01")?;
        self.in_range((1..=12).contains(&month), "month")?;
        self.byte("-")?;
        self.digits(2, "02")?;
        self.byte("T")?;
        let hour = self.digits(2, "15")?;
        self.in_range(hour < 24, "hour")?;
        self.byte(":")?;
        let minute = self.digits(2, "04")?;
        self.in_range(minute < 60, "minute")?;
        self.byte(":")?;
        let second = self.digits(2, "05")?;
        self.in_range(second < 60, "second")?;
        let fraction = self.rest.strip_prefix('.').map(|r| r.bytes().take_while(u8::is_ascii_digit).count());
        match fraction {
            Some(count) if count > 0 && (self.layout == SECONDS || count == 6) => self.rest = &self.rest[count + 1..],
            _ if self.layout == MICROS => return Err(self.expected(".000000")),
            _ => {}
        }
        self.zone()?;
        let parsed: Result<Timestamp, _> = self.text.parse();
        parsed.map_err(|_| self.out_of_range("day"))
    }

    fn expected(&self, element: &str) -> String {
        format!("parsing time {:?} as {:?}: cannot parse {:?} as {element:?}", self.text, self.layout, self.rest)
    }

    fn out_of_range(&self, what: &str) -> String {
        format!("parsing time {:?}: {what} out of range", self.text)
    }

    fn in_range(&self, ok: bool, what: &str) -> Result<(), String> {
        if ok { Ok(()) } else { Err(self.out_of_range(what)) }
    }

    fn digits(&mut self, count: usize, element: &str) -> Result<u32, String> {
        let parsed =
            self.rest.get(..count).filter(|d| d.bytes().all(|b| b.is_ascii_digit())).and_then(|d| d.parse().ok());
        let Some(number) = parsed else { return Err(self.expected(element)) };
        self.rest = &self.rest[count..];
        Ok(number)
    }

    fn byte(&mut self, expected: &str) -> Result<(), String> {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(self.expected(expected)),
        }
    }

    fn zone(&mut self) -> Result<(), String> {
        let bytes = self.rest.as_bytes();
        let offset =
            matches!(bytes, [b'+' | b'-', a, b, b':', c, d, ..] if [a, b, c, d].iter().all(|x| x.is_ascii_digit()));
        let length = if bytes.first() == Some(&b'Z') {
            1
        } else if offset {
            6
        } else {
            return Err(self.expected("Z07:00"));
        };
        self.rest = &self.rest[length..];
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(format!("parsing time {:?}: extra text: {:?}", self.text, self.rest))
    }
}

/// The canonical form of a quantity; Go's error otherwise.
pub fn quantity(text: &str) -> Result<String, String> {
    let text = text.trim();
    canonical_quantity(text).ok_or_else(|| {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let suffix = unsigned.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let power = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
        let power = power.strip_prefix(['-', '+']).unwrap_or(power);
        let formed = unsigned[..unsigned.len() - suffix.len()].matches('.').count() < 2
            && power.bytes().all(|byte| byte.is_ascii_digit());
        if formed && !text.is_empty() { SUFFIX_ERROR } else { QUANTITY_ERROR }.to_owned()
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Decimal,
    Exponent,
    Binary,
}

fn canonical_quantity(text: &str) -> Option<String> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // A sign, a point or a suffix alone is nothing; no text at all is no quantity.
    if fraction.contains('.') || text.is_empty() {
        return None;
    }
    let (format, base, exponent) = read_suffix(suffix)?;
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let scale = i32::try_from(fraction.len()).ok()?;
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    let nanos = to_nanos(digits, base, exponent, scale);
    let canonical = match format {
        Format::Decimal | Format::Exponent if nanos == CAP => {
            large(digits, i64::from(exponent) - i64::from(scale), format == Format::Exponent)
        }
        // wire: a fraction is not rounded away, but shown in decimals.
        Format::Binary if nanos >= 1024 * UNIT && nanos % UNIT == 0 => binary(nanos / UNIT),
        Format::Exponent => decimal(nanos, true),
        Format::Decimal | Format::Binary => decimal(nanos, false),
    };
    if !number.contains('.') && is_spelling_of(digits, suffix, exponent, &canonical) {
        return Some(text.to_owned());
    }
    Some(if negative { format!("-{canonical}") } else { canonical })
}

/// wire: what has the digits and the power of the canonical form is kept with its plus, zeros and way to write the
/// exponent.
fn is_spelling_of(digits: &str, suffix: &str, exponent: i32, canonical: &str) -> bool {
    let Some(rest) = canonical.strip_prefix(digits) else { return false };
    let written = match suffix.strip_prefix(['e', 'E']).and_then(|power| power.parse::<i32>().ok()) {
        Some(0) => String::new(),
        Some(_) => format!("e{exponent}"),
        None => suffix.to_owned(),
    };
    rest == written
}

fn read_suffix(suffix: &str) -> Option<(Format, u32, i32)> {
    const DECIMAL: [(&str, i32); 10] =
        [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    const BINARY: [(&str, i32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
    if let Some((_, exponent)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Some((Format::Decimal, 10, *exponent));
    }
    if let Some((_, exponent)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Some((Format::Binary, 2, *exponent));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((Format::Exponent, 10, exponent))
}

/// One, in nanos.
const UNIT: i128 = 10_i128.pow(NANO);
/// The largest 64-bit integer in nanos. Binary amounts end there; decimal ones are written digit by digit beyond it.
const CAP: i128 = i64::MAX as i128 * 1_000_000_000;

/// `digits * 10^power` in full, rounded up to nanos, with a power that has a suffix.
fn large(digits: &str, power: i64, exponent_form: bool) -> String {
    const SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    let lowest = -i64::from(NANO);
    let cut = usize::try_from(lowest - power).unwrap_or(0);
    let (digits, power) = match digits.len().checked_sub(cut) {
        _ if cut == 0 => (digits.to_owned(), power),
        None => ("1".to_owned(), lowest),
        Some(kept) if digits[kept..].bytes().all(|digit| digit == b'0') => (digits[..kept].to_owned(), lowest),
        Some(kept) => (successor(&digits[..kept]), lowest),
    };
    let significant = digits.trim_end_matches('0');
    let power = power + (digits.len() - significant.len()) as i64;
    let highest = if exponent_form { power } else { power.min(18) };
    let written = highest - highest.rem_euclid(3);
    let zeros = "0".repeat(usize::try_from(power - written).unwrap_or(0));
    let number = format!("{significant}{zeros}");
    match written {
        0 => number,
        power if exponent_form => format!("{number}e{power}"),
        power => format!("{number}{}", SUFFIXES[((power - lowest) / 3) as usize]),
    }
}

/// The next whole number.
fn successor(digits: &str) -> String {
    let kept = digits.trim_end_matches('9');
    let zeros = "0".repeat(digits.len() - kept.len());
    match kept.char_indices().next_back() {
        None => format!("1{zeros}"),
        Some((at, last)) => format!("{}{}{zeros}", &kept[..at], last.to_digit(10).unwrap_or(0) + 1),
    }
}

/// `digits * base^exponent / 10^scale` in nanos, rounded up, at most `CAP`.
fn to_nanos(digits: &str, base: u32, exponent: i32, scale: i32) -> i128 {
    let Ok(mantissa) = digits.parse::<i128>() else { return CAP };
    let mut shift = NANO as i32 - scale;
    let mut value = mantissa;
    if base == 2 {
        let Some(multiplied) = 2_i128.checked_pow(exponent.unsigned_abs()).and_then(|f| value.checked_mul(f)) else {
            return CAP;
        };
        value = multiplied;
    } else {
        shift = shift.saturating_add(exponent);
    }
    let factor = 10_i128.checked_pow(shift.unsigned_abs());
    let scaled = match factor {
        Some(factor) if shift >= 0 => value.checked_mul(factor).unwrap_or(CAP),
        Some(factor) => value / factor + i128::from(value % factor != 0),
        None if shift >= 0 => CAP,
        None => 1,
    };
    scaled.min(CAP)
}

fn binary(mut value: i128) -> String {
    let mut step = 0;
    while value % 1024 == 0 && step < 6 {
        value /= 1024;
        step += 1;
    }
    format!("{value}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][step])
}

fn decimal(nanos: i128, exponent_form: bool) -> String {
    let (mut value, mut step) = (nanos, 0);
    while value % 1000 == 0 && step < 9 {
        value /= 1000;
        step += 1;
    }
    if exponent_form {
        let exponent = i32::try_from(step).unwrap_or_default() * 3 - 9;
        return if exponent == 0 { value.to_string() } else { format!("{value}e{exponent}") };
    }
    format!("{value}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][step])
}

/// Go's complaint about text that is not base64.
pub fn base64_error(text: &str) -> Option<String> {
    let bytes: Vec<(usize, u8)> = text.bytes().enumerate().filter(|(_, b)| !matches!(b, b'\r' | b'\n')).collect();
    let wrong = |at: usize| Some(format!("illegal base64 data at input byte {at}"));
    let data = bytes.iter().take_while(|(_, b)| *b != b'=').count();
    for (at, byte) in &bytes[..data] {
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')) {
            return wrong(*at);
        }
    }
    let padding = &bytes[data..];
    let expected = match data % 4 {
        0 => 0,
        1 => return wrong(padding.first().map_or(text.len().saturating_sub(1), |p| p.0)),
        partial => 4 - partial,
    };
    if let Some((at, _)) = padding.iter().find(|(_, b)| *b != b'=') {
        return wrong(*at);
    }
    match padding.len() {
        given if given == expected => None,
        given if given > expected => wrong(padding[expected].0),
        _ => wrong(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_and_moved_to_utc() {
        let check = |text: &str, micro: bool, expected: &str| {
            assert_eq!(time(text, micro).unwrap_or_else(|e| e), expected);
        };
        check("2020-01-01T00:00:00.5+02:00", false, "2019-12-31T22:00:00Z");
        check("2020-01-01T00:00:00.123456Z", true, "2020-01-01T00:00:00.123456Z");
        let error = |text: &str, rest: &str, element: &str| {
            format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {rest:?} as {element:?}")
        };
        check("x", false, &error("x", "x", "2006"));
        check("2020-01-01", false, &error("2020-01-01", "", "T"));
        check("2020-01-01T00:00:00", false, &error("2020-01-01T00:00:00", "", "Z07:00"));
        check("2020-13-01T00:00:00Z", false, "parsing time \"2020-13-01T00:00:00Z\": month out of range");
        check("2020-02-30T00:00:00Z", false, "parsing time \"2020-02-30T00:00:00Z\": day out of range");
    }

    #[test]
    fn quantities_are_canonical() {
        let check = |text: &str, expected: &str| {
            assert_eq!(quantity(text).as_deref().unwrap_or("refused"), expected, "{text}");
        };
        for (text, expected) in [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1023", "1023"),
            ("0.5Ki", "512"),
            ("1.1Gi", "1181116006400m"),
            (".1Ki", "102400m"),
            ("1024", "1024"),
            ("1e3", "1e3"),
            ("1000", "1k"),
            ("100000000", "100M"),
            ("0.0000000001", "1n"),
            ("-0.5", "-500m"),
            ("+1", "+1"),
            ("01Ki", "01Ki"),
            ("0001024Ki", "1Mi"),
            ("01000m", "1"),
            ("1E+3", "1E+3"),
            ("1e0", "1e0"),
            ("1.0", "1"),
            ("01.5Gi", "1536Mi"),
            ("1234567890123456Ki", "1234567890123456Ki"),
            ("1000000000000000Ki", "976562500000Mi"),
            ("1073741824000000Ki", "1000000Ti"),
            ("9007199254740993Ki", "9223372036854775807"),
            ("00", "0"),
            ("5.", "5"),
            (".5", "500m"),
            ("12E", "12E"),
            ("16Ei", "9223372036854775807"),
            ("1e19", "10e18"),
            ("1.5e30", "1500e27"),
            ("99999999999999999999.5", "99999999999999999999500m"),
            ("99999999999999999999k", "99999999999999999999k"),
            (".685758077580775807758077580775807758077", "685758078n"),
            ("e7", "0"),
            (".", "0"),
            ("e", "refused"),
            ("1Ei", "1Ei"),
            ("1E", "1E"),
            ("1E2", "100"),
            ("", "refused"),
            ("1Q", "refused"),
            ("1.2.3", "refused"),
            ("x", "refused"),
            ("1 Gi", "refused"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn quantities_that_are_none_are_told_apart() {
        for (text, expected) in
            [("12e", SUFFIX_ERROR), ("1i", SUFFIX_ERROR), ("1Q", QUANTITY_ERROR), ("", QUANTITY_ERROR)]
        {
            assert_eq!(quantity(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn base64_faults_are_placed_as_go_places_them() {
        let check = |text: &str, expected: Option<usize>| {
            let expected = expected.map(|at| format!("illegal base64 data at input byte {at}"));
            assert_eq!(base64_error(text), expected, "{text}");
        };
        check("", None);
        check("YQ==", None);
        check("YW\nJj", None);
        check("not base64!", Some(3));
        check("YQ=", Some(3));
        check("YQ", Some(2));
        check("YWJj=", Some(4));
    }
}
