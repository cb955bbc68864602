//! The client against a server on loopback, over TLS.

mod server;
mod servers;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use gantry_client::{Client, ClientError, Event, ExecEvent, Identity, PatchKind, Source};
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use server::{Body, Server, lines, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Repeats what it was asked.
async fn mirror(request: Request<Incoming>) -> Response<Body> {
    let header = |name| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut seen = json!({
        "method": request.method().as_str(),
        "uri": request.uri().path_and_query().map(|uri| uri.as_str()),
        "type": header(CONTENT_TYPE),
        "authorization": header(AUTHORIZATION),
        "agent": header(http::header::USER_AGENT),
    });
    let body = request.into_body().collect().await.unwrap().to_bytes();
    seen["body"] = serde_json::from_slice(&body).unwrap_or_default();
    server::json(200, seen)
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": format!("it is {reason}")})
}

#[tokio::test]
async fn every_verb_is_sent_as_it_must_be() {
    let server = Server::start(mirror).await;
    let client = server.client();
    let check = |seen: Result<Value, ClientError>, method, uri, kind: Value, body: Value| {
        let expected =
            json!({"method": method, "uri": uri, "type": kind, "authorization": null, "agent": "test/1", "body": body});
        assert_eq!(seen.unwrap(), expected);
    };
    let (object, json_type) = (json!({"a": 1}), json!("application/json"));
    check(client.get("/api?x=y").await, "GET", "/api?x=y", Value::Null, Value::Null);
    check(client.create("/c", &object).await, "POST", "/c", json_type.clone(), object.clone());
    check(client.update("/u", &object).await, "PUT", "/u", json_type.clone(), object.clone());
    check(client.delete("/d", None).await, "DELETE", "/d", Value::Null, Value::Null);
    check(client.delete("/d", Some(&object)).await, "DELETE", "/d", json_type, object.clone());
    let apply = json!("application/apply-patch+yaml");
    let path = "/p?fieldManager=me&force=true";
    check(client.patch(path, PatchKind::Apply, &object).await, "PATCH", path, apply, object);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn refusals_carry_the_status() {
    let server = Server::start(|request: Request<Incoming>| async move {
        match request.uri().path() {
            "/gone" => server::json(404, status(404, "NotFound")),
            "/taken" => server::json(409, status(409, "AlreadyExists")),
            "/proxy" => text(502, "upstream is down\n"),
            _ => text(200, "not json"),
        }
    })
    .await;
    let client = server.client();
    let gone = client.get("/gone").await.unwrap_err();
    assert!(gone.is_not_found() && !gone.is_transient());
    assert_eq!((gone.refused().unwrap().reason(), gone.to_string()), ("NotFound", "it is NotFound".to_owned()));
    assert!(client.create("/taken", &json!({})).await.unwrap_err().is_conflict());
    let proxy = client.get("/proxy").await.unwrap_err();
    assert_eq!((proxy.code(), proxy.is_transient(), proxy.to_string()), (502, true, "upstream is down".to_owned()));
    let nonsense = client.get("/").await.unwrap_err();
    assert!(matches!(nonsense, ClientError::Unexpected { .. }), "{nonsense}");
}

#[tokio::test]
async fn a_lost_connection_is_made_anew() {
    let server = Server::start(mirror).await;
    let client = server.client();
    for round in 1..4 {
        // A request that meets the dying connection may be interrupted; the next one must not be.
        let mut result = client.get("/").await;
        if result.is_err() {
            result = client.get("/").await;
        }
        assert_eq!(result.unwrap()["uri"], "/");
        assert_eq!(server.connections.load(Ordering::SeqCst), round);
        server.hang_up();
    }
}

#[tokio::test]
async fn nobody_there_is_told() {
    let server = Server::start(mirror).await;
    let mut endpoint = server.endpoint();
    endpoint.server = "https://127.0.0.1:1".to_owned();
    let error = Client::new(endpoint.clone()).unwrap().get("/").await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }) && error.is_transient(), "{error}");
    endpoint.server = "http://127.0.0.1:1".to_owned();
    let error = Client::new(endpoint).err().unwrap();
    assert!(matches!(error, ClientError::Configuration { .. }), "{error}");
}

#[tokio::test]
async fn a_stranger_is_not_trusted() {
    let (server, other) = (Server::start(mirror).await, Server::start(mirror).await);
    let mut endpoint = server.endpoint();
    endpoint.authority = Source::Inline(other.authority.clone());
    let error = Client::new(endpoint).unwrap().get("/").await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn credentials_are_read_anew() {
    let server = Server::start(mirror).await;
    let directory = tempfile::tempdir().unwrap();
    let (token, authority) = (directory.path().join("token"), directory.path().join("ca.crt"));
    std::fs::write(&authority, &server.authority).unwrap();
    let mut endpoint = server.endpoint();
    endpoint.identity = Identity::Token(Source::File(token.clone()));
    endpoint.authority = Source::File(authority.clone());
    let client = Client::new(endpoint).unwrap();
    for secret in ["first", "second\n"] {
        std::fs::write(&token, secret).unwrap();
        let seen = client.get("/").await.unwrap();
        assert_eq!(seen["authorization"], format!("Bearer {}", secret.trim()));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    // Another authority: what was connected under the old one is left.
    std::fs::write(&authority, [&server.authority[..], b"\n"].concat()).unwrap();
    client.get("/").await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

/// A server that answers one request after the other from a script, and keeps what it was asked.
async fn scripted(script: Vec<Response<Body>>) -> (Server, Arc<Mutex<Vec<String>>>) {
    let script = Arc::new(Mutex::new(VecDeque::from(script)));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let server = Server::start(move |request: Request<Incoming>| {
        seen.lock().unwrap().push(request.uri().path_and_query().unwrap().to_string());
        let next = script.lock().unwrap().pop_front();
        async { next.unwrap_or_else(|| text(500, "the script is over")) }
    })
    .await;
    (server, asked)
}

fn pod(name: &str, revision: &str) -> Value {
    json!({"metadata": {"name": name, "resourceVersion": revision}})
}

fn page(names: &[&str], revision: &str, token: &str) -> Response<Body> {
    let items: Vec<_> = names.iter().map(|name| pod(name, "1")).collect();
    let metadata = json!({"resourceVersion": revision, "continue": token});
    server::json(200, json!({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}))
}

#[tokio::test]
async fn pages_are_joined_and_expired_ones_read_again() {
    let expired = server::json(410, status(410, "Expired"));
    let script = vec![page(&["a"], "5", "t/1="), expired, page(&["a", "b"], "6", "t2"), page(&["c"], "6", "")];
    let (server, asked) = scripted(script).await;
    let list = server.client().list("/pods", "labelSelector=a%3Db").await.unwrap();
    assert_eq!((list["items"].as_array().unwrap().len(), &list["metadata"]["resourceVersion"]), (3, &json!("6")));
    let base = "/pods?labelSelector=a%3Db&limit=500";
    let pages = [base.to_owned(), format!("{base}&continue=t%2F1%3D"), base.to_owned(), format!("{base}&continue=t2")];
    assert_eq!(*asked.lock().unwrap(), pages);
}

#[tokio::test]
async fn a_watch_resumes_and_lists_again_when_it_must() {
    let event = |kind: &str, object: Value| json!({"type": kind, "object": object});
    let script = vec![
        page(&["a"], "5", ""),
        lines(
            vec![event("ADDED", pod("b", "6")), event("BOOKMARK", json!({"metadata": {"resourceVersion": "9"}}))],
            true,
        ),
        text(503, "busy"),
        lines(vec![event("DELETED", pod("b", "10")), event("ERROR", status(410, "Expired"))], false),
        page(&[], "20", ""),
        lines(vec![event("MODIFIED", pod("c", "21"))], false),
    ];
    let (server, asked) = scripted(script).await;
    let client = server.client();
    let mut watch = client.watch("/pods", "fieldSelector=x");
    let mut next = async || tokio::time::timeout(Duration::from_secs(20), watch.next()).await.expect("an event");
    let mut listed = pod("a", "1");
    listed["kind"] = json!("Pod");
    listed["apiVersion"] = json!("v1");
    assert_eq!(next().await, Event::Restarted(vec![listed]));
    assert_eq!(next().await, Event::Applied(pod("b", "6")));
    assert_eq!(next().await, Event::Deleted(pod("b", "10")));
    assert_eq!(next().await, Event::Restarted(vec![]));
    assert_eq!(next().await, Event::Applied(pod("c", "21")));
    let asked = asked.lock().unwrap().clone();
    let from: Vec<_> = asked.iter().map(|uri| uri.split("resourceVersion=").nth(1)).collect();
    assert_eq!(from, [None, Some("5"), Some("9"), Some("9"), None, Some("20")]);
    assert!(asked[1].starts_with("/pods?fieldSelector=x&watch=true&"), "{}", asked[1]);
}

#[tokio::test]
async fn logs_come_in_pieces() {
    let (server, _) =
        scripted(vec![lines(vec![json!(1), json!(2)], false), server::json(400, status(400, "BadRequest"))]).await;
    let client = server.client();
    let mut body = client.stream("/log?follow=true").await.unwrap();
    let mut read = Vec::new();
    while read.len() < 4 {
        read.extend_from_slice(&body.next().await.unwrap().unwrap());
    }
    assert_eq!(read, b"1\n2\n");
    assert_eq!(client.stream("/log").await.err().unwrap().to_string(), "it is BadRequest");
}

/// Upgrades everything; `echo` repeats bytes, a WebSocket is an `exec`.
async fn upgrading(mut request: Request<Incoming>) -> Response<Body> {
    let Some(protocol) = request.headers().get(UPGRADE).cloned() else { return text(400, "no upgrade") };
    if protocol == "forbidden" {
        return server::json(403, status(403, "Forbidden"));
    }
    let mut response = Response::builder().status(101).header(CONNECTION, "Upgrade").header(UPGRADE, &protocol);
    if let Some(key) = request.headers().get("sec-websocket-key") {
        response = response.header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()));
        response = response.header(SEC_WEBSOCKET_PROTOCOL, &request.headers()[SEC_WEBSOCKET_PROTOCOL]);
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let io = TokioIo::new(upgraded.await.unwrap());
        if protocol == "websocket" {
            return command(WebSocketStream::from_raw_socket(io, Role::Server, None).await).await;
        }
        let (mut read, mut write) = tokio::io::split(io);
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    response.body(Empty::new().boxed_unsync()).unwrap()
}

/// Repeats its input until that is closed.
async fn command(mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>) {
    socket.send(Message::binary(&b"\x01"[..])).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        let data = message.into_data();
        let answer = match data.first() {
            Some(0) => [b"\x01", &data[1..]].concat(),
            Some(4) => [b"\x02", &data[1..]].concat(),
            Some(255) => break,
            _ => continue,
        };
        socket.send(Message::binary(answer)).await.unwrap();
    }
    let status = json!({"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}});
    socket.send(Message::binary(format!("\x03{status}").into_bytes())).await.unwrap();
}

#[tokio::test]
async fn upgrades_give_raw_connections() {
    let server = Server::start(upgrading).await;
    let client = server.client();
    let (_, mut io) = client.upgrade(Method::GET, "/tunnel", HeaderMap::new(), "echo").await.unwrap();
    io.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    io.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
    let refused = client.upgrade(Method::GET, "/tunnel", HeaderMap::new(), "forbidden").await.err().unwrap();
    assert_eq!((refused.code(), refused.to_string()), (403, "it is Forbidden".to_owned()));
}

#[tokio::test]
async fn remote_commands_run_over_websocket() {
    let server = Server::start(upgrading).await;
    let mut session = server.client().exec("/exec?command=cat").await.unwrap();
    session.writer.stdin(Bytes::from("hello")).await.unwrap();
    assert_eq!(session.reader.next().await.unwrap(), Some(ExecEvent::Stdout("hello".into())));
    session.writer.resize(80, 24).await.unwrap();
    let size = r#"{"Width":80,"Height":24}"#;
    assert_eq!(session.reader.next().await.unwrap(), Some(ExecEvent::Stderr(size.into())));
    session.writer.close_stdin().await.unwrap();
    let Some(ExecEvent::Status(status)) = session.reader.next().await.unwrap() else { panic!("no status") };
    assert_eq!(gantry_client::exit_code(&status), Some(3));
    assert_eq!(session.reader.next().await.unwrap(), None);
    let plain = Server::start(mirror).await;
    assert!(plain.client().exec("/exec").await.is_err());
}
