//! One watch as a stream of frames; nothing happens in it but what the client's reading asks for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use gantry_cluster::{Cluster, Feed, Lagged};
use gantry_kinds::{KindRef, Status};
use gantry_view::{Change, Object};
use hyper::body::Frame;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};
use tokio_util::sync::CancellationToken;

use super::event::{Transition, transition};
use super::frame::{self, SharedFrames};
use super::standing::Standing;
use crate::failpoints::failpoint;
use crate::limits::{BOOKMARKS, PIECE_BYTES};
use crate::metrics::Gauge;
use crate::negotiate::{Format, Shape};
use crate::patience::OpenWatch;
use crate::read::options::Selection;
use crate::read::present::Presenter;
use crate::read::shape::Renderer;
use crate::respond::status_body;

/// A watch as the body of an answer.
pub(super) type Frames = BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

/// Writes events in the shape that a watcher accepts.
pub(super) struct Encoder {
    renderer: Renderer,
    format: Format,
    frames: Arc<SharedFrames>,
    /// A table says once what its columns are.
    columns_sent: bool,
}

impl Encoder {
    pub(super) fn new(renderer: Renderer, format: Format, frames: Arc<SharedFrames>) -> Self {
        Encoder { renderer, format, frames, columns_sent: false }
    }

    fn change(&mut self, change: &Arc<Change>, transition: Transition, object: &Object) -> Bytes {
        if self.renderer.shape == Shape::Whole {
            return self.frames.whole(change, transition, object, self.format);
        }
        let mut out = Vec::new();
        self.append(transition.name(), &frame::shown(change, transition, object), &mut out);
        Bytes::from(out)
    }

    fn append(&mut self, kind: &str, object: &[u8], out: &mut Vec<u8>) {
        if self.renderer.shape == Shape::Whole {
            return frame::append(kind, object, self.format, out);
        }
        let mut shaped = Vec::new();
        self.renderer.at(Timestamp::now());
        self.renderer.single(object, !self.columns_sent, &mut shaped);
        self.columns_sent = true;
        frame::append(kind, &shaped, self.format, out);
    }

    fn bookmark(&self, revision: u64, initial_end: bool) -> Bytes {
        let kind = self.renderer.kind;
        let partial = || frame::bookmark("PartialObjectMetadata", "meta.k8s.io/v1", revision, initial_end);
        let body = match self.renderer.shape {
            Shape::Whole => frame::bookmark(kind.kind, &kind.api_version(), revision, initial_end),
            Shape::Metadata | Shape::MetadataList => partial(),
            Shape::Table => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": revision.to_string()},
                "columnDefinitions": null, "rows": [{"cells": [], "object": partial()}],
            }),
        };
        self.event("BOOKMARK", &body)
    }

    /// The event that ends a watch which cannot go on.
    pub(super) fn error(&self, status: &Status) -> Bytes {
        self.event("ERROR", &status_body(status))
    }

    fn event(&self, kind: &str, body: &Value) -> Bytes {
        let mut out = Vec::new();
        frame::append_value(kind, body, self.format, &mut out);
        Bytes::from(out)
    }
}

/// A stream of one frame.
pub(super) fn only(frame: Bytes) -> Frames {
    stream::iter([Ok(Frame::data(frame))]).boxed()
}

/// One watch.
pub(super) struct Watcher {
    pub cluster: Arc<Cluster>,
    pub kind: KindRef,
    /// Shows what is kept otherwise than it is served.
    pub presenter: Option<Presenter>,
    /// The definition of a custom kind.
    pub definition: Option<Standing>,
    pub namespace: Option<String>,
    pub selection: Selection,
    pub encoder: Encoder,
    pub initial: std::vec::IntoIter<Arc<Object>>,
    /// A bookmark after the initial objects is still to be sent.
    pub announce_end: bool,
    /// Everything up to here has been sent or was known to the client.
    pub revision: u64,
    pub feed: Feed,
    /// A change that was read ahead of a bookmark.
    pub held: Option<Arc<Change>>,
    pub done: bool,
    pub stop: CancellationToken,
    pub gauge: Gauge,
    pub _open: OpenWatch,
}

impl Watcher {
    /// The frames of this watch: it ends after `life`.
    pub(super) fn into_stream(self, life: Duration, bookmarks: bool) -> Frames {
        let every = bookmark_interval();
        let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ticks = bookmarks.then_some(ticks);
        let end = Box::pin(tokio::time::sleep(life));
        stream::unfold((self, end, ticks), |(mut watcher, mut end, mut ticks)| async move {
            let frame = watcher.next(&mut end, &mut ticks).await?;
            Some((Ok(Frame::data(frame)), (watcher, end, ticks)))
        })
        .boxed()
    }

    async fn next(&mut self, end: &mut std::pin::Pin<Box<Sleep>>, ticks: &mut Option<Interval>) -> Option<Bytes> {
        if self.done {
            return None;
        }
        if let Some(frame) = self.next_initial() {
            return Some(frame);
        }
        loop {
            let change = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = &mut *end => return None,
                () = ended(&mut self.definition) => return None,
                () = tick(ticks) => return Some(self.bookmark().await),
                change = next_change(&mut self.held, &mut self.feed) => change,
            };
            let Ok(change) = change else { return Some(self.lagged()) };
            let stop = self.stop.clone();
            let frame = tokio::select! {
                () = stop.cancelled() => return None,
                frame = self.frame(&change) => frame,
            };
            if frame.is_some() {
                return frame;
            }
        }
    }

    /// Objects that are there already, many to a frame, then the bookmark that says so.
    fn next_initial(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        while out.len() < PIECE_BYTES {
            let Some(object) = self.initial.next() else { break };
            self.encoder.append(Transition::Added.name(), object.json(), &mut out);
        }
        if out.len() < PIECE_BYTES && std::mem::take(&mut self.announce_end) {
            out.extend_from_slice(&self.encoder.bookmark(self.revision, true));
        }
        if out.is_empty() {
            return None;
        }
        failpoint!("server::before_initial_events");
        Some(Bytes::from(out))
    }

    async fn frame(&mut self, change: &Arc<Change>) -> Option<Bytes> {
        let inside = change.key.kind == self.kind.home()
            && change.revision > self.revision
            && self.namespace.as_deref().is_none_or(|namespace| namespace == &*change.key.namespace);
        if !inside {
            return None;
        }
        let shown = match &self.presenter {
            Some(presenter) => Some(presenter.shared(change).await),
            None => None,
        };
        let change = match &shown {
            Some(Ok(shown)) => shown,
            Some(Err(status)) => {
                // What cannot be shown cannot be passed over either.
                self.done = true;
                return Some(self.encoder.error(status));
            }
            None => change,
        };
        let (transition, object) = transition(change, &self.selection)?;
        failpoint!("server::before_event");
        let frame = self.encoder.change(change, transition, object);
        self.gauge.sent(frame.len());
        Some(frame)
    }

    /// Everything that the view shows by now, then how far that is.
    async fn bookmark(&mut self) -> Bytes {
        failpoint!("server::before_bookmark");
        // The feed has every change of the view's revision, for both move under one lock.
        let now = self.cluster.view().revision();
        let mut out = Vec::new();
        while self.held.is_none() {
            match self.feed.try_next() {
                Ok(Some(change)) if change.revision > now => self.held = Some(change),
                Ok(Some(change)) => {
                    out.extend_from_slice(&self.frame(&change).await.unwrap_or_default());
                    if self.done {
                        return Bytes::from(out);
                    }
                }
                Ok(None) => break,
                Err(Lagged) => {
                    out.extend_from_slice(&self.lagged());
                    return Bytes::from(out);
                }
            }
        }
        out.extend_from_slice(&self.encoder.bookmark(now, false));
        Bytes::from(out)
    }

    fn lagged(&mut self) -> Bytes {
        self.done = true;
        self.gauge.lagged();
        let status = Status::expired("too old resource version: the watch was slower than the changes");
        self.encoder.error(&status)
    }
}

/// How often; a test that returns milliseconds from this point does not wait as long.
fn bookmark_interval() -> Duration {
    failpoint!("server::bookmark_every", |given: Option<String>| {
        given.and_then(|given| given.parse().ok()).map_or(BOOKMARKS, Duration::from_millis)
    });
    BOOKMARKS
}

async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

async fn ended(definition: &mut Option<Standing>) {
    match definition {
        Some(definition) => definition.ended().await,
        None => std::future::pending().await,
    }
}

async fn next_change(held: &mut Option<Arc<Change>>, feed: &mut Feed) -> Result<Arc<Change>, Lagged> {
    match held.take() {
        Some(change) => Ok(change),
        None => feed.next().await,
    }
}

#[cfg(test)]
mod tests {
    use gantry_cluster::{Setup, Topic};
    use gantry_kinds::NAMESPACE;
    use gantry_registry::{Settings, bootstrap};
    use gantry_store::memory::MemoryStore;

    use super::*;
    use crate::metrics::Metrics;
    use crate::patience::Watches;
    use crate::query::Query;
    use crate::route::Asked;

    #[tokio::test]
    async fn a_bookmark_comes_after_everything_that_it_covers() {
        let cluster = Cluster::open(Arc::new(MemoryStore::new()), Setup::new(Settings::default(), 5)).await.unwrap();
        let ((), feed) = cluster.watch_snapshot(Topic::Kind(&NAMESPACE), |_| ());
        let requests = bootstrap::requests(&cluster.view(), &Settings::default());
        for request in requests {
            cluster.execute(request).await.unwrap();
        }
        let renderer = Renderer::new(&NAMESPACE, Shape::Whole, &Query::default(), Timestamp::UNIX_EPOCH).unwrap();
        let mut watcher = Watcher {
            cluster: cluster.clone(),
            kind: &NAMESPACE,
            presenter: None,
            definition: None,
            namespace: None,
            selection: Selection::default(),
            encoder: Encoder::new(renderer, Format::Json, Arc::default()),
            initial: Vec::new().into_iter(),
            announce_end: false,
            revision: 0,
            feed,
            held: None,
            done: false,
            stop: CancellationToken::new(),
            gauge: Arc::new(Metrics::new()).long_running(&Asked::default()),
            _open: Watches::default().open(),
        };
        let text = String::from_utf8(watcher.bookmark().await.to_vec()).unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (last, before) = events.split_last().unwrap();
        assert!(before.len() >= 4 && before.iter().all(|event| event["type"] == "ADDED"), "{text}");
        assert_eq!(last["type"], "BOOKMARK");
        let revision = cluster.view().revision().to_string();
        assert_eq!(last["object"]["metadata"]["resourceVersion"], revision);
    }
}
