//! What a call to the runtime can fail with.

use tonic::Code;

/// A failed call.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CriError {
    /// The runtime cannot be reached, or went away during the call.
    #[error("{operation}: the container runtime at {socket} does not answer: {cause}")]
    Unreachable {
        /// The call.
        operation: &'static str,
        /// Where the runtime should be.
        socket: String,
        /// What happened.
        cause: String,
    },
    /// The runtime did not answer in time.
    #[error("rpc error: code = DeadlineExceeded desc = {operation}: {cause}")]
    Timeout {
        /// The call.
        operation: &'static str,
        /// What happened.
        cause: String,
    },
    /// There is no such container, sandbox or image.
    #[error("rpc error: code = NotFound desc = {cause}")]
    NotFound {
        /// The call.
        operation: &'static str,
        /// The runtime's words.
        cause: String,
    },
    /// The runtime refused or failed.
    #[error("rpc error: code = {code:?} desc = {cause}")]
    Failed {
        /// The call.
        operation: &'static str,
        /// gRPC's code.
        code: Code,
        /// The runtime's words.
        cause: String,
    },
}

impl CriError {
    pub(crate) fn new(operation: &'static str, socket: &str, status: &tonic::Status) -> Self {
        let cause = status.message().to_owned();
        match status.code() {
            Code::Unavailable => CriError::Unreachable { operation, socket: socket.to_owned(), cause },
            Code::DeadlineExceeded => CriError::Timeout { operation, cause },
            Code::Cancelled if cause.contains("imeout") => CriError::Timeout { operation, cause },
            Code::NotFound => CriError::NotFound { operation, cause },
            code => CriError::Failed { operation, code, cause },
        }
    }

    /// The runtime's words alone.
    pub fn cause(&self) -> &str {
        match self {
            CriError::Unreachable { cause, .. }
            | CriError::Timeout { cause, .. }
            | CriError::NotFound { cause, .. }
            | CriError::Failed { cause, .. } => cause,
        }
    }
    /// True where the thing does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, CriError::NotFound { .. })
    }
    /// True where the runtime is away: nothing is known about the outcome.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, CriError::Unreachable { .. })
    }
    /// True where time ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self, CriError::Timeout { .. })
    }
}
