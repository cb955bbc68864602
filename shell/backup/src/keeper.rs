//! Scheduled backups: the schedule and its record in the store, and the loop that the leader runs.
//!
//! Invariants: the schedule lies outside the objects, so only the administrator's own path reads it; one backup is
//! made at a time; a failure is written down, told in an event and counted, and never stops the loop; nothing is
//! removed but after a backup that was made and read back.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gantry_cluster::Cluster;
use gantry_kinds::EVENT;
use gantry_registry::{Body, Operation, Options, Request, Target, User};
use gantry_store::{Commit, StoreError, Txn};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::content::{About, Content, Source};
use crate::key::Lock;
use crate::limits::LOOK_EVERY;
use crate::payload::File;
use crate::schedule::{Failure, Record, Schedule, Success};
use crate::seal::Sealer;
use crate::{BackupError, Manifest, Place};

const SCHEDULE: &str = "/gantry/backup/schedule";
const RECORD: &str = "/gantry/backup/record";
const COMPONENT: &str = "gantry-backup";

/// Reads the files that belong into a backup.
pub type Files = Box<dyn Fn() -> std::io::Result<Vec<File>> + Send + Sync>;

/// What backups of a running cluster are made of, and their schedule.
pub struct Keeper {
    cluster: Arc<Cluster>,
    source: Box<dyn Source>,
    files: Files,
    gantry_version: String,
    store_format: String,
    /// The schedule was changed here.
    changed: Notify,
    /// What this process knows of the schedule, for metrics.
    known: Mutex<Option<(Schedule, Record)>>,
}

impl Keeper {
    /// Of a cluster, and the store below it.
    pub fn new(
        cluster: Arc<Cluster>,
        source: Box<dyn Source>,
        files: Files,
        gantry_version: String,
        store_format: String,
    ) -> Self {
        let (changed, known) = (Notify::new(), Mutex::new(None));
        Keeper { cluster, source, files, gantry_version, store_format, changed, known }
    }

    /// Everything at one revision that shows what was acknowledged before the call. Errors: `Store`, `Io`, `Place`.
    pub async fn content(&self, scheduled: bool) -> Result<Content, BackupError> {
        let files = (self.files)().map_err(BackupError::io("reading the cluster's keys"))?;
        let about = About {
            now: self.cluster.now(),
            gantry_version: self.gantry_version.clone(),
            store_format: self.store_format.clone(),
            scheduled,
        };
        Content::of(&*self.source, files, about).await
    }

    /// The schedule and what became of it. Errors: `Store`, `Damaged`.
    pub async fn schedule(&self) -> Result<Option<(Schedule, Record)>, BackupError> {
        let Some((_, schedule)) = self.read(SCHEDULE).await? else { return Ok(None) };
        let record = self.read(RECORD).await?.map(|(_, record)| record);
        Ok(Some((schedule, record.unwrap_or_default())))
    }

    /// Sets the schedule; its first backup is due at once. Errors: `Place`, `Key`, `Store`.
    pub async fn set(&self, schedule: &Schedule) -> Result<(), BackupError> {
        schedule.check()?;
        self.commit(vec![], vec![(SCHEDULE, Some(json(schedule)?)), (RECORD, None)]).await?;
        self.changed.notify_one();
        Ok(())
    }

    /// Removes the schedule; the backups stay. Errors: `Store`.
    pub async fn remove(&self) -> Result<(), BackupError> {
        self.commit(vec![], vec![(SCHEDULE, None), (RECORD, None)]).await?;
        self.changed.notify_one();
        Ok(())
    }

    /// Makes scheduled backups whenever this server leads. Never returns.
    pub async fn run(&self) {
        let mut attempted: Option<Instant> = None;
        loop {
            if let Err(error) = self.look(&mut attempted).await {
                tracing::warn!(%error, "the backup schedule could not be followed");
            }
            let _ = timeout(LOOK_EVERY, self.changed.notified()).await;
        }
    }

    async fn look(&self, attempted: &mut Option<Instant>) -> Result<(), BackupError> {
        let Some((schedule_at, schedule)) = self.read::<Schedule>(SCHEDULE).await? else {
            *self.known.lock() = None;
            return Ok(());
        };
        let (record_at, mut record) = self.read::<Record>(RECORD).await?.unwrap_or_default();
        *self.known.lock() = Some((schedule.clone(), record.clone()));
        let waited = attempted.map(|at| at.elapsed());
        if !self.leads() || !schedule.is_due(&record, self.cluster.now(), waited) {
            return Ok(());
        }
        *attempted = Some(Instant::now());
        let at = self.cluster.now();
        match self.back_up(&schedule).await {
            Ok((manifest, retention)) => {
                let (name, size_bytes) = (manifest.file_name(), manifest.size_bytes());
                tracing::info!(name, size_bytes, "a scheduled backup was made");
                if let Err(why) = &retention {
                    self.tell("BackupRetentionFailed", &format!("old backups in {} stay: {why}", schedule.to)).await;
                }
                let revision = manifest.head.revision;
                record.succeeded(Success { at, name, revision, size_bytes }, retention);
            }
            Err(error) => {
                let why = error.to_string();
                tracing::warn!(why, "a scheduled backup failed");
                self.tell("BackupFailed", &format!("the scheduled backup to {} failed: {why}", schedule.to)).await;
                record.failed(Failure { at, why });
            }
        }
        *self.known.lock() = Some((schedule, record.clone()));
        // A schedule that was changed meanwhile, or another leader, has a record of its own.
        let compare = vec![(SCHEDULE, schedule_at), (RECORD, record_at)];
        self.commit(compare, vec![(RECORD, Some(json(&record)?))]).await?;
        Ok(())
    }

    fn leads(&self) -> bool {
        let now = self.cluster.leadership().borrow().clone();
        now.epoch > 0 && now.alive > 0 && now.identity == self.cluster.identity()
    }

    async fn back_up(&self, schedule: &Schedule) -> Result<(Manifest, Result<(), String>), BackupError> {
        let place = schedule.place()?;
        let lock = Lock::for_recipients(&schedule.recipients)?;
        let content = self.content(true).await?;
        let manifest = make(content, &place, lock).await?;
        let retention = remove_surplus(schedule, &place, &manifest.head.cluster_id).await;
        Ok((manifest, retention.map_err(|error| error.to_string())))
    }

    /// Writes an event about kube-system, where the cluster's own affairs are looked for.
    async fn tell(&self, reason: &str, message: &str) {
        let now = self.cluster.now();
        let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let body = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": format!("{COMPONENT}.{:x}", now.as_nanosecond()), "namespace": "default"},
            "involvedObject": {"apiVersion": "v1", "kind": "Namespace", "name": "kube-system"},
            "type": "Warning", "reason": reason, "message": message, "count": 1,
            "source": {"component": COMPONENT}, "reportingComponent": COMPONENT,
            "firstTimestamp": time, "lastTimestamp": time,
        });
        let user = User {
            name: format!("system:{COMPONENT}"),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            ..User::default()
        };
        let target =
            Target { kind: &EVENT, namespace: "default".to_owned(), name: String::new(), subresource: String::new() };
        let operation = Operation::Create(Body::from(body));
        let request = Request { user, target, operation, options: Options::default() };
        if let Err(status) = self.cluster.execute(request).await {
            tracing::debug!(%status, "an event was not written");
        }
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<(u64, T)>, BackupError> {
        let range = self.cluster.store().range(Bytes::from(key.to_owned())).await?;
        let Some(entry) = range.entries.into_iter().find(|entry| entry.key == key.as_bytes()) else { return Ok(None) };
        let value = serde_json::from_slice(&entry.value).map_err(|error| BackupError::damaged(key, error.to_string()));
        Ok(Some((entry.revision, value?)))
    }

    async fn commit(
        &self,
        compare: Vec<(&'static str, u64)>,
        writes: Vec<(&'static str, Option<Bytes>)>,
    ) -> Result<Commit, StoreError> {
        let compare = compare.into_iter().map(|(key, at)| (Bytes::from(key), at)).collect();
        let writes = writes.into_iter().map(|(key, value)| (Bytes::from(key), value)).collect();
        self.cluster.store().commit(Txn { compare, writes, durable: true }).await
    }

    /// What `/metrics` says of scheduled backups; nothing without a schedule.
    pub fn metrics(&self) -> String {
        let known = self.known.lock().clone();
        let Some((schedule, record)) = known else { return String::new() };
        let success = record.last_success.as_ref();
        let rows = [
            (
                "schedule_interval_seconds",
                "gauge",
                "Seconds from one scheduled backup to the next.",
                schedule.every_seconds,
            ),
            (
                "last_success_timestamp_seconds",
                "gauge",
                "When the last scheduled backup was begun.",
                success.map_or(0, |s| u64::try_from(s.at.as_second()).unwrap_or(0)),
            ),
            ("last_success_bytes", "gauge", "Size of the last scheduled backup.", success.map_or(0, |s| s.size_bytes)),
            ("failures_total", "counter", "Scheduled backups that failed.", record.failures),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in rows {
            let _ = writeln!(text, "# HELP gantry_backup_{name} {help}\n# TYPE gantry_backup_{name} {kind}");
            let _ = writeln!(text, "gantry_backup_{name} {value}");
        }
        text
    }
}

/// Seals content and keeps it in a place. Errors: all; then there is nothing in the place.
pub async fn make(content: Content, place: &Place, lock: Lock) -> Result<Manifest, BackupError> {
    let draft = place.draft()?;
    let file = draft.file()?;
    let sealing = tokio::task::spawn_blocking(move || {
        let mut sealer = Sealer::new(file, content.head(), &lock)?;
        content.write(sealer.payload())?;
        sealer.finish()
    });
    let sealed = sealing.await.map_err(|error| BackupError::io("sealing")(std::io::Error::other(error)))?;
    let (_, manifest) = sealed?;
    place.keep(draft, &manifest).await?;
    Ok(manifest)
}

async fn remove_surplus(schedule: &Schedule, place: &Place, cluster: &str) -> Result<(), BackupError> {
    for name in schedule.surplus(&place.list().await?, cluster) {
        place.remove(&name).await?;
    }
    Ok(())
}

fn json<T: serde::Serialize>(value: &T) -> Result<Bytes, BackupError> {
    let bytes = serde_json::to_vec(value).map_err(|error| BackupError::Place(error.to_string()))?;
    Ok(bytes.into())
}

/// How long ago something was, in seconds; 0 for what lies ahead.
pub fn age_seconds(now: Timestamp, at: Timestamp) -> u64 {
    let age: Duration = now.duration_since(at).try_into().unwrap_or_default();
    age.as_secs()
}
