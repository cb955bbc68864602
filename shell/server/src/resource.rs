//! The resource API: from words to the row of the kind table to the handler of the verb. No kind has code here but
//! those whose subresources are streams or tokens.

use std::sync::Arc;

use gantry_kinds::{Status, table};
use http::Request;
use hyper::body::Incoming;

use crate::app::{App, Call};
use crate::patience::Watches;
use crate::respond::{self, Answer};
use crate::route::{Endpoint, method_not_allowed};
use crate::{Refusal, connect, negotiate, pods, proxy, read, tokens, watch, write};

/// Answers a request of the resource API.
pub(crate) async fn answer(app: &Arc<App>, call: &Call, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let endpoint = match call.asked.resolve(&app.cluster.view()) {
        Ok(endpoint) => endpoint,
        // wire: what no definition serves is answered like paths outside the API, and what is not built in likewise.
        Err(status) if *status == Status::no_such_path() && !table::has_group(&call.asked.group) => {
            return Ok(respond::page_not_found());
        }
        Err(status) => return Err(status),
    };
    let answer = handle(app, call, endpoint, request).await;
    let Some(deprecation) = endpoint.kind.strategy.deprecation() else { return answer };
    // wire: refusals warn, too.
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(status) => respond::refusal(&status, &negotiate::for_refusals(&call.headers, &call.query)),
    };
    respond::warn(&mut answer, &[deprecation.to_owned()]);
    Ok(answer)
}

/// Hands the request to the handler of its verb.
async fn handle(
    app: &Arc<App>,
    call: &Call,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let subresource = endpoint.subresource.map_or("", |s| s.name);
    if ["log", "exec", "attach", "portforward", "proxy", "token"].contains(&subresource) {
        // These look at the view by themselves, for objects that another server may just have acknowledged.
        app.cluster.confirmed().await?;
    }
    app.cluster.readable(endpoint.kind)?;
    connect::admit(app, call, endpoint).await?;
    match (call.asked.verb, subresource) {
        (_, "proxy") => proxy::proxy(app, call, endpoint, request).await,
        ("get", "log") => pods::log(app, call, endpoint.kind, request).await,
        ("get" | "create", "exec" | "attach") => pods::remote_command(app, call, endpoint.kind, request).await,
        ("get" | "create", "portforward") => pods::port_forward(app, call, endpoint.kind, request).await,
        ("get", _) => warned(app, endpoint, read::get(app, call, endpoint).await),
        ("list", "") => warned(app, endpoint, read::list(app, call, endpoint.kind).await),
        ("watch", "") => {
            let watches = request.extensions().get::<Watches>().cloned().unwrap_or_default();
            warned(app, endpoint, watch::watch(app, call, endpoint.kind, request, watches.open()).await)
        }
        ("create", "token") => tokens::request(app, call, endpoint, request).await,
        ("create", _) if is_token_review(endpoint) => tokens::review(app, call, endpoint, request).await,
        ("deletecollection", "") => write::delete_collection(app, call, endpoint.kind, request).await,
        ("create" | "update" | "patch" | "delete", _) => write::write(app, call, endpoint, request).await,
        _ => Err(method_not_allowed()),
    }
}

/// An answer to a read, with the warning that a deprecated version earns.
fn warned(app: &App, endpoint: Endpoint, answer: Result<Answer, Refusal>) -> Result<Answer, Refusal> {
    let warning = app.cluster.view().custom(endpoint.kind).and_then(|version| version.deprecation.clone());
    answer.map(|mut answer| {
        respond::warn(&mut answer, warning.as_slice());
        answer
    })
}

fn is_token_review(endpoint: Endpoint) -> bool {
    (endpoint.kind.group, endpoint.kind.plural) == ("authentication.k8s.io", "tokenreviews")
}
