//! Connections: clients that are sent away, and watches through WebSockets.

use crate::world::World;
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};

#[tokio::test]
async fn a_client_that_is_sent_away_gets_its_answers_first() {
    let world = World::unsociable().await;
    let mut admin = world.admin().await;
    assert_eq!(admin.get("/api/v1/namespaces/default").await["metadata"]["name"], "default");
    assert!(admin.is_sent_away().await);
    let world = World::new().await;
    let mut admin = world.admin().await;
    admin.get("/api/v1/namespaces/default").await;
    assert!(!admin.is_sent_away().await);
}

/// The opcode and the bytes of the next message.
async fn message(socket: &mut (impl AsyncRead + Unpin)) -> (u8, Vec<u8>) {
    let head = socket.read_u16().await.unwrap().to_be_bytes();
    let length = match head[1] & 0x7f {
        126 => usize::from(socket.read_u16().await.unwrap()),
        127 => socket.read_u64().await.unwrap() as usize,
        short => usize::from(short),
    };
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes).await.unwrap();
    (head[0] & 0x0f, bytes)
}

/// A watch of the configmaps of `default` through a WebSocket, whose client accepts that type.
async fn watch(world: &World, accept: &str) -> impl AsyncRead + Unpin + use<> {
    let identity = world.authority.issue("admin", "system:masters");
    let io = TokioIo::new(world.connect(Some(identity), b"http/1.1").await);
    let (mut send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::get("/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1")
        .header("host", "server")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "binary.k8s.io")
        .header("accept", accept);
    let response = send.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["sec-websocket-protocol"]),
        (101, &"binary.k8s.io".parse().unwrap())
    );
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

#[tokio::test]
async fn a_watch_through_a_websocket_has_an_event_in_each_message() {
    let world = World::new().await;
    let admin = world.admin().await;
    for name in ["a", "b"] {
        admin.create("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": name}})).await;
    }
    let mut events = watch(&world, "application/json").await;
    for name in ["a", "b"] {
        let (opcode, text) = message(&mut events).await;
        assert!(text.ends_with(b"}\n"));
        let event: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!((opcode, &event["type"], &event["object"]["metadata"]["name"]), (1, &json!("ADDED"), &json!(name)));
    }
    assert_eq!(message(&mut events).await, (8, 1000_u16.to_be_bytes().to_vec()));
    let mut events = watch(&world, "application/vnd.kubernetes.protobuf").await;
    let (opcode, bytes) = message(&mut events).await;
    assert_eq!((opcode, &bytes[..7]), (2, &b"\n\x05ADDED"[..]));
}
