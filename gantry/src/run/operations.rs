//! What the server answers below `/gantry/v1/`: backups, their schedule, and its own examination.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use gantry_backup::{BackupError, Content, File, Keeper, PayloadWriter, PipeWriter, Schedule, Source, pipe};
use gantry_cluster::Cluster;
use gantry_server::{Content as Body, Extension, Reply};
use http::Method;
use serde_json::{Value, json};

use super::encryption::{Encryption, key_file};
use super::storage::Storage;
use crate::cli::StoreFlags;
use crate::paths::Paths;

/// What the store's format file says, for the manifest.
const EMBEDDED_FORMAT: &str = "gantry-store";

/// Answers administrators.
pub struct Operations {
    cluster: Arc<Cluster>,
    keeper: Arc<Keeper>,
    encryption: Arc<Encryption>,
}

impl Operations {
    /// Of this server; the flags name files of its own that a new machine needs, too.
    pub fn new(
        cluster: &Arc<Cluster>,
        (storage, encryption): (&Storage, &Arc<Encryption>),
        paths: &Paths,
        flags: &StoreFlags,
    ) -> Result<Arc<Self>> {
        let files = files(paths.pki(), flags, !encryption.store().ring_keys().is_empty())?;
        let (source, format) = source(storage, &paths.store());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let keeper = Arc::new(Keeper::new(cluster.clone(), source, files, version, format));
        Ok(Arc::new(Operations { cluster: cluster.clone(), keeper, encryption: encryption.clone() }))
    }

    /// What makes the scheduled backups.
    pub fn keeper(&self) -> Arc<Keeper> {
        self.keeper.clone()
    }

    async fn backup(&self) -> Result<Reply, BackupError> {
        let content = self.keeper.content(false).await?;
        let (sender, pieces) = pipe();
        tokio::task::spawn_blocking(move || {
            let broken = sender.clone();
            if let Err(error) = stream(content, PipeWriter::new(sender)) {
                tracing::warn!(%error, "a backup broke off");
                let _ = broken.blocking_send(Err(io::Error::other(error.to_string())));
            }
        });
        Ok(Reply { code: 200, content_type: "application/octet-stream", content: Body::Pieces(pieces) })
    }

    async fn schedule(&self, method: &Method, body: &[u8]) -> Result<Reply, BackupError> {
        match *method {
            Method::PUT => match serde_json::from_slice::<Schedule>(body) {
                Ok(schedule) => self.keeper.set(&schedule).await?,
                Err(error) => return Ok(refusal(400, "BadRequest", &error.to_string())),
            },
            Method::DELETE => self.keeper.remove().await?,
            _ => {}
        }
        let found = self.keeper.schedule().await?;
        let (schedule, record) = found.map(|(s, r)| (s.redacted(), r)).unzip();
        Ok(reply(200, &json!({ "schedule": schedule, "record": record })))
    }

    async fn encryption(&self, method: &Method) -> Reply {
        let answered = match *method {
            Method::POST => self.encryption.rotate().await,
            _ => self.encryption.status().await,
        };
        answered.map_or_else(|error| refusal(500, "InternalError", &error.to_string()), |value| reply(200, &value))
    }

    fn examine(&self) -> Reply {
        let (stats, now) = (self.cluster.store().stats(), self.cluster.now());
        let report = crate::commands::doctor::examine_view(&self.cluster.view());
        let mut value = json!({
            "revision": self.cluster.view().revision().to_string(), "now": now, "shared": self.cluster.store().shared(),
            "store": {
                "sizeBytes": stats.size_bytes, "liveBytes": stats.live_bytes, "keys": stats.keys,
                "compactionFailures": stats.compaction_failures,
            },
        });
        value["violations"] = Value::from(report);
        reply(200, &value)
    }
}

#[async_trait]
impl Extension for Operations {
    async fn answer(&self, method: &Method, path: &str, body: Bytes) -> Option<Reply> {
        let answered = match (path, method) {
            ("/gantry/v1/backup", &Method::GET) => self.backup().await,
            ("/gantry/v1/backup/schedule", &Method::GET | &Method::PUT | &Method::DELETE) => {
                self.schedule(method, &body).await
            }
            ("/gantry/v1/encryption", &Method::GET) | ("/gantry/v1/encryption/rotate", &Method::POST) => {
                Ok(self.encryption(method).await)
            }
            ("/gantry/v1/doctor", &Method::GET) => Ok(self.examine()),
            _ => return None,
        };
        Some(answered.unwrap_or_else(|error| match &error {
            BackupError::Place(_) | BackupError::Key(_) => refusal(422, "Invalid", &error.to_string()),
            _ => refusal(500, "InternalError", &error.to_string()),
        }))
    }

    fn metrics(&self) -> String {
        self.keeper.metrics() + &self.encryption.metrics()
    }
}

fn stream(content: Content, pipe: PipeWriter) -> Result<(), BackupError> {
    let sending = |source| BackupError::Io { operation: "sending the backup".to_owned(), source };
    let mut payload = PayloadWriter::new(pipe, content.head()).map_err(sending)?;
    content.write(&mut payload)?;
    let (mut pipe, _) = payload.finish().map_err(sending)?;
    io::Write::flush(&mut pipe).map_err(sending)
}

/// How a store is read for a backup, and what its format is called.
pub fn source(storage: &Storage, folder: &Path) -> (Box<dyn Source>, String) {
    match storage {
        Storage::Embedded(store) => {
            let format = std::fs::read_to_string(folder.join("FORMAT")).unwrap_or_default();
            let format = format.lines().next().filter(|line| !line.is_empty()).unwrap_or(EMBEDDED_FORMAT).to_owned();
            (Box::new(store.clone()), format)
        }
        Storage::Etcd(_) => (Box::new(storage.store()), "etcd".to_owned()),
    }
}

/// Everything in the folder of keys but the key of the backups themselves, which is of no use under its own seal; and the
/// key of what is encrypted in the store, where something is: a backup without it is refused.
pub fn files(pki: PathBuf, flags: &StoreFlags, encrypted: bool) -> Result<gantry_backup::Files> {
    let encryption_key = key_file(flags)?;
    let cluster_key = flags.cluster_key_file.clone();
    Ok(Box::new(move || {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&pki)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kept = [".crt", ".key", ".pub"].iter().any(|end| name.ends_with(end));
            if kept
                && name != crate::paths::BACKUP_KEY
                && name != CLUSTER_KEY
                && name != ENCRYPTION_KEY
                && entry.file_type()?.is_file()
            {
                files.push(File { name: format!("pki/{name}"), bytes: std::fs::read(entry.path())?.into() });
            }
        }
        if let Some(key) = &cluster_key {
            files.push(File { name: format!("pki/{CLUSTER_KEY}"), bytes: std::fs::read(key)?.into() });
        }
        // What is encrypted in the store is so in a backup as well, under the backup's own seal.
        if encrypted && cluster_key.as_ref() != Some(&encryption_key) {
            let needed = |error: std::io::Error| {
                let file = encryption_key.display();
                let why =
                    format!("{file}: {error}; a backup needs the key of what is encrypted (--encryption-key-file)");
                std::io::Error::new(error.kind(), why)
            };
            let bytes = std::fs::read(&encryption_key).map_err(needed)?.into();
            files.push(File { name: format!("pki/{ENCRYPTION_KEY}"), bytes });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }))
}

/// Under which name the cluster key lies in a restored data directory.
pub const CLUSTER_KEY: &str = "cluster.key";
/// The same of the key of what is encrypted in the store.
pub const ENCRYPTION_KEY: &str = "encryption.key";

fn reply(code: u16, value: &Value) -> Reply {
    Reply { code, content_type: "application/json", content: Body::Whole(value.to_string().into()) }
}

fn refusal(code: u16, reason: &str, message: &str) -> Reply {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code,
    });
    reply(code, &status)
}
