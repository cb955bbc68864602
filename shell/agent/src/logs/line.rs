//! One line of a log: `TIME stdout|stderr F|P CONTENT`.

use jiff::Timestamp;

/// A line, or a part of one that was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// When, as it stands in the file.
    pub(super) time: &'a str,
    /// Whether a line ends here.
    pub(super) whole: bool,
    /// What the container said.
    pub(super) content: &'a [u8],
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        let _stream = parts.next()?;
        let tags = parts.next()?;
        let whole = tags.split(|byte| *byte == b':').next() != Some(b"P");
        Some(Line { time, whole, content: parts.next().unwrap_or_default() })
    }

    pub(super) fn at(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}
