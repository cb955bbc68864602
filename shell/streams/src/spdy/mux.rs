//! A connection: one task reads frames and sorts them into streams, one writes them.
//!
//! What must be said in answer to frames (replies, window updates, resets, pings) does not wait in the queue of data,
//! so the reading task never waits for the writing one.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::codec::{Decoder, Encoder, Frame};
use super::headers::Headers;
use super::stream::Stream;
use crate::StreamError;
use crate::limits::{
    CHUNK_BYTES, FAREWELL, SPDY_BACKLOG, SPDY_BUFFER, SPDY_CONNECTION_WINDOW, SPDY_PINGS, SPDY_QUEUE, SPDY_STREAMS,
    SPDY_WINDOW,
};

/// The window that both ends start with.
const DEFAULT_WINDOW: u32 = 64 << 10;
const INVALID_STREAM: u32 = 2;
const REFUSED_STREAM: u32 = 3;
pub(super) const CANCEL: u32 = 5;

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
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

/// Answers to frames; each list is bounded by the streams there are, or by a limit of its own.
#[derive(Default)]
pub(super) struct Control {
    replies: Vec<u32>,
    pub(super) updates: BTreeMap<u32, u32>,
    pub(super) resets: BTreeMap<u32, u32>,
    pings: Vec<u32>,
}

pub(super) struct State {
    pub(super) streams: BTreeMap<u32, Entry>,
    pub(super) control: Control,
    next_id: u32,
    last_peer_id: u32,
    pub(super) connection_window: i64,
    /// Bytes that arrived and were not yet granted again.
    connection_consumed: u32,
    initial_window: i64,
    // wire: Go's spdystream, which is in kubectl and containerd, neither grants windows nor heeds them. Windows
    // count only once the peer has shown that it knows them.
    pub(super) windows_apply: bool,
    going_away: bool,
    pub(super) dead: bool,
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// The writing task has something to say.
    pub(super) control: Notify,
    /// The reading task may go on.
    pub(super) room: Notify,
    server: bool,
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

    fn wake_all(&mut self) {
        self.streams.values_mut().for_each(Entry::wake);
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
        let mut state = self.shared.lock();
        state.dead = true;
        state.wake_all();
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
        let weak_queue = queue.downgrade();
        let reader = Reader { shared: shared.clone(), arrivals, queue: weak_queue };
        let reader = tokio::spawn(reader.drive(read));
        let writer = tokio::spawn(drive_writer(shared.clone(), waiting, write));
        Connection { shared, queue, backlog, reader, writer }
    }

    /// Opens a stream. What is written to it waits until the peer has accepted it.
    pub async fn open(&self, headers: Headers) -> Result<Stream, StreamError> {
        let permit = self.queue.reserve().await.map_err(|_| StreamError::Closed)?;
        let mut state = self.shared.lock();
        if state.dead || state.going_away || state.streams.len() >= SPDY_STREAMS {
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

struct Reader {
    shared: Arc<Shared>,
    arrivals: mpsc::Sender<(Headers, Stream)>,
    queue: mpsc::WeakSender<Out>,
}

impl Reader {
    async fn drive<T: AsyncRead>(self, mut io: ReadHalf<T>) {
        let mut decoder = Decoder::new();
        let ended = loop {
            match decoder.next_frame() {
                Err(cause) => break cause,
                Ok(Some(frame)) => {
                    if let Err(cause) = self.frame(frame).await {
                        break cause;
                    }
                }
                Ok(None) => {
                    decoder.buffer.reserve(CHUNK_BYTES);
                    match io.read_buf(&mut decoder.buffer).await {
                        Ok(0) => break String::new(),
                        Ok(_) => {}
                        Err(error) => break error.to_string(),
                    }
                }
            }
        };
        if !ended.is_empty() {
            tracing::debug!(cause = ended, "a SPDY connection ended");
        }
        let mut state = self.shared.lock();
        state.dead = true;
        state.wake_all();
        drop(state);
        self.shared.control.notify_one();
    }

    async fn frame(&self, frame: Frame) -> Result<(), String> {
        match frame {
            Frame::SynStream { id, headers, fin } => self.opened(id, headers, fin)?,
            Frame::SynReply { id, fin, .. } => self.change(id, |entry| {
                entry.replied = true;
                entry.read_end |= fin;
            }),
            Frame::Headers { id, fin } => self.change(id, |entry| entry.read_end |= fin),
            Frame::Reset { id, .. } => self.change(id, |entry| entry.reset = true),
            Frame::Data { id, payload, fin } => self.data(id, payload, fin).await,
            Frame::Settings { initial_window } => self.settings(initial_window),
            Frame::WindowUpdate { id, delta } => self.granted(id, delta),
            Frame::GoAway { .. } => self.shared.lock().going_away = true,
            Frame::Ping(id) => {
                // Ours are odd when we dialled; those coming back need no answer.
                let mut state = self.shared.lock();
                if (id % 2 == 1) == self.shared.server && state.control.pings.len() < SPDY_PINGS {
                    state.control.pings.push(id);
                    self.shared.control.notify_one();
                }
            }
        }
        Ok(())
    }

    fn opened(&self, id: u32, headers: Headers, fin: bool) -> Result<(), String> {
        let mut state = self.shared.lock();
        if id == 0 || (id % 2 == 1) != self.shared.server || id <= state.last_peer_id {
            return Err(format!("stream {id} opened after {}", state.last_peer_id));
        }
        state.last_peer_id = id;
        let permit = self.arrivals.try_reserve().ok();
        let queue = self.queue.upgrade();
        let (Some(permit), Some(queue)) = (permit, queue.filter(|_| state.streams.len() < SPDY_STREAMS)) else {
            return self.refuse(state, id, REFUSED_STREAM);
        };
        let send_window = state.initial_window;
        state.streams.insert(id, Entry { send_window, replied: true, read_end: fin, ..Entry::default() });
        state.control.replies.push(id);
        drop(state);
        self.shared.control.notify_one();
        permit.send((headers, Stream::new(id, self.shared.clone(), queue)));
        Ok(())
    }

    fn refuse(&self, mut state: MutexGuard<'_, State>, id: u32, status: u32) -> Result<(), String> {
        if state.control.resets.len() >= SPDY_STREAMS {
            return Err("the peer opens streams and does not read what becomes of them".to_owned());
        }
        state.control.resets.insert(id, status);
        self.shared.control.notify_one();
        Ok(())
    }

    fn change(&self, id: u32, change: impl FnOnce(&mut Entry)) {
        let mut state = self.shared.lock();
        if let Some(entry) = state.streams.get_mut(&id) {
            change(entry);
            entry.wake();
        }
        state.forget_if_done(id);
    }

    /// Puts bytes into their stream; waits while nobody reads those that are there.
    async fn data(&self, id: u32, payload: Bytes, fin: bool) {
        let length = payload.len() as u32;
        loop {
            {
                let mut state = self.shared.lock();
                let Some(entry) = state.streams.get_mut(&id) else {
                    let known = id <= state.last_peer_id || ((id % 2 == 0) == self.shared.server && id < state.next_id);
                    if !known {
                        // A full list of resets is as good as one more.
                        let _ = self.refuse(state, id, INVALID_STREAM);
                    }
                    break;
                };
                if entry.buffered < SPDY_BUFFER || entry.detached || entry.reset {
                    if !entry.detached && !payload.is_empty() {
                        entry.buffered += payload.len();
                        entry.chunks.push_back(payload);
                    }
                    entry.read_end |= fin;
                    entry.wake();
                    state.forget_if_done(id);
                    break;
                }
            }
            self.shared.room.notified().await;
        }
        // Streams have bounds of their own, so the connection as a whole needs none.
        let mut state = self.shared.lock();
        state.connection_consumed = state.connection_consumed.saturating_add(length);
        if state.connection_consumed >= SPDY_WINDOW {
            let granted = std::mem::take(&mut state.connection_consumed);
            *state.control.updates.entry(0).or_default() += granted;
            self.shared.control.notify_one();
        }
    }

    fn settings(&self, initial_window: Option<u32>) {
        let Some(window) = initial_window else { return };
        let mut state = self.shared.lock();
        let delta = i64::from(window) - state.initial_window;
        state.initial_window = window.into();
        state.windows_apply = true;
        state.streams.values_mut().for_each(|entry| entry.send_window += delta);
        state.wake_all();
    }

    fn granted(&self, id: u32, delta: u32) {
        let mut state = self.shared.lock();
        state.windows_apply = true;
        if id == 0 {
            state.connection_window = state.connection_window.saturating_add(delta.into());
            state.wake_all();
        } else if let Some(entry) = state.streams.get_mut(&id) {
            entry.send_window = entry.send_window.saturating_add(delta.into());
            entry.wake();
        }
    }
}

async fn drive_writer<T: AsyncWrite>(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Out>, mut io: WriteHalf<T>) {
    let mut encoder = Encoder::new();
    let mut buffer = BytesMut::new();
    let first = [
        Frame::Settings { initial_window: Some(SPDY_WINDOW) },
        Frame::WindowUpdate { id: 0, delta: SPDY_CONNECTION_WINDOW - DEFAULT_WINDOW },
    ];
    let result: io::Result<()> = async {
        let mut next = first.map(Out::Frame).into_iter().collect::<VecDeque<_>>();
        loop {
            let mut last = false;
            take_control(&shared, &mut encoder, &mut buffer)?;
            while let Some(out) = next.pop_front().or_else(|| waiting.try_recv().ok()) {
                let frame = match out {
                    Out::Frame(frame) => frame,
                    Out::Close => {
                        last = true;
                        Frame::GoAway { last: shared.lock().last_peer_id }
                    }
                };
                encoder.encode(&frame, &mut buffer).map_err(io::Error::other)?;
                if last || buffer.len() >= 2 * CHUNK_BYTES {
                    break;
                }
            }
            if buffer.is_empty() {
                io.flush().await?;
                if shared.lock().dead {
                    // The peer sends nothing more, so it wants nothing more.
                    return io.shutdown().await;
                }
                tokio::select! {
                    biased;
                    () = shared.control.notified() => {}
                    out = waiting.recv() => next.extend(out),
                }
                if next.is_empty() && waiting.is_closed() && waiting.is_empty() {
                    return Ok(());
                }
                continue;
            }
            io.write_all(&buffer).await?;
            buffer.clear();
            if last {
                return io.shutdown().await;
            }
        }
    }
    .await;
    if let Err(error) = result {
        tracing::debug!(%error, "a SPDY connection can no longer be written to");
        let mut state = shared.lock();
        state.dead = true;
        state.wake_all();
    }
}

/// Encodes everything that answers frames. Replies go before all else: no data may precede them.
fn take_control(shared: &Shared, encoder: &mut Encoder, buffer: &mut BytesMut) -> io::Result<()> {
    let control = std::mem::take(&mut shared.lock().control);
    let replies = control.replies.into_iter().map(|id| Frame::SynReply { id, headers: Headers::default(), fin: false });
    let updates = control.updates.into_iter().filter(|(_, delta)| *delta > 0);
    let updates = updates.map(|(id, delta)| Frame::WindowUpdate { id, delta });
    let resets = control.resets.into_iter().map(|(id, status)| Frame::Reset { id, status });
    let pings = control.pings.into_iter().map(Frame::Ping);
    for frame in replies.chain(updates).chain(resets).chain(pings) {
        encoder.encode(&frame, buffer).map_err(io::Error::other)?;
    }
    Ok(())
}
