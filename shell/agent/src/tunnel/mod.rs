//! The line to the server: the node dials, then answers what the server asks: logs, commands, ports.
//!
//! Invariants: nobody but the server that we dialled can ask; when the line breaks it is dialled again for ever.

mod answer;
mod command;
mod log;
mod port;

use std::convert::Infallible;
use std::time::Duration;

use gantry_client::Client;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;

use crate::limits::API_RETRY;
use crate::pods::{Pods, Seen};

use answer::{Answer, Refusal};

/// What both sides speak once the connection is upgraded.
const PROTOCOL: &str = "gantry-node/1";
/// How often the server is asked whether it is still there, and how long it may take.
const ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(10));

/// Keeps the line up until `shutdown`.
pub(crate) async fn keep(client: Client, node: String, pods: Pods, shutdown: CancellationToken) {
    let mut wait = API_RETRY.0;
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
                wait = API_RETRY.0;
                let pods = pods.clone();
                let service = service_fn(move |request| answer(pods.clone(), request));
                let mut server = http2::Builder::new(TokioExecutor::new());
                server.timer(TokioTimer::new()).keep_alive_interval(ALIVE.0).keep_alive_timeout(ALIVE.1);
                let serving = server.serve_connection(TokioIo::new(connected), service);
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    ended = serving => tracing::debug!(?ended, "the line to the server has ended"),
                }
            }
            Err(error) => tracing::debug!(%error, "no line to the server"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(API_RETRY.1);
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
    let Some(seen) = pods.find(&namespace, &name) else {
        return Ok(Refusal::new(404, format!("pod {name:?} is not on this node")).into());
    };
    let query = answer::query(request.uri().query().unwrap_or_default());
    let question = Question { seen, container, query };
    let answered = match (request.method(), verb.as_str()) {
        (&Method::GET, "logs") => log::answer(&pods, &question).await,
        (&Method::POST, "exec" | "attach") => command::answer(&pods, &question, &verb, request.into_body()).await,
        (&Method::POST, "portforward") => port::answer(&pods, &question, request.into_body()).await,
        _ => Err(Refusal::new(404, format!("a node does not answer {path}"))),
    };
    Ok(answered.unwrap_or_else(Response::from))
}
