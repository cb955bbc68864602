//! What a failed call says about what happened.

use std::error::Error;
use std::path::PathBuf;

use tonic::{Code, Status};

use super::connection::NotSent;
use crate::StoreError;

/// Why a call has no answer that can be used.
#[derive(Debug)]
pub(super) enum Failure {
    /// It surely did not happen, and another member may do better.
    NotDone(String),
    /// It was sent and may have happened, or may still.
    Lost(String),
    /// etcd's quota is full: as a rule nothing happened, but the one write that crosses the line does.
    NoSpace(String),
    /// The revision that was asked for is compacted.
    Compacted,
    /// etcd looked at it and refused it; asking again changes nothing.
    Refused(String),
    /// The answer is larger than what is read.
    Oversized,
}

/// Refusals of a member that has not done anything and cannot at the moment.
const NOT_NOW: [&str; 6] = [
    "etcdserver: no leader",
    "etcdserver: not capable",
    "etcdserver: too many requests",
    "etcdserver: rpc not supported for learner",
    "etcdserver: not leader",
    "raft proposal dropped",
];

impl Failure {
    pub(super) fn of(status: &Status) -> Self {
        let message = status.message();
        if status.source().is_some_and(|source| source.is::<NotSent>()) || NOT_NOW.contains(&message) {
            return Failure::NotDone(cause(status));
        }
        if !message.starts_with("etcdserver:") {
            let oversized = status.code() == Code::OutOfRange && message.contains("message length too large");
            return if oversized { Failure::Oversized } else { Failure::Lost(cause(status)) };
        }
        match status.code() {
            Code::OutOfRange if message.contains("compacted") => Failure::Compacted,
            Code::ResourceExhausted if message.contains("space exceeded") => Failure::NoSpace(message.to_owned()),
            Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::DataLoss
            | Code::OutOfRange => Failure::Refused(message.to_owned()),
            _ => Failure::Lost(message.to_owned()),
        }
    }

    /// The error of a call that changes nothing.
    pub(super) fn of_read(self, operation: &'static str) -> StoreError {
        match self {
            Failure::NotDone(cause) | Failure::Lost(cause) => StoreError::Unavailable { operation, cause },
            Failure::NoSpace(cause) | Failure::Refused(cause) => StoreError::Io { operation, cause },
            Failure::Compacted => StoreError::Io { operation, cause: "the revision is compacted".to_owned() },
            Failure::Oversized => StoreError::Io { operation, cause: "the answer is too large".to_owned() },
        }
    }

    /// The error of a call that changes something.
    pub(super) fn of_write(self, operation: &'static str) -> StoreError {
        match self {
            Failure::NotDone(cause) => StoreError::Unavailable { operation, cause },
            Failure::Lost(cause) => StoreError::Unknown { operation, cause },
            Failure::Oversized => {
                StoreError::Unknown { operation, cause: "the answer is too large to be read".to_owned() }
            }
            Failure::Compacted => StoreError::Io { operation, cause: "the revision is compacted".to_owned() },
            Failure::NoSpace(cause) => StoreError::Unknown { operation, cause },
            Failure::Refused(cause) => StoreError::Io { operation, cause },
        }
    }
}

/// The refusal of a write for which etcd's quota has no room.
pub(super) fn full() -> StoreError {
    StoreError::Full { path: PathBuf::from("etcd (its space quota)"), available: 0 }
}

/// An error with everything that caused it, in one line.
pub(super) fn cause(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_did_not_happen_is_called_so() {
        let of = |code, message: &str| Failure::of(&Status::new(code, message)).of_write("commit");
        let unavailable = |error: StoreError| matches!(error, StoreError::Unavailable { .. });
        let unknown = |error: StoreError| matches!(error, StoreError::Unknown { .. });
        assert!(unavailable(of(Code::Unavailable, "etcdserver: no leader")));
        assert!(unavailable(of(Code::Unknown, "raft proposal dropped")));
        for lost in ["etcdserver: request timed out", "etcdserver: leader changed", "etcdserver: server stopped"] {
            assert!(unknown(of(Code::Unavailable, lost)), "{lost}");
        }
        assert!(unknown(of(Code::Unavailable, "transport is closing")));
        assert!(unknown(of(Code::DeadlineExceeded, "context deadline exceeded")));
        assert!(unknown(of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded")));
        assert!(matches!(of(Code::PermissionDenied, "etcdserver: permission denied"), StoreError::Io { .. }));
    }
}
