//! Clients that prefer the binary form: what they send, and what they are answered.

use bytes::Bytes;
use gantry_schema::{Schema, protobuf};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::world::World;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const BINARY: &str = "application/vnd.kubernetes.protobuf";
const MAP: &str = "io.k8s.api.core.v1.ConfigMap";
const LIST: &str = "io.k8s.api.core.v1.ConfigMapList";

async fn read(response: Response<Incoming>, type_name: &str) -> (u16, String, Value) {
    let code = response.status().as_u16();
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (code, media_type, protobuf::decode(Schema::builtin(), type_name, &body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_lists_and_refusals_come_in_the_form_that_is_preferred() {
    let world = World::new().await;
    let admin = world.admin().await.with("accept", "application/vnd.kubernetes.protobuf, application/json");
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let made = read(admin.send("POST", MAPS, &body.to_string()).await, MAP).await;
    assert_eq!((made.0, made.1.as_str(), &made.2["data"]), (201, BINARY, &json!({"k": "v"})));
    let got = read(admin.send("GET", &format!("{MAPS}/a"), "").await, MAP).await;
    assert_eq!(got.2, made.2);
    // More than one piece, so that the length before it was measured.
    let large =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"k": "v".repeat(300_000)}});
    admin.send("POST", MAPS, &large.to_string()).await;
    let list = read(admin.send("GET", MAPS, "").await, LIST).await;
    assert_eq!((list.1.as_str(), &list.2["kind"]), (BINARY, &json!("ConfigMapList")));
    let names: Vec<_> = list.2["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names.last().copied(), Some(&json!("b")), "{names:?}");
    assert!(list.2["metadata"]["resourceVersion"].is_string());
    let absent = read(admin.send("GET", &format!("{MAPS}/x"), "").await, "io.k8s.apimachinery.pkg.apis.meta.v1.Status");
    let absent = absent.await;
    assert_eq!((absent.0, absent.1.as_str(), &absent.2["reason"]), (404, BINARY, &json!("NotFound")));
    let metadata =
        world.admin().await.with("accept", &format!("{BINARY};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"));
    let partial = read(metadata.send("GET", MAPS, "").await, LIST).await;
    assert_eq!(&partial.2["kind"], "PartialObjectMetadataList");
    assert!(partial.2["items"].as_array().unwrap().iter().all(|item| item.get("data").is_none()));
    let single = world.admin().await.with("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    let (code, refused) = single.ask("GET", MAPS, "").await;
    let text = "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)";
    assert_eq!((code, &refused["message"]), (406, &json!(text)));
    world.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_sends_each_event_with_its_length() {
    let world = World::new().await;
    let admin = world.admin().await;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"of": "this"}}});
    admin.create(MAPS, body).await;
    let binary = world.admin().await.with("accept", &format!("{BINARY};stream=watch"));
    let query = "watch=1&labelSelector=of%3Dthis&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1";
    let response = binary.send("GET", &format!("{MAPS}?{query}"), "").await;
    assert_eq!(response.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    let mut rest: Bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut events = Vec::new();
    while rest.len() > 4 {
        let length = u32::from_be_bytes(*rest.first_chunk().unwrap()) as usize;
        events.push(String::from_utf8_lossy(&rest.split_to(4 + length)).into_owned());
    }
    assert!(rest.is_empty());
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[0].contains("ADDED") && events[0].contains("k8s\0"), "{events:?}");
    assert!(events[1].contains("BOOKMARK") && events[1].contains("initial-events-end"), "{events:?}");
    world.server.shutdown().await;
}
