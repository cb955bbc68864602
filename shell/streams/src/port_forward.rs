//! Forwarded ports, the server's side: SPDY, directly or inside a WebSocket.
//!
//! A client opens two streams per connection that bear the same request: one for errors, one for the bytes.

mod tunnel;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use http::{Request, Response};
use hyper::upgrade::OnUpgrade;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::limits::{ERROR_BYTES, FAREWELL, HALF_PAIRS, PAIR};
use crate::spdy::{self, Headers, Stream};
use crate::upgrade::{self, Offer};
use crate::{Refusal, StreamError};

const SPDY_PROTOCOL: &str = "portforward.k8s.io";
const TUNNEL_PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";

/// An accepted request whose connection is about to be upgraded.
pub struct Pending {
    tunnelled: bool,
    upgrade: OnUpgrade,
}

/// Answers an upgrade request for port-forward: the 101 to return to the client, and what becomes the connections.
pub fn accept<B>(request: &mut Request<B>) -> Result<(Response<()>, Pending), Refusal> {
    let (tunnelled, response) = match upgrade::offer(request.headers())? {
        Offer::Spdy { protocols } => {
            let protocol = upgrade::negotiate(&protocols, &[SPDY_PROTOCOL])?;
            (false, upgrade::switch_to_spdy(&protocol)?)
        }
        Offer::WebSocket { key, protocols } => {
            let protocol = upgrade::negotiate(&protocols, &[TUNNEL_PROTOCOL])?;
            (true, upgrade::switch_to_websocket(&key, &protocol)?)
        }
    };
    Ok((response, Pending { tunnelled, upgrade: hyper::upgrade::on(request) }))
}

impl Pending {
    /// The connections, once the client's own connection is upgraded.
    pub async fn connections(self) -> Result<Connections, StreamError> {
        let io = upgrade::upgraded(self.upgrade).await?;
        let mux = if self.tunnelled {
            spdy::Connection::server(tunnel::Tunnel::new(upgrade::websocket(io, Role::Server).await))
        } else {
            spdy::Connection::server(io)
        };
        Ok(Connections { mux, halves: BTreeMap::new() })
    }
}

/// The connections that one client forwards. Dropping it ends them all.
pub struct Connections {
    mux: spdy::Connection,
    halves: BTreeMap<String, Half>,
}

/// A connection of which one stream has arrived.
struct Half {
    port: u16,
    data: Option<Stream>,
    error: Option<Stream>,
    since: Instant,
}

/// One forwarded connection.
pub struct Connection {
    /// The pod's port.
    pub port: u16,
    /// The bytes: implements AsyncRead and AsyncWrite, shutdown closes the writing half.
    pub stream: Stream,
    /// Where an error for the user goes.
    pub error: ErrorSender,
}

impl Connections {
    /// The next connection; `None` when the client is gone. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Connection> {
        loop {
            let (headers, stream) = self.mux.accept().await?;
            if let Some(connection) = self.pair(&headers, stream) {
                return Some(connection);
            }
        }
    }

    /// Finds the other stream of the same request. Streams that make no sense are dropped, which resets them.
    fn pair(&mut self, headers: &Headers, stream: Stream) -> Option<Connection> {
        let port = headers.get("port")?.parse().ok().filter(|port| *port > 0)?;
        let kind = headers.get("streamType")?;
        // wire: clients before Kubernetes 1.2 send no request id; their error stream comes right before the other.
        let request = match (headers.get("requestID"), kind) {
            (Some(id), _) => id.to_owned(),
            (None, "error") => format!("stream {}", stream.id()),
            (None, _) => format!("stream {}", stream.id().checked_sub(2)?),
        };
        self.halves.retain(|_, half| half.since.elapsed() < PAIR);
        if !self.halves.contains_key(&request) && self.halves.len() >= HALF_PAIRS {
            return None;
        }
        let fresh = || Half { port, data: None, error: None, since: Instant::now() };
        let half = self.halves.entry(request.clone()).or_insert_with(fresh);
        match kind {
            "data" => half.data = Some(stream),
            "error" => half.error = Some(stream),
            _ => return None,
        }
        if half.port != port || half.data.is_none() || half.error.is_none() {
            return None;
        }
        let Half { data, error, .. } = self.halves.remove(&request)?;
        Some(Connection { port, stream: data?, error: ErrorSender(Some(error?)) })
    }
}

/// Tells the client why a connection failed. Dropping it says that nothing went wrong.
pub struct ErrorSender(Option<Stream>);

impl ErrorSender {
    /// Sends the text; the client prints it and drops the connection.
    pub async fn send(mut self, message: &str) -> Result<(), StreamError> {
        let Some(mut stream) = self.0.take() else { return Ok(()) };
        let length = (0..=message.len().min(ERROR_BYTES)).rev().find(|at| message.is_char_boundary(*at));
        let sending = async {
            stream.write_all(&message.as_bytes()[..length.unwrap_or(0)]).await?;
            stream.shutdown().await
        };
        let sent = tokio::time::timeout(FAREWELL, sending).await;
        let sent = sent.map_err(|_| StreamError::Timeout { operation: "tell the client about an error" })?;
        sent.map_err(|cause| StreamError::Io { operation: "tell the client about an error", cause })
    }
}

impl Drop for ErrorSender {
    fn drop(&mut self) {
        // wire: kubectl waits for the end of the error stream and takes a reset for a failure.
        let (Some(mut stream), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(async move {
            let _ = tokio::time::timeout(FAREWELL, stream.shutdown()).await;
        });
    }
}
