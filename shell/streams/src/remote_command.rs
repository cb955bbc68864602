//! exec and attach: the server's side towards kubectl (WebSocket and SPDY), the client's side towards a runtime (SPDY).
//!
//! Invariants: a session's incoming frames end when the client is gone and not before; a closed standard input is a
//! frame; the status comes after all output and is the last thing that is said.

mod dial;
mod over_spdy;
mod over_websocket;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Request, Response};
use hyper::upgrade::OnUpgrade;
use serde_json::Value;

use crate::session::Session;
use crate::upgrade::{self, Offer};
use crate::{Refusal, StreamError};

pub use dial::dial;

/// Which streams a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// Bytes for the command.
    pub stdin: bool,
    /// Bytes from the command.
    pub stdout: bool,
    /// Bytes from its standard error; with a terminal there are none.
    pub stderr: bool,
    /// The command has a terminal, whose size may change.
    pub tty: bool,
}

/// How the streams of a remote command are told apart and what may be said in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V1,
    V2,
    /// Terminals may change their size.
    V3,
    /// The error stream carries a Status.
    V4,
    /// A client on a WebSocket can close its half of a stream.
    V5,
}

/// How a WebSocket carries bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Binary,
    Base64,
}

const SPDY_PROTOCOLS: [&str; 4] = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
const WEBSOCKET_PROTOCOLS: [&str; 5] =
    ["v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Spdy(Version),
    WebSocket(Version, Coding),
}

/// An accepted request whose connection is about to be upgraded.
pub struct Pending {
    carrier: Carrier,
    streams: Streams,
    upgrade: OnUpgrade,
}

/// Answers an upgrade request for exec or attach: the 101 to return to the client, and what becomes the session.
pub fn accept<B>(request: &mut Request<B>, streams: Streams) -> Result<(Response<()>, Pending), Refusal> {
    let (carrier, response) = match upgrade::offer(request.headers())? {
        Offer::Spdy { protocols } => {
            // wire: clients of Kubernetes 1.0 name no protocol and speak the first.
            let protocol = match protocols.is_empty() {
                true => String::new(),
                false => upgrade::negotiate(&protocols, &SPDY_PROTOCOLS)?,
            };
            (Carrier::Spdy(version(&protocol)), upgrade::switch_to_spdy(&protocol)?)
        }
        Offer::WebSocket { key, protocols } => {
            let protocol = match protocols.is_empty() {
                true => String::new(),
                false => upgrade::negotiate(&protocols, &WEBSOCKET_PROTOCOLS)?,
            };
            let coding = if protocol.contains("base64") { Coding::Base64 } else { Coding::Binary };
            (Carrier::WebSocket(version(&protocol), coding), upgrade::switch_to_websocket(&key, &protocol)?)
        }
    };
    Ok((response, Pending { carrier, streams, upgrade: hyper::upgrade::on(request) }))
}

fn version(protocol: &str) -> Version {
    match protocol.split('.').next() {
        Some("v5") => Version::V5,
        Some("v4") => Version::V4,
        Some("v3") => Version::V3,
        Some("v2") => Version::V2,
        _ => Version::V1,
    }
}

impl Pending {
    /// The session, once the connection is upgraded and the client has opened its streams. Incoming are stdin,
    /// resize and close frames; outgoing stdout, stderr, and one status that ends it.
    pub async fn session(self) -> Result<Session, StreamError> {
        let io = upgrade::upgraded(self.upgrade).await?;
        match self.carrier {
            Carrier::Spdy(version) => over_spdy::serve(io, version, self.streams).await,
            Carrier::WebSocket(version, coding) => Ok(over_websocket::serve(io, version, coding, self.streams).await),
        }
    }
}

/// What the error stream of a protocol before the fourth says about a Status: its text, and nothing for success.
fn plain_error(status: &[u8]) -> Bytes {
    let status: Value = serde_json::from_slice(status).unwrap_or_default();
    match status["status"].as_str() {
        Some("Success") => Bytes::new(),
        _ => Bytes::from(status["message"].as_str().unwrap_or_default().to_owned()),
    }
}
