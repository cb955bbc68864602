//! Encryption at rest: the key file, the configuration, and the rewriting of what is stored in another way than it
//! should be.
//!
//! Invariants: a store whose keys cannot be opened is not used; no key file is made for a store that has keys already;
//! only the leader rewrites, and every step can be interrupted: whoever leads next looks again at what is left.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gantry_cluster::Cluster;
use gantry_encryption::{EncryptedStore, Rule, SealingKey, parse, secrets_by_ring, secrets_in_the_clear};
use gantry_store::{EmbeddedStore, StoreError};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::operations::{CLUSTER_KEY, ENCRYPTION_KEY};
use super::storage::Storage;
use crate::cli::{EncryptionFlags, ServerFlags, StoreChoice, StoreFlags};
use crate::paths::Paths;
use crate::pki::{read_if_there, write_private};

/// How often the loop looks whether there is something to do.
const TICK: Duration = Duration::from_secs(1);
/// How long until what could not be finished, or a plugin's key, is looked at again.
const AGAIN: Duration = Duration::from_secs(30);

/// The encrypted store with what keeps it as it should be.
pub struct Encryption {
    store: EncryptedStore,
    embedded: Option<EmbeddedStore>,
    flags: EncryptionFlags,
    by_default: bool,
    reloads: [AtomicU64; 2],
}

impl Encryption {
    /// Opens what is encrypted in `storage`.
    pub async fn open(storage: &Storage, paths: &Paths, flags: &ServerFlags, by_default: bool) -> Result<Arc<Self>> {
        let below = storage.store();
        let has_ring = EncryptedStore::has_ring(&*below).await.context("reading the store")?;
        let file = key_file(&flags.store)?;
        let sealing = match () {
            () if has_ring => Some(found_key(storage, paths, &file).await?),
            () if by_default => Some(first_key(&file)?),
            () => None,
        };
        let flags = flags.encryption.clone();
        let rules = rules(&flags, by_default)?;
        let store = EncryptedStore::open(below, sealing, rules).await;
        let store = store.with_context(|| format!("opening the cluster's encryption keys with {}", file.display()))?;
        let embedded = match storage {
            Storage::Embedded(store) => Some(store.clone()),
            Storage::Etcd(_) => None,
        };
        Ok(Arc::new(Encryption { store, embedded, flags, by_default, reloads: Default::default() }))
    }

    /// The store, for everybody.
    pub fn store(&self) -> &EncryptedStore {
        &self.store
    }

    /// How far things are.
    pub async fn status(&self) -> Result<Value, StoreError> {
        let coverage = self.store.coverage().await?;
        Ok(json!({
            "keys": self.store.ring_keys(), "encrypted": coverage.encrypted, "stale": coverage.stale.len(),
            "plugins": self.store.plugins().iter().map(|plugin| plugin.name().to_owned()).collect::<Vec<_>>(),
        }))
    }

    /// A new key.
    pub async fn rotate(&self) -> Result<Value, StoreError> {
        let key = self.store.rotate().await?;
        Ok(json!({ "key": key }))
    }

    /// Counters in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let name = "apiserver_encryption_config_controller_automatic_reloads_total";
        let mut out = self.store.metrics();
        out += &format!("# HELP {name} [ALPHA] Times the configuration was read anew.\n# TYPE {name} counter\n");
        for (status, count) in ["success", "failure"].iter().zip(&self.reloads) {
            out += &format!("{name}{{status={status:?}}} {}\n", count.load(Ordering::Relaxed));
        }
        out
    }

    /// Reloads the configuration, and rewrites while this server leads, for ever.
    pub async fn keep(self: Arc<Self>, cluster: Arc<Cluster>) {
        let mut text = self.flags.encryption_provider_config.as_deref().and_then(|file| std::fs::read(file).ok());
        let mut seen = None;
        let mut next = Instant::now();
        loop {
            tokio::time::sleep(TICK).await;
            self.reload(&mut text);
            let Some(epoch) = cluster.epoch() else {
                seen = None;
                continue;
            };
            let now = Some((epoch, self.store.generation()));
            if seen == now && Instant::now() < next {
                continue;
            }
            seen = now;
            let done = match self.rewrite(&cluster).await {
                Ok(done) => done,
                Err(error) => {
                    tracing::warn!(%error, "encrypting what is stored; it is tried again");
                    false
                }
            };
            let idle = done && self.store.plugins().is_empty();
            next = Instant::now() + if idle { AGAIN * 120 } else { AGAIN };
        }
    }

    /// One pass over everything; true when nothing is left to do.
    async fn rewrite(&self, cluster: &Arc<Cluster>) -> Result<bool, StoreError> {
        let mut written = 0_usize;
        let left = loop {
            let stale = self.store.coverage().await?.stale;
            let mut moved = 0_usize;
            for (key, revision) in &stale {
                let Some(epoch) = cluster.epoch() else { return Ok(false) };
                match cluster.rewrite(key, *revision, epoch).await {
                    Ok(rewritten) => moved += usize::from(rewritten),
                    Err(status) => tracing::warn!(%status, "an object could not be encrypted anew"),
                }
            }
            written += moved;
            if stale.is_empty() || moved == 0 {
                break stale.len();
            }
        };
        let trimmed = self.store.ring_keys().len() <= 1 || self.store.trim().await?;
        if written > 0 {
            tracing::info!(written, left, "objects were encrypted anew");
            self.forget_the_past().await?;
        }
        Ok(trimmed && left == 0)
    }

    /// Removes from the log on disk what objects were before.
    async fn forget_the_past(&self) -> Result<(), StoreError> {
        let Some(store) = &self.embedded else { return Ok(()) };
        use gantry_store::Store;
        while store.compact(store.revision()).await? {}
        store.defragment().await
    }

    fn reload(&self, text: &mut Option<Vec<u8>>) {
        let Some(file) = &self.flags.encryption_provider_config else { return };
        if !self.flags.encryption_provider_config_automatic_reload {
            return;
        }
        let Ok(now) = std::fs::read(file) else { return };
        if text.as_ref() == Some(&now) {
            return;
        }
        *text = Some(now);
        match rules(&self.flags, self.by_default) {
            Ok(rules) => {
                self.store.configure(rules);
                self.reloads[0].fetch_add(1, Ordering::Relaxed);
                tracing::info!(file = %file.display(), "the encryption configuration was read anew");
            }
            Err(error) => {
                self.reloads[1].fetch_add(1, Ordering::Relaxed);
                tracing::error!("{error:#}; the encryption configuration stays as it was");
            }
        }
    }
}

/// What the configuration says, then what holds for Secrets where it says nothing.
fn rules(flags: &EncryptionFlags, by_default: bool) -> Result<Vec<Rule>> {
    let mut rules = match &flags.encryption_provider_config {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            parse(&text).map_err(anyhow::Error::msg).with_context(|| {
                format!("error while parsing file: {} is not a valid encryption configuration", file.display())
            })?
        }
        None => Vec::new(),
    };
    rules.push(if by_default { secrets_by_ring() } else { secrets_in_the_clear() });
    Ok(rules)
}

/// Where the key file is: as told, the cluster key where servers share a store, or beside the system's configuration.
pub fn key_file(flags: &StoreFlags) -> Result<PathBuf> {
    if let Some(file) = &flags.encryption_key_file {
        return Ok(file.clone());
    }
    if let (StoreChoice::Etcd(_), Some(file)) = (&flags.store, &flags.cluster_key_file) {
        return Ok(file.clone());
    }
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/etc/gantry").join(ENCRYPTION_KEY));
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    let folder =
        folder.context("there is no home directory for the encryption key: name one with --encryption-key-file")?;
    Ok(folder.join("gantry").join(ENCRYPTION_KEY))
}

/// The key for a store that has no keys yet.
fn first_key(file: &Path) -> Result<SealingKey> {
    if let Some(key) = read_key(file)? {
        return Ok(key);
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    write_private(file, &SealingKey::create()?)?;
    println!("  made the encryption key {}: keep a copy, Secrets cannot be read without it", file.display());
    read_key(file)?.with_context(|| format!("reading {}", file.display()))
}

/// The key for a store that has keys. One that came out of a backup gives way to the one of this machine.
async fn found_key(storage: &Storage, paths: &Paths, file: &Path) -> Result<SealingKey> {
    let restored = [ENCRYPTION_KEY, CLUSTER_KEY].map(|name| paths.pki().join(name));
    for copy in restored.iter().filter(|copy| *copy != file) {
        let Some(key) = read_key(copy)? else { continue };
        if EncryptedStore::reseal(&*storage.store(), &key, &first_key(file)?).await.context("reading the store")? {
            tracing::info!(file = %file.display(), "the encryption keys of the backup are opened by this file now");
        }
        if copy.ends_with(ENCRYPTION_KEY) {
            std::fs::remove_file(copy).with_context(|| format!("removing {}", copy.display()))?;
        }
    }
    match read_key(file)? {
        Some(key) => Ok(key),
        None => bail!(
            "{} is not there, and what this cluster has encrypted cannot be read without it: put back the copy of that \
             file, name it with --encryption-key-file, or restore a backup, which holds it",
            file.display()
        ),
    }
}

fn read_key(file: &Path) -> Result<Option<SealingKey>> {
    let Some(text) = read_if_there(file)? else { return Ok(None) };
    SealingKey::read(&text).map(Some).with_context(|| format!("reading {}", file.display()))
}
