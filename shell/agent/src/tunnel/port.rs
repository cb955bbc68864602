//! `/portforward`: a connection to a port of a pod, made from inside the pod's network.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use gantry_node::pod;
use http::Response;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::{Frame, Incoming};
use nix::sched::{CloneFlags, setns};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;

use super::Question;
use super::answer::{Answer, Body, Refusal};
use crate::limits::{FORWARD_CONNECT, LOG_CHUNK};
use crate::pods::Pods;

pub(super) async fn answer(pods: &Pods, question: &Question, body: Incoming) -> Result<Answer, Refusal> {
    let port = question.one("port").and_then(|text| text.parse().ok());
    let Some(port) = port.filter(|port: &u16| *port > 0) else {
        return Err(Refusal::new(400, format!("{:?} is not a port", question.one("port").unwrap_or_default())));
    };
    let network = if pod::host_network(&question.seen.pod) { None } else { Some(network(pods, question).await?) };
    let stream = connect(network, port).await.map_err(|why| Refusal::new(500, why))?;
    Ok(Response::new(join(stream, body)))
}

/// Sends a body into a connection; what comes back is the body of the answer.
pub(super) fn join(stream: tokio::net::TcpStream, body: Incoming) -> Body {
    let (from_pod, to_pod) = stream.into_split();
    tokio::spawn(feed(body, to_pod));
    let pieces = stream::try_unfold(from_pod, read);
    StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync()
}

async fn read(mut from_pod: OwnedReadHalf) -> std::io::Result<Option<(Bytes, OwnedReadHalf)>> {
    let mut piece = vec![0; LOG_CHUNK];
    let count = from_pod.read(&mut piece).await?;
    piece.truncate(count);
    Ok((count > 0).then(|| (Bytes::from(piece), from_pod)))
}

async fn feed(body: Incoming, mut to_pod: OwnedWriteHalf) {
    let mut frames = BodyStream::new(body);
    while let Some(Ok(frame)) = frames.next().await {
        let Ok(data) = frame.into_data() else { continue };
        if to_pod.write_all(&data).await.is_err() {
            return;
        }
    }
    let _ = to_pod.shutdown().await;
}

/// The network namespace of a pod.
async fn network(pods: &Pods, question: &Question) -> Result<File, Refusal> {
    let Some(sandbox) = question.seen.observed.ready_sandbox() else {
        return Err(Refusal::new(500, "unable to forward port because pod is not running"));
    };
    let status = pods.shared().runtime.cri.sandbox_status(&sandbox.id, true).await;
    let info = status.map_err(|error| Refusal::new(500, error.to_string()))?.info;
    let info: Value = info.get("info").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let namespaces = info["runtimeSpec"]["linux"]["namespaces"].as_array().cloned().unwrap_or_default();
    let named = namespaces.iter().find(|namespace| namespace["type"] == "network");
    let path = match named.and_then(|namespace| namespace["path"].as_str()) {
        Some(path) if !path.is_empty() => path.to_owned(),
        _ => format!("/proc/{}/ns/net", info["pid"]),
    };
    File::open(&path).map_err(|error| Refusal::new(500, format!("open {path}: {error}")))
}

/// Connects to a port of this host as it is seen from a network namespace. A thread enters the namespace and ends in
/// it; the connection keeps belonging to it.
async fn connect(network: Option<File>, port: u16) -> Result<tokio::net::TcpStream, String> {
    let (sender, answer) = oneshot::channel();
    let dial = move || {
        let dialled = (|| {
            if let Some(network) = &network {
                setns(network, CloneFlags::CLONE_NEWNET).map_err(std::io::Error::from)?;
            }
            let four = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
            let six = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port);
            let dialled = TcpStream::connect_timeout(&four, FORWARD_CONNECT);
            let stream =
                dialled.or_else(|error| TcpStream::connect_timeout(&six, FORWARD_CONNECT).map_err(|_| error))?;
            stream.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(stream)
        })();
        let _ = sender.send(dialled);
    };
    let refuse =
        |error: &dyn std::fmt::Display| format!("failed to connect to localhost:{port} inside namespace: {error}");
    std::thread::Builder::new().name("port-forward".to_owned()).spawn(dial).map_err(|error| refuse(&error))?;
    let stream = answer.await.map_err(|error| refuse(&error))?.map_err(|error| refuse(&error))?;
    tokio::net::TcpStream::from_std(stream).map_err(|error| refuse(&error))
}
