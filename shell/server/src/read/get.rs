//! GET of one object or of one of its subresources.

use bytes::Bytes;
use gantry_kinds::Status;
use gantry_registry::custom_scale;
use gantry_registry::scale::to_scale;
use gantry_view::Object;
use jiff::Timestamp;
use std::sync::Arc;

use super::list::package_of;
use super::options::parse_revision;
use super::present::Presenter;
use super::reach;
use super::shape::Renderer;
use crate::Refusal;
use crate::app::{App, Call};
use crate::negotiate::{Offer, Shape, accept};
use crate::respond::{self, Answer};
use crate::route::Endpoint;

/// Answers GET of an object, its status, its scale, or another subresource that shows the whole object.
pub(crate) async fn get(app: &App, call: &Call, endpoint: Endpoint) -> Result<Answer, Refusal> {
    let accepted = accept(&call.headers, &call.query, Offer::objects(endpoint.kind))?;
    let kind = endpoint.kind;
    let revision = call.query.text("resourceVersion").map(parse_revision).transpose();
    reach(&app.cluster, revision.map_err(|why| Box::new(Status::bad_request(why)))?).await?;
    let object = find(app, call, endpoint).await?;
    if accepted.shape == Shape::MetadataList {
        let (asked, package) = ("PartialObjectMetadataList", package_of(kind));
        let text = format!("you requested {asked}, but the requested object is not a list (*{package}.{})", kind.kind);
        return Err(Box::new(Status::new(406, "NotAcceptable", text)));
    }
    if endpoint.subresource.is_some_and(|s| s.name == "scale") {
        let scale = match app.cluster.view().custom(kind) {
            Some(version) => custom_scale(version, &object.value()),
            None => to_scale(&object.value()),
        };
        let scale = scale.ok_or_else(|| Box::new(Status::no_such_path()))?;
        return Ok(respond::value(200, &scale, &accepted));
    }
    if accepted.shape == Shape::Whole {
        return Ok(respond::raw(200, object.json().clone(), &accepted));
    }
    let renderer = Renderer::new(kind, accepted.shape, &call.query, Timestamp::now())?;
    let mut out = Vec::new();
    renderer.single(object.json(), true, &mut out);
    Ok(respond::raw(200, Bytes::from(out), &accepted))
}

async fn find(app: &App, call: &Call, endpoint: Endpoint) -> Result<Arc<Object>, Refusal> {
    let kind = endpoint.kind;
    let (found, presenter) = {
        let view = app.cluster.view();
        let found = view.get(kind.home(), call.namespace(kind), &call.asked.name).cloned();
        (found, Presenter::of(app, &view, kind))
    };
    let found = found.ok_or_else(|| Box::new(Status::not_found(kind, &call.asked.name)))?;
    match presenter {
        Some(presenter) => presenter.one(found).await,
        None => Ok(found),
    }
}
