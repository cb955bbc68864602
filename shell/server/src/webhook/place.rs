//! Where a webhook is: the `clientConfig` that names it by its URL or by a service of the cluster.

use std::net::SocketAddr;

use gantry_cluster::Cluster;
use http::Uri;
use serde_json::Value;

use crate::proxy::backend::{self, Place as Backend};

/// The port of a service where none is named.
const HTTPS: u16 = 443;

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Host as certificates name it.
    pub host: String,
    pub port: u16,
    /// Path and query.
    pub target: String,
    /// The service that answers, by namespace and name; the host itself where there is none.
    pub service: Option<(String, String)>,
}

impl Place {
    /// Reads a `clientConfig`.
    pub(super) fn read(config: &Value, seconds: u64) -> Result<Self, String> {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        if let Some(url) = text(config, "url") {
            let uri: Uri = url.parse().map_err(|error| format!("Unparsable webhook URL: {error}"))?;
            let host = uri.host().ok_or_else(|| format!("no host in {url:?}"))?;
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            let port = uri.port_u16().unwrap_or(HTTPS);
            return Ok(Place { host, port, target: timed(path, seconds), service: None });
        }
        let service = &config["service"];
        let (Some(namespace), Some(name)) = (text(service, "namespace"), text(service, "name")) else {
            return Err("webhook configuration must have either service or URL".to_owned());
        };
        let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(HTTPS);
        let path = text(service, "path").unwrap_or_default();
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let host = format!("{name}.{namespace}.svc");
        Ok(Place { host, port, target: timed(&path, seconds), service: Some((namespace, name)) })
    }

    /// The URL as errors show it.
    pub(super) fn url(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = if self.port == HTTPS && self.service.is_none() { String::new() } else { format!(":{}", self.port) };
        format!("https://{host}{port}{}", self.target)
    }

    /// An address at which it answers, and the node that reaches it.
    pub(super) async fn address(&self, cluster: &Cluster) -> Result<(SocketAddr, Option<String>), String> {
        if let Some((namespace, name)) = &self.service {
            let backend = backend::of_named(&cluster.view(), namespace, name, self.port, cluster.next_seed());
            let backend = backend.map_err(|status| status.message)?;
            return match backend.place {
                Backend::Address(address) => Ok((address, backend.node)),
                Backend::Agent => Err(format!("service {name:?} has no address")),
            };
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut found = found.map_err(|error| format!("dial tcp: lookup {}: {error}", self.host))?;
        let address = found.next().ok_or_else(|| format!("dial tcp: lookup {}: no such host", self.host))?;
        Ok((address, None))
    }
}

fn timed(path: &str, seconds: u64) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}timeout={seconds}s")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn webhooks_are_named_by_url_or_by_service() {
        let check = |config: Value, url: &str, host: &str| {
            let place = Place::read(&config, 30).unwrap();
            assert_eq!((place.url().as_str(), place.host.as_str()), (url, host));
        };
        let url = json!({"url": "https://127.0.0.1:8443/a?b=c"});
        check(url, "https://127.0.0.1:8443/a?b=c&timeout=30s", "127.0.0.1");
        check(json!({"url": "https://h.io"}), "https://h.io/?timeout=30s", "h.io");
        let service = json!({"service": {"namespace": "n", "name": "s", "path": "p"}});
        check(service, "https://s.n.svc:443/p?timeout=30s", "s.n.svc");
        assert!(Place::read(&json!({}), 30).is_err());
    }
}
