//! The aggregation layer: versions of groups that an APIService says another server answers, a service of the cluster.
//!
//! Invariants: a built-in group is never given away; the other server is told who asks by this server's own
//! certificate and by headers that no client can set; one that hangs holds its own callers and nobody else.

mod check;
mod keep;
mod pass;
mod reach;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_kinds::groups;
use parking_lot::Mutex;
use serde_json::Value;

pub(crate) use self::keep::keep;
pub(crate) use self::pass::pass_on;
pub(crate) use self::service::Behind;
use crate::discovery::catalog::Resource;
use crate::route::Asked;
use crate::trust::Identity;

/// How this server shows other servers who asks: they trust what the authority signed, and take the user from headers.
#[derive(Clone)]
pub struct FrontProxy {
    /// The authority's certificate, PEM.
    pub ca_pem: String,
    /// This server's certificate, PEM; its common name is one of `names`.
    pub cert_pem: String,
    /// Its private key, PEM.
    pub key_pem: String,
    /// The names that the authority vouches for.
    pub names: Vec<String>,
    /// The authorities of client certificates, PEM, which others are told along with it.
    pub client_ca_pem: String,
}

/// What is known of the other servers.
pub(crate) struct Aggregation {
    front: FrontProxy,
    identity: Identity,
    remotes: Mutex<Arc<Remotes>>,
}

/// All versions that other servers answer, as they were last looked at.
#[derive(Default)]
pub(crate) struct Remotes {
    /// Another number after every change.
    pub generation: u64,
    /// By group and version.
    pub by: BTreeMap<(String, String), Remote>,
}

/// A version that another server answers.
#[derive(Clone, PartialEq)]
pub(crate) struct Remote {
    pub behind: Behind,
    /// Whether it answered when it was last asked.
    pub available: bool,
    /// What it serves.
    pub served: Arc<Contents>,
}

/// What another server says of a version.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Contents {
    pub resources: Vec<Resource>,
    /// Its OpenAPI 3 document.
    pub document: Option<Value>,
    /// Tells this document from others.
    pub tag: String,
}

impl Aggregation {
    /// Nothing is known yet.
    pub(crate) fn new(front: FrontProxy) -> Result<Self, rustls_pki_types::pem::Error> {
        let identity = Identity::read(&front.cert_pem, &front.key_pem)?;
        Ok(Aggregation { front, identity, remotes: Mutex::default() })
    }

    /// What is known now.
    pub(crate) fn remotes(&self) -> Arc<Remotes> {
        self.remotes.lock().clone()
    }

    /// The other server that a request is for.
    pub(crate) fn find(&self, asked: &Asked) -> Option<Remote> {
        if asked.kind.is_some_and(|kind| !kind.is_custom()) {
            return None;
        }
        let mut words = asked.path.split('/').filter(|word| !word.is_empty());
        let ("apis", group, version) = (words.next()?, words.next()?, words.next()?) else { return None };
        self.remotes.lock().by.get(&(group.to_owned(), version.to_owned())).cloned()
    }

    fn set(&self, by: BTreeMap<(String, String), Remote>) {
        let mut remotes = self.remotes.lock();
        if remotes.by != by {
            *remotes = Arc::new(Remotes { generation: remotes.generation + 1, by });
        }
    }
}

/// Whether an APIService may give this group to another server.
fn may_be_given_away(group: &str) -> bool {
    !groups::is_built_in(group)
}
