//! Several servers over one store: whatever one has acknowledged, no other hides, however late it hears.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gantry_server::limits::{RETRY_AFTER, SEATS};
use gantry_store::{Batch, Commit, Follow, MemoryStore, Range, Stats, Store, StoreError, Txn, Watch};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::world::{Client, Events, World};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// How long nothing may happen before it counts as waiting.
const WAITING: Duration = Duration::from_millis(300);

/// A server's way to the store: what it hears can be held up, and it can be cut off.
struct Link {
    store: MemoryStore,
    deaf: watch::Sender<bool>,
    cut: watch::Sender<bool>,
}

impl Link {
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
        self.store.commit(txn).await
    }
    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        Ok(Watch::new(Late { watch: self.store.watch(from)?, deaf: self.deaf.subscribe(), held: None }))
    }
    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        self.store.compact(revision).await
    }
}

struct Late {
    watch: Watch,
    deaf: watch::Receiver<bool>,
    held: Option<Arc<Batch>>,
}

#[async_trait]
impl Follow for Late {
    async fn next(&mut self) -> Result<Arc<Batch>, StoreError> {
        if self.held.is_none() {
            self.held = Some(self.watch.next().await?);
        }
        self.deaf.wait_for(|deaf| !deaf).await.map_err(|_| StoreError::Closed)?;
        self.held.take().ok_or(StoreError::Closed)
    }
}

/// A server that hears at once and one that can be made to hear late, over one store.
struct Pair {
    prompt: World,
    late: World,
    link: Arc<Link>,
}

impl Pair {
    async fn new() -> Self {
        let store = MemoryStore::new();
        let link = |store: &MemoryStore| {
            let (deaf, cut) = (watch::channel(false).0, watch::channel(false).0);
            Arc::new(Link { store: store.clone(), deaf, cut })
        };
        let prompt = World::over(link(&store)).await;
        let link = link(&store);
        Pair { prompt, late: World::over(link.clone()).await, link }
    }

    /// What `ask` answers: nothing as long as the server hears nothing, and then soon.
    async fn once_it_hears<T>(&self, ask: impl Future<Output = T>) -> T {
        let mut ask = std::pin::pin!(ask);
        assert!(timeout(WAITING, &mut ask).await.is_err(), "it cannot know yet");
        self.link.deaf.send_replace(false);
        timeout(Duration::from_secs(10), ask).await.expect("an answer")
    }
}

async fn create(client: &Client, name: &str) -> String {
    let made = client.create(MAPS, json!({"metadata": {"name": name}})).await;
    made["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_server_shows_what_another_acknowledged_or_waits() {
    let pair = Pair::new().await;
    let (prompt, late) = (pair.prompt.admin().await, pair.late.admin().await);
    let one = format!("{MAPS}/one");
    pair.link.deaf.send_replace(true);
    let revision = create(&prompt, "one").await;
    assert_eq!(late.ask("GET", &format!("{one}?resourceVersion=0"), "").await.0, 404, "any age will do");
    assert_eq!(pair.once_it_hears(late.ask("GET", &one, "")).await.0, 200);

    for query in ["", "?watch=1&timeoutSeconds=1", "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"]
    {
        pair.link.deaf.send_replace(true);
        let name = format!("map{}", query.len());
        create(&prompt, &name).await;
        let answer = pair.once_it_hears(late.send("GET", &format!("{MAPS}{query}"), "")).await;
        let text = if query.is_empty() { "items" } else { "type" };
        let mut body = Events::of(answer);
        assert!(body.until(&name).await.contains(text), "{query}");
    }

    pair.link.deaf.send_replace(true);
    create(&prompt, "two").await;
    assert_eq!(pair.once_it_hears(late.ask("DELETE", &format!("{MAPS}/two"), "")).await.0, 200);
    assert_eq!(late.ask("GET", &format!("{one}?resourceVersion={revision}"), "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_does_not_come_is_refused_as_upstream_does() {
    let pair = Pair::new().await;
    let late = pair.late.admin().await;
    let response = late.send("GET", &format!("{MAPS}?resourceVersion=1000000"), "").await;
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (504, &"1".parse().unwrap()));
    let text = Events::of(response).until("ResourceVersionTooLarge").await;
    assert!(text.contains("\"Timeout: Too large resource version: 1000000, current: "), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_its_store_serves_nothing_as_fresh() {
    let pair = Pair::new().await;
    let (prompt, late) = (pair.prompt.admin().await, pair.late.admin().await);
    create(&prompt, "one").await;
    assert_eq!(late.ask("GET", &format!("{MAPS}/one"), "").await.0, 200);
    pair.link.cut.send_replace(true);
    for path in [format!("{MAPS}/one"), MAPS.to_owned(), format!("{MAPS}?watch=1"), format!("{MAPS}?limit=1")] {
        let response = late.send("GET", &path, "").await;
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    }
    assert_eq!(late.ask("POST", MAPS, "{\"metadata\":{\"name\":\"two\"}}").await.0, 503);
    assert_eq!(late.ask("DELETE", &format!("{MAPS}/none"), "").await.0, 503);
    assert_eq!(late.ask("GET", &format!("{MAPS}/one?resourceVersion=0"), "").await.0, 200, "any age will do");
    assert_eq!(late.ask("GET", "/livez", "").await.0, 200);
    let (code, text) = late.ask("GET", "/readyz", "").await;
    assert_eq!(code, 500);
    assert!(text.as_str().unwrap().contains("[-]etcd failed"), "{text}");
    pair.link.cut.send_replace(false);
    assert_eq!(late.ask("GET", "/readyz", "").await.0, 200);
    assert_eq!(late.ask("GET", &format!("{MAPS}/one"), "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_one_list_come_from_several_servers() {
    let pair = Pair::new().await;
    let (prompt, late) = (pair.prompt.admin().await, pair.late.admin().await);
    pair.link.deaf.send_replace(true);
    for name in ["a", "b", "c", "d"] {
        create(&prompt, name).await;
    }
    let first = prompt.get(&format!("{MAPS}?limit=2")).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    assert_eq!(prompt.ask("DELETE", &format!("{MAPS}/d"), "").await.0, 200);
    let next = format!("{MAPS}?limit=2&continue={token}");
    let (code, second) = pair.once_it_hears(late.ask("GET", &next, "")).await;
    assert_eq!(code, 200, "{second}");
    let names: Vec<_> = second["items"].as_array().unwrap().iter().map(|o| &o["metadata"]["name"]).collect();
    assert_eq!(names, ["c", "d"], "as of the first page");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
}

/// A number of the late server's metrics.
async fn metric(admin: &Client, name: &str) -> u64 {
    let text = admin.get("/metrics").await;
    let line =
        text.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f18_a_rush_is_told_to_come_back_and_keeps_no_node_from_saying_that_it_lives() {
    const SERVICES: &str = "/api/v1/services";
    let pair = Pair::new().await;
    let (prompt, admin) = (pair.prompt.admin().await, pair.late.admin().await);
    // Reads wait for what the server has not heard, and keep their seats meanwhile.
    pair.link.deaf.send_replace(true);
    create(&prompt, "one").await;
    // More than the level has seats, and the node's queues have places.
    let rush = 4 * SEATS;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..rush.div_ceil(800) {
        let node = Arc::new(pair.late.client("system:node:n1", "system:nodes").await);
        for _ in 0..800 {
            let node = node.clone();
            asked.spawn(async move { node.ask("GET", SERVICES, "").await.0 });
        }
    }
    while metric(&admin, "gantry_requests_turned_away_total").await == 0 {
        tokio::task::yield_now().await;
    }
    let node = pair.late.client("system:node:n1", "system:nodes").await;
    let refused = node.send("GET", SERVICES, "").await;
    let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(refused.status(), 429);
    assert!((1..=RETRY_AFTER).contains(&after), "{after}");
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1?resourceVersion=0";
    assert_eq!(node.ask("GET", lease, "").await.0, 404, "its lease is looked for, not refused");
    pair.link.deaf.send_replace(false);
    let codes = asked.join_all().await;
    assert!(codes.iter().all(|code| [200, 429].contains(code)), "{codes:?}");
    assert!(codes.iter().filter(|code| **code == 200).count() >= SEATS / 4, "those who sat and those who waited");
}
