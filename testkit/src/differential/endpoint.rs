//! One server, asked over one connection, with every header and byte of its answer.

use std::io::{BufRead, BufReader, Error, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::Request;

/// What an answer is given.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Of HTTP.
    pub code: u16,
    /// Names in small letters, in their order.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Reply {
    /// All values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

type Stream = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// A server and its administrator's credentials.
pub struct Endpoint {
    address: String,
    token: Option<String>,
    tls: Arc<ClientConfig>,
    stream: Option<Stream>,
}

impl Endpoint {
    /// As a kubeconfig says, with data in it or in files that it names.
    pub fn from_kubeconfig(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let config: Value = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let address = cluster["server"].as_str().and_then(|server| server.strip_prefix("https://"));
        let address = address.ok_or("the server is no https URL")?.trim_end_matches('/').to_owned();
        let mut roots = RootCertStore::empty();
        let authorities = pem(cluster, "certificate-authority")?.ok_or("no authority")?;
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&authorities).flatten());
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let tls = match (pem(user, "client-certificate")?, pem(user, "client-key")?) {
            (Some(own), Some(key)) => {
                let own = CertificateDer::pem_slice_iter(&own).flatten().collect();
                let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| error.to_string())?;
                builder.with_client_auth_cert(own, key).map_err(|error| error.to_string())?
            }
            _ => builder.with_no_client_auth(),
        };
        let token = user["token"].as_str().map(str::to_owned);
        Ok(Endpoint { address, token, tls: Arc::new(tls), stream: None })
    }

    /// Asks once, over the connection of the request before unless the server said that it closes it.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, String> {
        let kept = self.stream.take().filter(is_open);
        let mut stream = kept.map_or_else(|| self.connect(), Ok).map_err(|error| error.to_string())?;
        let reply = self.exchange(&mut stream, request).map_err(|error| format!("{request}: {error}"))?;
        Ok(self.keep(stream, reply))
    }

    /// Leaves the connection, so that the next request has one of its own.
    pub fn leave(&mut self) {
        self.stream = None;
    }

    fn keep(&mut self, stream: Stream, reply: Reply) -> Reply {
        if !reply.header("connection").contains(&"close") {
            self.stream = Some(stream);
        }
        reply
    }

    fn connect(&self) -> std::io::Result<Stream> {
        let tcp = TcpStream::connect(&self.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host).to_owned();
        let name = ServerName::try_from(host).map_err(Error::other)?;
        let connection = ClientConnection::new(self.tls.clone(), name).map_err(Error::other)?;
        Ok(BufReader::new(StreamOwned::new(connection, tcp)))
    }

    fn exchange(&self, stream: &mut Stream, request: &Request) -> std::io::Result<Reply> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.path, self.address);
        if let Some(token) = &self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in &request.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("User-Agent: differential/1\r\nContent-Length: {}\r\n\r\n", request.body.len());
        let out = stream.get_mut();
        out.write_all(head.as_bytes())?;
        out.write_all(request.body.as_bytes())?;
        out.flush()?;
        receive(stream)
    }
}

/// Whether the server has neither closed the connection nor sent anything that nobody asked for.
fn is_open(stream: &Stream) -> bool {
    let tcp = &stream.get_ref().sock;
    let quiet = tcp.set_nonblocking(true).is_ok()
        && tcp.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    tcp.set_nonblocking(false).is_ok() && quiet && stream.buffer().is_empty()
}

fn pem(part: &Value, name: &str) -> Result<Option<Vec<u8>>, String> {
    if let Some(data) = part[format!("{name}-data")].as_str() {
        return STANDARD.decode(data.trim()).map(Some).map_err(|error| error.to_string());
    }
    let file = part[name].as_str();
    file.map(|file| std::fs::read(file).map_err(|error| format!("{file}: {error}"))).transpose()
}

fn receive(stream: &mut Stream) -> std::io::Result<Reply> {
    let first = line(stream)?;
    let code = first.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| Error::other(first.clone()))?;
    let mut reply = Reply { code, ..Reply::default() };
    loop {
        let header = line(stream)?;
        let Some((name, value)) = header.split_once(':') else { break };
        reply.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if reply.header("transfer-encoding").contains(&"chunked") {
        loop {
            let size = line(stream)?;
            let size = usize::from_str_radix(&size, 16).map_err(Error::other)?;
            let start = reply.body.len();
            reply.body.resize(start + size, 0);
            stream.read_exact(&mut reply.body[start..])?;
            line(stream)?;
            if size == 0 {
                return Ok(reply);
            }
        }
    }
    let length = reply.header("content-length").first().and_then(|length| length.parse().ok()).unwrap_or(0);
    reply.body.resize(length, 0);
    stream.read_exact(&mut reply.body)?;
    Ok(reply)
}

fn line(stream: &mut Stream) -> std::io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
