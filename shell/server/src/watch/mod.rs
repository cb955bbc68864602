//! WATCH: what is there, then every change in order, as long as the client reads.
//!
//! Invariants: events come in revision order, each once; a bookmark's revision is one up to which everything was
//! sent; a watcher that falls too far behind is told so and ended, and costs nothing but its place meanwhile.

mod event;
mod frame;
mod standing;
mod stream;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use gantry_cluster::{Feed, WatchFrom};
use gantry_kinds::{KindRef, Status};
use gantry_streams::reading;
use gantry_view::Object;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use jiff::Timestamp;

pub(crate) use frame::SharedFrames;
use standing::Standing;
use stream::{Encoder, Watcher};

use crate::Refusal;
use crate::app::{App, Call};
use crate::binary;
use crate::limits::WATCH_LIFE;
use crate::negotiate::{Format, Offer, accept};
use crate::patience::OpenWatch;
use crate::read::options::{ListOptions, parse_revision, too_large};
use crate::read::page::{self, select};
use crate::read::present::Presenter;
use crate::read::reach;
use crate::read::shape::Renderer;
use crate::respond::{self, Answer, BodyError};

/// Where a watch begins.
struct Start {
    /// Objects that are there already, to be sent first.
    initial: Vec<Arc<Object>>,
    /// Revision up to which everything is in `initial` or known to the client.
    revision: u64,
    feed: Feed,
}

/// Answers WATCH.
pub(crate) async fn watch(
    app: &Arc<App>,
    call: &Call,
    kind: KindRef,
    request: Request<Incoming>,
    open: OpenWatch,
) -> Result<Answer, Refusal> {
    let accepted = accept(&call.headers, &call.query, Offer::watch(kind))?;
    let options = ListOptions::read(kind, &call.asked, &call.query)?;
    let revision = match options.revision.as_str() {
        "" => None,
        text => Some(parse_revision(text).map_err(|why| Box::new(Status::bad_request(why)))?),
    };
    let renderer = Renderer::new(kind, accepted.shape, &call.query, Timestamp::now())?;
    if revision.is_none() {
        reach(&app.cluster, None).await?;
    }
    let encoder = Encoder::new(renderer, accepted.format, app.frames.clone());
    let presenter = Presenter::of(app, &app.cluster.view(), kind);
    let definition = Standing::of(&app.cluster, kind);
    let frames = match start(app, call, kind, &options, revision, presenter.as_ref()).await {
        Ok(start) => {
            let life = options.timeout.unwrap_or_else(|| default_life(app.cluster.next_seed()));
            let watcher = Watcher {
                cluster: app.cluster.clone(),
                kind,
                presenter,
                definition,
                namespace: call.list_namespace(kind).map(str::to_owned),
                selection: options.selection.clone(),
                encoder,
                initial: start.initial.into_iter(),
                announce_end: options.initial_events == Some(true) && options.bookmarks,
                revision: start.revision,
                feed: start.feed,
                held: None,
                done: false,
                stop: app.stop.clone(),
                gauge: app.metrics.long_running(&call.asked),
                _open: open,
            };
            watcher.into_stream(life, options.bookmarks)
        }
        Err(refusal) => stream::only(encoder.error(&refusal)),
    };
    if reading::is_wanted(&call.headers) {
        return websocket::answer(request, frames, accepted.format);
    }
    let binary = accepted.format == Format::Protobuf;
    let media_type = if binary { binary::WATCH_MEDIA_TYPE } else { "application/json" };
    let mut answer = respond::bytes(200, media_type, "");
    *answer.body_mut() =
        BodyExt::map_err(StreamBody::new(frames), |never| -> BodyError { match never {} }).boxed_unsync();
    Ok(answer)
}

async fn start(
    app: &App,
    call: &Call,
    kind: KindRef,
    options: &ListOptions,
    revision: Option<u64>,
    presenter: Option<&Presenter>,
) -> Result<Start, Refusal> {
    let listing = match options.initial_events {
        Some(wanted) => wanted,
        // wire: no revision, and revision 0, mean "tell me first what there is".
        None => revision.unwrap_or(0) == 0,
    };
    if revision.is_some() {
        reach(&app.cluster, revision).await?;
    }
    if listing || revision.unwrap_or(0) == 0 {
        let namespace = call.list_namespace(kind);
        let read = |view: &gantry_view::View| {
            let objects = if listing { select(view, kind, namespace, &options.selection) } else { Vec::new() };
            (objects, view.revision())
        };
        let ((initial, revision), feed) = app.cluster.watch_snapshot(options.selection.topic(kind, namespace), read);
        let initial = page::show(presenter, initial, &options.selection).await?;
        return Ok(Start { initial, revision, feed });
    }
    let revision = revision.unwrap_or(0);
    let current = app.cluster.view().revision();
    if revision > current {
        return Err(too_large(revision, current));
    }
    let topic = options.selection.topic(kind, call.list_namespace(kind));
    let feed = app.cluster.watch(topic, WatchFrom::After(revision))?;
    Ok(Start { initial: Vec::new(), revision, feed })
}

/// Between once and twice the shortest life, so that watches do not all end together.
fn default_life(seed: u64) -> Duration {
    WATCH_LIFE + Duration::from_millis(seed % WATCH_LIFE.as_millis().max(1) as u64)
}
