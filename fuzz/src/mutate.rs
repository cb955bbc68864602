//! Inputs made of others, byte by byte: cut, doubled, nested, spliced, with numbers and signs from the edges.

use crate::Random;

/// Longest input.
pub const INPUT_BYTES: usize = 64 << 10;

/// What parsers tend to stumble over.
const PIECES: [&str; 48] = [
    "0",
    "-0",
    "-1",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "1e309",
    "1e-400",
    "0.1",
    "2147483648",
    "4294967296",
    "1E",
    "NaN",
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "\\u0001",
    "\u{0}",
    "\u{feff}",
    "\u{2028}",
    "é",
    "🦀",
    "\u{301}",
    "\r\n",
    "\t",
    "%00",
    "%ff",
    "..",
    "//",
    "~1",
    "~0",
    "$patch",
    "in (",
    ")",
    ",",
    "!=",
    "==",
    "'",
    "\\",
    "Ki",
    "e3",
    "[?(@.",
    "&a *a",
];

/// One more input, made of `base` and at times of `other`.
pub fn bytes(random: &mut Random, base: &[u8], other: &[u8]) -> Vec<u8> {
    let mut input = base.to_vec();
    for _ in 0..=random.below(4) {
        step(random, &mut input, other);
        input.truncate(INPUT_BYTES);
    }
    input
}

fn step(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    let (from, to) = range(random, input.len());
    match random.below(10) {
        0 => input.truncate(from),
        1 => drop(input.drain(from..to)),
        2 => {
            let piece = input[from..to].to_vec();
            let times = 1 + random.below(if piece.len() < 16 { 400 } else { 8 });
            insert(input, to, &piece.repeat(times));
        }
        3 => {
            let piece = random.pick(&PIECES).as_bytes();
            insert(input, from, piece);
        }
        4 => {
            let piece = random.pick(&PIECES).as_bytes().to_vec();
            drop(input.splice(from..to, piece));
        }
        5 if !input.is_empty() => {
            let at = random.below(input.len());
            input[at] ^= 1 << random.below(8);
        }
        6 if !input.is_empty() => {
            let at = random.below(input.len());
            input[at] = random.draw() as u8;
        }
        7 => {
            let (start, end) = range(random, other.len());
            insert(input, from, &other[start..end]);
        }
        8 => {
            let (start, _) = range(random, other.len());
            input.truncate(from);
            input.extend_from_slice(&other[start..]);
        }
        _ => {
            let (open, close): (&str, &str) =
                *random.pick(&[("[", "]"), ("{\"a\":", "}"), ("(", ")"), ("!", ""), ("- ", ""), ("\"", "\"")]);
            let most = if random.once_in(20) { 2000 } else { 4 };
            let depth = 1 + random.below(most);
            insert(input, to, close.repeat(depth).as_bytes());
            insert(input, from, open.repeat(depth).as_bytes());
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}

/// A part of something of that length: mostly a short one.
fn range(random: &mut Random, length: usize) -> (usize, usize) {
    let from = random.below(length + 1);
    let longest = if random.once_in(4) { length - from } else { (length - from).min(12) };
    (from, from + random.below(longest + 1))
}
