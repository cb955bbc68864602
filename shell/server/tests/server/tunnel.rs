//! A node's tunnel, and a log through it.

use std::convert::Infallible;

use crate::world::World;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
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

async fn node_answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let uri = request.uri().to_string();
    let refused =
        json!({"kind": "Status", "message": "container \"a\" in pod \"p\" is waiting to start: ContainerCreating"});
    let (code, body) = if uri.contains("previous") { (400, refused.to_string()) } else { (200, uri) };
    Ok(Response::builder().status(code).body(Full::new(Bytes::from(body))).unwrap())
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
