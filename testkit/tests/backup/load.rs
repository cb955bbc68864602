//! A backup while others write, and what it becomes elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gantry_testkit::api::Lines;
use gantry_testkit::{Alone, Api};
use http::Method;
use serde_json::{Value, json};

use crate::world::{ANSWER, CONFIGMAPS, GAP, World, revision};

/// Creates, changes and deletes ConfigMaps until told to stop; tells the newest revision that was acknowledged.
async fn write(api: Api, writer: usize, stop: Arc<AtomicBool>, acknowledged: Arc<AtomicU64>) {
    let mut client = api.client();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let name = format!("w{writer}-{}", number % 20);
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": number.to_string()}});
        let one = format!("{CONFIGMAPS}/{name}");
        let created = client.ask(Method::POST, CONFIGMAPS, Some(&body), ANSWER).await.expect("an answer");
        let answer = match created.code {
            201 => created,
            409 if number % 3 == 0 => client.ask(Method::DELETE, &one, None, ANSWER).await.expect("an answer"),
            409 => client.ask(Method::PUT, &one, Some(&body), ANSWER).await.expect("an answer"),
            _ => panic!("{created:?}"),
        };
        assert!(answer.code < 300, "{answer:?}");
        if answer.body["kind"] == "ConfigMap" {
            acknowledged.fetch_max(revision(&answer.body), Ordering::SeqCst);
        }
        number += 1;
    }
}

/// Plays a watch's events up to a revision: what was there then, by name.
async fn replay(mut events: Lines, until: u64) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    loop {
        let event = tokio::time::timeout(ANSWER, events.next()).await.expect("an event in time").expect("an event");
        let object = &event["object"];
        if revision(object) > until {
            return state;
        }
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => drop(state.insert(name, object["data"].to_string())),
            Some("DELETED") => drop(state.remove(&name)),
            _ => panic!("{event}"),
        }
    }
}

fn state_of(list: &Value) -> BTreeMap<String, String> {
    let items = list["items"].as_array().expect("items").iter();
    items.map(|i| (i["metadata"]["name"].as_str().expect("a name").to_owned(), i["data"].to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn f30_a_backup_under_load_is_the_state_at_exactly_its_revision() {
    let world = World::start();
    let api = world.server.api();
    let before = api.client().get(CONFIGMAPS, ANSWER).await.expect("a list").body;
    let at = before["metadata"]["resourceVersion"].as_str().expect("a revision");
    let watch = |from: &str| format!("{CONFIGMAPS}?watch=true&resourceVersion={from}");
    let events = api.client().lines(&watch(at)).await.expect("a watch");
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let spawn = |writer| tokio::spawn(write(api.clone(), writer, stop.clone(), acknowledged.clone()));
    let writers: Vec<_> = (0..4).map(spawn).collect();
    while acknowledged.load(Ordering::SeqCst) < revision(&before) + 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = acknowledged.load(Ordering::SeqCst);
    tokio::task::block_in_place(|| world.create());
    let ended = acknowledged.load(Ordering::SeqCst);
    while acknowledged.load(Ordering::SeqCst) < ended + 50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("a writer");
    }
    let listed = world.list();
    let taken = listed["items"][0]["revision"].as_u64().expect("a revision");
    assert!(taken >= begun, "taken at {taken}, though {begun} was acknowledged before it began");
    let mut expected = replay(events, taken).await;
    let root_ca = state_of(&before);
    expected.extend(root_ca);

    let elsewhere = world.folder.path().join("elsewhere");
    tokio::task::block_in_place(|| world.restore(&world.place(), &elsewhere).expect_ok());
    let mut restored = Alone::in_folder(&elsewhere);
    let api = tokio::task::block_in_place(|| restored.start(""));
    let list = api.client().get(CONFIGMAPS, ANSWER).await.expect("a list").body;
    assert_eq!(state_of(&list), expected);
    assert!(revision(&list) > taken + GAP, "{} after {taken}", revision(&list));

    // Whoever knows the old cluster has to read anew.
    let mut old = api.client().lines(&watch(&taken.to_string())).await.expect("a watch");
    let event = old.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)), "{event}");
    let exact = format!("{CONFIGMAPS}?resourceVersion={taken}&resourceVersionMatch=Exact");
    let answer = api.client().get(&exact, ANSWER).await.expect("an answer");
    assert_eq!((answer.code, &answer.body["reason"]), (410, &json!("Expired")));
}
