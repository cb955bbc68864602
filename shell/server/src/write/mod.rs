//! Writes: the request as data, the registry's decision, the answer. Nothing is decided here.

pub(crate) mod body;
mod delete;
mod options;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gantry_cluster::Reply;
use gantry_kinds::KindRef;
use gantry_registry::{Body, DeleteOptions, Operation, Options, PatchKind, Request as Write, Target};
use gantry_view::Object;
use http::Request;
use hyper::body::Incoming;
use jiff::Timestamp;
pub(crate) use options::{Verb, read as read_options};

use crate::Refusal;
use crate::app::{App, Call};
use crate::failpoints::failpoint;
use crate::limits::DELETES_AT_A_TIME;
use crate::negotiate::{Accepted, Offer, Shape, accept};
use crate::read::options::ListOptions;
use crate::read::page::{self, select};
use crate::read::present::Presenter;
use crate::read::shape::Renderer;
use crate::read::{reach, show};
use crate::respond::{self, Answer};
use crate::route::Endpoint;

/// Answers create, update, patch and delete, of objects and of subresources.
pub(crate) async fn write(
    app: &App,
    call: &Call,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let accepted = accept(&call.headers, &call.query, Offer::written(endpoint.kind))?;
    let (operation, options) = operation(call, endpoint, request).await?;
    let kind = endpoint.kind;
    let target = Target {
        kind,
        namespace: call.namespace(kind).to_owned(),
        name: call.asked.name.clone(),
        subresource: call.asked.subresource.clone(),
    };
    let write = Write { user: call.user.clone(), target, operation, options };
    failpoint!("server::before_write");
    let reply = app.cluster.execute(write).await?;
    failpoint!("server::after_write");
    answer(call, kind, reply, &accepted)
}

async fn operation(
    call: &Call,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<(Operation, Options), Refusal> {
    let headers = &call.headers;
    Ok(match call.asked.verb {
        "patch" => {
            let patch_kind = body::patch_kind(headers)?;
            let bytes = body::read(headers, request.into_body()).await?;
            let options = read_options(call, Verb::Patch(patch_kind == PatchKind::Apply))?;
            let patch = body::patch(patch_kind, &bytes)?;
            note(call, &patch);
            (Operation::Patch(patch_kind, patch), options)
        }
        "delete" => {
            let bytes = body::read(headers, request.into_body()).await?;
            let wanted = delete::read(headers, &call.query, &bytes)?;
            let options = Options { dry_run: wanted.dry_run, ..read_options(call, Verb::Delete)? };
            (Operation::Delete(wanted.options), options)
        }
        verb => {
            let bytes = body::read(headers, request.into_body()).await?;
            let create = verb == "create";
            let options = read_options(call, if create { Verb::Create } else { Verb::Update })?;
            let body = body::object(headers, endpoint.body(), &bytes)?;
            note(call, &body);
            (if create { Operation::Create(body) } else { Operation::Update(body) }, options)
        }
    })
}

/// Notes what a client sent, where the audit log wants to know.
fn note(call: &Call, body: &Body) {
    if call.trail.wants_request() {
        call.trail.request_object(body.value.clone());
    }
}

/// The registry's reply in the shape that the client accepts.
fn answer(call: &Call, kind: KindRef, reply: Reply, accepted: &Accepted) -> Result<Answer, Refusal> {
    // Only the kind itself has columns; a Status or a Scale is shown as it is.
    if call.trail.wants_response() {
        call.trail.response_object(reply.body.clone());
    }
    let plain = accepted.shape == Shape::Whole || reply.body["kind"] != kind.kind;
    let mut answer = if plain {
        respond::value(reply.code, &reply.body, accepted)
    } else {
        let renderer = Renderer::new(kind, accepted.shape, &call.query, Timestamp::now())?;
        let object = serde_json::to_vec(&reply.body).map_err(respond::internal)?;
        let mut out = Vec::new();
        renderer.single(&object, true, &mut out);
        respond::raw(reply.code, Bytes::from(out), accepted)
    };
    respond::warn(&mut answer, &reply.warnings);
    Ok(answer)
}

/// Answers deletecollection: lists, then deletes each, and shows what was there.
pub(crate) async fn delete_collection(
    app: &Arc<App>,
    call: &Call,
    kind: KindRef,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let accepted = accept(&call.headers, &call.query, Offer::objects(kind))?;
    let bytes = body::read(&call.headers, request.into_body()).await?;
    let wanted = delete::read(&call.headers, &call.query, &bytes)?;
    let list = ListOptions::read(kind, &call.asked, &call.query)?;
    let options = Options { dry_run: wanted.dry_run, ..read_options(call, Verb::Delete)? };
    reach(&app.cluster, list.revision()?).await?;
    let (objects, presenter, revision) = {
        let view = app.cluster.view();
        let found = select(&view, kind, call.list_namespace(kind), &list.selection);
        (found, Presenter::of(app, &view, kind), view.revision())
    };
    let objects = page::show(presenter.as_ref(), objects, &list.selection).await?;
    let across = kind.namespaced && call.list_namespace(kind).is_none();
    let page = page::cut(objects, revision, across, &list);
    let writes: Vec<Write> =
        page.objects.iter().map(|object| deletion(call, object, &wanted.options, &options)).collect();
    let mut outcomes = stream::iter(writes)
        .map(|write| {
            let cluster = app.cluster.clone();
            async move { cluster.execute(write).await }
        })
        .buffer_unordered(DELETES_AT_A_TIME);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            // Somebody else was faster.
            Ok(_) => {}
            Err(status) if status.reason == "NotFound" => {}
            Err(status) => return Err(status),
        }
    }
    show(call, kind, page, &accepted).await
}

fn deletion(call: &Call, object: &Object, wanted: &DeleteOptions, options: &Options) -> Write {
    let target = Target {
        kind: object.key().kind,
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        subresource: String::new(),
    };
    // Another object of the same name is none of the collection.
    let uid = wanted.uid.clone().or_else(|| Some(object.uid().to_owned()));
    let operation = Operation::Delete(DeleteOptions { uid, collection: true, ..wanted.clone() });
    Write { user: call.user.clone(), target, operation, options: options.clone() }
}
