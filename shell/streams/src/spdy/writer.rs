//! The task that writes: answers first, then what waits in the queue, as much at once as there is.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::mpsc;

use super::codec::{Encoder, Frame};
use super::headers::Headers;
use super::mux::{DEFAULT_WINDOW, Out, Shared};
use crate::limits::{CHUNK_BYTES, SPDY_CONNECTION_WINDOW, SPDY_WINDOW};

pub(super) struct Writer {
    shared: Arc<Shared>,
    waiting: mpsc::Receiver<Out>,
    encoder: Encoder,
    buffer: BytesMut,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, waiting: mpsc::Receiver<Out>) -> Self {
        Writer { shared, waiting, encoder: Encoder::new(), buffer: BytesMut::new() }
    }

    /// Works until it is told to close, nobody is left who could write, or the connection ends.
    pub(super) async fn drive<T: AsyncWrite>(mut self, io: WriteHalf<T>) {
        if let Err(error) = self.write(io).await {
            tracing::debug!(%error, "a SPDY connection can no longer be written to");
            self.shared.lock().die();
        }
    }

    async fn write<T: AsyncWrite>(&mut self, mut io: WriteHalf<T>) -> io::Result<()> {
        self.encode(&Frame::Settings { initial_window: Some(SPDY_WINDOW) })?;
        self.encode(&Frame::WindowUpdate { id: 0, delta: SPDY_CONNECTION_WINDOW - DEFAULT_WINDOW })?;
        let mut next = None;
        loop {
            let last = self.gather(next.take())?;
            if !self.buffer.is_empty() {
                io.write_all(&self.buffer).await?;
                self.buffer.clear();
            }
            if last {
                return io.shutdown().await;
            }
            if !self.waiting.is_empty() {
                continue;
            }
            io.flush().await?;
            if self.shared.lock().dead {
                // The peer sends nothing more, so it wants nothing more.
                return io.shutdown().await;
            }
            tokio::select! {
                biased;
                () = self.shared.control.notified() => {}
                out = self.waiting.recv() => match out {
                    Some(out) => next = Some(out),
                    None => return Ok(()),
                }
            }
        }
    }

    /// Encodes all answers, `next`, and some of what waits behind it; true when that was the last.
    fn gather(&mut self, mut next: Option<Out>) -> io::Result<bool> {
        self.gather_answers()?;
        while let Some(out) = next.take().or_else(|| self.waiting.try_recv().ok()) {
            // Again: whoever wrote this may have been let in since, and the peer must learn that first.
            self.gather_answers()?;
            match out {
                Out::Frame(frame) => self.encode(&frame)?,
                Out::Close => {
                    let last = self.shared.lock().last_peer_id;
                    self.encode(&Frame::GoAway { last })?;
                    return Ok(true);
                }
            }
            if self.buffer.len() >= 2 * CHUNK_BYTES {
                break;
            }
        }
        Ok(false)
    }

    /// Replies come first: nothing may be said on a stream before it was accepted.
    fn gather_answers(&mut self) -> io::Result<()> {
        let control = std::mem::take(&mut self.shared.lock().control);
        for id in control.replies {
            self.encode(&Frame::SynReply { id, headers: Headers::default(), fin: false })?;
        }
        for (id, delta) in control.updates {
            self.encode(&Frame::WindowUpdate { id, delta })?;
        }
        for (id, status) in control.resets {
            self.encode(&Frame::Reset { id, status })?;
        }
        control.pings.into_iter().try_for_each(|id| self.encode(&Frame::Ping(id)))
    }

    fn encode(&mut self, frame: &Frame) -> io::Result<()> {
        self.encoder.encode(frame, &mut self.buffer).map_err(io::Error::other)
    }
}
