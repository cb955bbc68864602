//! Clients of every kind against the server's side, and our own client's side against it.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Response;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::frames::{Channel, Frame};
use crate::spdy::{Connection, Headers};

const SUCCESS: &str = r#"{"metadata":{},"status":"Success"}"#;
const FAILURE: &str = r#"{"metadata":{},"status":"Failure","message":"command terminated with exit code 3"}"#;
const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true, tty: false };
const TERMINAL: Streams = Streams { stdin: true, stdout: true, stderr: false, tty: true };

/// A command that repeats its input, tells each terminal size on its error output, and ends with `status` when its
/// input is closed.
async fn run(mut session: Session, status: &'static str) {
    while let Some(frame) = session.incoming.receive().await {
        let answer = match (frame.channel, frame.closes()) {
            (Channel::Stdin, _) => Frame::new(Channel::Stdout, frame.payload),
            (Channel::Resize, _) => Frame::new(Channel::Stdout, format!("size {:?}", frame.payload)),
            (_, Some(Channel::Stdin)) => break,
            other => panic!("{other:?}"),
        };
        session.outgoing.send(answer).await.unwrap();
    }
    let _ = session.outgoing.send(Frame::new(Channel::Stderr, "bye")).await;
    let _ = session.outgoing.send(Frame::new(Channel::Status, status)).await;
}

async fn websocket(version: Version, coding: Coding, status: &'static str) -> WebSocketStream<DuplexStream> {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let session = over_websocket::serve(theirs, version, coding, ALL).await;
    tokio::spawn(run(session, status));
    upgrade::websocket(ours, Role::Client).await
}

async fn next(client: &mut WebSocketStream<DuplexStream>) -> Message {
    client.next().await.unwrap().unwrap()
}

#[tokio::test]
async fn websocket_v5_closes_its_input() {
    let mut client = websocket(Version::V5, Coding::Binary, SUCCESS).await;
    assert_eq!(next(&mut client).await, Message::binary(&b"\x01"[..]));
    client.send(Message::binary(&b"\x00hello"[..])).await.unwrap();
    assert_eq!(next(&mut client).await, Message::binary(&b"\x01hello"[..]));
    client.send(Message::binary(&b"\x07nonsense"[..])).await.unwrap();
    client.send(Message::binary(&b""[..])).await.unwrap();
    client.send(Message::binary(&b"\xff\x00"[..])).await.unwrap();
    assert_eq!(next(&mut client).await, Message::binary(&b"\x02bye"[..]));
    assert_eq!(next(&mut client).await, Message::binary([b"\x03", SUCCESS.as_bytes()].concat()));
    assert!(matches!(next(&mut client).await, Message::Close(_)));
}

#[tokio::test]
async fn websocket_v4_in_base64_knows_no_close() {
    let mut client = websocket(Version::V4, Coding::Base64, SUCCESS).await;
    assert_eq!(next(&mut client).await, Message::text("1"));
    client.send(Message::text("\u{1}not base64")).await.unwrap();
    client.send(Message::text("0aGVsbG8=")).await.unwrap();
    assert_eq!(next(&mut client).await, Message::text("1aGVsbG8="));
    // Only leaving ends the input; the command then ends without input.
    client.close(None).await.unwrap();
}

#[tokio::test]
async fn the_oldest_websocket_hears_errors_as_text() {
    let check = async |status, expected: Option<&str>| {
        let (ours, theirs) = tokio::io::duplex(1024);
        let session = over_websocket::serve(theirs, Version::V1, Coding::Binary, ALL).await;
        session.outgoing.send(Frame::new(Channel::Status, status)).await.unwrap();
        let mut client = upgrade::websocket(ours, Role::Client).await;
        assert_eq!(next(&mut client).await, Message::binary(&b"\x01"[..]));
        if let Some(text) = expected {
            assert_eq!(next(&mut client).await, Message::binary(format!("\x03{text}").into_bytes()));
        }
        assert!(matches!(next(&mut client).await, Message::Close(_)));
    };
    check(SUCCESS, None).await;
    check(FAILURE, Some("command terminated with exit code 3")).await;
}

#[tokio::test]
async fn a_websocket_client_that_leaves_ends_the_session() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let mut session = over_websocket::serve(theirs, Version::V5, Coding::Binary, ALL).await;
    drop(ours);
    assert_eq!(session.incoming.receive().await, None);
}

/// The frames of a session up to its status, output put together by channel.
async fn collect(session: &mut Session) -> (BTreeMap<Channel, Vec<u8>>, Option<Bytes>) {
    let mut output: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    while let Some(frame) = session.incoming.receive().await {
        match frame.channel {
            Channel::Status => return (output, Some(frame.payload)),
            Channel::Close => {}
            channel => output.entry(channel).or_default().extend_from_slice(&frame.payload),
        }
    }
    (output, None)
}

async fn spdy(streams: Streams, status: &'static str) -> Session {
    let (ours, theirs) = tokio::io::duplex(4096);
    tokio::spawn(async move { run(over_spdy::serve(theirs, Version::V4, streams).await.unwrap(), status).await });
    dial::open(ours, streams).await.unwrap()
}

#[tokio::test]
async fn spdy_carries_a_whole_command() {
    let mut session = spdy(ALL, FAILURE).await;
    let input = Bytes::from(vec![b'x'; 500_000]);
    let (sender, sent) = (session.outgoing.clone(), input.clone());
    tokio::spawn(async move {
        sender.send_all(Channel::Stdin, sent).await.unwrap();
        sender.send(Frame::close(Channel::Stdin)).await.unwrap();
    });
    let (output, status) = collect(&mut session).await;
    assert_eq!(output[&Channel::Stdout], input);
    assert_eq!(output[&Channel::Stderr], b"bye");
    assert_eq!(status.as_deref(), Some(FAILURE.as_bytes()));
}

#[tokio::test]
async fn spdy_carries_terminal_sizes() {
    let mut session = spdy(TERMINAL, SUCCESS).await;
    for size in [r#"{"Width":80,"Height":24}"#, r#"{"Width":100,"Height":30}"#] {
        session.outgoing.send(Frame::new(Channel::Resize, size)).await.unwrap();
        let frame = session.incoming.receive().await.unwrap();
        assert_eq!(frame, Frame::new(Channel::Stdout, format!("size {:?}", Bytes::from(size))));
    }
}

#[tokio::test]
async fn a_spdy_client_that_leaves_ends_the_session() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let (client, session) = tokio::join!(dial::open(ours, ALL), over_spdy::serve(theirs, Version::V4, ALL));
    let mut session = session.unwrap();
    drop(client);
    assert_eq!(session.incoming.receive().await, None);
}

#[tokio::test]
async fn unexpected_streams_are_refused() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let client = Connection::client(ours);
    let _stream = client.open(Headers::new([("streamType", "portal")])).await.unwrap();
    let refused = over_spdy::serve(theirs, Version::V4, ALL).await.err().unwrap();
    assert!(refused.to_string().contains("unexpected stream of type \"portal\""), "{refused}");
}

#[tokio::test]
async fn old_spdy_clients_hear_errors_as_text() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let client = Connection::client(ours);
    let output = Streams { stdout: true, ..Streams::default() };
    let session = tokio::spawn(over_spdy::serve(theirs, Version::V2, output));
    let mut error = client.open(Headers::new([("streamType", "error")])).await.unwrap();
    let mut stdout = client.open(Headers::new([("streamType", "stdout")])).await.unwrap();
    let session = session.await.unwrap().unwrap();
    session.outgoing.send(Frame::new(Channel::Stdout, "half")).await.unwrap();
    session.outgoing.send(Frame::new(Channel::Status, FAILURE)).await.unwrap();
    let (mut said, mut wrong) = (String::new(), String::new());
    stdout.read_to_string(&mut said).await.unwrap();
    error.read_to_string(&mut wrong).await.unwrap();
    assert_eq!((said.as_str(), wrong.as_str()), ("half", "command terminated with exit code 3"));
}

/// An HTTP server on loopback that answers upgrades for exec with `run`.
async fn http_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service_fn(answer))
                .with_upgrades();
            tokio::spawn(connection);
        }
    });
    format!("http://{address}/exec/token")
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    Ok(match accept(&mut request, ALL) {
        Ok((response, pending)) => {
            tokio::spawn(async move { run(pending.session().await.unwrap(), SUCCESS).await });
            response.map(|()| Empty::new())
        }
        Err(refusal) => Response::builder().status(refusal.code).body(Empty::new()).unwrap(),
    })
}

#[tokio::test]
async fn dialling_upgrades_over_http() {
    let mut session = dial(&http_server().await, ALL).await.unwrap();
    session.outgoing.send(Frame::new(Channel::Stdin, "over http")).await.unwrap();
    session.outgoing.send(Frame::close(Channel::Stdin)).await.unwrap();
    let (output, status) = collect(&mut session).await;
    assert_eq!(output[&Channel::Stdout], b"over http");
    assert_eq!(status.as_deref(), Some(SUCCESS.as_bytes()));
    let refused = dial("nonsense", ALL).await.err().unwrap();
    assert!(refused.to_string().contains("is not of http"), "{refused}");
}

#[tokio::test]
async fn a_refused_upgrade_says_what_came_instead() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = socket.read(&mut request).await.unwrap();
        socket.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nno such").await.unwrap();
    });
    match dial(&url, ALL).await {
        Err(StreamError::Refused { code: 404, body }) => assert_eq!(body, "no such"),
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn versions_are_read_from_protocol_names() {
    let check = |name, expected| assert_eq!(version(name), expected);
    check("v5.channel.k8s.io", Version::V5);
    check("v4.base64.channel.k8s.io", Version::V4);
    check("v3.channel.k8s.io", Version::V3);
    check("channel.k8s.io", Version::V1);
    check("base64.channel.k8s.io", Version::V1);
    check("", Version::V1);
}
