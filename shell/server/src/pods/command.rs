//! `pods/exec` and `pods/attach`: the client's session and the node's, joined.

use std::sync::Arc;

use gantry_kinds::{KindRef, Status};
use gantry_streams::remote_command::{self, Streams};
use gantry_streams::{Refusal as StreamRefusal, Session, frames, session};
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::target::Target;
use crate::Refusal;
use crate::app::{App, Call};
use crate::query::{Query, encode};
use crate::respond::{self, Answer, full};

/// Answers exec and attach.
pub(crate) async fn remote_command(
    app: &Arc<App>,
    call: &Call,
    kind: KindRef,
    mut request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let target = Target::find(app, call, kind)?;
    let container = target.container(call.query.text("container"))?;
    let node = target.host()?;
    let what = call.asked.subresource.as_str();
    let streams = streams(&call.query, what, &call.asked.name)?;
    let (response, pending) = remote_command::accept(&mut request, streams).map_err(from_streams)?;
    let uri = format!("{}/{}?{}", target.path(what), encode(&container), node_query(&call.query, streams));
    let command = dial(app, node, &uri).await?;
    let gauge = app.metrics.long_running(&call.asked);
    let stop = app.stop.clone();
    tokio::spawn(async move {
        let _open = gauge;
        match pending.session().await {
            Ok(client) => tokio::select! {
                () = session::join(client, command) => {}
                () = stop.cancelled() => {}
            },
            Err(error) => tracing::debug!(%error, "a client gave up opening its streams"),
        }
    });
    Ok(response.map(|()| full(bytes::Bytes::new())))
}

/// Starts the command on the node.
async fn dial(app: &App, node: &str, uri: &str) -> Result<Session, Refusal> {
    let (answered, answer) = oneshot::channel::<Incoming>();
    let (session, body) = frames::over_http(async { answer.await.ok() });
    let body = BodyExt::map_err(body, |never| match never {}).boxed_unsync();
    let request = Request::post(uri).body(body).map_err(respond::internal)?;
    let response = app.tunnels.send(node, request).await?;
    // Whoever drops the session first has nothing to hear.
    let _ = answered.send(response.into_body());
    Ok(session)
}

fn streams(query: &Query, what: &str, pod: &str) -> Result<Streams, Refusal> {
    let tty = query.on("tty");
    let streams = Streams {
        stdin: query.on("stdin"),
        stdout: query.on("stdout"),
        // A terminal has one way out.
        stderr: query.on("stderr") && !tty,
        tty,
    };
    let wrong = if !streams.stdin && !streams.stdout && !query.on("stderr") {
        "you must specify at least 1 of stdin, stdout, stderr"
    } else if what == "exec" && query.text("command").is_none() {
        "you must specify at least one command for the container"
    } else {
        return Ok(streams);
    };
    Err(Box::new(Status::bad_request(format!("{what} in pod {pod}: {wrong}"))))
}

fn node_query(query: &Query, streams: Streams) -> String {
    let mut parts: Vec<String> = query.all("command").iter().map(|word| format!("command={}", encode(word))).collect();
    let switches =
        [("stdin", streams.stdin), ("stdout", streams.stdout), ("stderr", streams.stderr), ("tty", streams.tty)];
    parts.extend(switches.iter().filter(|(_, on)| *on).map(|(name, _)| format!("{name}=true")));
    parts.join("&")
}

/// A request that cannot be upgraded.
pub(crate) fn from_streams(refusal: StreamRefusal) -> Refusal {
    let reason = if refusal.code == 403 { "Forbidden" } else { "BadRequest" };
    Box::new(Status::new(refusal.code, reason, refusal.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_told_what_the_client_asked() {
        let query =
            Query::parse(Some("command=sh&command=-c&command=echo%20a%26b&stdout=true&stderr=true&tty=1&stdin=false"));
        let streams = streams(&query, "exec", "p").unwrap();
        assert_eq!(streams, Streams { stdin: false, stdout: true, stderr: false, tty: true });
        assert_eq!(node_query(&query, streams), "command=sh&command=-c&command=echo%20a%26b&stdout=true&tty=true");
    }

    #[test]
    fn a_command_needs_words_and_a_stream() {
        let code = |text: &str, what| streams(&Query::parse(Some(text)), what, "p").map_or_else(|s| s.code, |_| 200);
        assert_eq!(code("command=ls", "exec"), 400);
        assert_eq!(code("stdout=true", "exec"), 400);
        assert_eq!(code("stdout=true", "attach"), 200);
    }
}
