//! Connections to the server: one for all requests (HTTP/2), and one for each upgrade (HTTP/1.1).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use nix::sys::socket::sockopt::TcpUserTimeout;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ClientError;
use crate::clock::Skew;
use crate::credentials::{Endpoint, Stamp, wrong};
use crate::jitter::{grown, part_of};
use crate::limits::{BACKOFF_FIRST, DIAL, HANDSHAKE, LINE_SILENCE, PING_ANSWER, PING_EVERY, REDIAL_LAST, RESPONSE};

type Sender = http2::SendRequest<Full<Bytes>>;

/// The way to one server.
pub(crate) struct Transport {
    pub(crate) endpoint: Endpoint,
    server: Uri,
    /// The path prefix of the server's URL, without its last slash.
    prefix: String,
    shared: Mutex<Option<(Stamp, Sender)>>,
    rest: parking_lot::Mutex<Rest>,
    skew: parking_lot::Mutex<Option<Skew>>,
}

/// The pause after failures to reach a server.
#[derive(Default)]
struct Rest {
    failures: u32,
    until: Option<Instant>,
    cause: String,
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
        let (shared, rest, skew) = Default::default();
        Ok(Transport { endpoint, server, prefix, shared, rest, skew })
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        &self.endpoint.server
    }

    /// How far this machine's clock is from the server's, as far as its answers have told.
    pub(crate) fn skew(&self) -> Option<Skew> {
        *self.skew.lock()
    }

    /// How long it is not to be tried.
    pub(crate) fn rests(&self) -> Duration {
        let until = self.rest.lock().until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// It could not be reached, or can do nothing now: it rests, longer each time, and everybody differently long.
    pub(crate) fn fails(&self, cause: &str) {
        let mut rest = self.rest.lock();
        rest.failures = rest.failures.saturating_add(1);
        rest.until = Some(Instant::now() + part_of(grown(BACKOFF_FIRST, REDIAL_LAST, rest.failures)));
        cause.clone_into(&mut rest.cause);
    }

    /// The whole address of a path.
    fn uri(&self, path: &Uri) -> Result<Uri, ClientError> {
        let authority = self.server.authority().map_or("", |authority| authority.as_str());
        let path = path.path_and_query().map_or("/", |path| path.as_str());
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
        *request.uri_mut() = self.uri(request.uri())?;
        for _ in 0..2 {
            let mut sender = self.sender().await?;
            let answer = tokio::time::timeout(RESPONSE, sender.try_send_request(request)).await;
            let seconds = RESPONSE.as_secs();
            let answer = answer.map_err(|_| ClientError::Timeout { operation: operation.to_owned(), seconds })?;
            match answer {
                Ok(response) => {
                    self.hear(&response);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(interrupted(causes(&error.into_error()))),
                },
            }
        }
        // It took connections and dropped them unused.
        Err(self.unreachable("the connection was lost twice"))
    }

    fn hear(&self, response: &Response<Incoming>) {
        if let Some(skew) = Skew::read(response.headers(), jiff::Timestamp::now()) {
            *self.skew.lock() = Some(skew);
        }
    }

    /// The shared connection, made anew when it is gone or was made from other files.
    pub(crate) async fn sender(&self) -> Result<Sender, ClientError> {
        let mut shared = self.shared.lock().await;
        let stamp = self.endpoint.stamp();
        if let Some((made_from, sender)) = &mut *shared
            && *made_from == stamp
            && !sender.is_closed()
        {
            return Ok(sender.clone());
        }
        // Whoever waited while another failed need not fail once more.
        if self.rests() > Duration::ZERO {
            return Err(self.unreachable(&self.rest.lock().cause));
        }
        match self.connect_shared().await {
            Ok(sender) => {
                *self.rest.lock() = Rest::default();
                *shared = Some((stamp, sender.clone()));
                Ok(sender)
            }
            Err(error) => {
                if let ClientError::Connect { cause, .. } = &error {
                    self.fails(cause);
                }
                Err(error)
            }
        }
    }

    async fn connect_shared(&self) -> Result<Sender, ClientError> {
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
        Ok(sender)
    }

    async fn connect(&self, protocol: &[u8]) -> Result<TlsStream<TcpStream>, ClientError> {
        let config = self.endpoint.tls()?;
        match self.dial(config, protocol).await {
            Ok(io) => Ok(io),
            Err(error) => {
                let skew = self.ask_the_time(&error).await;
                Err(match skew {
                    Some(skew) => self.unreachable(format!("{error}: {skew}")),
                    None => self.unreachable(error),
                })
            }
        }
    }

    async fn dial(&self, mut config: ClientConfig, protocol: &[u8]) -> io::Result<TlsStream<TcpStream>> {
        let host = self.server.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = self.endpoint.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        config.alpn_protocols = vec![protocol.to_vec()];
        let late = |bound: Duration| io::Error::other(format!("no connection within {} s", bound.as_secs()));
        let socket = TcpStream::connect((host, self.server.port_u16().unwrap_or(443)));
        let socket = tokio::time::timeout(DIAL, socket).await.map_err(|_| late(DIAL))??;
        socket.set_nodelay(true)?;
        let silence = u32::try_from(LINE_SILENCE.as_millis()).unwrap_or(u32::MAX);
        nix::sys::socket::setsockopt(&socket, TcpUserTimeout, &silence)?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, socket);
        tokio::time::timeout(HANDSHAKE, handshake).await.map_err(|_| late(HANDSHAKE))?
    }

    /// Asks a server whose certificate does not hold now for its time. The certificate must hold at some time, so
    /// whoever answers is the server; nothing is sent that only the server may see.
    async fn ask_the_time(&self, error: &io::Error) -> Option<Skew> {
        let config = self.endpoint.tls_at_time_of(error)?;
        let io = self.dial(config, b"http/1.1").await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.ok()?;
        tokio::spawn(connection);
        let host = self.server.authority().map_or("", |authority| authority.as_str());
        let request = Request::get("/version").header(http::header::HOST, host).body(Empty::<Bytes>::new()).ok()?;
        let response = tokio::time::timeout(HANDSHAKE, sender.send_request(request)).await.ok()?.ok()?;
        self.hear(&response);
        self.skew().filter(Skew::matters)
    }

    /// Sends a request that asks for an upgrade over a connection of its own.
    pub(crate) async fn upgrade(
        &self,
        mut request: Request<Empty<Bytes>>,
        operation: &str,
    ) -> Result<Response<Incoming>, ClientError> {
        *request.uri_mut() = self.uri(request.uri())?;
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
            Ok(Ok(response)) => {
                self.hear(&response);
                Ok(response)
            }
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
