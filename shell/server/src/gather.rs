//! Small writes of one turn of a connection, sent in one: fifty watches that share a connection are told of a change by
//! one call to the kernel instead of fifty.
//!
//! Invariant: whatever a turn of the connection's task has written is handed to the kernel at the end of the turn after
//! it, or as soon as there is room; that turn comes when all tasks that are ready now have had theirs, and nothing waits
//! for more than that. Before the first turn and after the last one (a connection
//! that was upgraded) every flush is one.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::{GATHERED_BYTES, GATHERED_WRITE};

/// A stream whose small writes are gathered.
pub(crate) struct Gathered<S>(Arc<Mutex<State<S>>>);

/// Sends what was gathered.
pub(crate) struct Sender<S>(Arc<Mutex<State<S>>>);

struct State<S> {
    stream: S,
    waiting: BytesMut,
    /// Nobody looks after what waits at the end of a turn.
    at_once: bool,
    /// Why what waited could not be sent: told at every use from then on.
    broken: Option<io::ErrorKind>,
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Sends at every flush, until the sender takes over.
    pub(crate) fn new(stream: S) -> (Self, Sender<S>) {
        let state = Arc::new(Mutex::new(State { stream, waiting: BytesMut::new(), at_once: true, broken: None }));
        (Gathered(state.clone()), Sender(state))
    }
}

impl<S: AsyncWrite + Unpin> Sender<S> {
    /// Drives a connection over the stream: what a turn has written is sent when the next one is over.
    pub(crate) async fn drive<T>(&self, connection: impl Future<Output = T>) -> T {
        self.0.lock().at_once = false;
        let mut connection = std::pin::pin!(connection);
        let mut held = false;
        let outcome = poll_fn(|context| {
            let turn = connection.as_mut().poll(context);
            if turn.is_pending() {
                let mut state = self.0.lock();
                held = !held && !state.waiting.is_empty();
                // A failure shows when the connection reads or writes, which it is to do now.
                if held || matches!(state.poll_send(context), Poll::Ready(Err(_))) {
                    context.waker().wake_by_ref();
                }
            }
            turn
        })
        .await;
        self.0.lock().at_once = true;
        let _ = poll_fn(|context| self.0.lock().poll_send(context)).await;
        outcome
    }
}

impl<S> State<S> {
    fn whole(&self) -> io::Result<()> {
        self.broken.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl<S: AsyncWrite + Unpin> State<S> {
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole()?;
        let sent = self.poll_waiting(context);
        if let Poll::Ready(Err(error)) = &sent {
            self.broken = Some(error.kind());
        }
        sent
    }

    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &self.waiting))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(sent);
        }
        // Thousands of connections at rest hold nothing.
        self.waiting = BytesMut::new();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_write(&mut self, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.whole()?;
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if length >= GATHERED_WRITE || self.waiting.len() + length > GATHERED_BYTES {
            if !self.waiting.is_empty() {
                ready!(self.poll_send(context))?;
            }
            return Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        }
        pieces.iter().for_each(|piece| self.waiting.extend_from_slice(piece));
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        state.whole()?;
        Pin::new(&mut state.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.at_once { state.poll_send(context) } else { Poll::Ready(state.whole()) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        ready!(state.poll_send(context))?;
        Pin::new(&mut state.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Counts the writes that reach it.
    #[derive(Default)]
    struct Counting {
        writes: usize,
        bytes: Vec<u8>,
    }

    impl AsyncWrite for Counting {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.writes += 1;
            // Less than was asked for, as a full socket does.
            let some = bytes.len().min(3000);
            self.bytes.extend_from_slice(&bytes[..some]);
            Poll::Ready(Ok(some))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_turn_sends_once_and_everything_in_order() {
        let (mut gathered, sender) = Gathered::new(Counting::default());
        gathered.write_all(b"hello ").await.unwrap();
        gathered.flush().await.unwrap();
        assert_eq!(sender.0.lock().stream.writes, 1);
        let large = vec![b'y'; GATHERED_WRITE + 10_000];
        sender
            .drive(async {
                for _ in 0..50 {
                    gathered.write_all(b"x").await.unwrap();
                    gathered.flush().await.unwrap();
                }
                assert_eq!(sender.0.lock().stream.writes, 1);
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                assert_eq!(sender.0.lock().stream.writes, 2);
                gathered.write_all(b"z").await.unwrap();
                gathered.write_all(&large).await.unwrap();
                gathered.write_all(b"end").await.unwrap();
            })
            .await;
        gathered.write_all(b"!").await.unwrap();
        gathered.flush().await.unwrap();
        let expected = [b"hello ".as_slice(), &[b'x'; 50], b"z", &large, b"end!"].concat();
        assert!(sender.0.lock().stream.bytes == expected);
    }

    #[tokio::test]
    async fn a_full_stream_holds_its_writer_back() {
        let (near, mut far) = tokio::io::duplex(100);
        let (mut gathered, sender) = Gathered::new(near);
        let writer = async {
            for _ in 0..200 {
                gathered.write_all(&[7; 1000]).await.unwrap();
            }
            gathered.shutdown().await.unwrap();
        };
        let mut all = Vec::new();
        let (_, read) = tokio::join!(sender.drive(writer), far.read_to_end(&mut all));
        assert_eq!(read.unwrap(), 200_000);
    }

    #[tokio::test]
    async fn a_stream_that_breaks_between_turns_ends_its_connection() {
        let (near, far) = tokio::io::duplex(100);
        let (mut gathered, sender) = Gathered::new(near);
        drop(far);
        let connection = async {
            gathered.write_all(b"x").await.unwrap();
            let mut byte = [0];
            std::future::poll_fn(|context| {
                let mut buffer = ReadBuf::new(&mut byte);
                match Pin::new(&mut gathered).poll_read(context, &mut buffer) {
                    // The other end has gone: reading ends, and is not what is asked about here.
                    Poll::Ready(Ok(())) => Poll::Pending,
                    other => other,
                }
            })
            .await
        };
        assert_eq!(sender.drive(connection).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
