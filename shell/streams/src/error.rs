//! What can go wrong with streams, and what is answered to requests that cannot be upgraded.

/// A failure of a connection or of one of its streams.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection itself failed.
    #[error("{operation}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// Why it failed.
        #[source]
        cause: std::io::Error,
    },
    /// The peer does not follow the protocol.
    #[error("{operation}: the peer broke the protocol: {cause}")]
    Protocol {
        /// What was being done.
        operation: &'static str,
        /// What it did.
        cause: String,
    },
    /// The peer refused the upgrade.
    #[error("upgrade refused with {code}: {body}")]
    Refused {
        /// The HTTP status code.
        code: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The peer did not do in time what must come next.
    #[error("{operation}: timed out")]
    Timeout {
        /// What was waited for.
        operation: &'static str,
    },
    /// The other side of the session has gone.
    #[error("the session is closed")]
    Closed,
}

/// Why a request cannot be upgraded: the code and message of the Status to answer with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status code.
    pub code: u16,
    /// The text for the client.
    pub message: String,
}
