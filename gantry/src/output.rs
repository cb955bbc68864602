//! Standard output of the short commands. A reader that goes away early (`gantry get pods | head`) ends the command in
//! silence instead of a panic.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes text to standard output.
pub fn write(text: Arguments<'_>) -> Result<()> {
    let mut out = std::io::stdout();
    out.write_fmt(text).and_then(|()| out.flush()).context("writing to standard output")
}

/// Whether an error says only that nobody reads any more.
pub fn nobody_reads(error: &anyhow::Error) -> bool {
    error.chain().any(|e| e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe))
}

/// `println!` that returns an error instead of panicking.
macro_rules! say {
    ($($words:tt)*) => { $crate::output::write(format_args!("{}\n", format_args!($($words)*)))? };
}
pub(crate) use say;
