//! One request from its first byte to its answer: who, whether, what.
//!
//! Invariants: nothing is read of a body before its sender may do what it asks; every way out is an answer with an
//! audit id; a panic is one request's 500.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::FutureExt;
use gantry_kinds::Status;
use gantry_kinds::{FieldSelector, LabelSelector};
use gantry_policy::Attributes;
use gantry_registry::{Answers, User};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Uri};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::json;

use crate::app::{App, Call};
use crate::audit::{self, Trail};
use crate::authn::{self, Peer};
use crate::deadline;
use crate::failpoints::failpoint;
use crate::fairness::{self, Marks};
use crate::limits::AUDIT_ID_BYTES;
use crate::query::Query;
use crate::respond::{self, Answer};
use crate::route::Asked;
use crate::server::Remote;
use crate::{Refusal, aggregation, extension, negotiate, paths, resource, tunnel};

/// Subresources whose GET does something; whoever uses it must be allowed to `create` it too.
const CONNECTING: [&str; 3] = ["exec", "attach", "portforward"];

/// Verbs whose selectors say what they are about.
const SELECTING: [&str; 3] = ["list", "watch", "deletecollection"];

/// Answers one request.
pub(crate) async fn serve(app: Arc<App>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
    let started = Instant::now();
    let query = Query::parse(request.uri().query());
    let mut asked = Asked::read(request.method(), request.uri().path(), &query);
    if asked.kind.is_none() {
        asked.find_kind(&app.cluster.view());
    }
    let for_refusals = negotiate::for_refusals(request.headers(), &query);
    let audit_id = audit_id(&app, &request);
    let ticket = app.metrics.begin(&asked, &query);
    let trail = Trail::begin(
        app.auditor.as_ref(),
        (request.method(), request.uri(), request.headers()),
        request.extensions().get::<Remote>().map(|remote| remote.0),
        (&audit_id, &asked),
    );
    let long = deadline::is_long_running(&asked);
    let mut panicked = false;
    let marks = OnceLock::new();
    let deadline = deadline::of(&asked, &query);
    let work = async {
        let deadline: Option<_> = deadline?;
        let work = AssertUnwindSafe(handle(&app, &peer, asked, query, request, (&marks, &trail))).catch_unwind();
        match deadline {
            None => Ok(work.await),
            Some(limit) => Ok(tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Ok(Ok(too_late())))),
        }
    };
    let outcome = match work.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => {
            tracing::error!(%audit_id, "a request panicked");
            panicked = true;
            let text = "This request caused the server to panic. Look in the logs for details.";
            Err(Box::new(Status::new(500, "InternalError", text)))
        }
        Err(refusal) => Err(refusal),
    };
    let mut answer = outcome.unwrap_or_else(|status| respond::refusal(&status, &for_refusals));
    failpoint!("server::before_answer");
    respond::finish(&mut answer, &audit_id);
    mark(&mut answer, marks.get());
    let size = hyper::body::Body::size_hint(answer.body()).exact();
    ticket.answered(answer.status().as_u16(), started.elapsed(), size);
    audit::watched(trail, answer, long, panicked).await
}

/// wire: 504 in the form of the handler that watches the time, which knows nothing of formats.
fn too_late() -> Answer {
    let text = "Timeout: request did not complete within the allotted timeout";
    let body =
        json!({"metadata": {}, "status": "Failure", "message": text, "reason": "Timeout", "details": {}, "code": 504});
    respond::bytes(504, "text/plain; charset=utf-8", format!("{body}\n"))
}

/// Says which schema and level a request was taken for.
fn mark(answer: &mut Answer, marks: Option<&Marks>) {
    let Some(marks) = marks else { return };
    let names = [
        ("x-kubernetes-pf-flowschema-uid", &marks.schema_uid),
        ("x-kubernetes-pf-prioritylevel-uid", &marks.level_uid),
    ];
    for (name, uid) in names.into_iter().filter(|(_, uid)| !uid.is_empty()) {
        if let Ok(uid) = HeaderValue::from_str(uid) {
            answer.headers_mut().insert(HeaderName::from_static(name), uid);
        }
    }
}

fn audit_id(app: &App, request: &Request<Incoming>) -> String {
    let given = request.headers().get("audit-id").and_then(|v| v.to_str().ok());
    given.filter(|id| !id.is_empty() && id.len() <= AUDIT_ID_BYTES).map_or_else(|| app.fresh_id(), str::to_owned)
}

async fn handle(
    app: &Arc<App>,
    peer: &Peer,
    asked: Asked,
    query: Query,
    request: Request<Incoming>,
    (marks, trail): (&OnceLock<Marks>, &Arc<Trail>),
) -> Result<Answer, Refusal> {
    let headers = request.headers();
    let now = Timestamp::now().as_second();
    let proof = authn::prove(&app.credentials, peer, headers, &asked.path, now);
    let sender = proof.and_then(|proof| authn::identify(&app.cluster.view(), proof, now));
    let sender = sender.inspect_err(|_| trail.refused_sender())?;
    trail.authenticated(&sender).await?;
    let mut answers = Answers::default();
    let user = authn::impersonate(&app.cluster, sender, headers, &mut answers).await?;
    trail.acting_as(&user);
    let selected = Selected::of(&asked, &query);
    if let Some(node) = tunnel::node_of(&asked.path) {
        return tunnel::accept(app, &user, node, request);
    }
    // Held until the answer begins: a watch and a long list need no seat for as long as they are read.
    let asks = attributes(&user, &asked, &selected);
    let _seat = {
        let width = fairness::width(&app.cluster, &asked, &query);
        let (found, ticket) = app.fairness.classify(&app.cluster, &asks, width);
        let _ = marks.set(found);
        let line = app.fairness.enter(ticket, app.cluster.next_seed());
        line.await?
    };
    if let Some(failed) = authorize(app, &asks, request.uri(), &mut answers, trail).await? {
        return Ok(failed);
    }
    let call = Call { user, asked, query, headers: headers.clone(), trail: trail.clone() };
    if let Some(remote) = app.aggregation.find(&call.asked) {
        aggregation::pass_on(app, &call, &remote, request).await
    } else if extension::is_meant(&call.asked.path) {
        extension::answer(app, &call, request).await
    } else if call.asked.resource_request {
        resource::answer(app, &call, request).await
    } else {
        paths::answer(app, &call, &request.method().clone()).await
    }
}

/// Whether the sender may do it; a refusal for what went wrong on the way names the request.
async fn authorize(
    app: &App,
    asked: &Attributes<'_>,
    uri: &Uri,
    answers: &mut Answers,
    trail: &Trail,
) -> Result<Option<Answer>, Refusal> {
    let connects = asked.verb == "get" && CONNECTING.contains(&asked.subresource);
    let creates = connects.then_some(Attributes { verb: "create", ..*asked });
    for asked in [Some(*asked), creates].into_iter().flatten() {
        let verdict = app.cluster.authorize(&asked, answers).await;
        trail.authorized(&verdict);
        app.authorizers.counts.decided(&verdict);
        if !verdict.allowed && !verdict.error.is_empty() {
            let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
            let target = target.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let text = format!("Internal Server Error: {target:?}: {}\n", verdict.error);
            return Ok(Some(respond::bytes(500, "text/plain; charset=utf-8", text)));
        }
        gantry_policy::refusal(&asked, &verdict)?;
    }
    Ok(None)
}

/// What a request is to authorization and to fairness.
fn attributes<'a>(user: &'a User, asked: &'a Asked, selected: &'a Selected) -> Attributes<'a> {
    if !asked.resource_request {
        return Attributes::path(user, asked.verb, &asked.path);
    }
    Attributes {
        group: &asked.group,
        version: &asked.version,
        resource: &asked.resource,
        subresource: &asked.subresource,
        namespace: &asked.namespace,
        name: if asked.name.is_empty() { selected.name() } else { &asked.name },
        fields: selected.fields.requirements(),
        labels: selected.labels.requirements(),
        ..Attributes::path(user, asked.verb, "")
    }
}

/// What the selectors of a request demand; one that cannot be read demands nothing here, and is refused later.
struct Selected {
    fields: FieldSelector,
    labels: LabelSelector,
}

impl Selected {
    fn of(asked: &Asked, query: &Query) -> Self {
        let text = |key: &str| query.text(key).filter(|_| SELECTING.contains(&asked.verb)).unwrap_or_default();
        Selected {
            fields: FieldSelector::parse(text("fieldSelector")).unwrap_or_default(),
            labels: LabelSelector::parse(text("labelSelector")).unwrap_or_default(),
        }
    }

    /// wire: who selects one object by its name is taken to ask about that object.
    fn name(&self) -> &str {
        self.fields.exact("metadata.name").unwrap_or_default()
    }
}
