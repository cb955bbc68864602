//! Logs of containers: CRI's files, read, followed and rotated.

mod line;
mod read;
mod rotate;

use std::path::Path;

pub(crate) use read::{Options, Reader};
pub(crate) use rotate::rotate;

/// The end of a log, without times, at most `bytes` long.
pub(crate) fn last_words(file: &Path, bytes: usize) -> String {
    let log = std::fs::read(file).unwrap_or_default();
    let from = log.len().saturating_sub(bytes + crate::limits::LOG_CHUNK);
    let mut text = Vec::new();
    for line in log[from..].split_inclusive(|byte| *byte == b'\n') {
        if let Some(line) = line::Line::parse(line) {
            text.extend_from_slice(line.content);
            text.extend_from_slice(if line.whole { b"\n" } else { b"" });
        }
    }
    let from = text.len().saturating_sub(bytes);
    String::from_utf8_lossy(&text[from..]).into_owned()
}

#[cfg(test)]
mod tests;
