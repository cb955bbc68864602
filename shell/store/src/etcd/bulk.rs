//! What is done to the store as a whole: filling an empty one, and giving space back.

use bytes::Bytes;
use prost::Message;

use super::EtcdStore;
use super::boundary::OFFSET;
use super::failure::Failure;
use super::message::{
    CREATE, Compare, DefragmentRequest, DefragmentResponse, PutRequest, RequestOp, TxnRequest, TxnResponse, revision,
};
use crate::StoreError;
use crate::limits::etcd::{COMMIT_DEADLINE, DEFRAGMENT_DEADLINE, LOAD_BYTES, REQUEST_BYTES, TXN_OPERATIONS};

impl EtcdStore {
    /// Makes every revision from now on larger than `floor`; only where nothing is stored yet. Errors: `NotEmpty`;
    /// `Unknown` when no answer came, after which it can be tried again on a new handle.
    pub async fn set_revision_floor(&self, floor: u64) -> Result<(), StoreError> {
        let shared = &self.shared;
        let newest = self.newest_inward("set the revision floor").await?;
        let offset = floor.saturating_sub(u64::try_from(newest).unwrap_or(0));
        let (start, end) = shared.boundary.range(b"");
        let request = TxnRequest {
            compare: vec![absent(start, end)],
            success: vec![put(shared.boundary.key(OFFSET), Bytes::from(offset.to_string()))],
            failure: Vec::new(),
        };
        let answer = self.bulk("set the revision floor", &request).await?;
        shared.boundary.set_offset(offset);
        shared.note_compacted(offset);
        shared.note(shared.boundary.outward(answer));
        Ok(())
    }

    /// Writes entries where nothing is stored yet, in several steps; keys of the back end itself are left out.
    /// Returns the revision of the last step. Errors: `NotEmpty`, also when somebody else writes meanwhile. After
    /// any error a part may have been written, and the prefix has to be emptied before another attempt.
    pub async fn load(
        &self,
        entries: impl IntoIterator<Item = (Bytes, Bytes), IntoIter: Send> + Send,
    ) -> Result<u64, StoreError> {
        let boundary = &self.shared.boundary;
        let (start, end) = boundary.range(b"");
        let (offset, after_offset) = (boundary.key(OFFSET), [&*boundary.key(OFFSET), &[0]].concat());
        // Nothing is there but, perhaps, the offset.
        let compare = vec![absent(start, offset), absent(after_offset, end)];
        let mut step = TxnRequest { compare, ..TxnRequest::default() };
        let mut last = 0;
        let mut size = 0;
        for (key, value) in entries {
            let Ok(full) = boundary.checked_key(&key) else { continue };
            let more = key.len() + value.len();
            if step.compare.len() >= TXN_OPERATIONS || (size + more > LOAD_BYTES && !step.success.is_empty()) {
                last = self.bulk("load", &std::mem::take(&mut step)).await?;
                size = 0;
            }
            step.compare.push(absent(full.clone(), Vec::new()));
            step.success.push(put(full, value));
            size += more;
            if step.encoded_len() > REQUEST_BYTES {
                return Err(StoreError::TooLarge { size: step.encoded_len(), limit: REQUEST_BYTES });
            }
        }
        if !step.compare.is_empty() || last == 0 {
            last = self.bulk("load", &step).await?;
        }
        let last = boundary.outward(last);
        self.shared.note(last);
        Ok(last)
    }

    /// Gives the space of what was compacted back to the file system, on one member after the other. A member
    /// answers nothing else while it does. Returns how many did it.
    pub async fn defragment(&self) -> Result<usize, StoreError> {
        let connections = self.shared.members.each().await;
        for connection in &connections {
            let path = "/etcdserverpb.Maintenance/Defragment";
            let done = connection.call::<_, DefragmentResponse>(path, DefragmentRequest {}, DEFRAGMENT_DEADLINE).await;
            done.map_err(|failure| failure.of_write("defragment"))?;
        }
        Ok(connections.len())
    }

    /// A transaction that only happens where nothing is stored; its revision of etcd's.
    async fn bulk(&self, operation: &'static str, request: &TxnRequest) -> Result<i64, StoreError> {
        let answer: Result<TxnResponse, _> = self.shared.members.write(super::TXN, request, COMMIT_DEADLINE).await;
        match answer {
            Ok(answer) if answer.succeeded => Ok(revision(answer.header.as_ref())),
            Ok(_) => Err(StoreError::NotEmpty { operation, place: self.shared.prefix.clone() }),
            Err(Failure::NoSpace(_)) => Err(super::failure::full()),
            Err(failure) => Err(failure.of_write(operation)),
        }
    }
}

/// That no key is there, or none of a range.
fn absent(key: Vec<u8>, range_end: Vec<u8>) -> Compare {
    Compare { target: CREATE, key, range_end, create_revision: Some(0), ..Compare::default() }
}

fn put(key: Vec<u8>, value: Bytes) -> RequestOp {
    RequestOp { put: Some(PutRequest { key, value }), ..RequestOp::default() }
}
