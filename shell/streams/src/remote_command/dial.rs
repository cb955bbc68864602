//! Our side as a client: towards the streaming server of a container runtime.

use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::net::TcpStream;

use super::over_spdy::{STREAM_TYPE, expected, read_bytes};
use super::{Streams, Version};
use crate::StreamError;
use crate::frames::{Channel, Frame};
use crate::limits::{DIAL, REFUSAL_BYTES, STATUS_BYTES};
use crate::session::{self, FrameReceiver, FrameSender, Session};
use crate::spdy::{Connection, Headers, Stream};
use crate::upgrade::STREAM_PROTOCOL;

/// Dials the URL that a runtime gave for exec or attach (http, SPDY/3.1). Incoming are stdout, stderr, their closes
/// and the status; outgoing stdin, resize and close frames.
pub async fn dial(url: &str, streams: Streams) -> Result<Session, StreamError> {
    let dialled = async {
        let io = upgrade(url).await?;
        open(io, streams).await
    };
    tokio::time::timeout(DIAL, dialled).await.map_err(|_| StreamError::Timeout { operation: "dial the runtime" })?
}

async fn upgrade(url: &str) -> Result<TokioIo<Upgraded>, StreamError> {
    let operation = "dial the runtime";
    let malformed = |cause: String| StreamError::Protocol { operation, cause };
    let failed = |error: hyper::Error| StreamError::Io { operation, cause: std::io::Error::other(error) };
    let uri: Uri = url.parse().map_err(|e| malformed(format!("address {url:?}: {e}")))?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
    let authority = authority.ok_or_else(|| malformed(format!("address {url:?} is not of http")))?;
    let address = (authority.host().trim_matches(['[', ']']).to_owned(), authority.port_u16().unwrap_or(80));
    let socket = TcpStream::connect(address).await.map_err(|cause| StreamError::Io { operation, cause })?;
    let _ = socket.set_nodelay(true);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(failed)?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, authority.as_str())
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "SPDY/3.1")
        .header(STREAM_PROTOCOL, "v4.channel.k8s.io")
        .body(Empty::<Bytes>::new())
        .map_err(|e| malformed(e.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    if response.status() != 101 {
        let code = response.status().as_u16();
        let body = Limited::new(response.into_body(), REFUSAL_BYTES).collect().await;
        let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
        return Err(StreamError::Refused { code, body });
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(failed)?;
    Ok(TokioIo::new(upgraded))
}

/// Opens the streams on an upgraded connection and starts the tasks of the session.
pub(super) async fn open<T>(io: T, streams: Streams) -> Result<Session, StreamError>
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let connection = Connection::client(io);
    let mut ends = Ends::default();
    for (name, channel) in expected(streams, Version::V4) {
        let mut stream = connection.open(Headers::new([(STREAM_TYPE, name)])).await?;
        let accepted = stream.accepted().await;
        accepted.map_err(|cause| StreamError::Io { operation: "open a stream at the runtime", cause })?;
        match channel {
            Channel::Status => ends.error = Some(stream),
            Channel::Stdout | Channel::Stderr => ends.outputs.push((channel, stream)),
            Channel::Stdin => ends.stdin = Some(tokio::io::split(stream).1),
            Channel::Resize => ends.resize = Some(tokio::io::split(stream).1),
            Channel::Close => {}
        }
    }
    let (session, Session { incoming, outgoing }) = session::pair();
    tokio::spawn(async move {
        tokio::select! {
            () = read_outputs(ends.outputs, ends.error, outgoing.clone()) => {}
            () = write_inputs(ends.stdin, ends.resize, incoming) => {}
        }
        // A runtime whose client hangs up ends the streams of the command.
        drop(connection);
    });
    Ok(session)
}

#[derive(Default)]
struct Ends {
    error: Option<Stream>,
    outputs: Vec<(Channel, Stream)>,
    stdin: Option<WriteHalf<Stream>>,
    resize: Option<WriteHalf<Stream>>,
}

/// Reads all output to its end, then tells how the command ended.
async fn read_outputs(outputs: Vec<(Channel, Stream)>, error: Option<Stream>, to: FrameSender) {
    let mut readers = tokio::task::JoinSet::new();
    for (channel, stream) in outputs {
        readers.spawn(read_bytes(stream, channel, to.clone()));
    }
    let mut status = Vec::new();
    if let Some(error) = error {
        // What was read before a failure still counts.
        let _ = error.take(STATUS_BYTES).read_to_end(&mut status).await;
    }
    while readers.join_next().await.is_some() {}
    let payload = if status.is_empty() { lost().into() } else { Bytes::from(status) };
    let _ = to.send(Frame { channel: Channel::Status, payload }).await;
}

fn lost() -> Vec<u8> {
    let message = "the container runtime ended the connection without telling how the command ended";
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
           "reason": "InternalError", "code": 500})
    .to_string()
    .into_bytes()
}

/// Writes what comes from the client; ends when the client is gone.
async fn write_inputs(
    mut stdin: Option<WriteHalf<Stream>>,
    mut resize: Option<WriteHalf<Stream>>,
    mut from: FrameReceiver,
) {
    while let Some(frame) = from.receive().await {
        match (frame.channel, frame.closes()) {
            (Channel::Stdin, _) => write(&mut stdin, &frame.payload).await,
            (Channel::Resize, _) => {
                let line = [&frame.payload[..], b"\n"].concat();
                write(&mut resize, &line).await;
            }
            (_, Some(Channel::Stdin)) => {
                if let Some(mut stdin) = stdin.take() {
                    let _ = stdin.shutdown().await;
                }
            }
            _ => {}
        }
    }
}

/// Writes to a stream that may have been closed: a command need not read all its input.
async fn write(stream: &mut Option<WriteHalf<Stream>>, bytes: &[u8]) {
    if let Some(open) = stream
        && open.write_all(bytes).await.is_err()
    {
        *stream = None;
    }
}
