//! Quantities such as `250m`, `1.5Gi` and `2e3`: exact to the nano, printed in one canonical form.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;
/// No quantity with a binary suffix is larger than this many nanos.
const BINARY_LIMIT: i128 = i64::MAX as i128 * NANO;
/// No quantity is larger than this many nanos.
const LIMIT: i128 = i128::MAX / 2;

/// The family of suffixes that a quantity is printed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `m`, `k`, `M`, `G`...
    DecimalSI,
    /// `Ki`, `Mi`, `Gi`...
    BinarySI,
    /// `e3`, `e6`...
    DecimalExponent,
}

/// An amount of a resource, exact to the nano. Two quantities are equal when their amounts are, however written.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// A text that is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadQuantity {
    /// It is written with characters that no quantity has, or in another order.
    Form,
    /// It is a number with a suffix that means nothing.
    Suffix,
}

impl fmt::Display for BadQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            Self::Suffix => "unable to parse quantity's suffix",
        })
    }
}
impl std::error::Error for BadQuantity {}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { nanos: 0, format: Format::DecimalSI };

    /// A whole number.
    pub fn from_value(value: i64) -> Self {
        Quantity { nanos: i128::from(value) * NANO, format: Format::DecimalSI }
    }
    /// A number of thousandths.
    pub fn from_milli(milli: i64) -> Self {
        Quantity { nanos: i128::from(milli) * (NANO / 1000), format: Format::DecimalSI }
    }
    /// A number of bytes, printed with binary suffixes.
    pub fn from_bytes(bytes: i64) -> Self {
        Quantity { nanos: i128::from(bytes) * NANO, format: Format::BinarySI }
    }
    /// The text as a quantity.
    pub fn parse(text: &str) -> Result<Self, BadQuantity> {
        text.parse()
    }
    /// The whole number at or above the amount.
    pub fn value(&self) -> i64 {
        clamp(ceil_div(self.nanos, NANO))
    }
    /// The number of thousandths at or above the amount.
    pub fn milli_value(&self) -> i64 {
        clamp(ceil_div(self.nanos, NANO / 1000))
    }
    /// The sum; in this quantity's format unless it is zero.
    #[must_use]
    pub fn add(&self, other: &Quantity) -> Self {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Quantity { nanos: bounded(self.nanos + other.nanos), format }
    }
    /// The difference; in this quantity's format unless it is zero.
    #[must_use]
    pub fn sub(&self, other: &Quantity) -> Self {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Quantity { nanos: bounded(self.nanos - other.nanos), format }
    }
    /// Whether the amount is zero.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }
    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        self.nanos.signum() as i32
    }
    /// Whether the amount is a whole number.
    pub fn is_whole(&self) -> bool {
        self.nanos % NANO == 0
    }
    /// The amount rounded up to thousandths.
    #[must_use]
    pub fn rounded_to_milli(&self) -> Self {
        let milli = NANO / 1000;
        // What is larger than can be counted is not made something else.
        if self.nanos.abs() >= LIMIT {
            return *self;
        }
        Quantity { nanos: ceil_div(self.nanos, milli) * milli, format: self.format }
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn bounded(nanos: i128) -> i128 {
    nanos.clamp(-LIMIT, LIMIT)
}

/// Rounds away from zero.
fn ceil_div(value: i128, by: i128) -> i128 {
    let whole = value / by;
    if value % by == 0 { whole } else { whole + value.signum() }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// Whether letters, then a sign, then digits make up the text.
fn is_suffix(text: &str) -> bool {
    let digits = text.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    digits.strip_prefix(['-', '+']).unwrap_or(digits).bytes().all(|c| c.is_ascii_digit())
}

enum Scale {
    Ten(i32),
    Two(u32),
}

/// The multiplier and the format that a suffix stands for.
fn scale(suffix: &str) -> Option<(Scale, Format)> {
    let si = |exponent| Some((Scale::Ten(exponent), Format::DecimalSI));
    let binary = |exponent| Some((Scale::Two(exponent), Format::BinarySI));
    match suffix {
        "n" => si(-9),
        "u" => si(-6),
        "m" => si(-3),
        "" => si(0),
        "k" => si(3),
        "M" => si(6),
        "G" => si(9),
        "T" => si(12),
        "P" => si(15),
        "E" => si(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            exponent.parse().ok().map(|e: i32| (Scale::Ten(e), Format::DecimalExponent))
        }
    }
}

/// `digits` with the decimal point `shift` places further right, in units of one; rounded away from zero, and
/// no larger than the limit.
fn shifted(digits: &str, point: usize, shift: i64, factor: i128) -> i128 {
    let fraction = digits.len() as i64 - point as i64;
    let exponent = shift - fraction;
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() {
        return 0;
    }
    if trimmed.len() as i64 + exponent > 38 {
        return LIMIT;
    }
    let (kept, dropped) = if exponent < 0 {
        let cut = (trimmed.len() as i64 + exponent - 18).max(0);
        // More digits than these do not fit.
        let keep = (trimmed.len() as i64).min(cut + 36).min(38) as usize;
        (&trimmed[..keep], trimmed[keep..].bytes().any(|c| c != b'0'))
    } else {
        (trimmed, false)
    };
    let exponent = exponent + (trimmed.len() - kept.len()) as i64;
    let coefficient: i128 = kept.parse().unwrap_or(LIMIT);
    let sized = coefficient.saturating_mul(factor);
    if exponent >= 0 {
        return sized.saturating_mul(10_i128.saturating_pow(exponent as u32)).min(LIMIT);
    }
    let divisor = 10_i128.saturating_pow(exponent.unsigned_abs() as u32);
    let exact = sized / divisor;
    let more = sized % divisor != 0 || dropped;
    (exact + i128::from(more)).min(LIMIT)
}

impl FromStr for Quantity {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) => (false, text),
            None => return Err(BadQuantity::Form),
        };
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || !is_suffix(suffix) {
            return Err(BadQuantity::Form);
        }
        let (scale, format) = scale(suffix).ok_or(BadQuantity::Suffix)?;
        let digits = format!("{whole}{fraction}");
        let nanos = match scale {
            Scale::Ten(exponent) => shifted(&digits, whole.len(), i64::from(exponent) + 9, 1),
            Scale::Two(exponent) => shifted(&digits, whole.len(), 9, 1_i128 << exponent).min(BINARY_LIMIT),
        };
        Ok(Quantity { nanos: if negative { -nanos } else { nanos }, format })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let binary = self.format == Format::BinarySI && self.nanos.abs() >= 1024 * NANO && self.is_whole();
        if binary {
            let (mut value, mut at) = (self.nanos / NANO, 0);
            while value % 1024 == 0 && at + 1 < BINARY.len() {
                value /= 1024;
                at += 1;
            }
            return write!(f, "{value}{}", BINARY[at]);
        }
        let (mut value, mut at) = (self.nanos, 0);
        while value % 1000 == 0 && at + 1 < DECIMAL.len() {
            value /= 1000;
            at += 1;
        }
        match self.format {
            Format::DecimalExponent if at != 3 => write!(f, "{value}e{}", (at as i32 - 3) * 3),
            Format::DecimalExponent => write!(f, "{value}"),
            _ => write!(f, "{value}{}", DECIMAL[at]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_have_one_canonical_form() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Quantity::parse(text).map_or_else(|e| e.to_string(), |q| q.to_string()), expected, "{text}");
        };
        for (text, expected) in [
            ("0", "0"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            (".5", "500m"),
            ("1e1", "10"),
            ("1.5e3", "1500"),
            ("1e4", "10e3"),
            ("1.5Ki", "1536"),
            ("0.5Ki", "512"),
            ("1024Ki", "1Mi"),
            ("1000Ki", "1000Ki"),
            ("1.5Gi", "1536Mi"),
            ("0.1Gi", "107374182400m"),
            ("0.001Ki", "1024m"),
            ("0.0000000001", "1n"),
            ("1500u", "1500u"),
            ("1e-10", "1e-9"),
            ("10E", "10E"),
            ("8Ei", "9223372036854775807"),
            ("0.5Ei", "512Pi"),
            ("1.23456789012", "1234567891n"),
            ("1e19", "10e18"),
            ("3.3Ki", "3379200m"),
            ("-1.5", "-1500m"),
            ("Ki", "0"),
            ("1i", "unable to parse quantity's suffix"),
            ("--1", "unable to parse quantity's suffix"),
        ] {
            check(text, expected);
        }
        for text in ["", "1KI", "a", "1e3.5", "1..2", "1 Ki", "1Zi", "0x10"] {
            assert_eq!(Quantity::parse(text).unwrap_err(), BadQuantity::Form, "{text}");
        }
    }

    #[test]
    fn values_round_up() {
        let check = |text: &str, value, milli| {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!((quantity.value(), quantity.milli_value()), (value, milli), "{text}");
        };
        check("100m", 1, 100);
        check("1.0001", 2, 1001);
        check("1Gi", 1 << 30, 1000 << 30);
        check("-1500m", -2, -1500);
        let huge = Quantity::parse("1e30").unwrap();
        assert_eq!(huge.rounded_to_milli(), huge);
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(nanos in -LIMIT / 4..LIMIT / 4, small in -5000_i128..5000, pick in 0..3) {
            let format = [Format::DecimalSI, Format::BinarySI, Format::DecimalExponent][pick as usize];
            for nanos in [nanos % BINARY_LIMIT, small * NANO, small] {
                let quantity = Quantity { nanos, format };
                let text = quantity.to_string();
                prop_assert_eq!(Quantity::parse(&text).unwrap(), quantity, "{}", text);
                // A binary quantity that needs no binary suffix is read back as a decimal one, as in Go.
                if format != Format::BinarySI || text.ends_with('i') {
                    prop_assert_eq!(Quantity::parse(&text).unwrap().to_string(), text);
                }
            }
        }

        #[test]
        fn sums_undo(a in -BINARY_LIMIT / 4..BINARY_LIMIT / 4, b in -BINARY_LIMIT / 4..BINARY_LIMIT / 4) {
            let (a, b) = (Quantity { nanos: a, ..Quantity::ZERO }, Quantity { nanos: b, ..Quantity::ZERO });
            prop_assert_eq!(a.add(&b).sub(&b), a);
            prop_assert_eq!(a.add(&b).cmp(&a), b.cmp(&Quantity::ZERO));
        }
    }
}
