//! Clients with and without a WebSocket around them.

use std::convert::Infallible;

use bytes::Bytes;
use http::Response;
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, DuplexStream};

use super::*;

async fn serve(io: DuplexStream) {
    let builder = hyper::server::conn::http1::Builder::new();
    let _ = builder.serve_connection(TokioIo::new(io), service_fn(answer)).with_upgrades().await;
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let response = match accept(&mut request) {
        Ok((response, pending)) => {
            tokio::spawn(async move { forward(pending.connections().await.unwrap()).await });
            response
        }
        Err(refusal) => Response::builder().status(refusal.code).body(()).unwrap(),
    };
    Ok(response.map(|()| Empty::new()))
}

/// Every connection to an even port is an echo; odd ones fail.
async fn forward(mut connections: Connections) {
    while let Some(Connection { port, stream, error }) = connections.next().await {
        tokio::spawn(async move {
            if port % 2 == 1 {
                return error.send(&format!("nothing listens on {port}")).await.unwrap();
            }
            let (mut read, mut write) = tokio::io::split(stream);
            tokio::io::copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
        });
    }
}

async fn connect(headers: &[(http::HeaderName, &str)]) -> Result<TokioIo<hyper::upgrade::Upgraded>, u16> {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    tokio::spawn(serve(theirs));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(ours)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::builder().uri("/portforward").header(HOST, "h").header(CONNECTION, "Upgrade");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    match response.status().as_u16() {
        101 => Ok(TokioIo::new(hyper::upgrade::on(response).await.unwrap())),
        code => Err(code),
    }
}

async fn plain() -> spdy::Connection {
    let io = connect(&[(UPGRADE, "SPDY/3.1"), (upgrade::STREAM_PROTOCOL, SPDY_PROTOCOL)]).await;
    spdy::Connection::client(io.unwrap())
}

async fn tunnelled() -> spdy::Connection {
    let headers = [
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_KEY, "x3JJHMbDL1EzLkh9GBhXDw=="),
        (SEC_WEBSOCKET_PROTOCOL, TUNNEL_PROTOCOL),
    ];
    let io = connect(&headers).await.unwrap();
    spdy::Connection::client(tunnel::Tunnel::new(upgrade::websocket(io, Role::Client).await))
}

async fn open(client: &spdy::Connection, port: &str, request: Option<&str>) -> (Stream, Stream) {
    let headers = |kind| {
        let all = [("streamType", Some(kind)), ("port", Some(port)), ("requestID", request)];
        Headers::new(all.into_iter().filter_map(|(name, value)| Some((name, value?))))
    };
    let error = client.open(headers("error")).await.unwrap();
    (client.open(headers("data")).await.unwrap(), error)
}

async fn check_echo(client: &spdy::Connection, request: Option<&str>) {
    let (mut data, mut error) = open(client, "80", request).await;
    let sent = vec![42; 200_000];
    let (mut read, mut write) = tokio::io::split(&mut data);
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, result) = tokio::join!(writing, read.read_to_end(&mut received));
    result.unwrap();
    assert!(received == sent);
    assert_eq!(error.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

async fn check_error(client: &spdy::Connection) {
    let (_data, mut error) = open(client, "81", Some("7")).await;
    let mut message = String::new();
    error.read_to_string(&mut message).await.unwrap();
    assert_eq!(message, "nothing listens on 81");
}

#[tokio::test]
async fn spdy_clients_are_served() {
    let client = plain().await;
    check_echo(&client, Some("0")).await;
    check_error(&client).await;
    check_echo(&client, None).await;
}

#[tokio::test]
async fn tunnelled_clients_are_served() {
    let client = tunnelled().await;
    tokio::join!(check_echo(&client, Some("0")), check_echo(&client, Some("1")), check_error(&client));
}

#[tokio::test]
async fn streams_that_make_no_sense_are_reset() {
    let client = plain().await;
    let check = async |headers: &[(&str, &str)]| {
        let mut stream = client.open(Headers::new(headers.iter().copied())).await.unwrap();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    };
    check(&[]).await;
    check(&[("streamType", "data"), ("port", "0"), ("requestID", "1")]).await;
    check(&[("streamType", "data"), ("port", "65536"), ("requestID", "1")]).await;
    check(&[("streamType", "stdin"), ("port", "80"), ("requestID", "2")]).await;
    check_echo(&client, Some("3")).await;
}

#[tokio::test]
async fn other_protocols_are_refused() {
    let exec = [(UPGRADE, "SPDY/3.1"), (upgrade::STREAM_PROTOCOL, "v4.channel.k8s.io")];
    assert_eq!(connect(&exec).await.err(), Some(403));
    assert_eq!(connect(&[]).await.err(), Some(400));
}
