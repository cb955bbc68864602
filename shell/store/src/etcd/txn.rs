//! A transaction as etcd takes it, and what etcd's answer says.
//!
//! When a compare fails, etcd is to say what it found: the other branch reads every compared key.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;

use super::boundary::Boundary;
use super::message::{
    Compare, DeleteRangeRequest, MOD, PutRequest, RangeRequest, RequestOp, ResponseOp, TxnRequest, TxnResponse,
    revision,
};
use crate::limits::etcd::{REQUEST_BYTES, TXN_OPERATIONS};
use crate::{Commit, StoreError, Txn};

/// A revision that no key ever has.
const NEVER: i64 = i64::MAX;

/// Refuses what etcd would refuse for its size.
pub(super) fn encode(boundary: &Boundary, txn: &Txn) -> Result<TxnRequest, StoreError> {
    let writes = folded(&txn.writes);
    let count = writes.len().max(txn.compare.len());
    if count > TXN_OPERATIONS {
        return Err(StoreError::TooManyOperations { count, limit: TXN_OPERATIONS });
    }
    let mut request = TxnRequest::default();
    for (key, expected) in &txn.compare {
        let key = boundary.checked_key(key)?;
        let mod_revision = match expected {
            0 => 0,
            // A revision from before this etcd is that of no key in it.
            revision => boundary.inward(*revision).filter(|revision| *revision > 0).unwrap_or(NEVER),
        };
        let look = RangeRequest { key: key.clone(), keys_only: true, ..RangeRequest::default() };
        request.failure.push(RequestOp { range: Some(look), ..RequestOp::default() });
        request.compare.push(Compare { target: MOD, key, mod_revision: Some(mod_revision), ..Compare::default() });
    }
    for (key, value) in writes {
        let key = boundary.checked_key(key)?;
        request.success.push(match value {
            Some(value) => RequestOp { put: Some(PutRequest { key, value: value.clone() }), ..RequestOp::default() },
            None => RequestOp { delete: Some(DeleteRangeRequest { key }), ..RequestOp::default() },
        });
    }
    let size = request.encoded_len();
    if size > REQUEST_BYTES {
        return Err(StoreError::TooLarge { size, limit: REQUEST_BYTES });
    }
    Ok(request)
}

/// Every key once, with its last value: etcd refuses a key that is written twice.
fn folded(writes: &[(Bytes, Option<Bytes>)]) -> Vec<(&Bytes, Option<&Bytes>)> {
    let mut folded: Vec<(&Bytes, Option<&Bytes>)> = Vec::with_capacity(writes.len());
    let mut places: HashMap<&Bytes, usize> = HashMap::with_capacity(writes.len());
    for (key, value) in writes {
        let place = *places.entry(key).or_insert(folded.len());
        match folded.get_mut(place) {
            Some(earlier) => earlier.1 = value.as_ref(),
            None => folded.push((key, value.as_ref())),
        }
    }
    folded
}

/// What etcd decided.
pub(super) struct Decision {
    pub(super) commit: Commit,
    /// Whether a watch of the prefix will see an event of that revision.
    pub(super) visible: bool,
}

pub(super) fn decode(boundary: &Boundary, txn: &Txn, answer: &TxnResponse) -> Result<Decision, StoreError> {
    let newest = boundary.outward(revision(answer.header.as_ref()));
    if answer.succeeded {
        let visible = answer.responses.iter().any(changed);
        return Ok(Decision { commit: Commit::Done(newest), visible });
    }
    let found = answer.responses.iter().map(|response| {
        let entry = response.range.as_ref().and_then(|range| range.kvs.first());
        boundary.outward(entry.map_or(0, |entry| entry.mod_revision))
    });
    let different = txn.compare.iter().zip(found).find(|((_, expected), actual)| expected != actual);
    match different {
        Some(((key, _), actual)) => {
            let commit = Commit::Conflict { key: key.clone(), actual, revision: newest };
            Ok(Decision { commit, visible: false })
        }
        None => {
            let cause = "etcd says that a compare failed, and shows that none did".to_owned();
            Err(StoreError::Damaged { operation: "commit", cause })
        }
    }
}

fn changed(response: &ResponseOp) -> bool {
    response.put.is_some() || response.delete.as_ref().is_some_and(|delete| delete.deleted > 0)
}

#[cfg(test)]
mod tests {
    use super::super::message::{KeyValue, RangeResponse, ResponseHeader};
    use super::*;

    fn key(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn the_last_write_of_a_key_wins() {
        let writes =
            vec![(key("/a"), Some(key("1"))), (key("/b"), None), (key("/a"), None), (key("/b"), Some(key("2")))];
        let folded: Vec<_> = folded(&writes).into_iter().map(|(k, v)| (k.clone(), v.cloned())).collect();
        assert_eq!(folded, [(key("/a"), None), (key("/b"), Some(key("2")))]);
    }

    #[test]
    fn what_etcd_would_not_take_is_refused_with_its_bound() {
        let boundary = Boundary::new("/p");
        let write = |number: usize| (key(&format!("/{number}")), Some(key("x")));
        let txn = |count: usize| Txn { writes: (0..count).map(write).collect(), ..Txn::default() };
        assert!(encode(&boundary, &txn(TXN_OPERATIONS)).is_ok());
        let refused = encode(&boundary, &txn(TXN_OPERATIONS + 1)).unwrap_err();
        assert_eq!(refused, StoreError::TooManyOperations { count: TXN_OPERATIONS + 1, limit: TXN_OPERATIONS });
        let large = Txn { writes: vec![(key("/a"), Some(vec![0; REQUEST_BYTES].into()))], ..Txn::default() };
        assert!(matches!(encode(&boundary, &large), Err(StoreError::TooLarge { limit: REQUEST_BYTES, .. })));
    }

    #[test]
    fn a_conflict_names_the_first_key_that_differs() {
        let boundary = Boundary::new("/p");
        boundary.set_offset(100);
        let txn = Txn { compare: vec![(key("/a"), 105), (key("/b"), 0), (key("/c"), 50)], ..Txn::default() };
        let request = encode(&boundary, &txn).unwrap();
        let expected: Vec<_> = request.compare.iter().map(|c| c.mod_revision).collect();
        assert_eq!(expected, [Some(5), Some(0), Some(NEVER)]);
        let found = |revision: i64| {
            let kvs = (revision > 0).then(|| KeyValue { mod_revision: revision, ..KeyValue::default() });
            let range = RangeResponse { kvs: kvs.into_iter().collect(), ..RangeResponse::default() };
            ResponseOp { range: Some(range), ..ResponseOp::default() }
        };
        let header = Some(ResponseHeader { revision: 9, ..ResponseHeader::default() });
        let answer = TxnResponse { header, succeeded: false, responses: vec![found(5), found(7), found(8)] };
        let decision = decode(&boundary, &txn, &answer).unwrap();
        assert_eq!(decision.commit, Commit::Conflict { key: key("/b"), actual: 107, revision: 109 });
    }
}
