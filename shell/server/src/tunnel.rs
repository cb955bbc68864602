//! The connections that nodes dial to us, and through which we reach them: after the upgrade the roles turn, and the
//! server speaks HTTP/2 to the node as a client.
//!
//! Invariants: a tunnel belongs to the node whose certificate opened it; the newest one is used, and a few older ones
//! stay open, as a node may know this server by several addresses; whatever a node answers is either its 200 or a
//! refusal, never followed anywhere.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use gantry_kinds::Status;
use gantry_registry::User;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use serde_json::Value;

use crate::Refusal;
use crate::app::App;
use crate::limits::{NODE_ANSWER, NODE_REFUSAL_BYTES, PING_WAIT, TUNNELS_PER_NODE, UPGRADE as UPGRADE_WAIT};
use crate::query::decode;
use crate::respond::{Answer, BodyError, full, internal};

/// What the node asks to speak.
const PROTOCOL: &str = "gantry-node/1";
/// How often a node is asked whether it still lives.
const PING_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);

/// The body of a request to a node.
pub(crate) type ToNode = UnsyncBoxBody<Bytes, BodyError>;
type Sender = http2::SendRequest<ToNode>;

/// The nodes that are connected.
#[derive(Default)]
pub struct Tunnels {
    nodes: Mutex<BTreeMap<String, VecDeque<(u64, Sender)>>>,
    opened: AtomicU64,
}

impl Tunnels {
    /// Whether a node is connected.
    pub fn connected(&self, node: &str) -> bool {
        self.newest(node).is_some()
    }

    /// Sends a request to a node. Everything but 200 is a refusal: the node's own Status where it gave one.
    pub(crate) async fn send(&self, node: &str, request: Request<ToNode>) -> Result<Response<Incoming>, Refusal> {
        let response = self.ask(node, request).await?;
        if response.status() == StatusCode::OK { Ok(response) } else { Err(refusal(node, response).await) }
    }

    /// Sends a request to a node, whatever it answers.
    pub(crate) async fn ask(&self, node: &str, request: Request<ToNode>) -> Result<Response<Incoming>, Refusal> {
        let mut sender = self.newest(node).ok_or_else(|| unreachable(node, "it is not connected"))?;
        let response = tokio::time::timeout(NODE_ANSWER, sender.send_request(request)).await;
        response
            .map_err(|_| unreachable(node, "it did not answer in time"))?
            .map_err(|error| unreachable(node, &error.to_string()))
    }

    fn newest(&self, node: &str) -> Option<Sender> {
        let nodes = self.nodes.lock();
        nodes.get(node)?.iter().map(|(_, sender)| sender).rfind(|sender| !sender.is_closed()).cloned()
    }

    fn add(&self, node: &str, sender: Sender) -> u64 {
        let id = self.opened.fetch_add(1, Ordering::Relaxed);
        let mut nodes = self.nodes.lock();
        let open = nodes.entry(node.to_owned()).or_default();
        if open.len() >= TUNNELS_PER_NODE {
            // Once nobody can use it any more, it ends.
            open.pop_front();
        }
        open.push_back((id, sender));
        id
    }

    fn remove(&self, node: &str, id: u64) {
        let mut nodes = self.nodes.lock();
        if let Some(open) = nodes.get_mut(node) {
            open.retain(|(current, _)| *current != id);
            if open.is_empty() {
                nodes.remove(node);
            }
        }
    }
}

fn unreachable(node: &str, why: &str) -> Refusal {
    let text = format!("node {node:?} cannot be reached: {why}");
    let mut status = Status::new(503, "ServiceUnavailable", text);
    status.retry_after_seconds = 1;
    Box::new(status)
}

async fn refusal(node: &str, response: Response<Incoming>) -> Refusal {
    let code = response.status().as_u16();
    let body =
        tokio::time::timeout(NODE_ANSWER, Limited::new(response.into_body(), NODE_REFUSAL_BYTES).collect()).await;
    let bytes = body.ok().and_then(Result::ok).map(|collected| collected.to_bytes()).unwrap_or_default();
    let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = told["message"].as_str().unwrap_or_default();
    if message.is_empty() || code < 400 {
        return internal(format!("node {node:?} answered {code}"));
    }
    Box::new(Status::new(code, reason_of(code), message))
}

/// The reason of a code, for refusals that come from a node.
fn reason_of(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    }
}

/// The node whose tunnel a path is.
pub(crate) fn node_of(path: &str) -> Option<String> {
    let name = path.strip_prefix("/gantry/v1/nodes/")?.strip_suffix("/tunnel")?;
    (!name.is_empty() && !name.contains('/')).then(|| decode(name, false))
}

/// Answers a node that opens its tunnel.
pub(crate) fn accept(app: &Arc<App>, user: &User, node: String, request: Request<Incoming>) -> Result<Answer, Refusal> {
    if user.node() != Some(node.as_str()) {
        let text = format!("User {:?} cannot open the tunnel of node {node:?}", user.name);
        return Err(Box::new(Status::new(403, "Forbidden", text)));
    }
    let wanted = request.headers().get(UPGRADE).and_then(|v| v.to_str().ok());
    if wanted.is_none_or(|protocol| !protocol.eq_ignore_ascii_case(PROTOCOL)) {
        return Err(Box::new(Status::bad_request(format!("expected an upgrade to {PROTOCOL}"))));
    }
    let app = app.clone();
    tokio::spawn(async move {
        let upgraded = tokio::time::timeout(UPGRADE_WAIT, hyper::upgrade::on(request)).await;
        match upgraded {
            Ok(Ok(io)) => serve(&app, &node, io).await,
            _ => tracing::debug!(node, "a node gave up opening its tunnel"),
        }
    });
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok(answer)
}

async fn serve(app: &App, node: &str, io: hyper::upgrade::Upgraded) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_WAIT)
        .keep_alive_while_idle(true);
    let (sender, connection) = match builder.handshake(io).await {
        Ok(both) => both,
        Err(error) => {
            tracing::warn!(node, %error, "the tunnel of a node could not be opened");
            return;
        }
    };
    let id = app.tunnels.add(node, sender);
    tracing::info!(node, "a node is connected");
    tokio::select! {
        outcome = connection => if let Err(error) = outcome {
            tracing::debug!(node, %error, "the tunnel of a node broke");
        },
        () = app.stop.cancelled() => {}
    }
    app.tunnels.remove(node, id);
    tracing::info!(node, "a node is disconnected");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnel_paths_name_a_node() {
        assert_eq!(node_of("/gantry/v1/nodes/n1/tunnel").as_deref(), Some("n1"));
        for path in
            ["/gantry/v1/nodes//tunnel", "/gantry/v1/nodes/a/b/tunnel", "/gantry/v1/nodes/n1", "/api/v1/nodes/n1"]
        {
            assert_eq!(node_of(path), None, "{path}");
        }
    }

    #[tokio::test]
    async fn a_node_that_is_not_connected_is_a_clear_refusal() {
        let request = Request::new(full(Bytes::new()));
        let status = Tunnels::default().send("n1", request).await.unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (503, "node \"n1\" cannot be reached: it is not connected"));
    }
}
