//! A server outside that a kubeconfig file names, asked by posting JSON to it.
//!
//! Invariants: credentials come from the file or the files that it names and go to its server alone; nothing is followed
//! that the server says; connections that are kept for the next question are few.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::limits::{AUTHORIZER_ANSWER_BYTES, AUTHORIZER_IDLE};
use crate::proxy::dial::{self, Connection};
use crate::trust::{self, Identity, Trust};

const AGENT: &str = "kube-apiserver";
/// Where a pod finds what it needs to be a client of its cluster.
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A server outside, and as whom this one comes to it.
pub(crate) struct Remote {
    url: Uri,
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    authorization: Credential,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// What the `Authorization` header says.
enum Credential {
    Nothing,
    Header(String),
    /// A token that is read for each question, as it changes.
    TokenFile(PathBuf),
}

/// Why there is no answer, and whether it is worth asking again.
pub(crate) struct Unanswered {
    pub(crate) why: String,
    pub(crate) again: bool,
}

fn lasting(why: impl ToString) -> Unanswered {
    Unanswered { why: why.to_string(), again: false }
}

impl Remote {
    /// The server of the current context.
    pub(crate) fn from_kubeconfig(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("open {}: {error}", path.display()))?;
        let config: Value = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
        let named = |list: &str, what: &str, name: &str| {
            let entries = config[list].as_array().into_iter().flatten();
            let entry = entries.into_iter().find(|entry| entry["name"] == name);
            entry.map(|entry| entry[what].clone())
        };
        let context = config["current-context"].as_str().unwrap_or_default();
        let context = named("contexts", "context", context)
            .ok_or_else(|| format!("context {context:?} does not exist in {}", path.display()))?;
        let text = |key: &str| context[key].as_str().unwrap_or_default();
        let cluster = named("clusters", "cluster", text("cluster"))
            .ok_or_else(|| format!("cluster {:?} does not exist in {}", text("cluster"), path.display()))?;
        let user = named("users", "user", text("user")).unwrap_or_default();
        let files = Files { directory: path.parent().unwrap_or(Path::new(".")) };
        let authority = files.data(&cluster, "certificate-authority")?;
        let anybody = cluster["insecure-skip-tls-verify"] == true;
        let bundle = authority.as_deref().map(|pem| STANDARD.encode(pem)).unwrap_or_default();
        let trust = if anybody { Trust::Anybody } else { Trust::Bundle(&bundle) };
        let identity = match (files.data(&user, "client-certificate")?, files.data(&user, "client-key")?) {
            (Some(certificate), Some(key)) => Some(
                Identity::read(&String::from_utf8_lossy(&certificate), &String::from_utf8_lossy(&key))
                    .map_err(|error| error.to_string())?,
            ),
            _ => None,
        };
        let server_name = cluster["tls-server-name"].as_str();
        let server = cluster["server"].as_str().unwrap_or_default();
        Self::new(server, server_name, &trust, identity.as_ref(), files.credential(&user))
    }

    /// The cluster that this server runs in as a pod.
    pub(crate) fn in_cluster() -> Result<Self, String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let place = variable("KUBERNETES_SERVICE_HOST").zip(variable("KUBERNETES_SERVICE_PORT"));
        let (host, port) = place.ok_or(
            "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined",
        )?;
        let authority = std::fs::read(format!("{POD}/ca.crt")).map_err(|error| error.to_string())?;
        let token = Credential::TokenFile(Path::new(POD).join("token"));
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Self::new(&format!("https://{host}:{port}"), None, &Trust::Bundle(&STANDARD.encode(authority)), None, token)
    }

    fn new(
        server: &str,
        server_name: Option<&str>,
        trust: &Trust<'_>,
        identity: Option<&Identity>,
        authorization: Credential,
    ) -> Result<Self, String> {
        let server = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
        let url: Uri = server.parse().map_err(|error| format!("host must be a URL or a host:port pair: {error}"))?;
        let host = url.host().ok_or_else(|| format!("no host in {server:?}"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let encrypted = url.scheme_str() == Some("https");
        let tls = if encrypted {
            let name = server_name.unwrap_or(&host).to_owned();
            let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
            Some((Arc::new(trust::client(trust, identity)?), name))
        } else {
            None
        };
        let port = url.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        Ok(Remote { url, host, port, tls, authorization, idle: Mutex::default() })
    }

    /// Posts, and reads what is answered. Whoever calls watches the time, which is `wait`.
    pub(crate) async fn post(&self, body: &Value, wait: Duration) -> Result<Value, Unanswered> {
        let url = self.shown(wait);
        let posting = |why: String| Unanswered { why: format!("Post {url:?}: {why}"), again: false };
        let body = Bytes::from(serde_json::to_vec(body).map_err(lasting)?);
        let (response, sender) = self.send(body, wait).await.map_err(posting)?;
        let code = response.status().as_u16();
        let answer = Limited::new(response.into_body(), AUTHORIZER_ANSWER_BYTES).collect().await;
        let answer = answer.map_err(|error| posting(error.to_string()))?.to_bytes();
        self.keep(sender);
        if !(200..300).contains(&code) {
            return Err(Unanswered { why: refused(code, &answer), again: code == 429 || code == 500 });
        }
        serde_json::from_slice(&answer)
            .map_err(|error| lasting(format!("couldn't get version/kind; json parse error: {error}")))
    }

    /// The URL as errors show it.
    pub(crate) fn shown(&self, wait: Duration) -> String {
        let path = self.url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let sign = if path.contains('?') { '&' } else { '?' };
        let authority = self.url.authority().map_or("", http::uri::Authority::as_str);
        format!("{}://{authority}{path}{sign}timeout={}", self.url.scheme_str().unwrap_or("http"), shown(wait))
    }

    async fn send(
        &self,
        body: Bytes,
        wait: Duration,
    ) -> Result<(Response<Incoming>, SendRequest<Full<Bytes>>), String> {
        let url: Uri = self.shown(wait).parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let target = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut request = Request::post(target)
            .header(HOST, url.authority().map_or("", http::uri::Authority::as_str))
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json, */*")
            .header(CONTENT_TYPE, "application/json");
        if let Some(value) = self.authorization.header()? {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let kept = self.idle.lock().pop();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
            && let Ok(response) = sender.send_request(request.clone()).await
        {
            return Ok((response, sender));
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await.map_err(|error| dial::unanswered(&error))?;
        Ok((response, sender))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let plain = TcpStream::connect((self.host.as_str(), self.port)).await;
        let plain = plain.map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                format!("dial tcp {}:{}: connect: connection refused", self.host, self.port)
            }
            _ => format!("dial tcp {}:{}: {error}", self.host, self.port),
        })?;
        let stream: Box<dyn Connection> = match &self.tls {
            Some((config, name)) => {
                let connecting = TlsConnector::from(config.clone()).connect(name.clone(), plain).await;
                Box::new(connecting.map_err(|error| trust::distrust(&error, &self.host))?)
            }
            None => Box::new(plain),
        };
        dial::http1(stream, "an authorizer").await
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock();
        if idle.len() < AUTHORIZER_IDLE && !sender.is_closed() {
            idle.push(sender);
        }
    }
}

impl Credential {
    fn header(&self) -> Result<Option<String>, String> {
        Ok(match self {
            Credential::Nothing => None,
            Credential::Header(value) => Some(value.clone()),
            Credential::TokenFile(path) => {
                let token =
                    std::fs::read_to_string(path).map_err(|error| format!("open {}: {error}", path.display()))?;
                Some(format!("Bearer {}", token.trim()))
            }
        })
    }
}

/// The files that a kubeconfig names stand beside it.
struct Files<'a> {
    directory: &'a Path,
}

impl Files<'_> {
    /// What stands in the file itself, or in one that it names.
    fn data(&self, owner: &Value, key: &str) -> Result<Option<Vec<u8>>, String> {
        let text = |key: &str| owner[key].as_str().filter(|text| !text.is_empty());
        if let Some(data) = text(&format!("{key}-data")) {
            return STANDARD.decode(data.trim()).map(Some).map_err(|error| format!("{key}-data: {error}"));
        }
        let Some(file) = text(key) else { return Ok(None) };
        let path = self.directory.join(file);
        let read = std::fs::read(&path);
        read.map(Some).map_err(|error| format!("unable to read {key} {}: {error}", path.display()))
    }

    fn credential(&self, user: &Value) -> Credential {
        let text = |key: &str| user[key].as_str().filter(|text| !text.is_empty());
        if let Some(file) = text("tokenFile") {
            return Credential::TokenFile(self.directory.join(file));
        }
        if let Some(token) = text("token") {
            return Credential::Header(format!("Bearer {token}"));
        }
        match (text("username"), text("password")) {
            (Some(name), password) => {
                let pair = STANDARD.encode(format!("{name}:{}", password.unwrap_or_default()));
                Credential::Header(format!("Basic {pair}"))
            }
            _ => Credential::Nothing,
        }
    }
}

/// A time as Go writes it, as far as times of authorizers go.
fn shown(wait: Duration) -> String {
    let seconds = wait.as_secs_f64();
    if seconds < 1.0 { format!("{}ms", wait.as_millis()) } else { format!("{seconds}s") }
}

/// What is said of an answer that is no success.
fn refused(code: u16, body: &[u8]) -> String {
    match code {
        401 => "the server has asked for the client to provide credentials".to_owned(),
        403 => "the server does not allow access to the requested resource".to_owned(),
        404 => "the server could not find the requested resource".to_owned(),
        429 => "the server has received too many requests and has asked us to try again later".to_owned(),
        500.. => {
            let said = String::from_utf8_lossy(body);
            let said = if said.is_empty() { "unknown" } else { said.trim_end() };
            format!("an error on the server ({said:?}) has prevented the request from succeeding")
        }
        _ => format!("the server responded with the status code {code} but did not return more information"),
    }
}
