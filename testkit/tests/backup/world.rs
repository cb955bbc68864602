//! A cluster with a folder for its backups, and the program as a user calls it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gantry_testkit::{Alone, Output, failpoints_binary};
use serde_json::Value;
use tempfile::TempDir;

pub const ANSWER: Duration = Duration::from_secs(30);
pub const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
/// How far the revisions of a restored cluster begin above those of its backup, as documented.
pub const GAP: u64 = 1_000_000_000;

pub fn gantry(words: &[&str]) -> Output {
    let mut command = Command::new(failpoints_binary());
    let shared = words.contains(&"--store");
    if let Some(at) = words.iter().position(|word| *word == "--data-dir").filter(|_| !shared) {
        // Where the server of that data has it; servers that share a store share the cluster's key instead.
        command.env("GANTRY_ENCRYPTION_KEY_FILE", Path::new(words[at + 1]).with_file_name("encryption.key"));
    }
    let output = command.args(words).env("HOME", "/nonexistent").stdin(Stdio::null()).output().expect("gantry");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Output { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A cluster that was started, and a folder for backups.
pub struct World {
    pub server: Alone,
    pub folder: TempDir,
}

impl World {
    pub fn start() -> Self {
        let mut server = Alone::new();
        server.start("");
        World { server, folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn place(&self) -> String {
        path(&self.folder.path().join("backups"))
    }

    pub fn data(&self) -> String {
        path(self.server.data_dir())
    }

    pub fn key(&self) -> String {
        path(&self.server.data_dir().join("pki/backup.key"))
    }

    #[track_caller]
    pub fn create(&self) {
        gantry(&["backup", "create", "--data-dir", &self.data(), "--to", &self.place()]).expect_ok();
    }

    /// What `gantry backup list` says, as JSON.
    pub fn list(&self) -> Value {
        let listed = gantry(&["backup", "list", "--data-dir", &self.data(), "--from", &self.place(), "-o", "json"]);
        serde_json::from_str(&listed.out).unwrap_or_else(|error| panic!("{error}: {listed:?}"))
    }

    /// The only backup's path.
    pub fn backup(&self) -> PathBuf {
        let all: Vec<_> =
            std::fs::read_dir(self.place()).expect("backups").map(|e| e.expect("a file").path()).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }

    pub fn restore(&self, from: &str, to: &Path) -> Output {
        gantry(&["backup", "restore", "--from", from, "--key", &self.key(), "--data-dir", &path(to)])
    }
}

pub fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a revision")
}
