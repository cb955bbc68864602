//! What pods are made from: each ConfigMap and Secret that some pod refers to is followed, all Services are, and
//! tokens are fetched.
//!
//! Invariants: an object is followed as long as somebody holds it, and only once; nobody sees contents before the
//! API has said for the first time what is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use gantry_client::{Client, Event};
use gantry_node::sources::{Contents, Service, TokenRequest};
use gantry_node::{pod, sources};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::error::AgentError;
use crate::limits::{SOURCES_WAIT, TOKEN_LONGEST, TOKEN_SHARE};

/// Which kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    ConfigMap,
    Secret,
}

type Key = (Kind, String, String);
/// What an object holds: unknown as yet, absent, or its contents.
pub(crate) type Held = Option<Option<Arc<Contents>>>;
type Services = BTreeMap<(String, String), Service>;

/// An object that is being followed.
pub(crate) struct Followed {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    held: watch::Receiver<Held>,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Followed {
    /// What it holds, and its changes from now on.
    pub(crate) fn held(&self) -> watch::Receiver<Held> {
        let mut held = self.held.clone();
        held.mark_unchanged();
        held
    }

    /// Whether the API has said what it holds.
    pub(crate) fn is_filled(&self) -> bool {
        self.held.borrow().is_some()
    }

    async fn contents(&self) -> Result<Option<Arc<Contents>>, String> {
        let mut held = self.held.clone();
        let answer = tokio::time::timeout(SOURCES_WAIT, held.wait_for(Option::is_some)).await;
        let what = if self.kind == Kind::ConfigMap { "configmap" } else { "secret" };
        match answer {
            Ok(Ok(held)) => Ok(held.clone().flatten()),
            _ => Err(format!("failed to sync {what} cache: timed out waiting for {:?}", self.name)),
        }
    }
}

/// The followed objects of all pods.
pub(crate) struct Sources {
    client: Client,
    followed: Mutex<BTreeMap<Key, Weak<Followed>>>,
    services: watch::Receiver<Option<Arc<Services>>>,
}

impl Sources {
    /// Follows Services from now on, and nothing else yet.
    pub(crate) fn start(client: Client) -> Self {
        let (sender, services) = watch::channel(None);
        tokio::spawn(follow_services(client.clone(), sender));
        Sources { client, followed: Mutex::default(), services }
    }

    /// Follows all that a pod refers to.
    pub(crate) fn follow(&self, pod: &Pod) -> Vec<Arc<Followed>> {
        let wanted = sources::references(pod);
        let maps = wanted.config_maps.into_iter().map(|name| (Kind::ConfigMap, name));
        let secrets = wanted.secrets.into_iter().map(|name| (Kind::Secret, name));
        maps.chain(secrets).map(|(kind, name)| self.one(kind, pod::namespace(pod), &name)).collect()
    }

    fn one(&self, kind: Kind, namespace: &str, name: &str) -> Arc<Followed> {
        let mut followed = self.followed.lock();
        followed.retain(|_, weak| weak.strong_count() > 0);
        let key = (kind, namespace.to_owned(), name.to_owned());
        if let Some(present) = followed.get(&key).and_then(Weak::upgrade) {
            return present;
        }
        let (sender, held) = watch::channel(None);
        let task = tokio::spawn(follow(self.client.clone(), key.clone(), sender)).abort_handle();
        let new = Arc::new(Followed { kind, name: name.to_owned(), held, task });
        followed.insert(key, Arc::downgrade(&new));
        new
    }

    /// What a pod is made from, now; waits until the API has said it for the first time.
    pub(crate) async fn gather(
        &self,
        pod: &Pod,
        followed: &[Arc<Followed>],
        tokens: BTreeMap<(String, String), String>,
    ) -> Result<gantry_node::Sources, String> {
        let mut found = gantry_node::Sources { tokens, ..gantry_node::Sources::default() };
        for object in followed {
            let Some(contents) = object.contents().await? else { continue };
            let into = match object.kind {
                Kind::ConfigMap => &mut found.config_maps,
                Kind::Secret => &mut found.secrets,
            };
            into.insert(object.name.clone(), (*contents).clone());
        }
        let mut services = self.services.clone();
        let known = tokio::time::timeout(SOURCES_WAIT, services.wait_for(Option::is_some)).await;
        let Ok(Ok(known)) = known else {
            return Err("services have not yet been read at least once, cannot construct envvars".to_owned());
        };
        let wanted = |(namespace, name): &(String, String)| {
            namespace == pod::namespace(pod) || (namespace == "default" && name == "kubernetes")
        };
        let services = known.iter().flat_map(|services| services.iter()).filter(|(key, _)| wanted(key));
        found.services = services.map(|(_, service)| service.clone()).collect();
        Ok(found)
    }

    /// A token for a pod, and when it is to be renewed.
    pub(crate) async fn token(&self, pod: &Pod, request: &TokenRequest) -> Result<(String, Timestamp), AgentError> {
        let account = pod::spec(pod).service_account_name.as_deref().unwrap_or("default");
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", pod::namespace(pod));
        let audiences: Vec<_> = Some(&request.audience).filter(|name| !name.is_empty()).into_iter().collect();
        let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": pod::name(pod), "uid": pod::uid(pod)});
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": audiences, "expirationSeconds": request.expiration_seconds, "boundObjectRef": bound},
        });
        let answer = self.client.create(&path, &body).await?;
        let status = &answer["status"];
        let now = Timestamp::now();
        let ends = status["expirationTimestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let life = ends.map_or(SignedDuration::from_secs(request.expiration_seconds), |ends| ends.duration_since(now));
        let life = SignedDuration::from_secs(life.as_secs() * TOKEN_SHARE / 100);
        let longest = SignedDuration::try_from(TOKEN_LONGEST).unwrap_or(life);
        Ok((status["token"].as_str().unwrap_or_default().to_owned(), now + life.min(longest)))
    }
}

async fn follow(client: Client, (kind, namespace, name): Key, sender: watch::Sender<Held>) {
    let (plural, read): (_, fn(&Value) -> Contents) = match kind {
        Kind::ConfigMap => ("configmaps", sources::config_map),
        Kind::Secret => ("secrets", sources::secret),
    };
    let path = format!("/api/v1/namespaces/{namespace}/{plural}");
    let mut watch = client.watch(&path, &format!("fieldSelector=metadata.name={name}"));
    loop {
        let held = match watch.next().await {
            Event::Restarted(objects) => objects.first().map(|object| Arc::new(read(object))),
            Event::Applied(object) => Some(Arc::new(read(&object))),
            Event::Deleted(_) => None,
        };
        sender.send_if_modified(|present| {
            let changed = present.as_ref() != Some(&held);
            *present = Some(held);
            changed
        });
    }
}

async fn follow_services(client: Client, sender: watch::Sender<Option<Arc<Services>>>) {
    let mut watch = client.watch("/api/v1/services", "");
    let mut known = Services::new();
    let key = |object: &Value| {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        (text("namespace"), text("name"))
    };
    loop {
        match watch.next().await {
            Event::Restarted(objects) => {
                known = objects.iter().filter_map(|object| Some((key(object), sources::service(object)?))).collect();
            }
            Event::Applied(object) => {
                known.remove(&key(&object));
                known.extend(sources::service(&object).map(|service| (key(&object), service)));
            }
            Event::Deleted(object) => drop(known.remove(&key(&object))),
        }
        if sender.send(Some(Arc::new(known.clone()))).is_err() {
            return;
        }
    }
}
