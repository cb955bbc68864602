//! Remote commands over WebSocket.

use bytes::Bytes;
use serde_json::Value;

use crate::ClientError;

/// What a remote command sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecEvent {
    /// Bytes of its output.
    Stdout(Bytes),
    /// Bytes of its standard error.
    Stderr(Bytes),
    /// How it ended, a metav1.Status; the last event.
    Status(Value),
}

/// A running remote command.
pub struct ExecSession {
    /// Towards the command.
    pub writer: ExecWriter,
    /// From the command.
    pub reader: ExecReader,
}

/// Towards a remote command.
pub struct ExecWriter {
    _private: (),
}

/// From a remote command.
pub struct ExecReader {
    _private: (),
}

impl ExecWriter {
    /// Bytes for its standard input.
    pub async fn stdin(&mut self, _bytes: Bytes) -> Result<(), ClientError> {
        Ok(())
    }
    /// Ends its standard input.
    pub async fn close_stdin(&mut self) -> Result<(), ClientError> {
        Ok(())
    }
    /// The terminal has a new size.
    pub async fn resize(&mut self, _width: u16, _height: u16) -> Result<(), ClientError> {
        Ok(())
    }
}

impl ExecReader {
    /// The next event; `None` when the connection ended without a status.
    pub async fn next(&mut self) -> Result<Option<ExecEvent>, ClientError> {
        Ok(None)
    }
}

/// The exit code in the status of a remote command: 0 for success, the command's own, or `None` when it never ran.
pub fn exit_code(status: &Value) -> Option<i32> {
    if status["status"] == "Success" {
        return Some(0);
    }
    let causes = status["details"]["causes"].as_array()?;
    let cause = causes.iter().find(|cause| cause["reason"] == "ExitCode")?;
    cause["message"].as_str()?.parse().ok()
}
