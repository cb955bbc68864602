//! What a backup holds, and where it comes from: a store at one revision, and the files beside it.

use std::io::{self, Read, Write};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gantry_store::{EmbeddedStore, Entry, Snapshot, Store, StoreError};
use jiff::Timestamp;

use crate::BackupError;
use crate::manifest::Head;
use crate::payload::{File, Item, PayloadReader, PayloadWriter};

/// The namespace whose uid is the cluster's identity.
const IDENTITY: &str = "/registry/core/namespaces//kube-system";

/// A store that can be read at one revision while others write.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Everything at one revision, which shows whatever was acknowledged before the call.
    async fn capture(&self) -> Result<Capture, StoreError>;
    /// The value of one key, as it is now.
    async fn value(&self, key: &str) -> Result<Option<Bytes>, StoreError>;
}

/// Everything at one revision.
pub struct Capture {
    revision: u64,
    pages: Pages,
}

enum Pages {
    Snapshot(Box<Snapshot>),
    All(std::vec::IntoIter<Entry>),
}

impl Capture {
    /// The next entries; none at the end. Blocks.
    fn next_page(&mut self) -> Result<Vec<Entry>, StoreError> {
        match &mut self.pages {
            Pages::Snapshot(snapshot) => snapshot.next_page(),
            Pages::All(entries) => Ok(entries.by_ref().take(1024).collect()),
        }
    }
}

#[async_trait]
impl Source for EmbeddedStore {
    async fn capture(&self) -> Result<Capture, StoreError> {
        let snapshot = self.snapshot();
        Ok(Capture { revision: snapshot.revision(), pages: Pages::Snapshot(Box::new(snapshot)) })
    }
    async fn value(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        value(self, key).await
    }
}

#[async_trait]
impl Source for Arc<dyn Store> {
    async fn capture(&self) -> Result<Capture, StoreError> {
        let range = self.range(Bytes::new()).await?;
        Ok(Capture { revision: range.revision, pages: Pages::All(range.entries.into_iter()) })
    }
    async fn value(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        value(&**self, key).await
    }
}

async fn value(store: &dyn Store, key: &str) -> Result<Option<Bytes>, StoreError> {
    let range = store.range(Bytes::from(key.to_owned())).await?;
    Ok(range.entries.into_iter().find(|entry| entry.key == key.as_bytes()).map(|entry| entry.value))
}

/// What is said of a backup beside what its store says.
#[derive(Clone, Debug)]
pub struct About {
    /// When it is begun.
    pub now: Timestamp,
    /// The version of gantry.
    pub gantry_version: String,
    /// The format of the store.
    pub store_format: String,
    /// Whether the schedule asks for it.
    pub scheduled: bool,
}

/// All that one backup holds.
pub struct Content {
    head: Head,
    files: Vec<File>,
    capture: Capture,
}

impl Content {
    /// Reads a store, and takes the files beside it. Errors: `Store`; `Place` when the store holds no cluster.
    pub async fn of(source: &dyn Source, files: Vec<File>, about: About) -> Result<Self, BackupError> {
        let capture = source.capture().await?;
        let identity = source.value(IDENTITY).await?;
        let identity = identity.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
        let cluster_id = identity.as_ref().and_then(|namespace| namespace["metadata"]["uid"].as_str());
        let cluster_id = cluster_id.ok_or_else(|| BackupError::Place("the store holds no cluster yet".to_owned()))?;
        let About { now: created, gantry_version, store_format, scheduled } = about;
        let (cluster_id, revision) = (cluster_id.to_owned(), capture.revision);
        let head = Head { cluster_id, created, revision, gantry_version, store_format, scheduled };
        Ok(Content { head, files, capture })
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Writes files and keys. Blocks. Errors: `Store`, `Io`.
    pub fn write<W: Write>(mut self, payload: &mut PayloadWriter<W>) -> Result<(), BackupError> {
        let writing = || BackupError::io("writing the backup");
        for file in &self.files {
            payload.file(file).map_err(writing())?;
        }
        loop {
            let page = self.capture.next_page()?;
            if page.is_empty() {
                return Ok(());
            }
            for entry in page {
                payload.entry(&entry.key, &entry.value).map_err(writing())?;
            }
        }
    }
}

/// Copies a stream from elsewhere, and checks it while it goes. Blocks.
pub fn copy<R: Read, W: Write>(from: &mut PayloadReader<R>, to: &mut PayloadWriter<W>) -> io::Result<()> {
    while let Some(item) = from.next_item()? {
        match item {
            Item::File(file) => to.file(&file)?,
            Item::Entry(key, value) => to.entry(&key, &value)?,
        }
    }
    Ok(())
}
