//! The store that encrypts, over one in memory.

use gantry_store::MemoryStore;

use super::*;
use crate::*;

const KEY: &[u8] = b"/registry/core/secrets/default/a";
const OTHER: &[u8] = b"/registry/core/configmaps/default/a";

fn sealing() -> SealingKey {
    SealingKey::read("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap()
}

async fn open(below: &Arc<MemoryStore>, rules: Vec<Rule>) -> EncryptedStore {
    EncryptedStore::open(below.clone(), Some(sealing()), rules).await.unwrap()
}

async fn put(store: &dyn Store, key: &'static [u8], value: &'static [u8]) -> Commit {
    let writes = vec![(Bytes::from_static(key), Some(Bytes::from_static(value)))];
    store.commit(Txn { writes, durable: true, ..Txn::default() }).await.unwrap()
}

async fn get(store: &dyn Store, key: &'static [u8]) -> Option<Bytes> {
    store.range(Bytes::from_static(key)).await.unwrap().entries.pop().map(|entry| entry.value)
}

/// Writes everything anew that is stored in another way than it should be.
async fn rewrite(store: &EncryptedStore) {
    for (key, revision) in store.coverage().await.unwrap().stale {
        let value = store.range(key.clone()).await.unwrap().entries.pop().map(|entry| entry.value);
        let txn = Txn { compare: vec![(key.clone(), revision)], writes: vec![(key, value)], durable: true };
        assert!(matches!(store.commit(txn).await.unwrap(), Commit::Done(_)));
    }
}

#[tokio::test]
async fn secrets_are_encrypted_below_and_plain_above() {
    let below = Arc::new(MemoryStore::new());
    let store = open(&below, vec![secrets_by_ring()]).await;
    let mut watch = store.watch(store.revision()).unwrap();
    put(&store, KEY, b"{\"a\":1}").await;
    put(&store, OTHER, b"{\"b\":1}").await;
    assert_eq!(watch.next().await.unwrap().changes[0].value.as_deref(), Some(&b"{\"a\":1}"[..]));
    assert_eq!(get(&store, KEY).await.as_deref(), Some(&b"{\"a\":1}"[..]));
    let stored = get(&*below, KEY).await.unwrap();
    assert!(stored.starts_with(b"k8s:enc:aesgcm:v1:gantry-"), "{stored:?}");
    assert_eq!(get(&*below, OTHER).await.as_deref(), Some(&b"{\"b\":1}"[..]));
    let scanned = store.scan(Bytes::from_static(b"/registry/")).await.unwrap();
    let entries: usize = scanned.parts.into_iter().map(|part| part().unwrap().len()).sum();
    assert_eq!(entries, 2);
}

#[tokio::test]
async fn what_was_plain_is_read_and_written_anew() {
    let below = Arc::new(MemoryStore::new());
    put(&*below, KEY, b"{\"old\":1}").await;
    let store = open(&below, vec![secrets_by_ring()]).await;
    assert_eq!(get(&store, KEY).await.as_deref(), Some(&b"{\"old\":1}"[..]));
    rewrite(&store).await;
    assert!(get(&*below, KEY).await.unwrap().starts_with(b"k8s:enc:"));
    assert_eq!(store.coverage().await.unwrap(), Coverage { encrypted: 1, by_older_keys: 0, stale: Vec::new() });
}

#[tokio::test]
async fn a_rotation_reaches_every_server_and_ends_with_one_key() {
    let below = Arc::new(MemoryStore::new());
    let (one, two) = (open(&below, vec![secrets_by_ring()]).await, open(&below, vec![secrets_by_ring()]).await);
    put(&one, KEY, b"{\"a\":1}").await;
    let old = one.ring_keys();
    one.rotate().await.unwrap();
    assert!(!one.trim().await.unwrap(), "a value still needs the old key");
    rewrite(&one).await;
    // Interrupted here, another server goes on.
    let three = open(&below, vec![secrets_by_ring()]).await;
    assert!(three.trim().await.unwrap());
    assert!(three.ring_keys().len() == 1 && three.ring_keys() != old);
    // The second server has heard of nothing, and still writes nothing that nobody can read.
    assert_eq!(two.ring_keys(), old);
    put(&two, KEY, b"{\"a\":2}").await;
    let fresh = open(&below, vec![secrets_by_ring()]).await;
    assert_eq!(get(&fresh, KEY).await.as_deref(), Some(&b"{\"a\":2}"[..]));
    assert_eq!(two.ring_keys(), three.ring_keys());
}

#[tokio::test]
async fn another_key_file_opens_nothing_and_changes_nothing() {
    let below = Arc::new(MemoryStore::new());
    put(&open(&below, vec![secrets_by_ring()]).await, KEY, b"{}").await;
    let revision = below.revision();
    let other = SealingKey::read(&SealingKey::create().unwrap()).unwrap();
    let refused = EncryptedStore::open(below.clone(), Some(other), vec![secrets_by_ring()]).await;
    assert!(matches!(refused.err(), Some(StoreError::Encryption { .. })));
    assert_eq!(below.revision(), revision);
    let new = SealingKey::read(&SealingKey::create().unwrap()).unwrap();
    assert!(EncryptedStore::reseal(&*below, &sealing(), &new).await.unwrap());
    assert!(EncryptedStore::open(below.clone(), Some(new), vec![secrets_by_ring()]).await.is_ok());
}

#[tokio::test]
async fn values_that_cannot_be_read_are_left_out_and_said() {
    let below = Arc::new(MemoryStore::new());
    put(&*below, KEY, b"k8s:enc:aescbc:v1:gone:xxxx").await;
    put(&*below, OTHER, b"{}").await;
    let store = open(&below, vec![secrets_by_ring()]).await;
    assert_eq!(get(&store, KEY).await, None);
    assert!(store.unreadable(b"/registry/core/secrets/").unwrap().contains("no matching prefix found"));
    assert_eq!(store.unreadable(b"/registry/core/configmaps/"), None);
    let mut watch = store.watch(store.revision()).unwrap();
    put(&*below, KEY, b"{}").await;
    assert_eq!(watch.next().await.unwrap().changes.len(), 1);
    assert_eq!(store.unreadable(b"/registry/core/secrets/"), None, "it was replaced");
}
