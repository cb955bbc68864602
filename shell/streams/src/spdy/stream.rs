//! One stream as its user sees it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::codec::Frame;
use super::mux::{Entry, Out, Shared};
use crate::limits::{CHUNK_BYTES, SPDY_WINDOW};

const CANCEL: u32 = 5;

/// One stream: implements AsyncRead and AsyncWrite; shutdown closes the writing half. Dropping it before that tells
/// the peer that the stream is broken off.
pub struct Stream {
    id: u32,
    shared: Arc<Shared>,
    queue: PollSender<Out>,
}

impl Stream {
    pub(super) fn new(id: u32, shared: Arc<Shared>, queue: mpsc::Sender<Out>) -> Self {
        Stream { id, shared, queue: PollSender::new(queue) }
    }

    /// The number of the stream on its connection.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Waits until the peer has accepted a stream that was opened here.
    pub async fn accepted(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            let mut state = self.shared.lock();
            let dead = state.dead;
            match state.streams.get_mut(&self.id) {
                Some(entry) if entry.replied => Poll::Ready(Ok(())),
                Some(entry) if !entry.reset && !dead => {
                    entry.writer = Some(cx.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        })
        .await
    }

    /// How many bytes may be written now; registers for the moment when that changes.
    fn allowance(&self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let mut state = self.shared.lock();
        let (dead, windows, connection) = (state.dead, state.windows_apply, state.connection_window);
        let Some(entry) = state.streams.get_mut(&self.id) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if dead || entry.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if entry.write_end {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let window = if windows { connection.min(entry.send_window) } else { i64::MAX };
        if !entry.replied || window <= 0 {
            // wire: Go's spdystream drops data that arrives before it has replied.
            entry.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let allowed = wanted.min(CHUNK_BYTES).min(usize::try_from(window).unwrap_or(usize::MAX));
        // Counted whether windows apply or not: they may do so later.
        entry.send_window -= allowed as i64;
        state.connection_window -= allowed as i64;
        Poll::Ready(Ok(allowed))
    }

    fn reserve(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.queue.poll_reserve(cx).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn send(&mut self, payload: Bytes, fin: bool) -> io::Result<()> {
        let frame = Frame::Data { id: self.id, payload, fin };
        self.queue.send_item(Out::Frame(frame)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn take(entry: &mut Entry, buf: &mut ReadBuf<'_>) {
    while let Some(chunk) = entry.chunks.front_mut() {
        let length = chunk.len().min(buf.remaining());
        if length == 0 {
            return;
        }
        buf.put_slice(&chunk[..length]);
        chunk.advance(length);
        entry.buffered -= length;
        entry.consumed = entry.consumed.saturating_add(length as u32);
        if chunk.is_empty() {
            entry.chunks.pop_front();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.shared.lock();
        let dead = state.dead;
        let Some(entry) = state.streams.get_mut(&self.id) else { return Poll::Ready(Ok(())) };
        if !entry.chunks.is_empty() {
            take(entry, buf);
            let granted = if entry.consumed >= SPDY_WINDOW / 2 { std::mem::take(&mut entry.consumed) } else { 0 };
            if granted > 0 && !entry.read_end {
                state.control.grant(self.id, granted);
                self.shared.control.notify_one();
            }
            self.shared.room.notify_one();
            return Poll::Ready(Ok(()));
        }
        if entry.read_end {
            return Poll::Ready(Ok(()));
        }
        if entry.reset || dead {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        entry.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.reserve(cx))?;
        match self.allowance(cx, buf.len()) {
            Poll::Ready(Ok(allowed)) => {
                self.send(Bytes::copy_from_slice(&buf[..allowed]), false)?;
                Poll::Ready(Ok(allowed))
            }
            other => {
                // The place in the queue is for those who can use it.
                self.queue.abort_send();
                other
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut state = self.shared.lock();
            let dead = state.dead;
            match state.streams.get_mut(&self.id) {
                Some(entry) if entry.write_end || entry.reset || dead => return Poll::Ready(Ok(())),
                Some(entry) if !entry.replied => {
                    entry.writer = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Some(_) => {}
                None => return Poll::Ready(Ok(())),
            }
        }
        ready!(self.reserve(cx))?;
        if let Some(entry) = self.shared.lock().streams.get_mut(&self.id) {
            entry.write_end = true;
        }
        Poll::Ready(self.send(Bytes::new(), true))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let Some(entry) = state.streams.get_mut(&self.id) else { return };
        entry.detached = true;
        entry.chunks.clear();
        entry.buffered = 0;
        if !entry.write_end && !entry.reset {
            entry.reset = true;
            state.control.resets.insert(self.id, CANCEL);
            self.shared.control.notify_one();
        }
        state.forget_if_done(self.id);
        self.shared.room.notify_one();
    }
}
