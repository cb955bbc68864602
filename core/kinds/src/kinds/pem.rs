//! PEM: blocks of base64 between lines that name their type.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// One block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// What it says that it is, such as `CERTIFICATE`.
    pub label: String,
    /// Whether it has header lines.
    pub headers: bool,
    /// Its content.
    pub content: Vec<u8>,
}

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// All blocks of a text; what stands between them does not count.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(label) = line.trim_end().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let (mut encoded, mut headers, mut closed) = (String::new(), false, false);
        for line in lines.by_ref() {
            if line.trim_end() == end {
                closed = true;
                break;
            }
            if line.contains(':') {
                headers = true;
            } else {
                encoded.push_str(line.trim());
            }
        }
        if let (true, Ok(content)) = (closed, BASE64_STANDARD.decode(encoded)) {
            found.push(Block { label: label.to_owned(), headers, content });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_other_text() {
        let text = "hello\n-----BEGIN A-----\nK: v\n\nYWJj\n-----END A-----\n-----BEGIN B-----\n!\n-----END B-----\n";
        assert_eq!(blocks(text), [Block { label: "A".to_owned(), headers: true, content: b"abc".to_vec() }]);
    }
}
