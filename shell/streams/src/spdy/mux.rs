//! A connection and what its two tasks share: one reads frames and sorts them into streams, one writes them.
//!
//! What must be said in answer to frames (replies, window updates, resets, pings) does not wait in the queue of data,
//! so the reading task never waits for the writing one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::codec::Frame;
use super::headers::Headers;
use super::reader::Reader;
use super::stream::Stream;
use super::writer::Writer;
use crate::StreamError;
use crate::limits::{FAREWELL, SPDY_BACKLOG, SPDY_QUEUE, SPDY_STREAMS};

/// The window that both ends start with.
pub(super) const DEFAULT_WINDOW: u32 = 64 << 10;

/// The highest number of a stream, and the largest window.
const LAST_ID: u32 = 0x7fff_ffff;

/// What waits for the writing task.
pub(super) enum Out {
    Frame(Frame),
    /// Say goodbye, send everything, end.
    Close,
}

/// What is kept of a stream.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) chunks: VecDeque<Bytes>,
    pub(super) buffered: usize,
    /// Bytes that were read and not yet granted again.
    pub(super) consumed: u32,
    /// The peer will send nothing more.
    pub(super) read_end: bool,
    /// We will send nothing more.
    pub(super) write_end: bool,
    pub(super) reset: bool,
    /// The peer knows the stream.
    pub(super) replied: bool,
    /// Nobody here has a handle any more.
    pub(super) detached: bool,
    pub(super) send_window: i64,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl Entry {
    pub(super) fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

/// Answers to frames; each list is bounded by the streams there are, or by a limit of its own.
#[derive(Default)]
pub(super) struct Control {
    pub(super) replies: Vec<u32>,
    pub(super) updates: BTreeMap<u32, u32>,
    pub(super) resets: BTreeMap<u32, u32>,
    pub(super) pings: Vec<u32>,
}

impl Control {
    /// Lets the peer send more.
    pub(super) fn grant(&mut self, id: u32, bytes: u32) {
        let granted = self.updates.entry(id).or_default();
        *granted = granted.saturating_add(bytes).min(LAST_ID);
    }
}

pub(super) struct State {
    pub(super) streams: BTreeMap<u32, Entry>,
    pub(super) control: Control,
    pub(super) next_id: u32,
    pub(super) last_peer_id: u32,
    pub(super) connection_window: i64,
    /// Bytes that arrived and were not yet granted again.
    pub(super) connection_consumed: u32,
    pub(super) initial_window: i64,
    // wire: Go's spdystream, which is in kubectl and containerd, neither grants windows nor heeds them. Windows
    // count only once the peer has shown that it knows them.
    pub(super) windows_apply: bool,
    pub(super) going_away: bool,
    pub(super) dead: bool,
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// The writing task has something to say.
    pub(super) control: Notify,
    /// The reading task may go on.
    pub(super) room: Notify,
    pub(super) server: bool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if something did, the state would still be sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets a stream that neither end uses any more.
    pub(super) fn forget_if_done(&mut self, id: u32) {
        let done = |e: &Entry| e.detached && (e.reset || (e.read_end && e.write_end));
        if self.streams.get(&id).is_some_and(done) {
            self.streams.remove(&id);
        }
    }

    pub(super) fn wake_all(&mut self) {
        self.streams.values_mut().for_each(Entry::wake);
    }

    /// Nothing goes on: everybody who waits is to see that.
    pub(super) fn die(&mut self) {
        self.dead = true;
        self.wake_all();
    }
}

/// One end of a SPDY connection. Dropping it ends the connection at once, and with it all streams.
pub struct Connection {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Out>,
    backlog: mpsc::Receiver<(Headers, Stream)>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
        self.shared.lock().die();
    }
}

impl Connection {
    /// The end that accepted the connection.
    pub fn server<T: AsyncRead + AsyncWrite + Send + 'static>(io: T) -> Self {
        Self::start(io, true)
    }

    /// The end that dialled.
    pub fn client<T: AsyncRead + AsyncWrite + Send + 'static>(io: T) -> Self {
        Self::start(io, false)
    }

    fn start<T: AsyncRead + AsyncWrite + Send + 'static>(io: T, server: bool) -> Self {
        let state = State {
            streams: BTreeMap::new(),
            control: Control::default(),
            next_id: if server { 2 } else { 1 },
            last_peer_id: 0,
            connection_window: DEFAULT_WINDOW.into(),
            connection_consumed: 0,
            initial_window: DEFAULT_WINDOW.into(),
            windows_apply: false,
            going_away: false,
            dead: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), control: Notify::new(), room: Notify::new(), server });
        let (queue, waiting) = mpsc::channel(SPDY_QUEUE);
        let (arrivals, backlog) = mpsc::channel(SPDY_BACKLOG);
        let (read, write) = tokio::io::split(io);
        let reader = tokio::spawn(Reader::new(shared.clone(), arrivals, queue.downgrade()).drive(read));
        let writer = tokio::spawn(Writer::new(shared.clone(), waiting).drive(write));
        Connection { shared, queue, backlog, reader, writer }
    }

    /// Opens a stream. What is written to it waits until the peer has accepted it.
    pub async fn open(&self, headers: Headers) -> Result<Stream, StreamError> {
        let permit = self.queue.reserve().await.map_err(|_| StreamError::Closed)?;
        let mut state = self.shared.lock();
        let full = state.streams.len() >= SPDY_STREAMS || state.next_id > LAST_ID;
        if state.dead || state.going_away || full {
            return Err(StreamError::Closed);
        }
        let id = state.next_id;
        state.next_id += 2;
        let send_window = state.initial_window;
        state.streams.insert(id, Entry { send_window, ..Entry::default() });
        // Sent under the lock: streams must appear on the wire in the order of their numbers.
        permit.send(Out::Frame(Frame::SynStream { id, headers, fin: false }));
        drop(state);
        Ok(Stream::new(id, self.shared.clone(), self.queue.clone()))
    }

    /// The next stream that the peer opened; `None` when the connection has ended.
    pub async fn accept(&mut self) -> Option<(Headers, Stream)> {
        self.backlog.recv().await
    }

    /// Sends everything that was written, says goodbye and ends the connection.
    pub async fn close(mut self) {
        let farewell = async {
            if self.queue.send(Out::Close).await.is_ok() {
                let _ = (&mut self.writer).await;
            }
            // The peer may still be reading: a connection torn down with bytes unread loses what was sent.
            let _ = (&mut self.reader).await;
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
}
