//! What pods are made from: each ConfigMap and Secret that some pod refers to is followed, all trust bundles are as soon
//! as some pod refers to one, all Services are, and tokens are fetched. While no server answers, all are as they were last known.
//!
//! Invariants: an object is followed as long as somebody holds it, and only once; nobody sees contents before the
//! API has said for the first time what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Weak};

use gantry_client::{Client, Event};
use gantry_node::sources::{Contents, Service, TokenRequest};
use gantry_node::{pod, sources, trust};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::checkpoint::{Checkpoint, write_private};
use crate::error::AgentError;
use crate::feed::Kept;
use crate::limits::{SOURCES_WAIT, TOKEN_LONGEST, TOKEN_RETRY, TOKEN_SHARE};
use crate::paths::Paths;

/// Which kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    ConfigMap,
    Secret,
    /// All ClusterTrustBundles together, under no name.
    TrustBundles,
}

impl Kind {
    /// As errors and files name it.
    fn word(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmap",
            Kind::Secret => "secret",
            Kind::TrustBundles => "clustertrustbundles",
        }
    }

    /// Where it is, and what is selected there.
    fn place(self, namespace: &str, name: &str) -> (String, String) {
        let one = || format!("fieldSelector=metadata.name={name}");
        match self {
            Kind::ConfigMap => (format!("/api/v1/namespaces/{namespace}/configmaps"), one()),
            Kind::Secret => (format!("/api/v1/namespaces/{namespace}/secrets"), one()),
            Kind::TrustBundles => ("/apis/certificates.k8s.io/v1/clustertrustbundles".to_owned(), String::new()),
        }
    }
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
        let what = self.kind.word();
        match answer {
            Ok(Ok(held)) => Ok(held.clone().flatten()),
            _ => Err(format!("failed to sync {what} cache: timed out waiting for {:?}", self.name)),
        }
    }
}

/// The followed objects of all pods.
pub(crate) struct Sources {
    client: Client,
    checkpoint: Checkpoint,
    paths: Paths,
    /// Held by who adds a token to a file.
    writing: Arc<Mutex<()>>,
    followed: Mutex<BTreeMap<Key, Weak<Followed>>>,
    services: watch::Receiver<Option<Arc<Services>>>,
}

impl Sources {
    /// Follows Services from now on, and nothing else yet.
    pub(crate) fn start(
        client: Client,
        checkpoint: Checkpoint,
        paths: Paths,
        all_services: mpsc::Receiver<Event>,
    ) -> Self {
        let (sender, services) = watch::channel(None);
        tokio::spawn(follow_services(all_services, sender));
        let (writing, followed) = Default::default();
        Sources { client, checkpoint, paths, writing, followed, services }
    }

    /// Forgets on disk what none of these pods and none that runs refers to.
    pub(crate) fn forget_others<'a>(&self, pods: impl Iterator<Item = &'a Pod>) {
        let mut names: BTreeSet<String> = pods.flat_map(keys_of).map(|key| file_name(&key)).collect();
        let followed = self.followed.lock();
        names.extend(followed.iter().filter(|(_, held)| held.strong_count() > 0).map(|(key, _)| file_name(key)));
        self.checkpoint.forget_others(&["configmap_", "secret_", "clustertrustbundles_"], &names);
    }

    /// Follows all that a pod refers to.
    pub(crate) fn follow(&self, pod: &Pod) -> Vec<Arc<Followed>> {
        keys_of(pod).into_iter().map(|key| self.one(key)).collect()
    }

    fn one(&self, key: Key) -> Arc<Followed> {
        let mut followed = self.followed.lock();
        followed.retain(|_, weak| weak.strong_count() > 0);
        if let Some(present) = followed.get(&key).and_then(Weak::upgrade) {
            return present;
        }
        let (sender, held) = watch::channel(None);
        let (kind, namespace, name) = &key;
        let (path, query) = kind.place(namespace, name);
        let kept = Kept::start(&self.client, &path, &query, &self.checkpoint, &file_name(&key));
        let task = match kind {
            Kind::ConfigMap => tokio::spawn(follow(kept, sources::config_map, sender)),
            Kind::Secret => tokio::spawn(follow(kept, sources::secret, sender)),
            Kind::TrustBundles => tokio::spawn(follow_bundles(kept, sender)),
        };
        let task = task.abort_handle();
        let new = Arc::new(Followed { kind: *kind, name: name.clone(), held, task });
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
                Kind::TrustBundles => {
                    found.trust_bundles = (*contents).clone();
                    continue;
                }
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

    /// A token for a pod, and when it is to be renewed. While no server answers it is the last one that the pod got,
    /// whatever its age: who checks it cannot be reached either.
    pub(crate) async fn token(&self, pod: &Pod, request: &TokenRequest) -> Result<(String, Timestamp), AgentError> {
        let file = self.paths.tokens(pod::uid(pod));
        let key = format!("{}/{}", request.volume, request.path);
        match self.fresh_token(pod, request).await {
            Ok((token, renew_at)) => {
                // Nobody waits for the disk: at worst the token before it is what a time without servers begins with.
                let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
                made.map_err(AgentError::at("create", &file))?;
                let (writing, new) = (self.writing.clone(), token.clone());
                tokio::task::spawn_blocking(move || {
                    let _turn = writing.lock();
                    remember_token(&file, key, &new);
                });
                Ok((token, renew_at))
            }
            Err(AgentError::Api(error)) if error.is_transient() => {
                let last = remembered_tokens(&file).remove(&key).ok_or(AgentError::Api(error))?;
                Ok((last, Timestamp::now() + TOKEN_RETRY))
            }
            Err(error) => Err(error),
        }
    }

    async fn fresh_token(&self, pod: &Pod, request: &TokenRequest) -> Result<(String, Timestamp), AgentError> {
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

fn remembered_tokens(file: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read(file).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn remember_token(file: &Path, key: String, token: &str) {
    let mut tokens = remembered_tokens(file);
    tokens.insert(key, token.to_owned());
    // A pod whose folder is gone has ended meanwhile.
    if file.parent().is_some_and(Path::exists)
        && let Err(error) = write_private(file, json!(tokens).to_string().as_bytes())
    {
        tracing::warn!(%error, "a token is not kept for a time without servers");
    }
}

/// All that a pod refers to.
fn keys_of(pod: &Pod) -> Vec<Key> {
    let wanted = sources::references(pod);
    let maps = wanted.config_maps.into_iter().map(|name| (Kind::ConfigMap, name));
    let secrets = wanted.secrets.into_iter().map(|name| (Kind::Secret, name));
    let mut keys: Vec<Key> =
        maps.chain(secrets).map(|(kind, name)| (kind, pod::namespace(pod).to_owned(), name)).collect();
    if wanted.trust_bundles {
        keys.push((Kind::TrustBundles, String::new(), String::new()));
    }
    keys
}

/// The file of an object; no name of an object has an underscore.
fn file_name((kind, namespace, name): &Key) -> String {
    format!("{}_{namespace}_{name}", kind.word())
}

async fn follow(mut kept: Kept, read: fn(&Value) -> Contents, sender: watch::Sender<Held>) {
    loop {
        let held = match kept.next().await {
            Event::Restarted(objects) => objects.first().map(|object| Arc::new(read(object))),
            Event::Applied(object) => Some(Arc::new(read(&object))),
            Event::Deleted(_) => None,
        };
        hold(&sender, held);
    }
}

async fn follow_bundles(mut kept: Kept, sender: watch::Sender<Held>) {
    let mut all = Contents::default();
    loop {
        match kept.next().await {
            Event::Restarted(objects) => all.files = objects.iter().map(trust::entry).collect(),
            Event::Applied(object) => all.files.extend([trust::entry(&object)]),
            Event::Deleted(object) => drop(all.files.remove(&trust::entry(&object).0)),
        }
        hold(&sender, Some(Arc::new(all.clone())));
    }
}

/// Tells of what is held, where it is something else than before.
fn hold(sender: &watch::Sender<Held>, held: Option<Arc<Contents>>) {
    sender.send_if_modified(|present| {
        let changed = present.as_ref() != Some(&held);
        *present = Some(held);
        changed
    });
}

async fn follow_services(mut events: mpsc::Receiver<Event>, sender: watch::Sender<Option<Arc<Services>>>) {
    let mut known = Services::new();
    let key = |object: &Value| {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        (text("namespace"), text("name"))
    };
    while let Some(event) = events.recv().await {
        match event {
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
