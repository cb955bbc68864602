//! HTTP as probes speak it: one GET, redirections on the same host, no certificates checked.

use std::time::Duration;

use ::http::header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT};
use ::http::{HeaderName, HeaderValue, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{connect, tls};
use crate::limits::{PROBE_BYTES, PROBE_REDIRECTS};

/// A request.
pub(super) struct Get {
    pub(super) secure: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) agent: String,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: u16,
}

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

impl Get {
    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn path(&self) -> String {
        if self.path.starts_with('/') { self.path.clone() } else { format!("/{}", self.path) }
    }

    fn url(&self) -> String {
        format!("{}://{}{}", if self.secure { "https" } else { "http" }, self.authority(), self.path())
    }

    /// Asks and follows; the whole of it within `bound`.
    pub(super) async fn send(mut self, bound: Duration) -> Result<Answer, String> {
        let first = self.url();
        let all = async {
            for _ in 0..=PROBE_REDIRECTS {
                let (code, location) = self.once(bound).await?;
                match location {
                    Some(location) if self.follow(&location) => {}
                    _ => return Ok(Answer { code }),
                }
            }
            Err(format!("stopped after {PROBE_REDIRECTS} redirects"))
        };
        let answer = tokio::time::timeout(bound, all).await;
        let words = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
        answer.unwrap_or_else(|_| Err(words.to_owned())).map_err(|why| format!("Get {first:?}: {why}"))
    }

    /// Turns to where a redirection leads, if that is on the same host.
    fn follow(&mut self, location: &str) -> bool {
        if let Some(path) = location.strip_prefix('/').filter(|path| !path.starts_with('/')) {
            self.path = format!("/{path}");
            return true;
        }
        let Ok(target) = location.parse::<::http::Uri>() else { return false };
        if target.host() != Some(self.host.as_str()) {
            return false;
        }
        self.secure = target.scheme_str() == Some("https");
        self.port = target.port_u16().unwrap_or(if self.secure { 443 } else { 80 });
        self.path = target.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        true
    }

    async fn once(&self, bound: Duration) -> Result<(u16, Option<String>), String> {
        let stream = connect(&self.host, self.port, bound).await?;
        let stream: Box<dyn Transport> =
            if self.secure { Box::new(tls::connect(&self.host, stream).await?) } else { Box::new(stream) };
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        let request = self.request()?;
        let asked = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let code = response.status().as_u16();
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
            // Read on a little, so that servers do not see a connection that breaks off.
            let _ = Limited::new(response.into_body(), PROBE_BYTES).collect().await;
            Ok((code, location.filter(|_| (300..400).contains(&code))))
        };
        tokio::pin!(asked);
        tokio::select! {
            answer = &mut asked => answer,
            _ = connection => asked.await,
        }
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, String> {
        let built = Request::get(self.path()).body(Empty::new());
        let mut request = built.map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        let value = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
        headers.insert(HOST, value(&self.authority())?);
        headers.insert(USER_AGENT, value(&self.agent)?);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        for (name, text) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            headers.insert(name, value(text)?);
        }
        Ok(request)
    }
}
