//! What a request can fail with.

use serde_json::Value;

/// The server's refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The HTTP status code.
    pub code: u16,
    /// The Status that the server sent, or one made of what it sent instead.
    pub status: Value,
}

impl Refused {
    /// The machine-readable reason, such as `NotFound`.
    pub fn reason(&self) -> &str {
        self.status["reason"].as_str().unwrap_or_default()
    }
    /// The text for people.
    pub fn message(&self) -> &str {
        self.status["message"].as_str().unwrap_or_default()
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.message() {
            "" => write!(f, "the server answered with {}", self.code),
            message => f.write_str(message),
        }
    }
}

/// Every failure of the client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server understood and refused.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// No connection to the server.
    #[error("connect to {server}: {cause}")]
    Connect {
        /// The server's address.
        server: String,
        /// Why not.
        cause: String,
    },
    /// The connection failed while the request was under way; it may or may not have been done.
    #[error("{operation}: {cause}")]
    Interrupted {
        /// Method and path.
        operation: String,
        /// What happened.
        cause: String,
    },
    /// The server took too long.
    #[error("{operation}: no answer within {seconds} s")]
    Timeout {
        /// Method and path.
        operation: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The answer is not what was asked for.
    #[error("{operation}: unexpected answer: {cause}")]
    Unexpected {
        /// Method and path.
        operation: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Kubeconfig, certificates or keys cannot be used.
    #[error("{what}: {cause}")]
    Configuration {
        /// Which file or field.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl ClientError {
    /// The refusal, when the server refused.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            ClientError::Refused(refused) => Some(refused),
            _ => None,
        }
    }
    /// The HTTP status code, when the server refused; 0 otherwise.
    pub fn code(&self) -> u16 {
        self.refused().map_or(0, |refused| refused.code)
    }
    /// True for 404.
    pub fn is_not_found(&self) -> bool {
        self.code() == 404
    }
    /// True for 409.
    pub fn is_conflict(&self) -> bool {
        self.code() == 409
    }
    /// True when the same request may succeed later: no connection, no answer, or the server is overloaded.
    pub fn is_transient(&self) -> bool {
        match self {
            ClientError::Refused(refused) => matches!(refused.code, 429 | 500 | 502 | 503 | 504),
            ClientError::Connect { .. } | ClientError::Interrupted { .. } | ClientError::Timeout { .. } => true,
            ClientError::Unexpected { .. } | ClientError::Configuration { .. } => false,
        }
    }
}
