//! The task that reads: every frame changes a stream, or the connection, or asks for an answer.

use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, ReadHalf};
use tokio::sync::mpsc;

use super::codec::{Decoder, Frame};
use super::headers::Headers;
use super::mux::{Entry, Out, Shared, State};
use super::stream::Stream;
use crate::limits::{CHUNK_BYTES, SPDY_BUFFER, SPDY_PINGS, SPDY_STREAMS, SPDY_WINDOW};

const INVALID_STREAM: u32 = 2;
const REFUSED_STREAM: u32 = 3;

pub(super) struct Reader {
    shared: Arc<Shared>,
    arrivals: mpsc::Sender<(Headers, Stream)>,
    queue: mpsc::WeakSender<Out>,
}

impl Reader {
    pub(super) fn new(
        shared: Arc<Shared>,
        arrivals: mpsc::Sender<(Headers, Stream)>,
        queue: mpsc::WeakSender<Out>,
    ) -> Self {
        Reader { shared, arrivals, queue }
    }

    /// Works until the connection ends, in whatever way.
    pub(super) async fn drive<T: AsyncRead>(self, mut io: ReadHalf<T>) {
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
        self.shared.lock().die();
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
                // Our own that come back need no answer.
                let mut state = self.shared.lock();
                if self.of_peer(id) && state.control.pings.len() < SPDY_PINGS {
                    state.control.pings.push(id);
                    self.shared.control.notify_one();
                }
            }
        }
        Ok(())
    }

    /// The end that dialled counts odd numbers, the other one even ones.
    fn of_peer(&self, id: u32) -> bool {
        id.is_multiple_of(2) != self.shared.server
    }

    fn opened(&self, id: u32, headers: Headers, fin: bool) -> Result<(), String> {
        let mut state = self.shared.lock();
        if !self.of_peer(id) || id <= state.last_peer_id {
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
                    let known = id < if self.of_peer(id) { state.last_peer_id + 1 } else { state.next_id };
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
            state.control.grant(0, granted);
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
