//! Collections, followed for ever.
//!
//! One task lists, then watches from the list's revision, and resumes from the last revision it has seen. It lists
//! again only when the server no longer knows that revision. Whoever reads gets all of it in order.

use bytes::BytesMut;
use http::Method;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::unexpected;
use crate::jitter::Backoff;
use crate::limits::{WATCH_EVENTS, WATCH_LINE_BYTES, WATCH_SECONDS, WATCH_SILENCE};
use crate::request::join_query;
use crate::{BodyReader, Client, ClientError};

/// What happened to a collection.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// These are all objects; whatever else was known is gone.
    Restarted(Vec<Value>),
    /// An object is new or changed.
    Applied(Value),
    /// An object is gone; this is its last state.
    Deleted(Value),
}

/// A collection that is being followed; dropping it stops that.
pub struct Watch {
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    pub(crate) fn start(client: Client, path: &str, query: &str) -> Self {
        let (sender, events) = mpsc::channel(WATCH_EVENTS);
        let follower = Follower { client, path: path.to_owned(), query: query.to_owned(), events: sender };
        Watch { events, task: tokio::spawn(follower.drive()) }
    }

    /// The next event; the first one is `Restarted`. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // The task ends only with the runtime.
            None => std::future::pending().await,
        }
    }
}

struct Follower {
    client: Client,
    path: String,
    query: String,
    events: mpsc::Sender<Event>,
}

/// Why a watch ended.
enum End {
    /// Nobody listens any more.
    Unheard,
    /// The server's time was up, or the connection's: go on from the last revision.
    Resume,
    /// The revision is too old: list again.
    Relist,
}

impl Follower {
    async fn drive(self) {
        let mut backoff = Backoff::default();
        loop {
            let revision = match self.restart().await {
                Ok(Some(revision)) => revision,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(path = self.path, %error, "cannot list");
                    tokio::time::sleep(backoff.after(&error)).await;
                    continue;
                }
            };
            if self.resume(revision, &mut backoff).await {
                return;
            }
        }
    }

    /// Lists and hands out what is there; the list's revision, or `None` when nobody listens.
    async fn restart(&self) -> Result<Option<String>, ClientError> {
        let mut list = self.client.list(&self.path, &self.query).await?;
        let revision = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let version = list["apiVersion"].take();
        let kind = list["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).map(Value::from);
        let Value::Array(mut items) = list["items"].take() else { return Ok(Some(revision)) };
        // wire: objects in a list do not say what they are, those in a watch do.
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(kind) = &kind {
                item.entry("kind").or_insert_with(|| kind.clone());
                item.entry("apiVersion").or_insert_with(|| version.clone());
            }
        }
        Ok(self.events.send(Event::Restarted(items)).await.is_ok().then_some(revision))
    }

    /// Watches on and on from a revision; true when nobody listens, false when a list is needed.
    async fn resume(&self, mut revision: String, backoff: &mut Backoff) -> bool {
        loop {
            let before = revision.clone();
            let ended = self.watch_once(&mut revision).await;
            // Without progress the server may be in trouble; with it, or after a whole turn, there is no hurry to
            // be slow.
            if revision != before {
                backoff.reset();
            }
            match ended {
                Ok(End::Unheard) => return true,
                Ok(End::Relist) => {
                    backoff.pause().await;
                    return false;
                }
                Ok(End::Resume) => backoff.pause().await,
                Err(error) if error.code() == 410 => return false,
                Err(error) => {
                    tracing::debug!(path = self.path, %error, "a watch ended early");
                    tokio::time::sleep(backoff.after(&error)).await;
                }
            }
        }
    }

    async fn watch_once(&self, revision: &mut String) -> Result<End, ClientError> {
        let from =
            format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={revision}");
        let mut body = self.client.stream(&join_query(&self.path, &[&self.query, &from])).await?;
        let mut buffer = BytesMut::new();
        while let Some(line) = self.line(&mut body, &mut buffer).await? {
            let mut event: Value =
                serde_json::from_slice(&line).map_err(|error| unexpected(&Method::GET, &self.path, error))?;
            let object = event["object"].take();
            let kind = event["type"].as_str().unwrap_or_default();
            if kind == "ERROR" {
                let gone = object["code"] == 410;
                tracing::debug!(path = self.path, status = %object, "the server ended a watch");
                return Ok(if gone { End::Relist } else { End::Resume });
            }
            if let Some(reached) = object["metadata"]["resourceVersion"].as_str() {
                reached.clone_into(revision);
            }
            let event = match kind {
                "ADDED" | "MODIFIED" => Event::Applied(object),
                "DELETED" => Event::Deleted(object),
                _ => continue,
            };
            if self.events.send(event).await.is_err() {
                return Ok(End::Unheard);
            }
        }
        Ok(End::Resume)
    }

    /// The next line of a watch; `None` at its end, also when the server has been silent for too long.
    async fn line(&self, body: &mut BodyReader, buffer: &mut BytesMut) -> Result<Option<BytesMut>, ClientError> {
        let mut searched = 0;
        loop {
            if let Some(end) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
                return Ok(Some(buffer.split_to(searched + end + 1)));
            }
            searched = buffer.len();
            if searched > WATCH_LINE_BYTES {
                return Err(unexpected(&Method::GET, &self.path, format!("an event of more than {searched} bytes")));
            }
            match tokio::time::timeout(WATCH_SILENCE, body.next()).await {
                Ok(Ok(Some(piece))) => buffer.extend_from_slice(&piece),
                Ok(Ok(None)) | Err(_) => return Ok(None),
                Ok(Err(error)) => return Err(error),
            }
        }
    }
}
