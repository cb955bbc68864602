//! A client that asks one server once: no retries, no other server, and it says whether what was lost was sent.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sched::{CloneFlags, setns};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// What connecting is given.
const CONNECT: Duration = Duration::from_secs(2);
/// What an answer is given unless the test says otherwise.
const ANSWER: Duration = Duration::from_secs(8);

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A code and a body.
    Told(u16, Value),
    /// The server never had the request.
    NotSent(String),
    /// The request went out, and nothing came back.
    Lost(String),
}

impl Answer {
    /// The code; 0 for none.
    pub fn code(&self) -> u16 {
        if let Answer::Told(code, _) = self { *code } else { 0 }
    }

    /// The body of a 2xx.
    pub fn good(self) -> Result<Value, Self> {
        match self {
            Answer::Told(200..=299, body) => Ok(body),
            other => Err(other),
        }
    }
}

type Stream = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// The client; keeps its connection as long as that works.
pub struct Caller {
    netns: PathBuf,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    stream: Option<Stream>,
    answer: Duration,
}

impl Caller {
    /// A client in a network namespace, with the credentials of a kubeconfig, of the server at `address`.
    pub fn new(netns: PathBuf, kubeconfig: &Path, address: SocketAddr) -> Self {
        Caller { netns, address, tls: Arc::new(tls(kubeconfig)), stream: None, answer: ANSWER }
    }

    /// Another client of the same server, with a connection of its own.
    pub fn another(&self) -> Self {
        Caller { netns: self.netns.clone(), tls: self.tls.clone(), stream: None, ..*self }
    }

    /// The same with another bound on answers.
    #[must_use]
    pub fn patient_for(self, answer: Duration) -> Self {
        Caller { answer, ..self }
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        if self.stream.is_none() {
            match self.connect() {
                Ok(stream) => self.stream = Some(stream),
                Err(error) => return Answer::NotSent(error.to_string()),
            }
        }
        let Some(mut stream) = self.stream.take() else { return Answer::NotSent("no connection".to_owned()) };
        match send(&mut stream, self.address, (method, path, body)).and_then(|()| receive(&mut stream)) {
            Ok((code, body)) => {
                self.stream = Some(stream);
                let value = serde_json::from_slice(&body);
                Answer::Told(code, value.unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body).into_owned())))
            }
            Err(error) => Answer::Lost(error.to_string()),
        }
    }

    /// A plain text, such as metrics; `None` when there is no 200.
    pub fn text(&mut self, path: &str) -> Option<String> {
        let Ok(Value::String(text)) = self.ask("GET", path, None).good() else { return None };
        Some(text)
    }

    fn connect(&self) -> std::io::Result<Stream> {
        let tcp = in_namespace(&self.netns, {
            let address = self.address;
            move || TcpStream::connect_timeout(&address, CONNECT)
        })?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(self.answer))?;
        tcp.set_write_timeout(Some(self.answer))?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let connection = ClientConnection::new(self.tls.clone(), name).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(BufReader::new(stream))
    }
}

/// Does something in a network namespace; a socket stays where it was made.
fn in_namespace<T: Send + 'static>(
    netns: &Path,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let netns = File::open(netns)?;
    let thread = std::thread::spawn(move || {
        setns(netns, CloneFlags::CLONE_NEWNET)?;
        work()
    });
    thread.join().map_err(|_| std::io::Error::other("the thread panicked"))?
}

fn send(
    stream: &mut Stream,
    address: SocketAddr,
    (method, path, body): (&str, &str, Option<&Value>),
) -> std::io::Result<()> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let out = stream.get_mut();
    out.write_all(head.as_bytes())?;
    out.write_all(body.as_bytes())?;
    out.flush()
}

fn receive(stream: &mut Stream) -> std::io::Result<(u16, Vec<u8>)> {
    let broken = |what: &str| std::io::Error::other(format!("a broken answer: {what}"));
    let code = line(stream)?;
    let code = code.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| broken(&code))?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().map_err(|_| broken(value))?,
            Some(("transfer-encoding", _)) => chunked = true,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    while chunked {
        let size = line(stream)?;
        let size = usize::from_str_radix(&size, 16).map_err(|_| broken(&size))?;
        let mut chunk = vec![0; size];
        stream.read_exact(&mut chunk)?;
        line(stream)?;
        body.extend(chunk);
        chunked = size > 0;
    }
    Ok((code, body))
}

fn line(stream: &mut Stream) -> std::io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn tls(kubeconfig: &Path) -> ClientConfig {
    let text = std::fs::read_to_string(kubeconfig).expect("a kubeconfig");
    let file: Value = serde_saphyr::from_str(&text).expect("a kubeconfig");
    let data = |value: &Value| STANDARD.decode(value.as_str().expect("a text")).expect("base64");
    let (cluster, user) = (&file["clusters"][0]["cluster"], &file["users"][0]["user"]);
    let mut roots = RootCertStore::empty();
    let authority =
        CertificateDer::from_pem_slice(&data(&cluster["certificate-authority-data"])).expect("a certificate");
    roots.add(authority).expect("an authority");
    let own = CertificateDer::from_pem_slice(&data(&user["client-certificate-data"])).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(&data(&user["client-key-data"])).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions of TLS").with_root_certificates(roots);
    builder.with_client_auth_cert(vec![own], key).expect("a client certificate")
}
