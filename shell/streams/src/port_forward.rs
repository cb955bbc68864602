//! Forwarded ports, the server's side: SPDY, directly or inside a WebSocket.

use http::{Request, Response};

use crate::spdy::Stream;
use crate::{Refusal, StreamError};

/// An accepted request whose connection is about to be upgraded.
pub struct Pending {
    _private: (),
}

/// Answers an upgrade request for port-forward: the 101 to return to the client, and what becomes the connections.
pub fn accept<B>(_request: &mut Request<B>) -> Result<(Response<()>, Pending), Refusal> {
    Err(Refusal { code: 400, message: String::new() })
}

impl Pending {
    /// The connections, once the client's own connection is upgraded.
    pub async fn connections(self) -> Result<Connections, StreamError> {
        Err(StreamError::Closed)
    }
}

/// The connections that one client forwards.
pub struct Connections {
    _private: (),
}

impl Connections {
    /// The next connection; `None` when the client is gone.
    pub async fn next(&mut self) -> Option<Connection> {
        None
    }
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

/// Tells the client why a connection failed.
pub struct ErrorSender {
    _private: (),
}

impl ErrorSender {
    /// Sends the text; the client prints it and drops the connection.
    pub async fn send(self, _message: &str) -> Result<(), StreamError> {
        Err(StreamError::Closed)
    }
}
