//! Reading a log piece by piece, on and on if it is followed.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::line::Line;
use crate::limits::LOG_CHUNK;

/// What of a log is wanted, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// What comes later too.
    pub(crate) follow: bool,
    /// Only so many of the last lines.
    pub(crate) tail: Option<usize>,
    /// Only what is not older.
    pub(crate) since: Option<Timestamp>,
    /// The time before each line.
    pub(crate) timestamps: bool,
    /// Only so many bytes.
    pub(crate) limit: Option<usize>,
}

/// Reads one log.
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    options: Options,
    /// Bytes of a line that is not whole yet.
    rest: Vec<u8>,
    /// Whether the next piece begins a line of the container.
    at_start: bool,
    given: usize,
}

impl Reader {
    /// Opens a log where reading is to begin.
    pub(crate) fn open(path: &Path, options: Options) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if let Some(lines) = options.tail {
            let from = tail(&mut file, lines)?;
            file.seek(SeekFrom::Start(from))?;
        }
        Ok(Reader { path: path.to_owned(), file, options, rest: Vec::new(), at_start: true, given: 0 })
    }

    /// Whether as much was given as was wanted.
    pub(crate) fn is_full(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.given >= limit)
    }

    /// The next piece; empty when there is none now.
    pub(crate) fn next(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = vec![0; LOG_CHUNK];
        loop {
            let count = self.file.read(&mut chunk)?;
            if count == 0 {
                if !self.turn_page()? {
                    return Ok(Vec::new());
                }
                continue;
            }
            self.rest.extend_from_slice(&chunk[..count]);
            let text = self.take_lines();
            if !text.is_empty() {
                return Ok(text);
            }
        }
    }

    /// Goes on in a new file if the log was rotated away.
    fn turn_page(&mut self) -> io::Result<bool> {
        let old = self.file.metadata()?.ino();
        match fs::metadata(&self.path) {
            Ok(new) if new.ino() != old => {
                self.file = File::open(&self.path)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn take_lines(&mut self) -> Vec<u8> {
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        let mut text = Vec::new();
        for raw in whole.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = Line::parse(raw) else { continue };
            if self.options.since.is_some_and(|since| line.at().is_some_and(|at| at < since)) {
                continue;
            }
            if self.options.timestamps && self.at_start {
                text.extend_from_slice(line.time.as_bytes());
                text.push(b' ');
            }
            text.extend_from_slice(line.content);
            if line.whole {
                text.push(b'\n');
            }
            self.at_start = line.whole;
        }
        if let Some(limit) = self.options.limit {
            text.truncate(limit - self.given.min(limit));
        }
        self.given += text.len();
        text
    }
}

/// Where the last so many lines of a file begin.
fn tail(file: &mut File, lines: usize) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    if lines == 0 {
        return Ok(end);
    }
    let mut found = 0;
    let mut chunk = vec![0; LOG_CHUNK];
    let length = end;
    while end > 0 {
        let from = end.saturating_sub(LOG_CHUNK as u64);
        file.seek(SeekFrom::Start(from))?;
        let part = &mut chunk[..usize::try_from(end - from).unwrap_or(0)];
        file.read_exact(part)?;
        for (at, byte) in part.iter().enumerate().rev() {
            let place = from + at as u64 + 1;
            // The end of the last line begins none.
            if *byte == b'\n' && place < length {
                found += 1;
                if found == lines {
                    return Ok(place);
                }
            }
        }
        end = from;
    }
    Ok(0)
}
