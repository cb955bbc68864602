//! Connections to the server: one for all requests (HTTP/2), and one for each upgrade (HTTP/1.1).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ClientError;
use crate::credentials::{Endpoint, Stamp, wrong};
use crate::limits::{CONNECT, PING_ANSWER, PING_EVERY, RESPONSE};

type Sender = http2::SendRequest<Full<Bytes>>;

/// The way to one server.
pub(crate) struct Transport {
    pub(crate) endpoint: Endpoint,
    server: Uri,
    /// The path prefix of the server's URL, without its last slash.
    prefix: String,
    shared: Mutex<Option<(Stamp, Sender)>>,
}

impl Transport {
    pub(crate) fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        let server: Uri = endpoint.server.parse().map_err(|error| wrong("server", error))?;
        if server.scheme_str() != Some("https") || server.authority().is_none() {
            return Err(wrong("server", format!("{:?} is not https://HOST:PORT", endpoint.server)));
        }
        // What cannot work is told now, not with the first request.
        endpoint.tls()?;
        let prefix = server.path().trim_end_matches('/').to_owned();
        Ok(Transport { endpoint, server, prefix, shared: Mutex::new(None) })
    }

    /// The whole address of a path.
    pub(crate) fn uri(&self, path: &str) -> Result<Uri, ClientError> {
        let authority = self.server.authority().map_or("", |authority| authority.as_str());
        let uri = format!("https://{authority}{}{path}", self.prefix);
        uri.parse().map_err(|error| wrong(&format!("path {path:?}"), error))
    }

    /// Sends a request over the shared connection, and over a new one when that has gone before it took the request.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        operation: &str,
    ) -> Result<Response<Incoming>, ClientError> {
        let interrupted = |cause: String| ClientError::Interrupted { operation: operation.to_owned(), cause };
        for _ in 0..2 {
            let mut sender = self.sender().await?;
            let answer = tokio::time::timeout(RESPONSE, sender.try_send_request(request)).await;
            let seconds = RESPONSE.as_secs();
            let answer = answer.map_err(|_| ClientError::Timeout { operation: operation.to_owned(), seconds })?;
            match answer {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(interrupted(causes(&error.into_error()))),
                },
            }
        }
        Err(interrupted("the connection was lost twice".to_owned()))
    }

    /// The shared connection, made anew when it is gone or was made from other files.
    async fn sender(&self) -> Result<Sender, ClientError> {
        let mut shared = self.shared.lock().await;
        let stamp = self.endpoint.stamp();
        if let Some((made_from, sender)) = &mut *shared
            && *made_from == stamp
            && !sender.is_closed()
        {
            return Ok(sender.clone());
        }
        let io = self.connect(b"h2").await?;
        if io.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(self.unreachable("the server does not speak HTTP/2"));
        }
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER)
            .adaptive_window(true)
            .handshake(TokioIo::new(io));
        let (sender, connection) = handshake.await.map_err(|error| self.unreachable(causes(&error)))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = causes(&error), "the connection to the server ended");
            }
        });
        *shared = Some((stamp, sender.clone()));
        Ok(sender)
    }

    async fn connect(&self, protocol: &[u8]) -> Result<TlsStream<TcpStream>, ClientError> {
        let host = self.server.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = self.endpoint.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| wrong("server name", error))?;
        let mut config = self.endpoint.tls()?;
        config.alpn_protocols = vec![protocol.to_vec()];
        let connecting = async {
            let socket = TcpStream::connect((host, self.server.port_u16().unwrap_or(443))).await?;
            socket.set_nodelay(true)?;
            TlsConnector::from(Arc::new(config)).connect(name, socket).await
        };
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(io)) => Ok(io),
            Ok(Err(error)) => Err(self.unreachable(error)),
            Err(_) => Err(self.unreachable(format!("no connection within {} s", CONNECT.as_secs()))),
        }
    }

    /// Sends a request that asks for an upgrade over a connection of its own.
    pub(crate) async fn upgrade(
        &self,
        mut request: Request<Empty<Bytes>>,
        operation: &str,
    ) -> Result<Response<Incoming>, ClientError> {
        let io = self.connect(b"http/1.1").await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(io)).await.map_err(|error| self.unreachable(causes(&error)))?;
        tokio::spawn(connection.with_upgrades());
        let authority = self.server.authority().map_or("", |authority| authority.as_str());
        let host = HeaderValue::from_str(authority).map_err(|error| wrong("server", error))?;
        request.headers_mut().insert(http::header::HOST, host);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|error| wrong("path", error))?;
        match tokio::time::timeout(RESPONSE, sender.send_request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(ClientError::Interrupted { operation: operation.to_owned(), cause: causes(&error) }),
            Err(_) => Err(ClientError::Timeout { operation: operation.to_owned(), seconds: RESPONSE.as_secs() }),
        }
    }

    fn unreachable(&self, cause: impl std::fmt::Display) -> ClientError {
        ClientError::Connect { server: self.endpoint.server.clone(), cause: cause.to_string() }
    }
}

/// An error with all that caused it: hyper's own texts say little.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// An upgraded connection: raw bytes both ways.
pub struct Connected(TokioIo<Upgraded>);

impl Connected {
    pub(crate) fn new(upgraded: Upgraded) -> Self {
        Connected(TokioIo::new(upgraded))
    }
}

impl AsyncRead for Connected {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connected {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
