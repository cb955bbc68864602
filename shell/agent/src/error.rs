//! What an agent can fail with.

use std::path::{Path, PathBuf};

use gantry_client::ClientError;
use gantry_cri::CriError;

/// A failure of the agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A file, folder, mount or process of this machine.
    #[error("{operation} {path}: {cause}")]
    Machine {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        cause: std::io::Error,
    },
    /// A program that was started did not do its work.
    #[error("{program}: {cause}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        cause: String,
    },
    /// The container runtime.
    #[error(transparent)]
    Runtime(#[from] CriError),
    /// The API.
    #[error(transparent)]
    Api(#[from] ClientError),
    /// Something in the configuration cannot be used.
    #[error("{what}: {cause}")]
    Configuration {
        /// What.
        what: String,
        /// Why not.
        cause: String,
    },
}

impl AgentError {
    /// A failure at a path of this machine.
    pub(crate) fn at(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> AgentError {
        let path = path.to_owned();
        move |cause| AgentError::Machine { operation, path, cause }
    }
}
