//! One HTTP request on a connection of its own: backups are few and large.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::limits::{S3_ANSWER_BYTES, S3_CONNECT, S3_REQUEST};

/// Sends a request and returns with the head of the answer.
pub(super) async fn send(
    method: Method,
    url: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Incoming>, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    let host = uri.authority().ok_or("an address without host")?.clone();
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut request = Request::builder().method(method).uri(path).header(http::header::HOST, host.as_str());
    for (name, value) in &headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
    let work = async {
        let (name, secure) = (host.host().trim_matches(['[', ']']), uri.scheme_str() == Some("https"));
        let port = host.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let socket = timeout(S3_CONNECT, TcpStream::connect((name, port))).await;
        let socket = socket.map_err(|_| "no connection in time".to_owned())?.map_err(|error| error.to_string())?;
        if !secure {
            return exchange(socket, request).await;
        }
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        let tls = TlsConnector::from(tls_config()?).connect(name, socket);
        let tls = timeout(S3_CONNECT, tls).await.map_err(|_| "no TLS handshake in time".to_owned())?;
        exchange(tls.map_err(|error| error.to_string())?, request).await
    };
    let late = |_| format!("no answer from {host} within {} s", S3_REQUEST.as_secs());
    timeout(S3_REQUEST, work).await.map_err(late)?.map_err(|error| format!("{host}: {error}"))
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| error.to_string())
}

/// Reads an answer that is not an object.
pub(super) async fn read_text(body: Incoming) -> Result<String, String> {
    let read = timeout(S3_REQUEST, Limited::new(body, S3_ANSWER_BYTES).collect()).await;
    let bytes = read.map_err(|_| "the answer broke off".to_owned())?.map_err(|error| error.to_string())?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Trusts whom this machine trusts (`SSL_CERT_FILE` names others).
fn tls_config() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or("there are none".to_owned(), ToString::to_string);
        return Err(format!("this machine's certificate authorities: {why} (apt-get install ca-certificates)"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}
