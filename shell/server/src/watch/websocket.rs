//! A watch through a WebSocket: each event is a message, JSON as text and protobuf as bytes.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gantry_streams::reading::{self, Carry};
use http::Request;
use hyper::body::Incoming;

use super::frame;
use super::stream::Frames;
use crate::Refusal;
use crate::negotiate::Format;
use crate::pods::from_streams;
use crate::respond::{Answer, full};

/// Answers with the upgrade, and sends the events once it is there.
pub(super) fn answer(mut request: Request<Incoming>, frames: Frames, format: Format) -> Result<Answer, Refusal> {
    let carry = if format == Format::Protobuf { Carry::Binary } else { Carry::Text };
    let (response, pending) = reading::accept_as(&mut request, carry).map_err(from_streams)?;
    let events = frames.flat_map(move |frame| {
        let piece = frame.ok().and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        stream::iter(frame::split(&piece, format))
    });
    tokio::spawn(async move {
        if let Err(error) = pending.send(events).await {
            tracing::debug!(%error, "a client stopped watching");
        }
    });
    Ok(response.map(|()| full(Bytes::new())))
}
