//! Connections to other servers.

use std::sync::Arc;

use gantry_cluster::Cluster;
use http::header::{ACCEPT, HOST};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{Aggregation, Behind};
use crate::limits::AGGREGATED_ANSWER_BYTES;
use crate::proxy::dial;
use crate::respond::{Body, BodyError};
use crate::trust::{self, Trust};
use crate::tunnel::Tunnels;

impl Aggregation {
    /// A connection to the server behind an APIService, for one request.
    pub(super) async fn connect(
        &self,
        cluster: &Cluster,
        tunnels: &Tunnels,
        behind: &Behind,
    ) -> Result<SendRequest<Body>, String> {
        let (address, node) = behind.address(&cluster.view(), cluster.next_seed())?;
        let plain = dial::reach(tunnels, node.as_deref(), address).await?;
        let trusted = if behind.insecure { Trust::Anybody } else { Trust::Bundle(&behind.bundle) };
        let settings = trust::client(&trusted, Some(&self.identity))?;
        let name = ServerName::try_from(behind.host()).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(Arc::new(settings)).connect(name, plain).await;
        let stream = stream.map_err(|error| trust::distrust(&error, &behind.host()))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to another API server broke");
            }
        });
        Ok(sender)
    }

    /// Gets a document from it, as this server itself.
    pub(super) async fn fetch(
        &self,
        cluster: &Cluster,
        tunnels: &Tunnels,
        behind: &Behind,
        target: &str,
    ) -> Result<(u16, Vec<u8>), String> {
        let mut sender = self.connect(cluster, tunnels, behind).await?;
        let body = Empty::new().map_err(|never| -> BodyError { match never {} }).boxed_unsync();
        let request = Request::get(target)
            .header(HOST, format!("{}:{}", behind.host(), behind.port))
            .header(ACCEPT, "application/json")
            .header("x-remote-user", "system:kube-aggregator")
            .header("x-remote-group", "system:masters")
            .body(body)
            .map_err(|error| error.to_string())?;
        let response: Response<Incoming> = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let code = response.status().as_u16();
        let bytes = Limited::new(response.into_body(), AGGREGATED_ANSWER_BYTES).collect().await;
        Ok((code, bytes.map_err(|error| error.to_string())?.to_bytes().to_vec()))
    }
}
