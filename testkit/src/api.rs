//! The API as a client of a test speaks it: one connection, no retries, and a clear word on what became of a request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(30);

/// How a server is reached, and as whom.
#[derive(Clone)]
pub struct Api {
    address: String,
    tls: Arc<ClientConfig>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The request was never sent: it did not happen.
    NotSent(String),
    /// It was sent, and nobody knows.
    Lost(String),
}

/// A status code with its body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Of HTTP.
    pub code: u16,
    /// As JSON; null where it is none.
    pub body: Value,
}

impl Api {
    /// As a kubeconfig of gantry says.
    pub fn from_kubeconfig(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let field = |name: &str| {
            let mut words = text.split_whitespace().skip_while(|word| word.strip_suffix(':') != Some(name)).skip(1);
            // Long values are folded.
            let value = words.find(|word| *word != ">-");
            value.map(|value| value.trim_matches('"').to_owned()).ok_or(format!("no {name} in the kubeconfig"))
        };
        let decoded = |name: &str| STANDARD.decode(field(name)?).map_err(|error| error.to_string());
        let certificates = |name: &str| {
            let pem = decoded(name)?;
            CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates("certificate-authority-data")?);
        let key = PrivateKeyDer::from_pem_slice(&decoded("client-key-data")?).map_err(|error| error.to_string())?;
        let tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates("client-certificate-data")?, key)
            .map_err(|error| error.to_string())?;
        let server = field("server")?;
        let address = server.strip_prefix("https://").ok_or("the server is no https URL")?.to_owned();
        Ok(Api { address, tls: Arc::new(tls) })
    }

    /// A connection that speaks TLS and nothing else yet.
    pub async fn dial(&self) -> Result<TlsStream<TcpStream>, String> {
        self.connect(self.tls.clone()).await
    }

    /// As `dial`, for a client that speaks this protocol alone.
    pub async fn dial_as(&self, protocol: &[u8]) -> Result<TlsStream<TcpStream>, String> {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = vec![protocol.to_vec()];
        self.connect(Arc::new(tls)).await
    }

    async fn connect(&self, tls: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, String> {
        let dial = async {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host).to_owned();
            let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
            TlsConnector::from(tls).connect(name, stream).await
        };
        let dialed = tokio::time::timeout(CONNECT, dial).await;
        dialed.map_err(|_| "connecting took too long".to_owned())?.map_err(|error| error.to_string())
    }

    /// A client with a connection of its own, made with the first request.
    pub fn client(&self) -> Client {
        Client { api: self.clone(), connection: None }
    }
}

/// Sends one request after the other.
pub struct Client {
    api: Api,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// Sends a request once and reads its whole answer, within `patience`.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> Result<Answer, NoAnswer> {
        let asked = async {
            let response = self.send(method, path, body).await?;
            let code = response.status().as_u16();
            let lost = |error: hyper::Error| NoAnswer::Lost(error.to_string());
            let bytes = response.into_body().collect().await.map_err(lost)?.to_bytes();
            Ok(Answer { code, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
        };
        let answer = match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(NoAnswer::Lost(format!("no answer within {patience:?}"))),
        };
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    /// Reads what is not JSON.
    pub async fn text(&mut self, path: &str, patience: Duration) -> Result<String, NoAnswer> {
        let asked = async {
            let response = self.send(Method::GET, path, None).await?;
            let body = response.into_body().collect().await.map_err(|error| NoAnswer::Lost(error.to_string()))?;
            Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
        };
        let answer = tokio::time::timeout(patience, asked).await;
        answer.unwrap_or_else(|_| Err(NoAnswer::Lost(format!("no answer within {patience:?}"))))
    }

    /// Reads; an answer must come within `patience`.
    pub async fn get(&mut self, path: &str, patience: Duration) -> Result<Answer, NoAnswer> {
        self.ask(Method::GET, path, None, patience).await
    }

    /// Opens a watch, or anything else that comes line by line.
    pub async fn lines(mut self, path: &str) -> Result<Lines, NoAnswer> {
        let response = self.send(Method::GET, path, None).await?;
        let code = response.status().as_u16();
        Ok(Lines { code, body: response.into_body(), read: Vec::new(), _connection: self.connection })
    }

    async fn send(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Response<Incoming>, NoAnswer> {
        let mut sender = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => self.connect().await.map_err(NoAnswer::NotSent)?,
        };
        sender.ready().await.map_err(|error| NoAnswer::NotSent(error.to_string()))?;
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = Request::builder().method(method).uri(path).header(HOST, &self.api.address);
        let request = request.header(CONTENT_TYPE, kind).body(Full::new(bytes));
        let request = request.map_err(|error| NoAnswer::NotSent(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(|error| NoAnswer::Lost(error.to_string()))?;
        self.connection = Some(sender);
        Ok(response)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = self.api.dial().await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// An answer that comes line by line.
pub struct Lines {
    /// Of HTTP.
    pub code: u16,
    body: Incoming,
    read: Vec<u8>,
    _connection: Option<SendRequest<Full<Bytes>>>,
}

impl Lines {
    /// The next line as JSON; `None` at its end, however it came.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            let frame = self.body.frame().await?.ok()?;
            self.read.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    }
}
