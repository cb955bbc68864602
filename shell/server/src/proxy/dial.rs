//! Connections to backends: through the tunnel of the node that reaches them, or from here; with TLS where the client
//! asks for it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::Request;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::io::ReaderStream;

use super::backend::{Backend, Place};
use crate::app::App;
use crate::limits::{DIAL, DIALLED_BYTES};
use crate::respond::BodyError;
use crate::trust::{self, Trust};
use crate::tunnel::Tunnels;

/// A connection of any kind.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// HTTP/1.1 over a connection; `whom` is told of where it breaks.
pub(crate) async fn http1(
    stream: impl Connection + 'static,
    whom: &'static str,
) -> Result<SendRequest<Full<Bytes>>, String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, whom, "a connection broke");
        }
    });
    Ok(sender)
}

/// What is said of a request that has no answer.
pub(crate) fn unanswered(error: &hyper::Error) -> String {
    if error.is_incomplete_message() { "EOF".to_owned() } else { error.to_string() }
}

/// Connects to a backend; else why not, in words for the client.
pub(super) async fn connect(app: &App, backend: &Backend) -> Result<Box<dyn Connection>, String> {
    let Place::Address(address) = backend.place else { return Err("a node has no address of its own".to_owned()) };
    let plain = reach(&app.tunnels, backend.node.as_deref(), address).await?;
    if backend.tls { encrypted(plain, address).await } else { Ok(plain) }
}

/// Connects to an address: through the node that it is on, where that is connected.
pub(crate) async fn reach(
    tunnels: &Tunnels,
    node: Option<&str>,
    address: SocketAddr,
) -> Result<Box<dyn Connection>, String> {
    Ok(match node.filter(|node| tunnels.connected(node)) {
        Some(node) => Box::new(through(tunnels, node, address).await?),
        None => Box::new(straight(address).await?),
    })
}

async fn straight(address: SocketAddr) -> Result<TcpStream, String> {
    match tokio::time::timeout(DIAL, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err(format!("dial tcp {address}: connect: connection refused"))
        }
        Ok(Err(error)) => Err(format!("dial tcp {address}: connect: {error}")),
        Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
    }
}

/// A connection that a node makes for us.
async fn through(tunnels: &Tunnels, node: &str, address: SocketAddr) -> Result<DuplexStream, String> {
    let (near, far) = tokio::io::duplex(DIALLED_BYTES);
    let (from_near, to_near) = tokio::io::split(far);
    let frames = ReaderStream::new(from_near).map(|piece| piece.map(Frame::data).map_err(BodyError::from));
    let uri = format!("/dial?ip={}&port={}", address.ip(), address.port());
    let body = StreamBody::new(frames).boxed_unsync();
    let request = Request::post(uri).body(body).map_err(|error| error.to_string())?;
    let response = tunnels.send(node, request).await.map_err(|status| status.message)?;
    tokio::spawn(feed(response.into_body(), to_near));
    Ok(near)
}

async fn feed(mut body: Incoming, mut to_near: WriteHalf<DuplexStream>) {
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(bytes) = frame.into_data() else { continue };
        if to_near.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // Nobody may be left to hear it.
    let _ = to_near.shutdown().await;
}

async fn encrypted(plain: Box<dyn Connection>, address: SocketAddr) -> Result<Box<dyn Connection>, String> {
    let config = trust::client(&Trust::Anybody, None)?;
    let name = ServerName::IpAddress(address.ip().into());
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, plain);
    match tokio::time::timeout(DIAL, handshake).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) if error.to_string().contains("InvalidContentType") => {
            Err("tls: first record does not look like a TLS handshake".to_owned())
        }
        Ok(Err(error)) => Err(format!("tls: {error}")),
        Err(_) => Err("net/http: TLS handshake timeout".to_owned()),
    }
}
