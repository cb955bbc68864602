//! `pods/proxy`, `services/proxy` and `nodes/proxy`: the client's request, sent to an address inside the cluster,
//! and what comes back, with links that lead here again.
//!
//! Invariants: the client's credential stays here; a connection is made for one request and ends with it; nothing is
//! followed that the backend says.

pub(crate) mod backend;
pub(crate) mod dial;
mod rewrite;

use std::sync::Arc;

use bytes::Bytes;
use gantry_kinds::Status;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
    LOCATION, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use self::backend::{Backend, Place};
use crate::Refusal;
use crate::app::{App, Call};
use crate::limits::{PROXIED_HTML_BYTES, UPGRADE as UPGRADE_WAIT};
use crate::metrics::Gauge;
use crate::query::decode;
use crate::respond::{self, Answer, BodyError, full};
use crate::route::Endpoint;
use crate::server::Remote;

/// Headers that are about one connection alone.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
];

/// The addresses that a request has come by.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Answers a request to a proxy subresource with what the backend answers.
pub(crate) async fn proxy(
    app: &Arc<App>,
    call: &Call,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let backend = backend::find(app, call, endpoint.kind)?;
    let gauge = app.metrics.long_running(&call.asked);
    let (prefix, tail) = split(request.uri().path());
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    if tail.is_empty() && reads && backend.place != Place::Agent {
        return Ok(with_slash(request.uri()));
    }
    let prefix = prefix.to_owned();
    let upgrades = request.headers().contains_key(UPGRADE);
    let outgoing = outgoing(&prefix, &tail, &request, upgrades)?;
    if backend.place == Place::Agent {
        return from_agent(app, &backend, outgoing).await;
    }
    let client = upgrades.then(|| request.extensions().get::<hyper::upgrade::OnUpgrade>().cloned()).flatten();
    let outgoing = outgoing.map(|()| request.into_body().map_err(BodyError::from).boxed_unsync());
    let stream = dial::connect(app, &backend).await.map_err(|why| unreachable(&why))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error.to_string()))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a proxied connection broke");
        }
    });
    let response = sender.send_request(outgoing).await.map_err(|error| unreachable(&error.to_string()))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(switched(app, client, response, gauge));
    }
    let links = rewrite::Links { prefix: &prefix, backend: &backend.host() };
    back(response, &links, gauge).await
}

/// The path up to and with `proxy`, and what follows it.
fn split(path: &str) -> (&str, String) {
    // No name of a namespace, pod, service or node comes between the resource and its name.
    let words = if path.starts_with("/api/v1/nodes/") { 5 } else { 7 };
    let mut seen = 0;
    let bytes = path.as_bytes();
    for at in 0..bytes.len() {
        let begins = bytes[at] != b'/' && at.checked_sub(1).is_some_and(|before| bytes[before] == b'/');
        seen += usize::from(begins);
        if seen == words {
            let end = path[at..].find('/').map_or(path.len(), |length| at + length);
            return (&path[..end], decode(&path[end..], false));
        }
    }
    (path, String::new())
}

/// 301 to the same with a slash, so that relative links of the answer lead somewhere.
fn with_slash(uri: &Uri) -> Answer {
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(to) = HeaderValue::from_str(&format!("{}/{query}", uri.path())) {
        answer.headers_mut().insert(LOCATION, to);
    }
    answer
}

/// The request as the backend gets it, still without its body.
fn outgoing(prefix: &str, tail: &str, request: &Request<Incoming>, upgrades: bool) -> Result<Request<()>, Refusal> {
    let path = if tail.is_empty() { "/" } else { tail };
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    let target: Uri = format!("{}{query}", encode_path(path))
        .parse()
        .map_err(|_| Box::new(Status::bad_request(format!("the path {path:?} cannot be proxied"))))?;
    let mut headers = passed_on(request.headers(), upgrades);
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
    if let Some(host) = host.and_then(|host| HeaderValue::from_str(&host).ok()) {
        headers.entry(HOST).or_insert(host);
    }
    headers.remove(AUTHORIZATION);
    let impersonation = headers.keys().filter(|name| {
        let name = name.as_str();
        ["impersonate-user", "impersonate-group", "impersonate-uid"].contains(&name)
            || name.starts_with("impersonate-extra-")
    });
    for name in impersonation.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
    if let Some(Remote(address)) = request.extensions().get::<Remote>() {
        let before = headers.get(FORWARDED_FOR).and_then(|v| v.to_str().ok()).map(|before| format!("{before}, "));
        if let Ok(chain) = HeaderValue::from_str(&format!("{}{address}", before.unwrap_or_default())) {
            headers.insert(FORWARDED_FOR, chain);
        }
    }
    if let Ok(uri) = HeaderValue::from_str(&format!("{prefix}{}", encode_path(tail))) {
        headers.insert(HeaderName::from_static("x-forwarded-uri"), uri);
    }
    // Only what is understood here may come packed: links are looked for in it.
    headers.remove(ACCEPT_ENCODING);
    let mut outgoing = Request::new(());
    (*outgoing.method_mut(), *outgoing.uri_mut(), *outgoing.headers_mut()) =
        (request.method().clone(), target, headers);
    Ok(outgoing)
}

/// Percent-encodes what a path may not hold as it is.
fn encode_path(path: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/$&+,:;=@!*'()".contains(&byte);
    path.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Headers without those of the connection; with `upgrades`, those that ask for another protocol stay.
pub(crate) fn passed_on(headers: &HeaderMap, upgrades: bool) -> HeaderMap {
    let listed = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let listed: Vec<String> = listed.flat_map(|v| v.split(',')).map(|v| v.trim().to_ascii_lowercase()).collect();
    let mut passed = headers.clone();
    for name in HOP_BY_HOP.iter().map(|name| (*name).to_owned()).chain(listed).chain(["upgrade".to_owned()]) {
        passed.remove(name);
    }
    if upgrades {
        if let Some(protocol) = headers.get(UPGRADE) {
            passed.insert(UPGRADE, protocol.clone());
        }
        passed.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    passed
}

/// What the node's own agent answers.
async fn from_agent(app: &App, backend: &Backend, outgoing: Request<()>) -> Result<Answer, Refusal> {
    if outgoing.method() != Method::GET && outgoing.method() != Method::HEAD {
        return Err(Box::new(Status::new(405, "MethodNotAllowed", "the node does not allow this method")));
    }
    let uri = format!("/node{}", outgoing.uri());
    let question = Request::get(uri).body(full(Bytes::new())).map_err(respond::internal)?;
    let response = app.tunnels.ask(backend.node.as_deref().unwrap_or_default(), question).await?;
    let (parts, body) = response.into_parts();
    let mut answer = Response::new(body.map_err(BodyError::from).boxed_unsync());
    *answer.status_mut() = parts.status;
    if let Some(content_type) = parts.headers.get(CONTENT_TYPE) {
        answer.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    Ok(answer)
}

/// Lets client and backend speak whatever they agreed on.
pub(crate) fn switched(
    app: &Arc<App>,
    client: Option<hyper::upgrade::OnUpgrade>,
    mut response: Response<Incoming>,
    gauge: Gauge,
) -> Answer {
    let headers = response.headers().clone();
    let backend = hyper::upgrade::on(&mut response);
    let stop = app.stop.clone();
    tokio::spawn(async move {
        let _open = gauge;
        let Some(client) = client else { return };
        let both = async { tokio::try_join!(client, backend) };
        let Ok(Ok((client, backend))) = tokio::time::timeout(UPGRADE_WAIT, both).await else {
            return tracing::debug!("a proxied upgrade was given up");
        };
        let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
        tokio::select! {
            // Either side may break off at any time.
            _ = tokio::io::copy_bidirectional(&mut client, &mut backend) => {}
            () = stop.cancelled() => {}
        }
    });
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.headers_mut() = headers;
    answer
}

/// The backend's answer as the client gets it.
async fn back(response: Response<Incoming>, links: &rewrite::Links<'_>, gauge: Gauge) -> Result<Answer, Refusal> {
    let (parts, body) = response.into_parts();
    let mut headers = passed_on(&parts.headers, false);
    if let Some(to) = headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(|to| links.rewrite(to))
        && let Ok(to) = HeaderValue::from_str(&to)
    {
        headers.insert(LOCATION, to);
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let html = content_type.split(';').next().is_some_and(|media| media.trim() == "text/html");
    let body = if html && !headers.contains_key(http::header::CONTENT_ENCODING) {
        let page = Limited::new(body, PROXIED_HTML_BYTES).collect().await;
        let page = page.map_err(|error| unreachable(&error.to_string()))?.to_bytes();
        let page = rewrite::html(&page, links);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(page.len()));
        full(page)
    } else {
        // The gauge lives as long as the answer.
        let counted = body.map_frame(move |frame| {
            let _open = &gauge;
            frame
        });
        counted.map_err(BodyError::from).boxed_unsync()
    };
    headers.remove(TRANSFER_ENCODING);
    if !headers.contains_key(CONTENT_TYPE) && parts.status != StatusCode::NO_CONTENT && !parts.status.is_redirection() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    let mut answer = Response::new(body);
    (*answer.status_mut(), *answer.headers_mut()) = (parts.status, headers);
    Ok(answer)
}

fn unreachable(why: &str) -> Refusal {
    let text = format!("error trying to reach service: {why}");
    Box::new(Status::new(503, "ServiceUnavailable", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_proxy_is_the_backends_path() {
        let check = |path: &str, prefix: &str, tail: &str| assert_eq!(split(path), (prefix, tail.to_owned()), "{path}");
        let pod = "/api/v1/namespaces/a/pods/p:80/proxy";
        check(pod, pod, "");
        check(&format!("{pod}/"), pod, "/");
        check(&format!("{pod}/proxy/b%20c/"), pod, "/proxy/b c/");
        check("/api/v1/nodes/n1/proxy/pods", "/api/v1/nodes/n1/proxy", "/pods");
        assert_eq!(encode_path("/b c/ä?"), "/b%20c/%C3%A4%3F");
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "keep-alive, X-Mine"), ("x-mine", "1"), ("te", "trailers"), ("x-other", "2")]
        {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let names = |upgrades| {
            let passed = passed_on(&headers, upgrades);
            let mut names: Vec<String> = passed.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(false), ["x-other"]);
        assert_eq!(names(true), ["connection", "upgrade", "x-other"]);
    }
}
