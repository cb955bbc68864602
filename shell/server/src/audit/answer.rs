//! Answers on their way out: when one has been sent, that is written down, with its body where that is wanted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gantry_policy::audit::Stage;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, SizeHint};
use serde_json::{Value, json};

use super::Trail;
use crate::limits::AUDIT_BODY_BYTES;
use crate::respond::{self, Answer, Body, BodyError};

/// Follows an answer until it has been sent. `long` for those that begin long before they end.
pub(crate) async fn watched(trail: Arc<Trail>, answer: Answer, long: bool, panicked: bool) -> Answer {
    if trail.auditor.is_none() {
        return answer;
    }
    let stage = if panicked { Stage::Panic } else { Stage::ResponseComplete };
    let (head, body) = answer.into_parts();
    if long && !panicked {
        trail.tell(Stage::ResponseStarted, Some(status(head.status, None))).await;
    }
    let wants_body = trail.wants_response() || !head.status.is_success();
    let reads_body = wants_body && is_readable(&head.headers);
    if !long && !reads_body {
        // What comes after is a matter of the network.
        trail.tell(stage, Some(status(head.status, None))).await;
        return Answer::from_parts(head, body);
    }
    if long {
        let body = Followed { body, trail, status: Some(status(head.status, None)) };
        return Answer::from_parts(head, body.boxed_unsync());
    }
    // An answer that is all there, or a list that is made as it goes: as much of it as is wanted is read ahead.
    let (body, read) = read_ahead(body).await;
    let object = read.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let told = status(head.status, object.as_ref().filter(|object| object["kind"] == "Status"));
    if let Some(object) = object.filter(|_| trail.wants_response()) {
        trail.response_object(object);
    }
    trail.tell(stage, Some(told)).await;
    Answer::from_parts(head, body)
}

/// Whether a body is text that the log can take in.
fn is_readable(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or_default();
    text(CONTENT_TYPE).starts_with("application/json") && text(CONTENT_ENCODING).is_empty()
}

/// `responseStatus`.
fn status(code: StatusCode, refusal: Option<&Value>) -> Value {
    let mut status = json!({"metadata": {}, "code": code.as_u16()});
    for field in ["status", "message", "reason", "details"] {
        if let Some(value) = refusal.and_then(|refusal| refusal.get(field)) {
            status[field] = value.clone();
        }
    }
    status
}

/// Reads a body up to its end or to what the log takes in; the body as it was, and its bytes where they were all read.
async fn read_ahead(mut body: Body) -> (Body, Option<Bytes>) {
    let (mut frames, mut bytes) = (Vec::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
            bytes.extend_from_slice(data);
        }
        let failed = frame.is_err();
        frames.push(frame);
        if failed || bytes.len() > AUDIT_BODY_BYTES {
            let rest = stream::unfold(body, |mut body| async move { Some((body.frame().await?, body)) });
            return (StreamBody::new(stream::iter(frames).chain(rest)).boxed_unsync(), None);
        }
    }
    let bytes = Bytes::from(bytes);
    (respond::full(bytes.clone()), Some(bytes))
}

/// A long answer; that it ended is written down when it does. Its length is told as it is, as refusals have one.
struct Followed {
    body: Body,
    trail: Arc<Trail>,
    status: Option<Value>,
}

impl hyper::body::Body for Followed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.trail.post(Stage::ResponseComplete, self.status.take());
    }
}
