//! `pods/portforward`: each connection of the client is one request to the node, whose bodies are its two directions.

use std::sync::Arc;

use gantry_kinds::{KindRef, Status};
use gantry_streams::port_forward::{self, Connection};
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Semaphore;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::command::from_streams;
use super::target::Target;
use crate::Refusal;
use crate::app::{App, Call};
use crate::limits::FORWARDED;
use crate::respond::{self, Answer, BodyError, full};
use crate::tunnel::ToNode;

type Stream = gantry_streams::spdy::Stream;

/// Answers port-forward.
pub(crate) async fn port_forward(
    app: &Arc<App>,
    call: &Call,
    kind: KindRef,
    mut request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    for port in call.query.all("ports") {
        if port.parse::<u16>().is_err() {
            let text = format!("cannot convert to []int32: strconv.ParseUint: parsing {port:?}: invalid syntax");
            return Err(Box::new(Status::bad_request(text)));
        }
    }
    let target = Target::find(app, call, kind)?;
    let node = target.host()?.to_owned();
    if !app.tunnels.connected(&node) {
        let text = format!("node {node:?} cannot be reached: it is not connected");
        return Err(Box::new(Status::new(503, "ServiceUnavailable", text)));
    }
    let (response, pending) = port_forward::accept(&mut request).map_err(from_streams)?;
    let gauge = app.metrics.long_running(&call.asked);
    let app = app.clone();
    tokio::spawn(async move {
        let _open = gauge;
        let mut connections = match pending.connections().await {
            Ok(connections) => connections,
            Err(error) => return tracing::debug!(%error, "a client gave up forwarding ports"),
        };
        // Everything ends with the client's own connection.
        let done = CancellationToken::new();
        let _guard = done.clone().drop_guard();
        let room = Arc::new(Semaphore::new(FORWARDED));
        let path = target.path("portforward");
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let connection = tokio::select! {
                connection = connections.next() => connection,
                () = app.stop.cancelled() => None,
            };
            let Some(connection) = connection else { return };
            let (app, node, path, done) = (app.clone(), node.clone(), path.clone(), done.clone());
            tokio::spawn(async move {
                let _permit = permit;
                tokio::select! {
                    () = forward(&app, &node, &path, connection) => {}
                    () = done.cancelled() => {}
                }
            });
        }
    });
    Ok(response.map(|()| full(bytes::Bytes::new())))
}

/// Carries one connection until both directions are done.
async fn forward(app: &App, node: &str, path: &str, connection: Connection) {
    let Connection { port, stream, error } = connection;
    let (from_client, to_client) = tokio::io::split(stream);
    let outcome = match send(app, node, &format!("{path}?port={port}"), from_client).await {
        Ok(body) => copy_back(body, to_client).await,
        Err(status) => Err(status.message),
    };
    if let Err(why) = outcome {
        // The client may be gone already.
        let _ = error.send(&format!("error forwarding port {port} to pod: {why}")).await;
    }
}

async fn send(app: &App, node: &str, uri: &str, from_client: ReadHalf<Stream>) -> Result<Incoming, Refusal> {
    let frames = futures_util::StreamExt::map(ReaderStream::new(from_client), |piece| {
        piece.map(Frame::data).map_err(BodyError::from)
    });
    let body: ToNode = StreamBody::new(frames).boxed_unsync();
    let request = Request::post(uri).body(body).map_err(respond::internal)?;
    Ok(app.tunnels.send(node, request).await?.into_body())
}

async fn copy_back(mut body: Incoming, mut to_client: WriteHalf<Stream>) -> Result<(), String> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        if let Ok(bytes) = frame.into_data() {
            to_client.write_all(&bytes).await.map_err(|error| error.to_string())?;
        }
    }
    to_client.shutdown().await.map_err(|error| error.to_string())
}
