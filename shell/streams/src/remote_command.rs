//! exec and attach: the server's side towards kubectl (WebSocket and SPDY), the client's side towards a runtime (SPDY).

use http::{Request, Response};

use crate::session::Session;
use crate::{Refusal, StreamError};

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

/// An accepted request whose connection is about to be upgraded.
pub struct Pending {
    _private: (),
}

/// Answers an upgrade request for exec or attach: the 101 to return to the client, and what becomes the session.
pub fn accept<B>(_request: &mut Request<B>, _streams: Streams) -> Result<(Response<()>, Pending), Refusal> {
    Err(Refusal { code: 400, message: String::new() })
}

impl Pending {
    /// The session, once the connection is upgraded and the client has opened its streams. Incoming are stdin,
    /// resize and close frames; outgoing stdout, stderr, and one status that ends it.
    pub async fn session(self) -> Result<Session, StreamError> {
        Err(StreamError::Closed)
    }
}

/// Dials the URL that a runtime gave for exec or attach (http, SPDY/3.1). Incoming are stdout, stderr, their closes
/// and the status; outgoing stdin, resize and close frames.
pub async fn dial(_url: &str, _streams: Streams) -> Result<Session, StreamError> {
    Err(StreamError::Closed)
}
