//! The audit log, as somebody reads it who wants to know who did what.

use std::path::Path;

use gantry_server::{AuditConfig, AuditLog, AuditMode, AuditPolicy};
use serde_json::{Value, json};

use crate::world::World;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

async fn world(folder: &Path, rules: Value) -> World {
    let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules});
    let log = AuditLog {
        path: folder.join("audit.log"),
        max_age_days: 0,
        max_backups: 0,
        max_megabytes: 0,
        mode: AuditMode::Blocking,
    };
    World::audited(AuditConfig { policy: AuditPolicy::parse(&policy).expect("a policy"), log }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_and_what_came_of_it_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let rules = json!([
        {"level": "None", "nonResourceURLs": ["/livez*"]},
        {"level": "RequestResponse", "resources": [{"resources": ["configmaps", "secrets"]}], "omitManagedFields": true},
        {"level": "Metadata", "omitStages": ["RequestReceived"]}
    ]);
    let world = world(folder.path(), rules).await;
    let admin = world.admin().await;
    let map = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}, "data": {"k": "v"}}"#;
    assert_eq!(admin.ask("POST", MAPS, map).await.0, 201);
    let secret = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hidden"}}"#;
    assert_eq!(admin.ask("POST", "/api/v1/namespaces/default/secrets", secret).await.0, 201);
    assert_eq!(world.stranger().await.ask("GET", "/livez", "").await.0, 200);
    assert_eq!(world.stranger().await.ask("GET", MAPS, "").await.0, 401);
    let jane = world.admin().await.with("impersonate-user", "jane");
    assert_eq!(jane.ask("GET", "/api/v1/nodes?limit=1", "").await.0, 403);
    world.server.shutdown().await;

    let path = folder.path().join("audit.log");
    assert!(!std::fs::read_to_string(&path).unwrap().contains("hidden"), "no body of a secret");
    let events = events(&path);
    let stages: Vec<(&str, &str)> =
        events.iter().map(|e| (e["verb"].as_str().unwrap(), e["stage"].as_str().unwrap())).collect();
    let both = [("create", "RequestReceived"), ("create", "ResponseComplete")];
    assert_eq!(stages[..4], [both, both].concat());
    let made = &events[1];
    assert_eq!((&made["level"], &made["apiVersion"]), (&json!("RequestResponse"), &json!("audit.k8s.io/v1")));
    assert_eq!((&made["user"]["username"], &made["responseStatus"]["code"]), (&json!("admin"), &json!(201)));
    assert_eq!((&made["requestObject"]["data"]["k"], &made["requestURI"]), (&json!("v"), &json!(MAPS)));
    let answered = &made["responseObject"]["metadata"];
    assert!(answered["managedFields"].is_null() && answered["name"] == made["objectRef"]["name"]);
    assert_eq!(made["annotations"]["authorization.k8s.io/decision"], "allow");
    assert_eq!(events[3]["level"], "Metadata", "whatever the rule says of secrets");
    let unknown = &events[4];
    assert_eq!((&unknown["responseStatus"]["code"], &unknown["user"]), (&json!(401), &json!({})));
    let refused = events.last().unwrap();
    assert_eq!(
        (&refused["user"]["username"], &refused["impersonatedUser"]["username"]),
        (&json!("admin"), &json!("jane"))
    );
    assert_eq!(refused["responseStatus"]["reason"], "Forbidden");
    assert_eq!(
        (&refused["objectRef"]["resource"], &refused["requestURI"]),
        (&json!("nodes"), &json!("/api/v1/nodes?limit=1"))
    );
    assert_eq!(refused["annotations"]["authorization.k8s.io/decision"], "forbid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_is_written_down_when_it_begins_and_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path(), json!([{"level": "Metadata"}])).await;
    let admin = world.admin().await;
    assert_eq!(admin.ask("GET", &format!("{MAPS}?watch=1&timeoutSeconds=1"), "").await.0, 200);
    drop(admin);
    world.server.shutdown().await;
    let stages: Vec<Value> = events(&folder.path().join("audit.log")).iter().map(|e| e["stage"].clone()).collect();
    assert_eq!(stages, ["RequestReceived", "ResponseStarted", "ResponseComplete"]);
}
