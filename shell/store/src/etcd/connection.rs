//! One HTTP/2 connection to one member of etcd, and calls over it.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use http::Uri;
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::{Request, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

use super::failure::{Failure, cause};
use super::message::{StatusRequest, StatusResponse};
use super::version::Version;
use crate::StoreError;
use crate::limits::etcd::{CONNECT, KEEPALIVE, KEEPALIVE_TIMEOUT, MESSAGE_BYTES};

/// Where a member is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    uri: Uri,
    host: String,
    port: u16,
}

impl Endpoint {
    /// Reads `https://HOST:PORT` or `http://HOST:PORT`.
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        let wrong = |why: &str| StoreError::Io { operation: "connect", cause: format!("endpoint {text:?}: {why}") };
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| wrong("not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("it must start with https:// or http://"));
        }
        if !matches!(uri.path(), "" | "/") {
            return Err(wrong("it must end after the port"));
        }
        let host = uri.host().ok_or_else(|| wrong("no host in it"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(2379);
        Ok(Endpoint { uri, host, port })
    }

    /// Whether it is to be spoken to over TLS.
    pub(super) fn secure(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uri.to_string().trim_end_matches('/'))
    }
}

/// The connection was closed before the request went out.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed before the request was sent: {0}")]
pub(super) struct NotSent(String);

/// HTTP/2 as gRPC uses it.
#[derive(Clone)]
struct Http2(SendRequest<Body>);

impl Service<http::Request<Body>> for Http2 {
    type Response = http::Response<Incoming>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context).map_err(|error| NotSent(error.to_string()).into())
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.0.try_send_request(request);
        Box::pin(async move {
            answer.await.map_err(|mut error| match error.take_message() {
                Some(_) => NotSent(error.into_error().to_string()).into(),
                None => error.into_error().into(),
            })
        })
    }
}

/// A connection that lives as long as one of its handles.
#[derive(Clone)]
pub(super) struct Connection {
    http2: Http2,
    endpoint: Endpoint,
    version: Version,
    leader: bool,
    cluster: u64,
    number: u64,
}

impl Connection {
    /// Connects and asks the member what it is. Refuses releases that are too old.
    pub(super) async fn open(
        endpoint: &Endpoint,
        tls: Option<&TlsConnector>,
        kept_alive: bool,
    ) -> Result<Self, StoreError> {
        let unreachable =
            |why: String| StoreError::Unavailable { operation: "connect", cause: format!("{endpoint}: {why}") };
        match timeout(CONNECT, Self::connect(endpoint, tls, kept_alive)).await {
            Ok(Ok(connection)) => connection.introduce().await,
            Ok(Err(why)) => Err(unreachable(why)),
            Err(_) => Err(unreachable(format!("no connection within {} s", CONNECT.as_secs()))),
        }
    }

    async fn connect(endpoint: &Endpoint, tls: Option<&TlsConnector>, kept_alive: bool) -> Result<Self, String> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let told = |error: &dyn std::error::Error| cause(error);
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(|e| told(&e))?;
        stream.set_nodelay(true).map_err(|e| told(&e))?;
        let sender = match tls.filter(|_| endpoint.secure()) {
            Some(tls) => {
                let name = ServerName::try_from(endpoint.host.clone()).map_err(|e| told(&e))?;
                handshake(tls.connect(name, stream).await.map_err(|e| told(&e))?, kept_alive).await
            }
            None if endpoint.secure() => return Err("an authority's certificate is needed for https".to_owned()),
            None => handshake(stream, kept_alive).await,
        };
        Ok(Connection {
            http2: Http2(sender.map_err(|e| told(&e))?),
            endpoint: endpoint.clone(),
            version: Version::OLDEST,
            leader: false,
            cluster: 0,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
        })
    }

    async fn introduce(mut self) -> Result<Self, StoreError> {
        let status = self.status().await?;
        let version = Version::parse(&status.version).filter(|version| *version >= Version::OLDEST);
        let Some(version) = version else {
            return Err(StoreError::Outdated {
                endpoint: self.endpoint.to_string(),
                found: status.version,
                needed: "3.4",
            });
        };
        (self.version, self.leader) = (version, status.leader != 0);
        self.cluster = status.header.map_or(0, |header| header.cluster_id);
        Ok(self)
    }

    /// What the member says of itself.
    pub(super) async fn status(&self) -> Result<StatusResponse, StoreError> {
        let status = self.call("/etcdserverpb.Maintenance/Status", StatusRequest {}, CONNECT).await;
        status.map_err(|failure| match failure.of_read("connect") {
            StoreError::Unavailable { operation, cause } => {
                StoreError::Unavailable { operation, cause: format!("{}: {cause}", self.endpoint) }
            }
            other => other,
        })
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Whether the member knew a leader when it was asked last.
    pub(super) fn has_leader(&self) -> bool {
        self.leader
    }

    /// The id of the member's cluster.
    pub(super) fn cluster(&self) -> u64 {
        self.cluster
    }

    pub(super) fn is_closed(&self) -> bool {
        self.http2.0.is_closed()
    }

    pub(super) fn is(&self, other: &Connection) -> bool {
        self.number == other.number
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn goes_to(&self, endpoint: &Endpoint) -> bool {
        self.endpoint == *endpoint
    }

    /// One request, one answer, within `bound`.
    pub(super) async fn call<Q, A>(&self, path: &'static str, message: Q, bound: Duration) -> Result<A, Failure>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc();
        if let Err(error) = grpc.ready().await {
            return Err(Failure::NotDone(error.to_string()));
        }
        let path = PathAndQuery::from_static(path);
        match timeout(bound, grpc.unary(led(message, Some(bound)), path, ProstCodec::<Q, A>::default())).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(Failure::of(&status)),
            Err(_) => Err(Failure::Lost(format!("{}: no answer within {} s", self.endpoint, bound.as_secs()))),
        }
    }

    /// A stream in each direction; `bound` is for its begin.
    pub(super) async fn stream<Q, A>(
        &self,
        path: &'static str,
        messages: impl Stream<Item = Q> + Send + 'static,
        bound: Duration,
    ) -> Result<Streaming<A>, Failure>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let path = PathAndQuery::from_static(path);
        let mut grpc = self.grpc();
        match timeout(bound, grpc.streaming(led(messages, None), path, ProstCodec::<Q, A>::default())).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(Failure::of(&status)),
            Err(_) => Err(Failure::Lost(format!("{}: no stream within {} s", self.endpoint, bound.as_secs()))),
        }
    }

    fn grpc(&self) -> Grpc<Http2> {
        Grpc::with_origin(self.http2.clone(), self.endpoint.uri.clone()).max_decoding_message_size(MESSAGE_BYTES)
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// A request that a member without a leader refuses at once instead of keeping it, and that is given up in time.
fn led<M>(message: M, bound: Option<Duration>) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    if let Some(bound) = bound {
        request.set_timeout(bound);
    }
    request
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    kept_alive: bool,
) -> hyper::Result<SendRequest<Body>> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    if kept_alive {
        builder.keep_alive_interval(KEEPALIVE).keep_alive_timeout(KEEPALIVE_TIMEOUT).keep_alive_while_idle(true);
    }
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    // Ends with the last sender; what went wrong, the calls say.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
