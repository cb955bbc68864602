//! An API server that says what a test tells it to.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gantry_client::{Client, Endpoint, Identity, Source};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls_pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub type Body = UnsyncBoxBody<Bytes, Infallible>;
type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

pub struct Server {
    pub address: String,
    pub authority: Bytes,
    /// Connections that were accepted so far.
    pub connections: Arc<AtomicUsize>,
    /// Tasks of open connections.
    open: Arc<Mutex<Vec<tokio::task::AbortHandle>>>,
    accepting: tokio::task::AbortHandle,
}

impl Server {
    pub async fn start<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::start_at(Duration::ZERO, handler).await
    }

    /// A server whose certificate holds from so long after now.
    pub async fn start_at<F, R>(after: Duration, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        if !after.is_zero() {
            params.not_before = (SystemTime::now() + after).into();
        }
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&signing_key).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let (connections, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(accept(listener, acceptor, handler, connections.clone(), open.clone()));
        let (authority, accepting) = (cert.pem().into(), accepting.abort_handle());
        Server { address, authority, connections, open, accepting }
    }

    /// Breaks all connections off.
    pub fn hang_up(&self) {
        self.open.lock().unwrap().drain(..).for_each(|task| task.abort());
    }

    /// Ends: nobody listens any more.
    pub fn stop(&self) {
        self.accepting.abort();
        self.hang_up();
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            server: self.address.clone(),
            authority: Source::Inline(self.authority.clone()),
            server_name: None,
            identity: Identity::Anonymous,
            user_agent: "test/1".to_owned(),
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.endpoint()).unwrap()
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handler: Handler,
    connections: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<tokio::task::AbortHandle>>>,
) {
    while let Ok((socket, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let (acceptor, handler) = (acceptor.clone(), handler.clone());
        let task = tokio::spawn(async move {
            let Ok(io) = acceptor.accept(socket).await else { return };
            let service = service_fn(move |request| {
                let answer = handler(request);
                async { Ok::<_, Infallible>(answer.await) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(io), service).await;
        });
        open.lock().unwrap().push(task.abort_handle());
    }
}

pub fn json(code: u16, value: Value) -> Response<Body> {
    text(code, value.to_string())
}

pub fn text(code: u16, text: impl Into<Bytes>) -> Response<Body> {
    Response::builder().status(code).body(Full::new(text.into()).boxed_unsync()).unwrap()
}

/// A body that goes on: these lines, and then nothing until the client leaves, or the end.
pub fn lines(lines: Vec<Value>, end: bool) -> Response<Body> {
    let lines = futures_util::stream::iter(lines.into_iter().map(|line| Bytes::from(format!("{line}\n"))));
    let frames = futures_util::StreamExt::map(lines, |bytes| Ok(Frame::data(bytes)));
    let body = match end {
        true => StreamBody::new(frames).boxed_unsync(),
        false => {
            let silence = futures_util::stream::pending();
            StreamBody::new(futures_util::StreamExt::chain(frames, silence)).boxed_unsync()
        }
    };
    Response::new(body)
}
