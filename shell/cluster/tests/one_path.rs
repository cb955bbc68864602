//! The one path on the store in memory: replies, races, the feed, and a cluster opened again.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gantry_cluster::{Cluster, Reply, Setup, Topic, WatchFrom};
use gantry_kinds::{CONFIG_MAP, NAMESPACE, SERVICE, Status};
use gantry_registry::{Body, DeleteOptions, Operation, Options, PatchKind, Request, Settings, Target, User, bootstrap};
use gantry_store::{Commit, MemoryStore, Range, Stats, Store, StoreError, Txn, Watch};
use serde_json::{Value, json};

fn admin() -> User {
    User { name: "admin".to_owned(), groups: vec!["system:masters".to_owned()], ..User::default() }
}

fn request(target: Target, operation: Operation) -> Request {
    Request { user: admin(), target, operation, options: Options::default() }
}

fn config_map(name: &str) -> Target {
    Target { kind: &CONFIG_MAP, namespace: "default".to_owned(), name: name.to_owned(), subresource: String::new() }
}

async fn create(cluster: &Cluster, name: &str) -> Result<Reply, Box<Status>> {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": "0"}});
    cluster.execute(request(config_map(""), Operation::Create(Body::from(body)))).await
}

async fn open(store: Arc<dyn Store>, seed: u64) -> Arc<Cluster> {
    let cluster = Cluster::open(store, Setup::new(Settings::default(), seed)).await.expect("an open cluster");
    let first = bootstrap::requests(&cluster.view(), cluster.settings());
    for request in first.into_iter().filter(|r| *r.target.kind == NAMESPACE) {
        cluster.execute(request).await.expect("a first namespace");
    }
    cluster
}

fn revision(body: &Value) -> u64 {
    body["metadata"]["resourceVersion"].as_str().expect("a revision").parse().expect("a number")
}

#[tokio::test]
async fn everyone_reads_his_own_writes() {
    let cluster = open(Arc::new(MemoryStore::new()), 1).await;
    let reply = create(&cluster, "a").await.unwrap();
    assert_eq!(reply.code, 201);
    let seen = cluster.view().get(&CONFIG_MAP, "default", "a").cloned().expect("it is in the view");
    assert_eq!(seen.value(), reply.body, "what is kept is what was answered");
    assert_eq!(seen.header.revision, revision(&reply.body));
}

#[tokio::test]
async fn one_of_two_racers_wins() {
    let cluster = open(Arc::new(MemoryStore::new()), 2).await;
    let racers = (0..8).map(|_| {
        let cluster = cluster.clone();
        tokio::spawn(async move { create(&cluster, "same").await })
    });
    let mut won = 0;
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.unwrap() {
            Ok(_) => won += 1,
            Err(status) => assert_eq!((status.code, status.reason), (409, "AlreadyExists")),
        }
    }
    assert_eq!(won, 1);
}

/// The data of a map that so many patch at the same time, each its own key.
async fn patched_at_once(cluster: &Arc<Cluster>, count: usize) -> Value {
    create(cluster, "shared").await.unwrap();
    let patches = (0..count).map(|n| {
        let cluster = cluster.clone();
        let patch = json!({"data": {format!("key{n}"): "there"}});
        let patch = request(config_map("shared"), Operation::Patch(PatchKind::Merge, Body::from(patch)));
        tokio::spawn(async move { cluster.execute(patch).await })
    });
    for patch in patches.collect::<Vec<_>>() {
        patch.await.unwrap().expect("no patch conflicts with another");
    }
    cluster.view().get(&CONFIG_MAP, "default", "shared").unwrap().value()["data"].clone()
}

#[tokio::test]
async fn patches_that_meet_are_decided_anew() {
    let cluster = open(Arc::new(MemoryStore::new()), 3).await;
    let data = patched_at_once(&cluster, 16).await;
    assert_eq!(data.as_object().unwrap().len(), 17, "none is lost: {data}");
}

/// A store that takes its time: of those who are under way together, one wins.
struct Slow(MemoryStore);

#[async_trait]
impl Store for Slow {
    fn revision(&self) -> u64 {
        self.0.revision()
    }
    async fn latest(&self) -> Result<u64, StoreError> {
        self.0.latest().await
    }
    fn shared(&self) -> bool {
        self.0.shared()
    }
    fn stats(&self) -> Stats {
        self.0.stats()
    }
    fn compacted(&self) -> u64 {
        self.0.compacted()
    }
    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        self.0.range(prefix).await
    }
    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        tokio::task::yield_now().await;
        self.0.commit(txn).await
    }
    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        self.0.watch(from)
    }
    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        self.0.compact(revision).await
    }
}

#[tokio::test]
async fn a_crowd_takes_turns() {
    let cluster = open(Arc::new(Slow(MemoryStore::new())), 3).await;
    let data = patched_at_once(&cluster, 300).await;
    assert_eq!(data.as_object().unwrap().len(), 301);
}

#[tokio::test]
async fn a_service_address_is_given_once() {
    let cluster = open(Arc::new(MemoryStore::new()), 4).await;
    let create = |name: String| {
        let cluster = cluster.clone();
        let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"clusterIP": "10.43.7.7", "ports": [{"port": 80}]}});
        let target = Target { kind: &SERVICE, ..config_map("") };
        tokio::spawn(async move { cluster.execute(request(target, Operation::Create(Body::from(body)))).await })
    };
    let racers: Vec<_> = (0..8).map(|n| create(format!("s{n}"))).collect();
    let mut won = 0;
    for racer in racers {
        won += usize::from(racer.await.unwrap().is_ok());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_feed_tells_everything_in_order() {
    let cluster = open(Arc::new(MemoryStore::new()), 5).await;
    let start = cluster.view().revision();
    let (count, mut live) = cluster.watch_snapshot(Topic::Everything, |view| view.count(&CONFIG_MAP));
    assert_eq!(count, 0);
    for n in 0..50 {
        create(&cluster, &format!("c{n}")).await.unwrap();
    }
    let delete = Operation::Delete(DeleteOptions::default());
    cluster.execute(request(config_map("c7"), delete)).await.unwrap();
    let mut late = cluster.watch(Topic::Everything, WatchFrom::After(start)).unwrap();
    let mut last = start;
    for at in 0..51 {
        let change = live.next().await.unwrap();
        assert!(change.revision > last, "in order");
        last = change.revision;
        assert_eq!(late.next().await.unwrap().revision, change.revision, "one that starts later sees the same");
        assert_eq!(change.after.is_none(), at == 50, "the last is the removal");
    }
    assert_eq!(late.try_next().unwrap().map(|c| c.revision), None);
}

#[tokio::test]
async fn what_is_too_long_ago_has_expired() {
    let store = Arc::new(MemoryStore::new());
    let cluster = open(store.clone(), 6).await;
    create(&cluster, "kept").await.unwrap();
    let last = cluster.view().revision();
    drop(cluster);
    let again = open(store, 7).await;
    assert!(again.view().get(&CONFIG_MAP, "default", "kept").is_some());
    assert_eq!(again.view().revision(), last, "nothing was missing, so nothing was written");
    assert!(again.watch(Topic::Everything, WatchFrom::After(last)).is_ok());
    let expired = again.watch(Topic::Everything, WatchFrom::After(last - 1)).err().expect("it has expired");
    assert_eq!((expired.code, expired.reason), (410, "Expired"));
}
