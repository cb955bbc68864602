//! The lines to the servers: the node dials, then answers what a server asks: logs, commands, ports, connections.
//!
//! Invariants: nobody but the servers that we dialled can ask; when a line breaks it is dialled again for ever.

mod answer;
mod command;
mod dial;
mod log;
mod node;
mod port;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use gantry_client::{Backoff, Client};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::limits::TUNNEL_RETRY;
use crate::pods::{Pods, Seen};

use answer::{Answer, Refusal};

/// What both sides speak once the connection is upgraded.
const PROTOCOL: &str = "gantry-node/1";
/// How often the server is asked whether it is still there, and how long it may take.
const ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

/// Keeps a line to every server that is known, until `shutdown`: any of them may have a question.
pub(crate) async fn keep_all(client: Client, node: String, pods: Pods, shutdown: CancellationToken) {
    let mut servers = client.servers();
    let mut lines: BTreeMap<String, AbortHandle> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let known = servers.borrow_and_update().clone();
        lines.retain(|url, line| {
            let stays = known.contains(url);
            if !stays {
                line.abort();
            }
            stays
        });
        for url in known {
            let Some(client) = client.at(&url) else { continue };
            lines.entry(url).or_insert_with(|| tasks.spawn(keep(client, node.clone(), pods.clone(), shutdown.clone())));
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = servers.changed() => if changed.is_err() { return },
        }
    }
}

/// Keeps the line to one server up until `shutdown`.
async fn keep(client: Client, node: String, pods: Pods, shutdown: CancellationToken) {
    let mut backoff = Backoff::new(TUNNEL_RETRY);
    loop {
        let line = async {
            let path = format!("/gantry/v1/nodes/{node}/tunnel");
            let (_, connected) = client.upgrade(Method::GET, &path, HeaderMap::new(), PROTOCOL).await?;
            Ok::<_, gantry_client::ClientError>(connected)
        };
        let connected = tokio::select! {
            () = shutdown.cancelled() => return,
            connected = line => connected,
        };
        match connected {
            Ok(connected) => {
                let begun = Instant::now();
                let pods = pods.clone();
                let service = service_fn(move |request| answer(pods.clone(), request));
                let mut server = http2::Builder::new(TokioExecutor::new());
                server.timer(TokioTimer::new()).keep_alive_interval(ALIVE.0).keep_alive_timeout(ALIVE.1);
                let serving = server.serve_connection(TokioIo::new(connected), service);
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    ended = serving => tracing::debug!(?ended, "the line to a server has ended"),
                }
                if begun.elapsed() > TUNNEL_RETRY {
                    backoff.reset();
                }
            }
            Err(error) => tracing::debug!(%error, "no line to a server"),
        }
        backoff.pause().await;
    }
}

/// What is asked: a verb, a pod, maybe a container, and the query.
pub(crate) struct Question {
    seen: Seen,
    container: String,
    query: Vec<(String, String)>,
}

impl Question {
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
    fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.query.iter().filter(|(key, value)| key == name && !value.is_empty());
        values.next().map(|(_, value)| value.as_str())
    }
    fn flag(&self, name: &str) -> bool {
        matches!(self.one(name), Some("true" | "1"))
    }
}

async fn answer(pods: Pods, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_start_matches('/').split('/').map(answer::decode);
    let verb = parts.next().unwrap_or_default();
    let (namespace, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let container = parts.next().unwrap_or_default();
    let query = answer::query(request.uri().query().unwrap_or_default());
    if (request.method(), verb.as_str()) == (&Method::POST, "dial") {
        return Ok(dial::answer(&query, request.into_body()).await.unwrap_or_else(Response::from));
    }
    if (request.method(), verb.as_str()) == (&Method::GET, "node") {
        return Ok(node::answer(&pods, &path));
    }
    let Some(seen) = pods.find(&namespace, &name) else {
        return Ok(Refusal::new(404, format!("pod {name:?} is not on this node")).into());
    };
    let question = Question { seen, container, query };
    let answered = match (request.method(), verb.as_str()) {
        (&Method::GET, "logs") => log::answer(&pods, &question).await,
        (&Method::POST, "exec" | "attach") => command::answer(&pods, &question, &verb, request.into_body()).await,
        (&Method::POST, "portforward") => port::answer(&pods, &question, request.into_body()).await,
        _ => Err(Refusal::new(404, format!("a node does not answer {path}"))),
    };
    Ok(answered.unwrap_or_else(Response::from))
}
