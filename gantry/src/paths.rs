//! Where things lie below the data directory.

use std::path::{Path, PathBuf};

/// Name of the key that backups are encrypted for.
pub const BACKUP_KEY: &str = "backup.key";

/// The data directory and everything in it.
#[derive(Clone, Debug)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// Paths below `root`, made absolute.
    pub fn new(root: &Path) -> std::io::Result<Self> {
        Ok(Paths { root: std::path::absolute(root)? })
    }
    /// The data directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Certificates and keys.
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }
    /// The key that backups are encrypted for, unless others are named.
    pub fn backup_key(&self) -> PathBuf {
        self.pki().join(BACKUP_KEY)
    }
    /// The store.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }
    /// What the agent keeps: containerd, pods, logs.
    pub fn agent(&self) -> PathBuf {
        self.root.join("agent")
    }
    /// Who asked for what.
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("log/audit.log")
    }
    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("admin.kubeconfig")
    }
    /// The node's kubeconfig.
    pub fn node_kubeconfig(&self) -> PathBuf {
        self.root.join("node.kubeconfig")
    }
    /// Held locked by the running process; holds its pid.
    pub fn pid(&self) -> PathBuf {
        self.root.join("gantry.pid")
    }
}
