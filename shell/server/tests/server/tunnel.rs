//! A node's tunnel, and a log through it.

use std::convert::Infallible;

use crate::world::World;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

/// Opens the tunnel of `node` with a certificate of `user`; the status code of the answer.
async fn open(world: &World, user: &str, node: &str) -> u16 {
    let identity = world.authority.issue(user, "system:nodes");
    let io = TokioIo::new(world.connect(Some(identity), b"http/1.1").await);
    let (mut send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::get(format!("/gantry/v1/nodes/{node}/tunnel"))
        .header("host", "server")
        .header("connection", "Upgrade")
        .header("upgrade", "gantry-node/1")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = send.send_request(request).await.unwrap();
    let code = response.status().as_u16();
    if code == 101 {
        let upgraded = hyper::upgrade::on(response).await.unwrap();
        let serve = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(serve.serve_connection(upgraded, service_fn(node_answer)));
    }
    code
}

async fn node_answer(request: Request<Incoming>) -> Result<Response<UnsyncBoxBody<Bytes, hyper::Error>>, Infallible> {
    let uri = request.uri().to_string();
    if uri.starts_with("/dial") {
        return Ok(backend(&uri, request.into_body()));
    }
    let refused =
        json!({"kind": "Status", "message": "container \"a\" in pod \"p\" is waiting to start: ContainerCreating"});
    let (code, body) = if uri.contains("previous") { (400, refused.to_string()) } else { (200, uri) };
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    Ok(Response::builder().status(code).body(body).unwrap())
}

/// A connection to a web server that answers with what it was asked, or redirects.
fn backend(uri: &str, body: Incoming) -> Response<UnsyncBoxBody<Bytes, hyper::Error>> {
    let uri = uri.to_owned();
    let answered = async move {
        let mut asked = String::new();
        let mut pieces = body.into_data_stream();
        while !asked.contains("\r\n\r\n") {
            asked += &String::from_utf8_lossy(&pieces.next().await.unwrap()?);
        }
        let answer = if asked.starts_with("GET /redirect") {
            "HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n".to_owned()
        } else {
            let text = format!("{uri} {asked}");
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}", text.len())
        };
        Ok::<_, hyper::Error>(Frame::data(Bytes::from(answer)))
    };
    Response::new(StreamBody::new(stream::once(answered)).boxed_unsync())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_comes_through_the_tunnel_of_the_pods_node() {
    let world = World::new().await;
    let admin = world.admin().await;
    let account = json!({"metadata": {"name": "default"}});
    admin.create("/api/v1/namespaces/default/serviceaccounts", account).await;
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "x"}]}});
    admin.create("/api/v1/namespaces/default/pods", pod).await;
    let log = "/api/v1/namespaces/default/pods/p/log?tailLines=3";
    assert_eq!(admin.ask("GET", log, "").await.0, 503);
    assert_eq!(open(&world, "system:node:n2", "n1").await, 403);
    assert_eq!(open(&world, "system:node:n1", "n1").await, 101);
    // The node registers once the upgrade is done on the server's side.
    while !world.server.tunnels().connected("n1") {
        tokio::task::yield_now().await;
    }
    assert_eq!(admin.ask("GET", log, "").await, (200, json!("/logs/default/p/a?tailLines=3")));
    let (code, refused) = admin.ask("GET", &format!("{log}&previous=true"), "").await;
    assert_eq!(
        (code, refused["message"].as_str()),
        (400, Some("container \"a\" in pod \"p\" is waiting to start: ContainerCreating"))
    );
    let (code, refused) = admin.ask("GET", "/api/v1/namespaces/default/pods/p/log?container=z", "").await;
    assert_eq!((code, refused["message"].as_str()), (400, Some("container z is not valid for pod p")));
    world.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxied_request_reaches_the_pods_port_through_its_node() {
    let world = World::new().await;
    let admin = world.admin().await.with("authorization", "Basic c2VjcmV0");
    let account = json!({"metadata": {"name": "default"}});
    admin.create("/api/v1/namespaces/default/serviceaccounts", account).await;
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "x"}]}});
    admin.create("/api/v1/namespaces/default/pods", pod).await;
    let proxy = "/api/v1/namespaces/default/pods/p:8080/proxy";
    let (code, refused) = admin.ask("GET", &format!("{proxy}/"), "").await;
    assert_eq!((code, refused["message"].as_str()), (400, Some("address not allowed")));
    let status =
        json!({"metadata": {"name": "p"}, "status": {"podIP": "10.244.0.9", "podIPs": [{"ip": "10.244.0.9"}]}});
    let (code, changed) = admin
        .clone_with("content-type", "application/merge-patch+json")
        .ask("PATCH", "/api/v1/namespaces/default/pods/p/status", &status.to_string())
        .await;
    assert_eq!(code, 200, "{changed}");
    assert_eq!(open(&world, "system:node:n1", "n1").await, 101);
    while !world.server.tunnels().connected("n1") {
        tokio::task::yield_now().await;
    }
    let (code, text) = admin.ask("POST", &format!("{proxy}/a/b%20c?x=1"), "").await;
    let text = text.as_str().unwrap_or_default().to_ascii_lowercase();
    assert_eq!(code, 200);
    assert!(text.starts_with("/dial?ip=10.244.0.9&port=8080 post /a/b%20c?x=1 http/1.1\r\n"), "{text}");
    assert!(text.contains("x-forwarded-uri: /api/v1/namespaces/default/pods/p:8080/proxy/a/b%20c"), "{text}");
    assert!(!text.contains("authorization"), "{text}");
    let moved = admin.send("GET", &format!("{proxy}/redirect"), "").await;
    assert_eq!(
        (moved.status().as_u16(), moved.headers()["location"].to_str().unwrap()),
        (302, &format!("{proxy}/there")[..])
    );
    let slash = admin.send("GET", proxy, "").await;
    assert_eq!(
        (slash.status().as_u16(), slash.headers()["location"].to_str().unwrap()),
        (301, &format!("{proxy}/")[..])
    );
    world.server.shutdown().await;
}
