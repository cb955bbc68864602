use gantry_cri::Runtime;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn target(probe: Value) -> Target {
    let container = json!({"name": "a", "readinessProbe": probe, "ports": [{"name": "web", "containerPort": 9}]});
    Target {
        runtime: Runtime::new(std::path::Path::new("/nonexistent")),
        id: "1".to_owned(),
        ip: "127.0.0.1".to_owned(),
        container: serde_json::from_value(container).unwrap(),
    }
}

/// A server that answers each connection with the next of these texts.
async fn serve(answers: Vec<&'static str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 2048];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

async fn check(answers: Vec<&'static str>, expected: Outcome) {
    let port = serve(answers).await;
    let found = target(json!({"httpGet": {"path": "/x", "port": port}})).probe(Kind::Readiness).await;
    assert_eq!(found, expected);
}

#[tokio::test]
async fn http_codes_from_200_to_399_are_well() {
    check(vec!["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"], Outcome::Success).await;
    let failure = Outcome::Failure("HTTP probe failed with statuscode: 500".to_owned());
    check(vec!["HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"], failure).await;
    let elsewhere = "HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n";
    check(vec![elsewhere], Outcome::Success).await;
    let here = "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n";
    let failure = Outcome::Failure("HTTP probe failed with statuscode: 404".to_owned());
    check(vec![here, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"], failure).await;
}

#[tokio::test]
async fn a_closed_port_reads_like_upstreams() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let words = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    let found = target(json!({"tcpSocket": {"port": port}})).probe(Kind::Readiness).await;
    assert_eq!(found, Outcome::Failure(words.clone()));
    let found = target(json!({"httpGet": {"port": port}})).probe(Kind::Readiness).await;
    assert_eq!(found, Outcome::Failure(format!("Get \"http://127.0.0.1:{port}/\": {words}")));
}

#[tokio::test]
async fn ports_have_names() {
    let target = target(json!({}));
    assert_eq!(target.port(&IntOrString::String("web".to_owned())), Ok(9));
    assert_eq!(target.port(&IntOrString::Int(80)), Ok(80));
    assert!(target.port(&IntOrString::String("no".to_owned())).is_err());
}
