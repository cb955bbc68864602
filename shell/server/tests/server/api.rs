//! The server as its clients see it: one process, a store in memory, real TLS.

use crate::world::{self, World};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, color: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"color": color}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_decides_what_is_answered() {
    let world = World::new().await;
    let code = async |client: world::Client, path: &str| client.ask("GET", path, "").await.0;
    assert_eq!(code(world.stranger().await, "/readyz").await, 200);
    assert_eq!(code(world.stranger().await, "/version").await, 401);
    assert_eq!(code(world.stranger().await, MAPS).await, 401);
    assert_eq!(code(world.foreigner().await, "/readyz").await, 401);
    assert_eq!(code(world.admin().await, MAPS).await, 200);
    let (code, body) = world.client("jane", "dev").await.ask("GET", MAPS, "").await;
    let text = "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"";
    assert_eq!((code, &body["message"]), (403, &json!(text)));
    let acting = world.admin().await.with("impersonate-user", "jane");
    assert_eq!(acting.ask("GET", MAPS, "").await.0, 403);
    world.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_in_pages_shows_one_moment() {
    let world = World::new().await;
    let admin = world.admin().await;
    for name in ["a", "b", "c", "d"] {
        admin.create(MAPS, map(name, "red")).await;
    }
    let first = admin.get(&format!("{MAPS}?limit=2")).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    assert_eq!((&first["metadata"]["remainingItemCount"], &first["kind"]), (&json!(2), &json!("ConfigMapList")));
    assert_eq!(admin.ask("DELETE", &format!("{MAPS}/c"), "").await.0, 200);
    admin.create(MAPS, map("cc", "red")).await;
    let rest = admin.get(&format!("{MAPS}?limit=9&continue={token}")).await;
    let names: Vec<_> =
        rest["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["c", "d"]);
    assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let (code, gone) = admin.ask("GET", &format!("{MAPS}?resourceVersion=1&resourceVersionMatch=Exact"), "").await;
    assert!(code == 410 || code == 200, "{gone}");
    let (code, early) = admin.ask("GET", &format!("{MAPS}?resourceVersion=99999999"), "").await;
    assert_eq!((code, &early["details"]["causes"][0]["reason"]), (504, &json!("ResourceVersionTooLarge")));
    let (code, deleted) = admin.ask("DELETE", &format!("{MAPS}?labelSelector=color%3Dred"), "").await;
    assert_eq!((code, deleted["items"].as_array().unwrap().len()), (200, 4));
    world.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_what_is_there_and_then_every_change() {
    let world = World::new().await;
    let admin = world.admin().await;
    admin.create(MAPS, map("a", "red")).await;
    let initial = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut red = admin.watch(&format!("{MAPS}?{initial}&labelSelector=color%3Dred")).await;
    assert_eq!(red.next().await.map(|e| (e.0, e.1)), Some(("ADDED".to_owned(), "a".to_owned())));
    let (kind, _, bookmark) = red.next().await.unwrap();
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let created = admin.create(MAPS, map("b", "red")).await;
    let patch = world.admin().await.with("content-type", "application/merge-patch+json");
    let blue = json!({"metadata": {"labels": {"color": "blue"}}}).to_string();
    assert_eq!(patch.ask("PATCH", &format!("{MAPS}/b"), &blue).await.0, 200);
    assert_eq!(admin.ask("DELETE", &format!("{MAPS}/a"), "").await.0, 200);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (kind, name, event) = red.next().await.unwrap();
        seen.push((
            kind,
            name,
            event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap(),
        ));
    }
    let kinds: Vec<_> = seen.iter().map(|(kind, name, _)| format!("{kind} {name}")).collect();
    assert_eq!(kinds, ["ADDED b", "DELETED b", "DELETED a"]);
    assert!(seen.windows(2).all(|pair| pair[0].2 < pair[1].2), "{seen:?}");
    let after = created["metadata"]["resourceVersion"].as_str().unwrap();
    let mut resumed = admin.watch(&format!("{MAPS}?watch=1&resourceVersion={after}&timeoutSeconds=1")).await;
    assert_eq!(resumed.next().await.map(|e| e.0), Some("MODIFIED".to_owned()));
    assert_eq!(resumed.next().await.map(|e| e.0), Some("DELETED".to_owned()));
    assert!(resumed.next().await.is_none());
    world.server.shutdown().await;
    assert!(red.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_bad_requests_are_answered_as_upstream_does() {
    let world = World::new().await;
    let admin = world.admin().await;
    let check = async |method: &str, path: &str, body: &str, code: u16, reason: &str| {
        let (got, status) = admin.ask(method, path, body).await;
        assert_eq!((got, status["reason"].as_str().unwrap_or_default()), (code, reason), "{method} {path}: {status}");
    };
    check("POST", MAPS, "{bad", 400, "BadRequest").await;
    check("POST", MAPS, &" ".repeat(3 << 20 | 1), 413, "RequestEntityTooLarge").await;
    check("POST", &format!("{MAPS}?dryRun=Foo"), "{}", 422, "Invalid").await;
    check("PATCH", &format!("{MAPS}/a"), "{}", 415, "UnsupportedMediaType").await;
    check("PUT", MAPS, "{}", 405, "MethodNotAllowed").await;
    check("GET", &format!("{MAPS}/nope"), "", 404, "NotFound").await;
    check("GET", "/apis/apps/v9/deployments", "", 404, "NotFound").await;
    check("GET", &format!("{MAPS}?limit=x"), "", 400, "BadRequest").await;
    let yaml = world.admin().await.with("content-type", "application/yaml");
    let (code, created) = yaml.ask("POST", MAPS, "metadata:\n  name: yaml\ndata:\n  a: b\n").await;
    assert_eq!((code, &created["data"]["a"]), (201, &json!("b")), "{created}");
    let table = world.admin().await.with("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
    let listed = table.get(MAPS).await;
    assert_eq!((&listed["kind"], &listed["rows"][0]["cells"][0]), (&json!("Table"), &json!("yaml")));
    world.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery_and_documents_are_served() {
    let world = World::new().await;
    let admin = world.admin().await;
    assert!(admin.get("/api/v1").await["resources"].as_array().unwrap().iter().any(|r| r["name"] == "pods/log"));
    assert_eq!(admin.get("/apis/apps").await["preferredVersion"]["groupVersion"], "apps/v1");
    let index = admin.get("/openapi/v3").await;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let document = admin.get(url).await;
    assert!(document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"].is_object());
    assert_eq!(admin.send("GET", "/openapi/v3/apis/apps/v1?hash=old", "").await.status(), 301);
    let metrics = admin.get("/metrics").await;
    assert!(metrics.as_str().unwrap().contains("apiserver_request_total{"));
    world.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_speaks_for_its_account_as_long_as_that_lives() {
    let world = World::new().await;
    let admin = world.admin().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    admin.create(accounts, json!({"metadata": {"name": "web"}})).await;
    let answer = admin.create(&format!("{accounts}/web/token"), json!({"spec": {}})).await;
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    let review = json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": token}});
    let status = admin.create("/apis/authentication.k8s.io/v1/tokenreviews", review).await["status"].clone();
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:web");
    let web = world.stranger().await.with("authorization", &format!("Bearer {token}"));
    assert_eq!(web.ask("GET", MAPS, "").await.0, 403);
    assert_eq!(admin.ask("DELETE", &format!("{accounts}/web"), "").await.0, 200);
    assert_eq!(web.ask("GET", MAPS, "").await.0, 401);
    world.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_about_a_deprecated_kind_warns() {
    let world = World::new().await;
    let admin = world.admin().await;
    let path = "/api/v1/namespaces/default/endpoints";
    let body = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "e"}}).to_string();
    let one = format!("{path}/e");
    for (method, path, body) in [
        ("POST", path, body.as_str()),
        ("GET", path, ""),
        ("GET", &one, ""),
        ("DELETE", &one, ""),
        ("GET", &one, ""),
        ("GET", "/api/v1/componentstatuses", ""),
    ] {
        let answer = admin.send(method, path, body).await;
        let warnings: Vec<_> = answer.headers().get_all("warning").iter().collect();
        assert_eq!(warnings.len(), 1, "{method} {path}: {warnings:?}");
        assert!(warnings[0].to_str().unwrap().contains(" is deprecated in v1."), "{warnings:?}");
    }
    world.server.shutdown().await;
}
