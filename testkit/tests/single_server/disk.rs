//! The disk: full, failing, stalling.

use std::time::Duration;

use gantry_testkit::api::Client;
use gantry_testkit::{Alone, Api, NoAnswer, SmallDisk, may_mount};
use http::Method;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout};

use super::auditor::{audit, nodes_stay_ready, pods_stay};
use super::objects::{CONFIGMAPS, GRACE, GRACE_ARGUMENT, REQUEST, config_map, create, deploy, node, revision, seconds};

const DISK_BYTES: u64 = 64 << 20;

#[test]
fn f3_a_full_disk_refuses_what_is_new_and_nothing_else() {
    if !may_mount() {
        eprintln!("SKIPPED: mounting a small disk needs root");
        return;
    }
    let disk = SmallDisk::new(DISK_BYTES);
    let mut server = Alone::in_folder(&disk.path().join("data")).arguments(GRACE_ARGUMENT);
    let api = server.start("");
    let runtime = Runtime::new().expect("a runtime");
    let kept = runtime.block_on(full_disk(&disk, &server, &api));
    server.kill();
    let api = server.start("");
    runtime.block_on(async {
        let mut client = api.client();
        for (name, at) in kept {
            let found = client.get(&format!("{CONFIGMAPS}/{name}"), REQUEST).await.expect("an answer");
            assert_eq!((found.code, revision(&found)), (200, at), "{name} was acknowledged");
        }
    });
}

/// Returns what was acknowledged and must be there at the end.
async fn full_disk(disk: &SmallDisk, server: &Alone, api: &Api) -> Vec<(String, u64)> {
    let node = node(server);
    let mut client = api.client();
    deploy(&mut client, 3).await;
    let (node_complaints, nodes) = audit(server, "/api/v1/nodes", nodes_stay_ready);
    let (pod_complaints, pods) = audit(server, "/api/v1/namespaces/default/pods", pods_stay);
    let mut kept = Vec::new();
    for number in 0..10 {
        let name = format!("kept-{number}");
        let made = create(&mut client, &name, 100).await;
        kept.push((name, revision(&made)));
    }
    let from = kept.last().map_or(0, |(_, at)| *at);
    let mut watch = api.client().lines(&format!("{CONFIGMAPS}?watch=1&resourceVersion={from}")).await.expect("a watch");

    disk.fill();
    let more = refused_at_last(server, &mut client).await;
    // Reads and watches go on, and what gives room is done.
    let first = kept.remove(0).0;
    for name in more.iter().chain([&first]) {
        let gone = client.ask(Method::DELETE, &format!("{CONFIGMAPS}/{name}"), None, REQUEST).await.expect("an answer");
        assert_eq!(gone.code, 200, "deleting {name}: {}", gone.body);
    }
    loop {
        let event = timeout(REQUEST, watch.next()).await.expect("an event in time").expect("an open watch");
        if event["type"] == "DELETED" && event["object"]["metadata"]["name"] == *first {
            break;
        }
    }
    let listed = client.get(CONFIGMAPS, REQUEST).await.expect("an answer");
    assert_eq!(listed.code, 200);
    // Longer than a node may be silent. What refuses the nodes refuses also who would say that they are.
    sleep(GRACE + Duration::from_secs(2)).await;

    disk.release();
    let begun = Instant::now();
    let at = loop {
        let made = create(&mut client, "after", 100_000).await;
        if made.code == 201 {
            break revision(&made);
        }
        assert_eq!(made.code, 507, "{}", made.body);
        assert!(begun.elapsed() < Duration::from_secs(30), "writes work again: {}", made.body);
        sleep(Duration::from_millis(100)).await;
    };
    println!("writes work again {:?} after there is room", begun.elapsed());
    kept.push(("after".to_owned(), at));
    sleep(GRACE + Duration::from_secs(2)).await;
    node_complaints.must_be_none();
    pod_complaints.must_be_none();
    node.abort();
    nodes.abort();
    pods.abort();
    kept
}

/// Writes until the full disk takes nothing more; what was still taken.
async fn refused_at_last(server: &Alone, client: &mut Client) -> Vec<String> {
    let mut taken = Vec::new();
    let refusal = loop {
        let name = format!("more-{}", taken.len());
        let made = create(client, &name, 100_000).await;
        if made.code != 201 {
            break made;
        }
        taken.push(name);
        assert!(taken.len() < 1000, "a full disk takes no end of objects");
    };
    assert_eq!((refusal.code, refusal.body["kind"].as_str()), (507, Some("Status")), "{}", refusal.body);
    let said = server.kubectl("create configmap refused --from-literal=a=b").expect_err();
    println!("kubectl says: {said}");
    assert!(said.contains("no space is left on the disk"), "kubectl says what is wrong: {said}");
    taken
}

#[test]
fn f4_a_failed_sync_ends_the_process_and_loses_nothing() {
    let mut server = Alone::new();
    let runtime = Runtime::new().expect("a runtime");
    server.start("");
    server.kill();
    for visit in [40, 55, 70] {
        let api = server.start(&format!("store::sync_error=return@{visit}"));
        let kept = runtime.block_on(async {
            let mut client = api.client();
            let mut kept = Vec::new();
            loop {
                let name = format!("kept-{visit}-{}", kept.len());
                match client.ask(Method::POST, CONFIGMAPS, Some(&config_map(&name, 100)), REQUEST).await {
                    Ok(made) if made.code == 201 => kept.push((name, revision(&made))),
                    Ok(refused) => {
                        assert!(refused.code >= 500, "{}", refused.body);
                        return kept;
                    }
                    Err(_) => return kept,
                }
            }
        });
        let status = server.wait_for_end();
        assert_eq!(status.code(), Some(1), "it ends by itself, and says that it failed: {status}");
        let log = server.log();
        assert!(log.contains("Input/output error") || log.contains("os error 5"), "it says why:\n{log}");
        let api = server.start("");
        runtime.block_on(async {
            let mut client = api.client();
            for (name, at) in &kept {
                let found = client.get(&format!("{CONFIGMAPS}/{name}"), REQUEST).await.expect("an answer");
                assert_eq!((found.code, revision(&found)), (200, *at), "{name} was acknowledged");
            }
        });
        println!("sync {visit} failed after {} acknowledged writes", kept.len());
        assert!(!kept.is_empty());
        server.kill();
    }
}

#[test]
fn f5_a_stalled_sync_holds_up_writers_alone() {
    let stall = seconds("GANTRY_STALL_SECONDS", 20);
    let mut server = Alone::new().arguments(GRACE_ARGUMENT);
    let api = server.start(&format!("store::sync_delay=delay({})@400", stall.as_millis()));
    Runtime::new().expect("a runtime").block_on(async {
        let node = node(&server);
        let mut client = api.client();
        deploy(&mut client, 3).await;
        let (complaints, pods) = audit(&server, "/api/v1/namespaces/default/pods", pods_stay);
        let quiet = slowest_reads(&api, Duration::from_secs(2)).await;
        let from = revision(&create(&mut client, "first", 10).await);
        let watch = format!("{CONFIGMAPS}?watch=1&resourceVersion={from}");
        let mut watch = api.client().lines(&watch).await.expect("a watch");
        // One write after the other until one is stalled.
        let mut number = 0;
        let answer = loop {
            let name = format!("c-{number}");
            let body = config_map(&name, 10);
            let (sent, write) = (Instant::now(), client.ask(Method::POST, CONFIGMAPS, Some(&body), REQUEST));
            let mut write = std::pin::pin!(write);
            match timeout(Duration::from_secs(1), write.as_mut()).await {
                Ok(made) => assert_eq!(made.expect("an answer").code, 201),
                Err(_) => {
                    let during = slowest_reads(&api, Duration::from_secs(5)).await;
                    println!("99 of 100 reads take {quiet:?}, during the stall {during:?}");
                    assert!(during < quiet * 3 + Duration::from_millis(20), "reads are not held up");
                    break (write.await.expect("an answer"), sent.elapsed());
                }
            }
            number += 1;
            assert!(number < 1000, "the stall was never met");
        };
        assert_eq!(answer.0.code, 504, "{}", answer.0.body);
        println!("the writer was told after {:?}: {}", answer.1, answer.0.body["message"]);
        // The same watch goes on, and what was stalled is told once it is done.
        let mut seen = Vec::new();
        while !seen.contains(&format!("c-{number}")) {
            let event = timeout(stall + REQUEST, watch.next()).await.expect("in time").expect("an open watch");
            seen.push(event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned());
        }
        assert_eq!(create(&mut client, "last", 10).await.code, 201);
        // Whoever would act on the node's silence would have by now.
        sleep(GRACE + Duration::from_secs(2)).await;
        complaints.must_be_none();
        [node, pods].iter().for_each(tokio::task::JoinHandle::abort);
    });
}

/// The time that 99 of 100 reads take no longer than.
async fn slowest_reads(api: &Api, during: Duration) -> Duration {
    let (mut client, begun, mut took) = (api.client(), Instant::now(), Vec::new());
    while begun.elapsed() < during {
        let asked = Instant::now();
        let answer: Result<_, NoAnswer> = client.get(CONFIGMAPS, REQUEST).await;
        assert_eq!(answer.expect("an answer").code, 200);
        took.push(asked.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    took.sort();
    took[took.len() * 99 / 100]
}
