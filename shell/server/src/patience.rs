//! Connections that end when a watch on them is not read.
//!
//! A watch that nobody reads costs its place and what lies in buffers; after `UNREAD` without a byte taken by the
//! client its connection is closed, and with it what it holds. Other long answers, as logs, may stand still: somebody
//! may be reading them at his own pace, and nothing is gathered for him meanwhile.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::UNREAD;

/// How many watches a connection has open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watches(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenWatch(Watches);

impl Watches {
    /// One more.
    pub(crate) fn open(&self) -> OpenWatch {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenWatch(self.clone())
    }

    fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose client must read when there is a watch.
pub(crate) struct Patient<S> {
    inner: S,
    watches: Watches,
    /// Runs while the client takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> Patient<S> {
    pub(crate) fn new(inner: S, watches: Watches) -> Self {
        Patient { inner, watches, waiting: None }
    }

    /// Lets a write that went on pass; fails one that has waited too long.
    fn judge<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(UNREAD)));
        ready!(waiting.as_mut().poll(context));
        if self.watches.is_any() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its watch")));
        }
        waiting.as_mut().reset(Instant::now() + UNREAD);
        // Asked once more, so that the new wait wakes this connection.
        let _ = waiting.as_mut().poll(context);
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_not_read_ends_its_connection() {
        let watches = Watches::default();
        let open = watches.open();
        let (_client, server) = duplex(8);
        let mut server = Patient::new(server, watches.clone());
        let began = Instant::now();
        let error = server.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, UNREAD.as_secs()));
        drop(open);
        assert!(!watches.is_any());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_no_stuck_one() {
        let watches = Watches::default();
        let _open = watches.open();
        let (mut client, server) = duplex(8);
        let mut server = Patient::new(server, watches);
        let reader = tokio::spawn(async move {
            for _ in 0..100 {
                sleep(UNREAD / 2).await;
                client.read_u8().await.unwrap();
            }
        });
        server.write_all(&[0; 100]).await.unwrap();
        reader.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_watch_an_answer_may_stand_still() {
        let watches = Watches::default();
        let (mut client, server) = duplex(8);
        let mut server = Patient::new(server, watches.clone());
        let mut write = Box::pin(server.write_all(&[0; 100]));
        assert!(timeout(UNREAD * 10, write.as_mut()).await.is_err(), "it waits");
        // Once there is a watch, the next wait is the last.
        let _open = watches.open();
        assert!(timeout(UNREAD * 2, write).await.unwrap().is_err());
        drop(client.read_u8().await);
    }
}
