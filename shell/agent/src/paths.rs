//! Where the agent keeps what.

use std::path::{Path, PathBuf};

/// Paths below the agent's directory.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: &Path) -> Self {
        Paths { root: root.to_owned() }
    }
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
    pub(crate) fn containerd(&self) -> PathBuf {
        self.root.join("containerd")
    }
    pub(crate) fn socket(&self) -> PathBuf {
        self.containerd().join("containerd.sock")
    }
    pub(crate) fn containerd_pid(&self) -> PathBuf {
        self.containerd().join("containerd.pid")
    }
    pub(crate) fn cni_conf(&self) -> PathBuf {
        self.root.join("cni/net.d")
    }
    pub(crate) fn cni_state(&self) -> PathBuf {
        self.root.join("cni/state")
    }
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
    pub(crate) fn seccomp(&self) -> PathBuf {
        self.root.join("seccomp")
    }
    /// What servers have told last.
    pub(crate) fn known(&self) -> PathBuf {
        self.root.join("known")
    }
    /// The servers that were last known to live.
    pub(crate) fn servers(&self) -> PathBuf {
        self.root.join("servers.json")
    }
    /// When the node was last in touch with a server.
    pub(crate) fn contact(&self) -> PathBuf {
        self.root.join("contact")
    }
    /// The tokens that a pod was given last.
    pub(crate) fn tokens(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("tokens.json")
    }
    pub(crate) fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }
    pub(crate) fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid)
    }
    pub(crate) fn volume(&self, uid: &str, volume: &str) -> PathBuf {
        self.pod(uid).join("volumes").join(volume)
    }
    pub(crate) fn hosts(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("etc-hosts")
    }
    /// The file in which a container leaves its last message.
    pub(crate) fn message(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod(uid).join("messages").join(container).join(attempt.to_string())
    }
    /// Where a path in a volume is mounted for a container.
    pub(crate) fn sub_path(&self, uid: &str, container: &str, index: usize) -> PathBuf {
        self.pod(uid).join("sub-paths").join(container).join(index.to_string())
    }
}
