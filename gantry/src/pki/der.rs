//! DER: the little of it that certificates are written with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of a line of PEM.
const LINE: usize = 64;

/// A value under a tag.
pub fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|octet| *octet != 0).unwrap_or(length.len() - 1)..];
    match length {
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(0));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A sequence of what is written already.
pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    value(0x30, &parts.concat())
}

/// What is written already, under an explicit tag.
pub fn tagged(number: u8, content: &[u8]) -> Vec<u8> {
    value(0xa0 | number, content)
}

/// Bits, of which the last `unused` do not count.
pub fn bits(octets: &[u8], unused: u8) -> Vec<u8> {
    value(0x03, &[&[unused], octets].concat())
}

/// The PEM text of what is written already.
pub fn pem(label: &str, content: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(content).as_bytes().chunks(LINE) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        assert_eq!(value(4, &[7; 3])[..2], [4, 3]);
        assert_eq!(value(4, &[])[..], [4, 0]);
        assert_eq!(value(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(value(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
        assert_eq!(bits(&[0xa0], 5), [3, 2, 5, 0xa0]);
    }
}
