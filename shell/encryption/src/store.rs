//! A store whose values are encrypted in the one below: every value that is written, read or watched passes here.
//!
//! Invariants: whoever reads sees plain values or none; a value that cannot be decrypted is left out, said to be
//! unreadable, and read anew once it can be; a commit that uses the ring compares the ring's revision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use gantry_store::{
    Batch, Commit, Entry, Follow, KeyChange, Part, Range, Scan, Stats, Store, StoreError, Txn, Watch, blocking,
};
use parking_lot::{Mutex, RwLock};

use crate::config::{Provider, Rule};
use crate::kms::Kms;
use crate::limits::{RECHECK, RING_ATTEMPTS, RING_KEYS};
use crate::metrics::Metrics;
use crate::ring::{RING, Ring};
use crate::sealing::SealingKey;
use crate::transform::{Transform, resource, text};

/// The store that encrypts; handles share everything.
#[derive(Clone)]
pub struct EncryptedStore {
    inner: Arc<Inner>,
}

struct Inner {
    below: Arc<dyn Store>,
    /// Opens the ring; `None` where there is none.
    sealing: Option<SealingKey>,
    transform: RwLock<Transform>,
    /// What could not be decrypted, with the reason.
    unreadable: Mutex<BTreeMap<Bytes, String>>,
    metrics: Metrics,
    /// Grows whenever rules or keys change.
    generation: AtomicU64,
}

/// How far the values are what the configuration asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Values that are encrypted.
    pub encrypted: usize,
    /// Those of them that a key of the ring other than the first one opens.
    pub by_older_keys: usize,
    /// Values that are stored in another way than they would be now, with their revisions.
    pub stale: Vec<(Bytes, u64)>,
}

impl EncryptedStore {
    /// Wraps a store. With a sealing key there is a ring, which is made where there is none. Errors: those of the
    /// store; `Encryption` where the ring does not open.
    pub async fn open(
        below: Arc<dyn Store>,
        sealing: Option<SealingKey>,
        rules: Vec<Rule>,
    ) -> Result<Self, StoreError> {
        let inner = Inner {
            below,
            sealing,
            transform: RwLock::default(),
            unreadable: Mutex::default(),
            metrics: Metrics::default(),
            generation: AtomicU64::default(),
        };
        let store = EncryptedStore { inner: Arc::new(inner) };
        for _ in 0..RING_ATTEMPTS {
            store.read_ring().await?;
            if store.inner.sealing.is_none() || store.inner.transform.read().ring.is_some() {
                store.configure(rules);
                return Ok(store);
            }
            store.write_ring(&Ring::create().map_err(failure)?, 0).await?;
        }
        Err(encryption("the ring of keys could not be made: others write it all the time".to_owned()))
    }

    /// Whether a store has a ring, so that a sealing key is needed.
    pub async fn has_ring(below: &dyn Store) -> Result<bool, StoreError> {
        Ok(!below.range(Bytes::from_static(RING)).await?.entries.is_empty())
    }

    /// Takes other rules from now on.
    pub fn configure(&self, rules: Vec<Rule>) {
        let mut transform = self.inner.transform.write();
        let wanted = rules.iter().flat_map(|rule| &rule.providers).filter_map(|provider| match provider {
            Provider::Kms(kms) => Some(kms),
            _ => None,
        });
        // A plugin that stays keeps what it has decrypted.
        let plugin = |kms: &crate::config::KmsProvider| {
            let there = transform.plugins.get(&kms.name).filter(|plugin| plugin.provider() == kms);
            (kms.name.clone(), there.cloned().unwrap_or_else(|| Arc::new(Kms::new(kms.clone()))))
        };
        transform.plugins = wanted.map(plugin).collect();
        transform.rules = Arc::new(rules);
        drop(transform);
        self.inner.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that grows whenever rules or keys change.
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Relaxed)
    }

    /// Seals the ring with another key, where `old` opens it; false where it does not.
    pub async fn reseal(below: &dyn Store, old: &SealingKey, new: &SealingKey) -> Result<bool, StoreError> {
        let found = below.range(Bytes::from_static(RING)).await?;
        let Some(entry) = found.entries.first() else { return Ok(false) };
        let Ok(ring) = Ring::open(old, &entry.value) else { return Ok(false) };
        let (key, value) = (Bytes::from_static(RING), ring.seal(new).map_err(failure)?);
        let txn = Txn { compare: vec![(key.clone(), entry.revision)], writes: vec![(key, Some(value))], durable: true };
        Ok(matches!(below.commit(txn).await?, Commit::Done(_)))
    }

    /// Names of the keys on the ring; the first one writes.
    pub fn ring_keys(&self) -> Vec<String> {
        let transform = self.inner.transform.read();
        let keys = transform.ring.as_ref().map(|(_, ring)| ring.keys().iter().map(|(name, _)| name.clone()).collect());
        keys.unwrap_or_default()
    }

    /// The plugins in use.
    pub fn plugins(&self) -> Vec<Arc<Kms>> {
        self.inner.transform.read().plugins.values().cloned().collect()
    }

    /// Puts a new key in front of the ring; everything is written with it from then on.
    pub async fn rotate(&self) -> Result<String, StoreError> {
        for _ in 0..RING_ATTEMPTS {
            self.read_ring().await?;
            let (revision, ring) = self.ring()?;
            if ring.keys().len() >= RING_KEYS {
                let why = "an earlier rotation has not finished: values are still encrypted with older keys";
                return Err(encryption(why.to_owned()));
            }
            let rotated = ring.rotated().map_err(failure)?;
            if self.write_ring(&rotated, revision).await? {
                self.read_ring().await?;
                return Ok(rotated.first().0.to_owned());
            }
        }
        Err(encryption("the ring of keys changes all the time".to_owned()))
    }

    /// Takes all keys but the first off the ring, if nothing is encrypted with them any more; true when none is left.
    pub async fn trim(&self) -> Result<bool, StoreError> {
        self.read_ring().await?;
        let (revision, ring) = self.ring()?;
        if ring.keys().len() == 1 {
            return Ok(true);
        }
        // What is written from here on compares the ring, so nothing can appear that needs an older key.
        let coverage = self.coverage().await?;
        if !coverage.stale.is_empty() || coverage.by_older_keys > 0 {
            return Ok(false);
        }
        let trimmed = self.write_ring(&ring.trimmed(), revision).await?;
        self.read_ring().await?;
        Ok(trimmed)
    }

    /// Looks at every value.
    pub async fn coverage(&self) -> Result<Coverage, StoreError> {
        let transform = self.inner.transform.read().clone();
        let scan = self.inner.below.scan(Bytes::from_static(b"/registry/")).await?;
        let work = move || {
            let mut coverage = Coverage::default();
            for part in scan.parts {
                for (_, entry) in part()? {
                    coverage.encrypted += usize::from(Transform::is_encrypted(&entry.value));
                    coverage.by_older_keys += usize::from(transform.is_by_older_key(&entry.value));
                    if transform.is_stale(&entry.key, &entry.value) {
                        coverage.stale.push((entry.key, entry.revision));
                    }
                }
            }
            Ok(coverage)
        };
        blocking(work).await
    }

    /// Counters in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let mut out = self.inner.metrics.text();
        out.push_str(&crate::kms::metrics(&self.plugins()));
        out
    }

    fn ring(&self) -> Result<(u64, Ring), StoreError> {
        let ring = self.inner.transform.read().ring.clone();
        ring.ok_or_else(|| encryption("this cluster has no keys of its own: its configuration names others".to_owned()))
    }

    /// Reads the ring as it is in the store.
    async fn read_ring(&self) -> Result<(), StoreError> {
        let found = self.inner.below.range(Bytes::from_static(RING)).await?;
        match found.entries.first() {
            Some(entry) => self.note_ring(&entry.value, entry.revision),
            None => Ok(()),
        }
    }

    fn note_ring(&self, sealed: &[u8], revision: u64) -> Result<(), StoreError> {
        let Some(sealing) = &self.inner.sealing else { return Ok(()) };
        let mut transform = self.inner.transform.write();
        if transform.ring.as_ref().is_some_and(|(known, _)| *known >= revision) {
            return Ok(());
        }
        let ring = Ring::open(sealing, sealed).map_err(failure)?;
        let mut known = (*transform.known).clone();
        known.extend(ring.keys().iter().cloned());
        transform.known = Arc::new(known);
        transform.ring = Some((revision, ring));
        drop(transform);
        self.inner.generation.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the ring was still at `revision` and is this one now.
    async fn write_ring(&self, ring: &Ring, revision: u64) -> Result<bool, StoreError> {
        let sealing = self.inner.sealing.as_ref().ok_or_else(|| encryption("there is no key file".to_owned()))?;
        let (key, value) = (Bytes::from_static(RING), ring.seal(sealing).map_err(failure)?);
        let txn = Txn { compare: vec![(key.clone(), revision)], writes: vec![(key, Some(value))], durable: true };
        Ok(matches!(self.inner.below.commit(txn).await?, Commit::Done(_)))
    }

    /// What is stored for a transaction; the revision of the ring where that was used.
    async fn encrypt(&self, txn: &mut Txn) -> Result<Option<u64>, StoreError> {
        let transform = self.inner.transform.read().clone();
        let mut by_ring = None;
        for (key, value) in &mut txn.writes {
            let Some(plain) = value.take() else { continue };
            if !transform.concerns(key) {
                *value = Some(plain);
                continue;
            }
            let started = Instant::now();
            let stored = transform.encrypt(key, plain).await;
            let (of, took) = (resource(key).unwrap_or_default(), started.elapsed());
            let prefix = stored.as_ref().map_or_else(|_| String::new(), |stored| Transform::prefix_of(&stored.value));
            self.inner.metrics.note(of, "to_storage", &prefix, stored.is_ok(), took);
            let stored = stored.map_err(|why| encryption(format!("unable to transform key {:?}: {why}", text(key))))?;
            if stored.by_ring {
                by_ring = transform.ring.as_ref().map(|(revision, _)| *revision);
            }
            *value = Some(stored.value);
        }
        Ok(by_ring)
    }
}

impl Inner {
    /// What an entry says; `None`, and a note, where it cannot be decrypted.
    fn reveal(&self, transform: &Transform, key: &Bytes, stored: Bytes) -> Option<Bytes> {
        if !Transform::is_encrypted(&stored) && !transform.concerns(key) {
            return Some(stored);
        }
        let started = Instant::now();
        let found = transform.decrypt(key, &stored);
        let of = resource(key).unwrap_or_default();
        self.metrics.note(of, "from_storage", &Transform::prefix_of(&stored), found.is_ok(), started.elapsed());
        let mut unreadable = self.unreadable.lock();
        match found {
            Ok(plain) => {
                unreadable.remove(key);
                Some(plain.unwrap_or(stored))
            }
            Err(why) => {
                let why = format!("unable to transform key {:?}: {why}", text(key));
                tracing::error!("{why}");
                unreadable.insert(key.clone(), why);
                None
            }
        }
    }

    fn reveal_all(&self, transform: &Transform, entries: Vec<(usize, Entry)>) -> Vec<(usize, Entry)> {
        let reveal = |(place, entry): (usize, Entry)| {
            let value = self.reveal(transform, &entry.key, entry.value)?;
            Some((place, Entry { value, ..entry }))
        };
        entries.into_iter().filter_map(reveal).collect()
    }

    /// Asks plugins for everything that reading below `prefix` needs; what they refuse stays unreadable.
    async fn prepare(&self, transform: &Transform, prefix: &Bytes) -> Result<(), StoreError> {
        if transform.plugins.is_empty() {
            return Ok(());
        }
        for entry in self.below.range(prefix.clone()).await?.entries {
            if let Err(why) = transform.prepare(&entry.key, &entry.value).await {
                tracing::warn!("{why}");
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Store for EncryptedStore {
    fn revision(&self) -> u64 {
        self.inner.below.revision()
    }
    async fn latest(&self) -> Result<u64, StoreError> {
        self.inner.below.latest().await
    }
    fn shared(&self) -> bool {
        self.inner.below.shared()
    }
    fn stats(&self) -> Stats {
        self.inner.below.stats()
    }
    fn compacted(&self) -> u64 {
        self.inner.below.compacted()
    }

    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        let range = self.inner.below.range(prefix.clone()).await?;
        self.read_ring().await?;
        let transform = self.inner.transform.read().clone();
        self.inner.prepare(&transform, &prefix).await?;
        let entries = self.inner.reveal_all(&transform, range.entries.into_iter().enumerate().collect());
        Ok(Range { revision: range.revision, entries: entries.into_iter().map(|(_, entry)| entry).collect() })
    }

    async fn scan(&self, prefix: Bytes) -> Result<Scan, StoreError> {
        let Scan { revision, count, parts } = self.inner.below.scan(prefix.clone()).await?;
        // Read afterwards: whatever the scan shows was written with a key that is on it, or was seen before.
        self.read_ring().await?;
        let transform = Arc::new(self.inner.transform.read().clone());
        self.inner.prepare(&transform, &prefix).await?;
        let reveal = |part: Part| {
            let (inner, transform) = (self.inner.clone(), transform.clone());
            Box::new(move || Ok(inner.reveal_all(&transform, part()?))) as Part
        };
        Ok(Scan { revision, count, parts: parts.into_iter().map(reveal).collect() })
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let concerned = {
            let transform = self.inner.transform.read();
            txn.writes.iter().any(|(key, value)| value.is_some() && transform.concerns(key))
        };
        if !concerned {
            return self.inner.below.commit(txn).await;
        }
        for _ in 0..RING_ATTEMPTS {
            let mut stored = txn.clone();
            if let Some(revision) = self.encrypt(&mut stored).await? {
                stored.compare.push((Bytes::from_static(RING), revision));
            }
            match self.inner.below.commit(stored).await? {
                Commit::Conflict { key, .. } if key == RING => self.read_ring().await?,
                done => return Ok(done),
            }
        }
        Err(encryption("the ring of keys changes all the time".to_owned()))
    }

    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        let below = self.inner.below.watch(from)?;
        Ok(Watch::new(Revealing { store: self.clone(), below, position: from, pending: None }))
    }

    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        self.inner.below.compact(revision).await
    }

    fn unreadable(&self, prefix: &[u8]) -> Option<String> {
        let unreadable = self.inner.unreadable.lock();
        let (key, why) = unreadable.range(Bytes::copy_from_slice(prefix)..).next()?;
        key.starts_with(prefix).then(|| why.clone())
    }

    async fn plugins_answer(&self) -> Option<bool> {
        let mut answer = None;
        for plugin in self.plugins() {
            let good = plugin.check().await.inspect_err(|why| tracing::warn!(plugin = plugin.name(), "{why}")).is_ok();
            answer = Some(good && answer.unwrap_or(true));
        }
        answer
    }
}

/// A place in the log below.
struct Revealing {
    store: EncryptedStore,
    below: Watch,
    position: u64,
    /// What was taken from below and not given out yet.
    pending: Option<Arc<Batch>>,
}

impl Revealing {
    async fn fetch(&mut self) -> Result<Arc<Batch>, StoreError> {
        if self.pending.is_none() {
            let batch = loop {
                let waiting = !self.store.inner.unreadable.lock().is_empty();
                if !waiting {
                    break self.below.next().await?;
                }
                match tokio::time::timeout(RECHECK, self.below.next()).await {
                    Ok(batch) => break batch?,
                    // Readers must read everything anew to see what is readable now.
                    Err(_) if self.store.readable_again().await => {
                        let at = self.position;
                        return Err(StoreError::Compacted { requested: at, compacted: at });
                    }
                    Err(_) => {}
                }
            };
            self.pending = Some(batch);
        }
        let batch = self.pending.clone().ok_or(StoreError::Closed)?;
        Ok(batch)
    }
}

impl EncryptedStore {
    /// Whether the first value that could not be decrypted can be now, or is gone.
    async fn readable_again(&self) -> bool {
        let inner = &self.inner;
        let Some(key) = inner.unreadable.lock().keys().next().cloned() else { return true };
        let Ok(found) = inner.below.range(key.clone()).await else { return false };
        let transform = inner.transform.read().clone();
        let Some(entry) = found.entries.into_iter().find(|entry| entry.key == key) else {
            inner.unreadable.lock().remove(&key);
            return true;
        };
        if transform.prepare(&key, &entry.value).await.is_err() {
            return false;
        }
        let good = transform.decrypt(&key, &entry.value).is_ok();
        if good {
            inner.unreadable.lock().remove(&key);
        }
        good
    }

    async fn reveal(&self, batch: Arc<Batch>) -> Result<Arc<Batch>, StoreError> {
        for change in batch.changes.iter().filter(|change| change.key == RING) {
            if let Some(sealed) = &change.value {
                self.note_ring(sealed, batch.revision)?;
            }
        }
        let inner = &self.inner;
        let transform = inner.transform.read().clone();
        let is_plain = |change: &KeyChange| match &change.value {
            Some(value) => !Transform::is_encrypted(value) && !transform.concerns(&change.key),
            None => inner.unreadable.lock().remove(&change.key).is_none(),
        };
        if batch.changes.iter().all(is_plain) {
            return Ok(batch);
        }
        let mut changes = Vec::with_capacity(batch.changes.len());
        for KeyChange { key, value } in batch.changes.iter().cloned() {
            let Some(stored) = value else {
                changes.push(KeyChange { key, value: None });
                continue;
            };
            let _ = transform.prepare(&key, &stored).await;
            if let Some(value) = inner.reveal(&transform, &key, stored) {
                changes.push(KeyChange { key, value: Some(value) });
            }
        }
        Ok(Arc::new(Batch { revision: batch.revision, changes }))
    }
}

#[async_trait]
impl Follow for Revealing {
    async fn next(&mut self) -> Result<Arc<Batch>, StoreError> {
        let batch = self.fetch().await?;
        let revealed = self.store.reveal(batch).await?;
        self.position = revealed.revision;
        self.pending = None;
        Ok(revealed)
    }
}

fn encryption(cause: String) -> StoreError {
    StoreError::Encryption { cause }
}

fn failure(error: crate::SealError) -> StoreError {
    encryption(error.to_string())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
