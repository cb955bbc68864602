//! One call of a webhook: a connection of its own, verified, one request, one bounded answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gantry_cluster::Cluster;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Webhooks;
use super::place::Place;
use crate::limits::WEBHOOK_ANSWER_BYTES;
use crate::proxy::dial::{self, Connection};
use crate::trust::{self, Trust};

/// wire: webhooks know the server by this name.
const AGENT: &str = "kube-apiserver-admission";

impl Webhooks {
    /// Posts JSON to the webhook of a `clientConfig`, and reads the JSON that it answers. Whoever calls watches the time,
    /// which is `wait`.
    pub(super) async fn post(
        &self,
        cluster: &Cluster,
        config: &Value,
        wait: Duration,
        body: Bytes,
    ) -> Result<Value, String> {
        let place = Place::read(config, wait.as_secs())?;
        let posting = |why: String| format!("Post {:?}: {why}", place.url());
        let stream = self.connect(cluster, &place, &config["caBundle"]).await.map_err(posting)?;
        let response = send(&place, stream, body).await.map_err(posting)?;
        let code = response.status().as_u16();
        if !response.status().is_success() {
            return Err(refused(code));
        }
        let answer = Limited::new(response.into_body(), WEBHOOK_ANSWER_BYTES).collect().await;
        let answer = answer.map_err(|error| posting(error.to_string()))?.to_bytes();
        serde_json::from_slice(&answer).map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))
    }

    /// What is said of a call that took too long, and why that is so.
    pub(super) fn too_late(&self, config: &Value, wait: Duration, why: &str) -> String {
        let url = Place::read(config, wait.as_secs()).map(|place| place.url()).unwrap_or_default();
        format!("Post {url:?}: {why}")
    }

    async fn connect(
        &self,
        cluster: &Cluster,
        place: &Place,
        authorities: &Value,
    ) -> Result<TlsStream<Box<dyn Connection>>, String> {
        let (address, node) = place.address(cluster).await?;
        let plain = dial::reach(&self.tunnels, node.as_deref(), address).await?;
        let name = ServerName::try_from(place.host.clone()).map_err(|error| error.to_string())?;
        let settings = trust::client(&Trust::Bundle(authorities.as_str().unwrap_or_default()), None)?;
        let connector = TlsConnector::from(Arc::new(settings));
        connector.connect(name, plain).await.map_err(|error| trust::distrust(&error, &place.host))
    }
}

async fn send(
    place: &Place,
    stream: TlsStream<Box<dyn Connection>>,
    body: Bytes,
) -> Result<Response<Incoming>, String> {
    let mut sender = dial::http1(stream, "a webhook").await?;
    let request = Request::post(&place.target)
        .header(HOST, format!("{}:{}", place.host, place.port))
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "application/json, */*")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    sender.send_request(request).await.map_err(|error| dial::unanswered(&error))
}

/// What is said of an answer that is no success.
fn refused(code: u16) -> String {
    match code {
        401 => "the server has asked for the client to provide credentials".to_owned(),
        404 => "the server could not find the requested resource".to_owned(),
        500.. => "an error on the server (\"unknown\") has prevented the request from succeeding".to_owned(),
        _ => format!("the server responded with the status code {code} but did not return more information"),
    }
}
