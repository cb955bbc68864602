//! Watches that come too late, and watches that never read.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_testkit::{Alone, Api};
use http::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout};

use super::objects::{CONFIGMAPS, REQUEST, config_map, create, revision};

#[test]
fn f16_a_watch_from_a_compacted_revision_is_told_410() {
    let mut server = Alone::new();
    let settings = "cluster::compact_every=return(50);gantry::small_store=return;server::bookmark_every=return(50)";
    let api = server.start(settings);
    let runtime = Runtime::new().expect("a runtime");
    let (old, page) = runtime.block_on(async {
        let mut client = api.client();
        let old = revision(&create(&mut client, "first", 10).await);
        assert_eq!(create(&mut client, "second", 10).await.code, 201);
        let page = client.get(&format!("{CONFIGMAPS}?limit=1"), REQUEST).await.expect("an answer").body;
        (old, page["metadata"]["continue"].as_str().expect("a token").to_owned())
    });
    // Neither the log nor what is in memory reaches back over these.
    runtime.block_on(outlive(&api));
    runtime.block_on(told_410(&api, old, &page));
    server.kill();
    let api = server.start(settings);
    runtime.block_on(told_410(&api, old, &page));
    runtime.block_on(bookmarks_keep_a_quiet_watch_fresh(&api));
}

/// A list of the past is over as soon as the store was compacted, and its token leads on.
#[test]
fn f16_pages_go_on_without_consistency_after_a_compaction() {
    let mut server = Alone::new();
    let api = server.start("cluster::compact_every=return(50)");
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut client = api.client();
        for name in ["a", "b", "c"] {
            assert_eq!(create(&mut client, name, 10).await.code, 201);
        }
        let first = client.get(&format!("{CONFIGMAPS}?limit=1"), REQUEST).await.expect("an answer").body;
        let token = first["metadata"]["continue"].as_str().expect("a token").to_owned();
        let begun = Instant::now();
        let mut number = 0;
        let expired = loop {
            // Compaction leaves the newest revision alone: something must happen meanwhile.
            number += 1;
            assert_eq!(create(&mut client, &format!("more-{number}"), 10).await.code, 201);
            let answer =
                client.get(&format!("{CONFIGMAPS}?limit=1&continue={token}"), REQUEST).await.expect("an answer");
            if answer.code == 410 {
                break answer.body;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", answer.body);
            sleep(Duration::from_millis(20)).await;
        };
        let token = expired["metadata"]["continue"].as_str().expect("a fresh token").to_owned();
        let query = format!("{CONFIGMAPS}?limit=1&continue={token}");
        let second = client.get(&query, REQUEST).await.expect("an answer");
        assert_eq!(second.code, 200, "{}", second.body);
        assert!(second.body["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]);
        assert!(second.body["items"][0]["metadata"]["name"] != first["items"][0]["metadata"]["name"]);
    });
}

/// Writes until the server has forgotten everything before.
async fn outlive(api: &Api) {
    let writers = (0..16).map(|writer| {
        let mut client = api.client();
        tokio::spawn(async move {
            let path = format!("{CONFIGMAPS}/w-{writer}");
            assert_eq!(create(&mut client, &format!("w-{writer}"), 10).await.code, 201);
            for number in 0..1100 {
                let patch = json!({"data": {"a": number.to_string()}});
                let done = client.ask(Method::PATCH, &path, Some(&patch), REQUEST).await.expect("an answer");
                assert_eq!(done.code, 200, "{}", done.body);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
}

async fn told_410(api: &Api, old: u64, page: &str) {
    let mut watch = api.client().lines(&format!("{CONFIGMAPS}?watch=1&resourceVersion={old}")).await.expect("a watch");
    assert_eq!(watch.code, 200, "a watch begins, and is then told");
    let first = watch.next().await.expect("an event");
    assert_eq!((&first["type"], &first["object"]["code"]), (&json!("ERROR"), &json!(410)), "{first}");
    assert_eq!(first["object"]["reason"], "Expired");
    assert!(watch.next().await.is_none(), "nothing comes after it");
    let mut client = api.client();
    for query in [format!("resourceVersion={old}&resourceVersionMatch=Exact"), format!("limit=1&continue={page}")] {
        let answer = client.get(&format!("{CONFIGMAPS}?{query}"), REQUEST).await.expect("an answer");
        assert_eq!((answer.code, &answer.body["reason"]), (410, &json!("Expired")), "{query}: {}", answer.body);
    }
}

/// A watch of something that never changes can be resumed all the same: its bookmarks move on.
async fn bookmarks_keep_a_quiet_watch_fresh(api: &Api) {
    const QUIET: &str = "/api/v1/namespaces/default/secrets";
    let mut client = api.client();
    let from = revision(&client.get(QUIET, REQUEST).await.expect("an answer"));
    let path = format!("{QUIET}?watch=1&allowWatchBookmarks=true&resourceVersion={from}");
    let mut watch = api.client().lines(&path).await.expect("a watch");
    let written = revision(&create(&mut client, "elsewhere", 10).await);
    loop {
        let event = timeout(REQUEST, watch.next()).await.expect("in time").expect("an open watch");
        assert_eq!(event["type"], "BOOKMARK", "{event}");
        let at = event["object"]["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok());
        if at >= Some(written) {
            return;
        }
    }
}

/// Figures of the field: `GANTRY_STUCK_WATCHES=1000`; ordinarily fewer, as each costs this machine a connection.
#[test]
fn f17_watches_that_never_read_cost_little_and_are_ended() {
    let number = std::env::var("GANTRY_STUCK_WATCHES").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let mut server = Alone::new();
    let api = server.start("");
    Runtime::new().expect("a runtime").block_on(async {
        // The server keeps the last changes in memory: they are no cost of stuck watches.
        outlive(&api).await;
        let quiet = delays(&api, Duration::from_secs(3)).await;
        let before = server.resident_bytes();
        let mut stuck = Vec::new();
        for _ in 0..number {
            stuck.push(never_read(&api).await);
        }
        let opened = server.resident_bytes();
        let (busy, most) =
            tokio::join!(delays(&api, Duration::from_secs(40)), highest(&server, Duration::from_secs(40)));
        let each = |bytes: u64| bytes.saturating_sub(before) / number / 1024;
        println!("{number} stuck watches: {} KiB each when open, {} KiB each at the most", each(opened), each(most));
        println!("99 of 100 events come within {quiet:?} without them, {busy:?} with them");
        assert!(each(most) < 1024, "less than 1 MiB for each");
        let open = open_watches(&api).await;
        assert!(open < number / 10, "{open} of {number} are still open");
    });
}

/// Opens a watch of everything and never reads it.
async fn never_read(api: &Api) -> impl Sized {
    let mut stream = api.dial().await.expect("a connection");
    let request = format!("GET {CONFIGMAPS}?watch=1 HTTP/1.1\r\nHost: stuck\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    stream.flush().await.expect("a request");
    stream
}

/// How long 99 of 100 events take from the write to a watch that reads, under as many writes as there can be.
async fn delays(api: &Api, during: Duration) -> Duration {
    let from = revision(&api.client().get(CONFIGMAPS, REQUEST).await.expect("an answer"));
    let mut watch = api.client().lines(&format!("{CONFIGMAPS}?watch=1&resourceVersion={from}")).await.expect("a watch");
    let begun = Instant::now();
    let writers: Vec<_> = (0..8).map(|writer| tokio::spawn(write(api.clone(), writer, begun, during))).collect();
    let mut took = Vec::new();
    while begun.elapsed() < during {
        let Ok(event) = timeout(Duration::from_secs(5), watch.next()).await else { break };
        let event = event.expect("the watch that reads stays open");
        assert_ne!(event["type"], "ERROR", "{event}");
        if let Some(sent) = event["object"]["data"]["sent"].as_str().and_then(|text| text.parse::<u64>().ok()) {
            took.push(begun.elapsed().saturating_sub(Duration::from_micros(sent)));
        }
    }
    for writer in writers {
        writer.await.expect("a writer");
    }
    took.sort();
    println!("{} events in {during:?}", took.len());
    took[took.len() * 99 / 100]
}

async fn write(api: Api, writer: u64, begun: Instant, during: Duration) {
    let (mut client, path) = (api.client(), format!("{CONFIGMAPS}/busy-{writer}"));
    let _ = client.ask(Method::POST, CONFIGMAPS, Some(&config_map(&format!("busy-{writer}"), 1000)), REQUEST).await;
    while begun.elapsed() < during {
        let patch = json!({"data": {"sent": begun.elapsed().as_micros().to_string()}});
        let done = client.ask(Method::PATCH, &path, Some(&patch), REQUEST).await.expect("an answer");
        assert_eq!(done.code, 200, "{}", done.body);
    }
}

async fn highest(server: &Alone, during: Duration) -> u64 {
    let (begun, mut most) = (Instant::now(), 0);
    while begun.elapsed() < during {
        most = most.max(server.resident_bytes());
        sleep(Duration::from_millis(200)).await;
    }
    most
}

/// Watches of config maps that the server has open, by its own count.
async fn open_watches(api: &Api) -> u64 {
    let text = api.client().text("/metrics", REQUEST).await.expect("the metrics");
    let watches = text.lines().filter(|line| {
        line.starts_with("apiserver_longrunning_requests{") && line.contains("\"configmaps\"") && line.contains("WATCH")
    });
    let counts: BTreeMap<&str, u64> =
        watches.filter_map(|line| line.rsplit_once(' ').and_then(|(name, n)| Some((name, n.parse().ok()?)))).collect();
    counts.values().sum()
}
