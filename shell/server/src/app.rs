//! What all requests share, and what one request is.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use gantry_cluster::Cluster;
use gantry_kinds::KindRef;
use gantry_registry::User;
use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use crate::Version;
use crate::aggregation::Aggregation;
use crate::audit::{Auditor, Trail};
use crate::authn::Credentials;
use crate::authz::Authorizers;
use crate::discovery::Discovery;
use crate::extension::Extension;
use crate::fairness::Fairness;
use crate::farewell::Farewell;
use crate::metrics::Metrics;
use crate::openapi::OpenApi;
use crate::query::Query;
use crate::read::present::ConvertedChanges;
use crate::route::Asked;
use crate::tunnel::Tunnels;
use crate::watch::SharedFrames;
use crate::webhook::Webhooks;

/// What all requests share.
pub(crate) struct App {
    pub cluster: Arc<Cluster>,
    pub credentials: Credentials,
    pub tunnels: Arc<Tunnels>,
    pub metrics: Arc<Metrics>,
    pub fairness: Fairness,
    pub frames: Arc<SharedFrames>,
    pub discovery: Discovery,
    pub openapi: OpenApi,
    pub webhooks: Arc<Webhooks>,
    pub authorizers: Arc<Authorizers>,
    pub aggregation: Aggregation,
    pub converted: Arc<ConvertedChanges>,
    pub version: Version,
    /// `host:port` that clients are told.
    pub advertise: String,
    /// Which clients are asked to take another connection.
    pub farewell: Farewell,
    /// Writes down who asked for what; where that is wanted.
    pub auditor: Option<Arc<Auditor>>,
    /// What the program around the server adds.
    pub extension: OnceLock<Arc<dyn Extension>>,
    pub ready: AtomicBool,
    /// Ends long-lived answers when the server stops.
    pub stop: CancellationToken,
}

impl App {
    /// An id in the form of a random UUID that no earlier call returned.
    pub(crate) fn fresh_id(&self) -> String {
        fresh_id(&self.cluster)
    }
}

/// An id in the form of a random UUID that no earlier call returned.
pub(crate) fn fresh_id(cluster: &Cluster) -> String {
    let (high, low) = (cluster.next_seed(), cluster.next_seed());
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0x0fff);
    format!("{a:08x}-{b:04x}-4{c:03x}-{:04x}-{:012x}", (low >> 48) & 0x3fff | 0x8000, low & 0xffff_ffff_ffff)
}

/// One request whose sender is known and may do what it asks.
pub(crate) struct Call {
    pub user: User,
    pub asked: Asked,
    pub query: Query,
    pub headers: HeaderMap,
    /// What the audit log will say of it.
    pub trail: Arc<Trail>,
}

impl Call {
    /// Namespace of the object asked for; empty where the kind is cluster-scoped.
    pub(crate) fn namespace(&self, kind: KindRef) -> &str {
        if kind.namespaced { &self.asked.namespace } else { "" }
    }

    /// The namespace that a list is of; `None` for all.
    pub(crate) fn list_namespace(&self, kind: KindRef) -> Option<&str> {
        // A cluster-scoped kind has the one namespace "".
        if !kind.namespaced {
            return Some("");
        }
        Some(self.asked.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// The client's `User-Agent`.
    pub(crate) fn user_agent(&self) -> &str {
        self.headers.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}
