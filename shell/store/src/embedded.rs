//! The store on the disk of this machine.

use std::path::Path;

use async_trait::async_trait;

use crate::watch::Watch;
use crate::{Commit, Range, Store, StoreError, Txn};

/// A handle on the embedded store; the directory is released with the last one.
#[derive(Clone)]
pub struct EmbeddedStore {}

impl EmbeddedStore {
    /// Opens the directory, creating it if it is not there. Blocks: call it before or outside async code.
    pub fn open(_directory: &Path) -> Result<Self, StoreError> {
        Err(StoreError::Closed)
    }

    /// Stops taking commits, waits for those under way and marks the directory as cleanly closed.
    pub async fn close(&self) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn revision(&self) -> u64 {
        0
    }
    fn compacted(&self) -> u64 {
        0
    }
    async fn range(&self, _prefix: bytes::Bytes) -> Result<Range, StoreError> {
        Err(StoreError::Closed)
    }
    async fn commit(&self, _txn: Txn) -> Result<Commit, StoreError> {
        Err(StoreError::Closed)
    }
    fn watch(&self, _from: u64) -> Result<Watch, StoreError> {
        Err(StoreError::Closed)
    }
    async fn compact(&self, _revision: u64) -> Result<bool, StoreError> {
        Err(StoreError::Closed)
    }
}
