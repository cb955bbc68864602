//! Writing an object again as it is, so that the store keeps it in its present way; and objects that the store cannot
//! read.

use bytes::Bytes;
use gantry_kinds::{KindRef, Status};
use gantry_store::{Commit, Txn};

use crate::election::Epoch;
use crate::follow::find_kind;
use crate::{Cluster, keys};

impl Cluster {
    /// Refuses, with 500, where objects of a kind are stored that cannot be read: nobody may take them for absent.
    pub fn readable(&self, kind: KindRef) -> Result<(), Box<Status>> {
        match self.store().unreadable(&keys::prefix(kind.home())) {
            Some(why) => Err(Box::new(Status::internal(why))),
            None => Ok(()),
        }
    }

    /// Writes what is under a key of the store again, if that is still what `revision` left there; false otherwise.
    pub async fn rewrite(&self, key: &Bytes, revision: u64, epoch: Epoch) -> Result<bool, Box<Status>> {
        let json = {
            let view = self.view();
            let named = keys::decode(key, find_kind(None));
            let found = named.and_then(|key| view.get(key.kind, &key.namespace, &key.name).cloned());
            found.filter(|object| object.header.revision == revision).map(|object| object.json().clone())
        };
        let Some(json) = json else { return Ok(false) };
        let txn = Txn {
            compare: vec![epoch.fence(), (key.clone(), revision)],
            writes: vec![(key.clone(), Some(json))],
            durable: true,
        };
        Ok(matches!(self.commit(txn, Some(epoch)).await?, Commit::Done(_)))
    }

    /// The term that this server leads in, as far as it knows.
    pub fn epoch(&self) -> Option<Epoch> {
        self.leads().then(|| Epoch::of(&self.leadership().borrow()))
    }
}
