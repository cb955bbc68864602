//! Bringing a request to some server: which one, and when again.
//!
//! Invariant: a request is sent a second time only when it is known that nothing was done (nobody took it, or the
//! server put it off), or when doing it twice is doing it once because it only reads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::ClientError;
use crate::jitter::part_of;
use crate::limits::{ATTEMPTS, RETRY_AFTER_LAST};
use crate::servers::Servers;

/// Sends a request to the server in use, or to another one when that cannot be reached.
pub(crate) async fn deliver(
    servers: &Arc<Servers>,
    request: Request<Full<Bytes>>,
    operation: &str,
) -> Result<Response<Incoming>, ClientError> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut tried: Vec<String> = Vec::new();
    let mut attempts = 1;
    loop {
        let (transport, wait) = servers.choose(&tried);
        tokio::time::sleep(wait).await;
        let error = match transport.send(request.clone(), operation).await {
            Ok(response) => {
                servers.works(&transport);
                let elsewhere = tried.len() + 1 < servers.count();
                if response.status() == StatusCode::SERVICE_UNAVAILABLE && servers.count() > 1 {
                    // It lives but can do nothing now: others may.
                    transport.fails("the server is not available");
                }
                match put_off(&response, reads && elsewhere) {
                    Some(_) if elsewhere && response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                        tried.push(transport.url().to_owned());
                    }
                    Some(wait) if attempts < ATTEMPTS => {
                        attempts += 1;
                        tried.clear();
                        tokio::time::sleep(wait + part_of(wait)).await;
                    }
                    _ => return Ok(response),
                }
                continue;
            }
            Err(error) => error,
        };
        match &error {
            ClientError::Connect { .. } => {
                tried.push(transport.url().to_owned());
                if tried.len() >= servers.count() {
                    return Err(error);
                }
            }
            ClientError::Interrupted { .. } if reads && attempts < ATTEMPTS => attempts += 1,
            _ => return Err(error),
        }
        tracing::debug!(operation, %error, "sent again");
    }
}

/// Whether the server has refused for now without doing anything, and how long it asks to wait. `unsaid`: it may
/// also have said nothing of when to come again.
fn put_off(response: &Response<Incoming>, unsaid: bool) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    asked.map(Duration::from_secs).or(unsaid.then_some(Duration::ZERO)).map(|wait| wait.min(RETRY_AFTER_LAST))
}
