//! What is wrong with a configuration is said as upstream says it; what is right with it works.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn said(authorizers: &Value) -> String {
    let document = json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
        "authorizers": authorizers});
    configuration::parse(&document.to_string()).err().unwrap_or_default()
}

fn webhook(changes: &Value) -> Value {
    let mut webhook = json!({"timeout": "3s", "subjectAccessReviewVersion": "v1", "failurePolicy": "Deny",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "/dev/null/none"}});
    for (key, value) in changes.as_object().into_iter().flatten() {
        webhook[key] = value.clone();
    }
    json!([{"type": "Webhook", "name": "w", "webhook": webhook}])
}

#[test]
fn a_bad_configuration_is_refused_in_known_words() {
    let empty = "authorizers: Required value: at least one authorization mode must be defined";
    assert_eq!(said(&json!([])), empty);
    let twice = json!([{"type": "RBAC", "name": "rbac"}, {"type": "RBAC", "name": "x"}]);
    assert_eq!(said(&twice), "authorizers[1].type: Duplicate value: \"RBAC\"");
    let renamed = json!([{"type": "Node", "name": "n"}, {"type": "RBAC", "name": "r"}]);
    let expected =
        "[expected name node for authorizer Node instead of n, expected name rbac for authorizer RBAC instead of r]";
    assert_eq!(said(&renamed), expected);
    let bare = json!([{"type": "Webhook", "name": "w", "webhook": {}}]);
    let expected = "[authorizers[0].timeout: Required value, authorizers[0].subjectAccessReviewVersion: Required value, \
                    authorizers[0].failurePolicy: Required value, authorizers[0].connectionInfo.type: Required value]";
    assert_eq!(said(&bare), expected);
    let in_cluster = json!({"connectionInfo": {"type": "InClusterConfig"}, "timeout": "31s"});
    let expected = "authorizers[0].timeout: Invalid value: \"31s\": must be > 0s and <= 30s";
    assert_eq!(said(&webhook(&in_cluster)), expected);
    let typed = json!({"connectionInfo": {"type": "InClusterConfig"}, "matchConditionSubjectAccessReviewVersion": "v1",
        "matchConditions": [{"expression": "request.user"}]});
    let expected = "authorizers[0].matchConditions[0].expression: Invalid value: \"request.user\": must evaluate to bool but got string";
    assert_eq!(said(&webhook(&typed)), expected);
    let unknown = json!([{"type": "RBAC", "name": "rbac", "foo": 1}]);
    let expected = "failed to load AuthorizationConfiguration from file: strict decoding error: unknown field \"authorizers[0].foo\"";
    assert_eq!(said(&unknown), expected);
}

#[tokio::test]
async fn an_authorizer_outside_is_asked_once_for_what_is_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        // One answer for one connection: a second question would wait for ever.
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = vec![0; 4096];
        let length = stream.read(&mut read).await.unwrap();
        let body = json!({"status": {"allowed": true, "reason": "known"}}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        String::from_utf8_lossy(&read[..length]).into_owned()
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeconfig");
    let config = json!({"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}/authz")}}],
        "users": [{"name": "u", "user": {"token": "secret"}}]});
    std::fs::write(&file, config.to_string()).unwrap();
    let flags = Flags {
        modes: Some(vec!["Webhook".to_owned(), "RBAC".to_owned()]),
        webhook_config_file: Some(file),
        ..Flags::default()
    };
    let mut authorization = flags.authorization().unwrap();
    let authorizers = Authorizers::new(&mut authorization);
    let spec = json!({"user": "jane", "groups": ["a"], "nonResourceAttributes": {"path": "/x", "verb": "get"}});
    let question = Question { webhook: "default".to_owned(), spec };
    for _ in 0..2 {
        let status = authorizers.ask(&question).await.unwrap();
        assert_eq!(status, json!({"allowed": true, "reason": "known"}));
    }
    let asked = server.await.unwrap();
    assert!(asked.starts_with("POST /authz?timeout=10s HTTP/1.1"), "{asked}");
    assert!(asked.contains("authorization: Bearer secret") && asked.contains("\"group\":[\"a\"]"), "{asked}");
    let mut out = String::new();
    authorizers.counts.write(&mut out);
    assert!(out.contains("apiserver_authorization_webhook_evaluations_total{name=\"default\",result=\"success\"} 1"));
}
