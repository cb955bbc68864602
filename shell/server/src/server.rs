//! The port: connections in, requests to the service, and an orderly end.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use gantry_cluster::Cluster;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aggregation::{self, Aggregation, FrontProxy};
use crate::app::App;
use crate::audit::{AuditConfig, Auditor};
use crate::authn::{Anonymous, Credentials, KeyError, Keys, Peer, Verifier};
use crate::authz::{self, Authorization, Authorizers};
use crate::discovery::Discovery;
use crate::event_rates::{EventLimit, EventRates};
use crate::extension::Extension;
use crate::fairness::Fairness;
use crate::farewell::Farewell;
use crate::gather::Gathered;
use crate::limits;
use crate::metrics::Metrics;
use crate::openapi::OpenApi;
use crate::patience::{Patient, Watches};
use crate::service::serve;
use crate::tls::{Tls, TlsError, configure};
use crate::tunnel::Tunnels;
use crate::watch::SharedFrames;
use crate::webhook::Webhooks;

/// What `/version` says.
#[derive(Clone, Debug, Default)]
pub struct Version {
    /// `v1.37.2+gantry...`.
    pub git_version: String,
    /// The commit of the build.
    pub git_commit: String,
    /// When it was built, RFC 3339.
    pub build_date: String,
}

/// What a server needs.
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificates.
    pub tls: Tls,
    /// The private key of service-account tokens: PKCS#8 PEM, P-256 or RSA.
    pub token_key_pem: String,
    /// Issuer and audience of the tokens.
    pub issuer: String,
    /// `host:port` that clients are told.
    pub advertise: String,
    /// How it shows other API servers who asks.
    pub front_proxy: FrontProxy,
    /// What `/version` says.
    pub version: Version,
    /// The part of requests over HTTP/2 after which the client is asked to take another connection, so that clients
    /// spread over several servers; 0 for none.
    pub goaway_chance: f64,
    /// Who may ask without saying who he is.
    pub anonymous: Anonymous,
    /// How many events may be written.
    pub event_limits: Vec<EventLimit>,
    /// What is written down of requests, and where.
    pub audit: Option<AuditConfig>,
    /// Who is asked who may do what.
    pub authorization: Authorization,
    /// What is served.
    pub cluster: Arc<Cluster>,
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error("listening on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The audit log cannot be written.
    #[error("opening the audit log")]
    Audit(#[source] std::io::Error),
    /// The certificates cannot be used.
    #[error("preparing TLS")]
    Tls(#[from] TlsError),
    /// The token key cannot be used.
    #[error("preparing service-account tokens")]
    Key(#[from] KeyError),
}

/// A server that listens.
pub struct Server {
    app: Arc<App>,
    address: SocketAddr,
    tasks: TaskTracker,
}

impl Server {
    /// Starts to listen; connections are served from here on. Must be called inside a tokio runtime.
    pub async fn start(config: Config) -> Result<Server, StartError> {
        let (tls, verifier) = configure(&config.tls)?;
        let keys = Keys::new(&config.token_key_pem, &config.issuer)?;
        let front = |source| StartError::Tls(TlsError::Pem { what: "the front proxy's certificate and key", source });
        let aggregation = Aggregation::new(config.front_proxy).map_err(front)?;
        let listen_error = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let auditor = config.audit.map(Auditor::open).transpose().map_err(StartError::Audit)?.map(Arc::new);
        let tunnels = Arc::<Tunnels>::default();
        let mut authorization = config.authorization;
        let authorizers = Arc::new(Authorizers::new(&mut authorization));
        config.cluster.set_authorizers(authorization.take_chain());
        let rates = EventRates::new(config.event_limits);
        let webhooks = Arc::new(Webhooks::new(&config.cluster, tunnels.clone(), rates, authorizers.clone()));
        config.cluster.consult(webhooks.clone());
        let app = Arc::new(App {
            cluster: config.cluster,
            credentials: Credentials { keys, anonymous: config.anonymous },
            tunnels,
            webhooks,
            authorizers,
            aggregation,
            converted: Arc::default(),
            metrics: Arc::new(Metrics::new()),
            fairness: Fairness::new(),
            frames: Arc::new(SharedFrames::default()),
            discovery: Discovery::default(),
            openapi: OpenApi::new(&config.version),
            version: config.version,
            advertise: config.advertise,
            farewell: Farewell::new(config.goaway_chance),
            auditor,
            extension: OnceLock::new(),
            ready: AtomicBool::new(true),
            stop: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        let acceptor = TlsAcceptor::from(tls);
        tasks.spawn(authz::keep(Arc::downgrade(&app), authorization, app.stop.clone()));
        tasks.spawn(aggregation::keep(Arc::downgrade(&app), app.stop.clone()));
        tasks.spawn(accept(app.clone(), listener, acceptor, verifier, tasks.clone()));
        Ok(Server { app, address, tasks })
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds what is answered below `/gantry/`; the first word counts.
    pub fn extend(&self, extension: Arc<dyn Extension>) {
        let _ = self.app.extension.set(extension);
    }

    /// What `/readyz` says.
    pub fn set_ready(&self, ready: bool) {
        self.app.ready.store(ready, Ordering::Relaxed);
    }

    /// The nodes that are connected.
    pub fn tunnels(&self) -> &Arc<Tunnels> {
        &self.app.tunnels
    }

    /// Takes no more connections, ends watches and streams, and gives the other requests a moment to finish.
    pub async fn shutdown(self) {
        self.set_ready(false);
        self.app.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(limits::SHUTDOWN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some requests were still open at the end");
        }
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote(pub IpAddr);

async fn accept(
    app: Arc<App>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    verifier: Arc<Verifier>,
    tasks: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(limits::CONNECTIONS));
    let builder = Arc::new(protocol());
    loop {
        let accepted = tokio::select! {
            () = app.stop.cancelled() => return,
            accepted = next_connection(&listener, &room) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let (app, acceptor, verifier, builder) = (app.clone(), acceptor.clone(), verifier.clone(), builder.clone());
        tasks.spawn(async move {
            let _permit = permit;
            connection(app, stream, acceptor, &verifier, &builder).await;
        });
    }
}

async fn next_connection(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Most likely no file descriptor is free: do not spin until one is.
            tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            None
        }
    }
}

fn protocol() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits::HEADER_WAIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION)
        .max_header_list_size(limits::HEADER_BYTES)
        .keep_alive_interval(limits::PING_INTERVAL)
        .keep_alive_timeout(limits::PING_WAIT);
    builder
}

async fn connection(
    app: Arc<App>,
    stream: TcpStream,
    acceptor: TlsAcceptor,
    verifier: &Verifier,
    builder: &Builder<TokioExecutor>,
) {
    // Small answers must not wait for more.
    let _ = stream.set_nodelay(true);
    let watches = Watches::default();
    let from = stream.peer_addr().ok().map(|address| Remote(address.ip()));
    let (stream, sender) = Gathered::new(Patient::new(stream, watches.clone()));
    let tls = match tokio::time::timeout(limits::HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            app.metrics.handshake_failed();
            return tracing::debug!(%error, "a TLS handshake failed");
        }
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let peer = Arc::new(Peer::read(tls.get_ref().1.peer_certificates(), verifier));
    let stop = app.stop.clone();
    let leave = CancellationToken::new();
    let farewell = leave.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        if app.farewell.is_due(request.version(), app.cluster.next_seed()) {
            farewell.cancel();
        }
        request.extensions_mut().insert(watches.clone());
        if let Some(from) = from {
            request.extensions_mut().insert(from);
        }
        let (app, peer) = (app.clone(), peer.clone());
        async move { Ok::<_, Infallible>(serve(app, peer, request).await) }
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(tls), service);
    let mut connection = std::pin::pin!(connection);
    let served = async {
        tokio::select! {
            outcome = connection.as_mut() => return outcome,
            () = stop.cancelled() => {}
            () = leave.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    if let Err(error) = sender.drive(served).await {
        tracing::debug!(%error, "a connection broke");
    }
}
