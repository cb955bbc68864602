//! Who leads when several servers share a store: one at a time, the next one soon, and never two that write.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gantry_cluster::limits::LEADER_TERM;
use gantry_cluster::{Cluster, Epoch, Setup};
use gantry_kinds::{NAMESPACE, Status};
use gantry_registry::{Body, Operation, Options, Request, Settings, Target, User};
use gantry_store::{Batch, Commit, Follow, MemoryStore, Range, Stats, Store, StoreError, Txn, Watch};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// One server's way to a store that others use too: its watch can be held up, its commits can be lost.
struct Link {
    store: MemoryStore,
    /// While true, nothing that happened is told.
    deaf: watch::Sender<bool>,
    /// While true, nothing reaches the store.
    cut: watch::Sender<bool>,
    /// While true, what is committed happens, and its answer is lost.
    mute: watch::Sender<bool>,
}

impl Link {
    fn new(store: &MemoryStore) -> Arc<Self> {
        Arc::new(Link {
            store: store.clone(),
            deaf: watch::channel(false).0,
            cut: watch::channel(false).0,
            mute: watch::channel(false).0,
        })
    }

    fn reach(&self) -> Result<(), StoreError> {
        let lost = || StoreError::Unavailable { operation: "reach the store", cause: "cut off".to_owned() };
        if *self.cut.borrow() { Err(lost()) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Link {
    fn revision(&self) -> u64 {
        self.store.revision()
    }
    async fn latest(&self) -> Result<u64, StoreError> {
        self.reach()?;
        self.store.latest().await
    }
    fn shared(&self) -> bool {
        true
    }
    fn stats(&self) -> Stats {
        self.store.stats()
    }
    fn compacted(&self) -> u64 {
        self.store.compacted()
    }
    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        self.store.range(prefix).await
    }
    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.reach()?;
        let done = self.store.commit(txn).await?;
        let lost = || StoreError::Unknown { operation: "commit", cause: "the answer was lost".to_owned() };
        if *self.mute.borrow() { Err(lost()) } else { Ok(done) }
    }
    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        Ok(Watch::new(Late { watch: self.store.watch(from)?, deaf: self.deaf.subscribe() }))
    }
    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        self.store.compact(revision).await
    }
}

struct Late {
    watch: Watch,
    deaf: watch::Receiver<bool>,
}

#[async_trait]
impl Follow for Late {
    async fn next(&mut self) -> Result<Arc<Batch>, StoreError> {
        self.deaf.wait_for(|deaf| !deaf).await.map_err(|_| StoreError::Closed)?;
        self.watch.next().await
    }
}

async fn server(link: &Arc<Link>, seed: u64) -> Arc<Cluster> {
    Cluster::open(link.clone(), Setup::new(Settings::default(), seed)).await.expect("an open cluster")
}

async fn write(cluster: &Cluster, name: &str, epoch: Epoch) -> Result<u16, Box<Status>> {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let target = Target { kind: &NAMESPACE, namespace: String::new(), name: String::new(), subresource: String::new() };
    let user = User { name: "admin".to_owned(), groups: vec!["system:masters".to_owned()], ..User::default() };
    let operation = Operation::Create(Body::from(body));
    let request = Request { user, target, operation, options: Options::default() };
    cluster.execute_as_leader(request, epoch).await.map(|reply| reply.code)
}

#[tokio::test(start_paused = true)]
async fn a_silent_leader_is_followed_after_his_term_and_writes_no_more() {
    let store = MemoryStore::new();
    let (a, b) = (Link::new(&store), Link::new(&store));
    let (first, second) = (server(&a, 1).await, server(&b, 2).await);
    let old = first.campaign().await;
    assert_eq!(write(&first, "one", old).await, Ok(201));

    let began = Instant::now();
    let new = second.campaign().await;
    assert!(began.elapsed() >= LEADER_TERM, "the first was given its term");
    assert!(new > old);
    let refused = write(&first, "two", old).await.unwrap_err();
    assert_eq!((refused.code, refused.reason), (409, "LeadershipLost"));
    assert_eq!(write(&second, "two", new).await, Ok(201));
    timeout(LEADER_TERM, first.lead(old)).await.expect("the deposed one notices");
}

#[tokio::test(start_paused = true)]
async fn a_leader_who_renews_is_left_alone_and_one_who_resigns_is_followed_at_once() {
    let store = MemoryStore::new();
    let (a, b) = (Link::new(&store), Link::new(&store));
    let (first, second) = (server(&a, 1).await, server(&b, 2).await);
    let epoch = first.campaign().await;
    let leading = tokio::spawn({
        let first = first.clone();
        async move { first.lead(epoch).await }
    });
    let waiting = tokio::spawn(async move { second.campaign().await });
    tokio::time::sleep(LEADER_TERM * 20).await;
    assert!(!waiting.is_finished() && !leading.is_finished(), "he is there and renews");

    leading.abort();
    first.resign(epoch).await;
    let began = Instant::now();
    assert!(waiting.await.unwrap() > epoch);
    assert!(began.elapsed() < Duration::from_millis(1), "nobody had to wait");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hears_late_deposes_nobody() {
    let store = MemoryStore::new();
    let (a, b) = (Link::new(&store), Link::new(&store));
    let (first, second) = (server(&a, 1).await, server(&b, 2).await);
    let epoch = first.campaign().await;
    let leading = tokio::spawn(async move { first.lead(epoch).await });
    let revision = store.revision();
    second.wait_for(revision).await.unwrap();
    b.deaf.send_replace(true);
    let waiting = tokio::spawn(async move { second.campaign().await });
    tokio::time::sleep(LEADER_TERM * 20).await;
    assert!(!waiting.is_finished() && !leading.is_finished(), "silence of one's own ears is no silence of the leader");
}

#[tokio::test(start_paused = true)]
async fn a_leader_who_cannot_reach_the_store_stops() {
    let store = MemoryStore::new();
    let a = Link::new(&store);
    let first = server(&a, 1).await;
    let epoch = first.campaign().await;
    a.cut.send_replace(true);
    timeout(LEADER_TERM * 3, first.lead(epoch)).await.expect("he stops by himself");
    let refused = first.confirmed().await.unwrap_err();
    assert_eq!(refused.code, 503, "nothing is read as fresh either");
}

#[tokio::test(start_paused = true)]
async fn a_take_over_whose_answer_was_lost_costs_no_term() {
    let store = MemoryStore::new();
    let a = Link::new(&store);
    let first = server(&a, 1).await;
    a.mute.send_replace(true);
    let campaign = tokio::spawn({
        let first = first.clone();
        async move { first.campaign().await }
    });
    let mut leadership = first.leadership();
    leadership.wait_for(|now| now.epoch > 0).await.unwrap();
    a.mute.send_replace(false);
    let began = Instant::now();
    let epoch = campaign.await.unwrap();
    assert!(began.elapsed() < LEADER_TERM, "he knows that it was himself");
    assert_eq!(leadership.borrow().epoch, epoch.revision());
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_sees_what_the_last_one_did_before_he_begins() {
    let store = MemoryStore::new();
    let (a, b) = (Link::new(&store), Link::new(&store));
    let (first, second) = (server(&a, 1).await, server(&b, 2).await);
    let old = first.campaign().await;
    b.deaf.send_replace(true);
    // The watch that waits already hears this much.
    assert_eq!(write(&first, "one", old).await, Ok(201));
    second.wait_for(store.revision()).await.unwrap();
    let campaign = tokio::spawn({
        let second = second.clone();
        async move { second.campaign().await }
    });
    tokio::time::sleep(LEADER_TERM * 2).await;
    assert!(store.revision() > second.view().revision() && !campaign.is_finished(), "taken, but not begun");
    b.deaf.send_replace(false);
    let new = campaign.await.unwrap();
    assert!(second.view().revision() >= new.revision());
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_ends_the_term() {
    let store = MemoryStore::new();
    let a = Link::new(&store);
    let first = server(&a, 1).await;
    let old = first.campaign().await;
    let leading = tokio::spawn({
        let first = first.clone();
        async move { first.lead(old).await }
    });
    a.mute.send_replace(true);
    assert_eq!(write(&first, "one", old).await.unwrap_err().code, 504);
    a.mute.send_replace(false);
    let began = Instant::now();
    leading.await.unwrap();
    let new = first.campaign().await;
    assert!(new > old && began.elapsed() < LEADER_TERM, "the same server goes on at once, under another epoch");
    assert!(first.view().get(&NAMESPACE, "", "one").is_some(), "and sees what became of it");
    assert_eq!(write(&first, "two", old).await.unwrap_err().reason, "LeadershipLost");
}

#[tokio::test(start_paused = true)]
async fn a_leader_who_does_not_hear_of_himself_stops() {
    let store = MemoryStore::new();
    let a = Link::new(&store);
    let first = server(&a, 1).await;
    let epoch = first.campaign().await;
    a.deaf.send_replace(true);
    let began = Instant::now();
    timeout(LEADER_TERM * 2, first.lead(epoch)).await.expect("he stops by himself");
    assert!(began.elapsed() >= LEADER_TERM);
}
