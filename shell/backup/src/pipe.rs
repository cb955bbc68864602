//! Between code that waits and code that blocks: a bounded pipe of pieces.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use crate::limits::{PIECE_BYTES, PIECES_WAITING};

/// A piece of a stream, or why it broke off.
pub type Piece = Result<Bytes, io::Error>;

/// A pipe: both ends are plain channels, so that either may be used in async code.
pub fn pipe() -> (mpsc::Sender<Piece>, mpsc::Receiver<Piece>) {
    mpsc::channel(PIECES_WAITING)
}

/// Writes into a pipe from code that may block.
pub struct PipeWriter {
    pieces: mpsc::Sender<Piece>,
    piece: Vec<u8>,
}

impl PipeWriter {
    /// The blocking end.
    pub fn new(pieces: mpsc::Sender<Piece>) -> Self {
        PipeWriter { pieces, piece: Vec::with_capacity(PIECE_BYTES) }
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.pieces.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Reads from a pipe in code that may block.
pub struct PipeReader {
    pieces: mpsc::Receiver<Piece>,
    rest: Bytes,
}

impl PipeReader {
    /// The blocking end.
    pub fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        PipeReader { pieces, rest: Bytes::new() }
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
