//! A server on a free port over a store in memory, and clients with certificates of its authority.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use gantry_cluster::{Cluster, Setup};
use gantry_registry::{Settings, bootstrap};
use gantry_server::{Anonymous, AuditConfig, Config, FrontProxy, Server, Tls, Version};
use gantry_store::{MemoryStore, Store};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority that can issue certificates.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key of a user in a group, good for servers on loopback too.
    pub fn issue(&self, name: &str, group: &str) -> (String, String) {
        self.issue_for(name, group, SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }

    /// As `issue`, good for servers of that name.
    pub fn issue_for(&self, name: &str, group: &str, server: SanType) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.subject_alt_names = vec![server];
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        (pem, key.serialize_pem())
    }
}

pub struct World {
    pub authority: Authority,
    pub server: Server,
    pub cluster: Arc<Cluster>,
}

static SEED: AtomicU64 = AtomicU64::new(1);

impl World {
    pub async fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new())).await
    }

    /// A server over a store that others may use too.
    pub async fn over(store: Arc<dyn Store>) -> Self {
        Self::start(store, 0.0, None).await
    }

    /// A server that asks its clients to leave after every request.
    pub async fn unsociable() -> Self {
        Self::start(Arc::new(MemoryStore::new()), 1.0, None).await
    }

    /// A server that writes down who asked for what.
    pub async fn audited(audit: AuditConfig) -> Self {
        Self::start(Arc::new(MemoryStore::new()), 0.0, Some(audit)).await
    }

    async fn start(store: Arc<dyn Store>, goaway_chance: f64, audit: Option<AuditConfig>) -> Self {
        let authority = Authority::new();
        let settings = Settings::default();
        let seed = SEED.fetch_add(1 << 32, Ordering::Relaxed);
        let cluster = Cluster::open(store, Setup::new(settings.clone(), seed)).await.unwrap();
        let requests = bootstrap::requests(&cluster.view(), &settings);
        for request in requests {
            cluster.execute(request).await.unwrap();
        }
        let (cert_pem, key_pem) = authority.issue("server", "");
        let (front_cert, front_key) = authority.issue("front", "");
        let front_proxy = FrontProxy {
            ca_pem: authority.pem.clone(),
            cert_pem: front_cert,
            key_pem: front_key,
            names: vec!["front".to_owned()],
            client_ca_pem: authority.pem.clone(),
        };
        let server = Server::start(Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: Tls { cert_pem, key_pem, client_ca_pem: authority.pem.clone() },
            token_key_pem: KeyPair::generate().unwrap().serialize_pem(),
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            advertise: "127.0.0.1:6443".to_owned(),
            version: Version::default(),
            front_proxy,
            goaway_chance,
            anonymous: Anonymous::health(),
            authorization: gantry_server::Authorization::default(),
            event_limits: Vec::new(),
            audit,
            cluster: cluster.clone(),
        })
        .await
        .unwrap();
        World { authority, server, cluster }
    }

    /// A client with a certificate of the world's authority.
    pub async fn client(&self, name: &str, group: &str) -> Client {
        let identity = self.authority.issue(name, group);
        Client { sender: self.h2(Some(identity)).await, headers: HeaderMap::new() }
    }

    pub async fn admin(&self) -> Client {
        self.client("admin", "system:masters").await
    }

    /// A client without a certificate.
    pub async fn stranger(&self) -> Client {
        Client { sender: self.h2(None).await, headers: HeaderMap::new() }
    }

    /// A client with a certificate of somebody else's authority.
    pub async fn foreigner(&self) -> Client {
        let identity = Authority::new().issue("admin", "system:masters");
        Client { sender: self.h2(Some(identity)).await, headers: HeaderMap::new() }
    }

    /// A bare connection for upgrades.
    pub async fn connect(&self, identity: Option<(String, String)>, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.server.address()).await.unwrap();
        let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    async fn h2(&self, identity: Option<(String, String)>) -> Sender {
        let io = TokioIo::new(self.connect(identity, b"h2").await);
        let (send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        send
    }
}

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

pub struct Client {
    sender: Sender,
    pub headers: HeaderMap,
}

impl Client {
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// The same connection with one header more.
    pub fn clone_with(&self, name: &'static str, value: &str) -> Self {
        Client { sender: self.sender.clone(), headers: self.headers.clone() }.with(name, value)
    }

    pub async fn send(&self, method: &str, path: &str, body: &str) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("https://127.0.0.1{path}"));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        self.sender.clone().send_request(request).await.unwrap()
    }

    /// Whether the server has asked to take another connection; waits for it.
    pub async fn is_sent_away(&mut self) -> bool {
        let closed = std::future::poll_fn(|cx| self.sender.poll_ready(cx));
        closed.await.is_err()
    }

    /// Code and body.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let response = self.send(method, path, body).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (
            code,
            serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned())),
        )
    }

    pub async fn get(&self, path: &str) -> Value {
        let (code, body) = self.ask("GET", path, "").await;
        assert_eq!(code, 200, "{path}: {body}");
        body
    }

    pub async fn create(&self, path: &str, body: Value) -> Value {
        let (code, reply) = self.ask("POST", path, &body.to_string()).await;
        assert_eq!(code, 201, "{path}: {reply}");
        reply
    }

    /// The events of a watch.
    pub async fn watch(&self, path: &str) -> Events {
        let response = self.send("GET", path, "").await;
        assert_eq!(response.status(), 200);
        Events::of(response)
    }
}

pub struct Events {
    body: Incoming,
    text: Vec<u8>,
}

impl Events {
    pub fn of(response: Response<Incoming>) -> Self {
        Events { body: response.into_body(), text: Vec::new() }
    }

    /// Reads until `word` has come; all that was read.
    pub async fn until(&mut self, word: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.text).into_owned();
            if text.contains(word) {
                return text;
            }
            let frame = tokio::time::timeout(std::time::Duration::from_secs(10), self.body.frame()).await;
            let frame =
                frame.expect("more within ten seconds").unwrap_or_else(|| panic!("{word} did not come: {text}"));
            self.text.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
    }

    /// Type, name and the whole event; `None` at the end.
    pub async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some(end) = self.text.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).unwrap();
                let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
                return Some((text(&event["type"]), text(&event["object"]["metadata"]["name"]), event));
            }
            let frame = tokio::time::timeout(std::time::Duration::from_secs(10), self.body.frame()).await;
            let frame = frame.expect("an event within ten seconds")?;
            self.text.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
    }
}
