//! Paths below `/gantry/`: what the program around this server adds to the API, such as backups.
//!
//! They are authorized like every path outside the resource API, by the path and the method: nobody may use them but
//! whom a rule allows it, which at first is the group of administrators alone.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc;

use crate::Refusal;
use crate::app::{App, Call};
use crate::respond::{self, Answer, BodyError};
use crate::write::body;

/// What all these paths begin with.
const PREFIX: &str = "/gantry/";

/// An answer of an extension.
pub struct Reply {
    /// HTTP status.
    pub code: u16,
    /// What the content is.
    pub content_type: &'static str,
    /// The content.
    pub content: Content,
}

/// The body of an answer.
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// As it comes; an error breaks the answer off, so that nobody takes a part for the whole.
    Pieces(mpsc::Receiver<io::Result<Bytes>>),
}

/// Answers requests below `/gantry/`.
#[async_trait]
pub trait Extension: Send + Sync + 'static {
    /// Answers a request whose sender may make it; `None` where there is nothing.
    async fn answer(&self, method: &Method, path: &str, body: Bytes) -> Option<Reply>;

    /// What `/metrics` says beside what the server says, in Prometheus' text format.
    fn metrics(&self) -> String {
        String::new()
    }
}

/// Whether a path may be one of an extension.
pub(crate) fn is_meant(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Answers a request below the prefix.
pub(crate) async fn answer(app: &App, call: &Call, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let Some(extension) = app.extension.get() else { return Ok(respond::page_not_found()) };
    let method = request.method().clone();
    let body = body::read(&call.headers, request.into_body()).await?;
    let Some(reply) = extension.answer(&method, &call.asked.path, body).await else {
        return Ok(respond::page_not_found());
    };
    let pieces = match reply.content {
        Content::Whole(bytes) => return Ok(respond::bytes(reply.code, reply.content_type, bytes)),
        Content::Pieces(pieces) => pieces,
    };
    let pieces = stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
    let frames = pieces.map(|piece| piece.map(Frame::data).map_err(BodyError::from));
    let mut answer = respond::bytes(reply.code, reply.content_type, Bytes::new());
    *answer.body_mut() = StreamBody::new(frames).boxed_unsync();
    Ok(answer)
}
