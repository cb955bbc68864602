//! Who is asked who may do what: the authorizers of a file or of flags, and the calls of those outside.
//!
//! Invariants: a bad file refuses the start, and a bad new one keeps the old; a call takes no longer than its time-out,
//! whatever is tried again within it; a bounded number is under way at each authorizer; what happens is counted.

mod cache;
mod configuration;
mod counts;
mod flags;
mod reload;
mod remote;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gantry_policy::{Authorizer, Chain, Link, Question, Webhook};
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::cache::Cache;
use self::configuration::{Entry, Settings};
pub(crate) use self::counts::Counts;
pub use self::flags::Flags;
pub(crate) use self::reload::keep;
use self::remote::Remote;
use crate::limits::{AUTHORIZER_CALLS, AUTHORIZER_PAUSE, AUTHORIZER_TRIES};

/// The authorizers that a server starts with.
#[derive(Default)]
pub struct Authorization {
    chain: Chain,
    outside: BTreeMap<String, Arc<Outside>>,
    /// The file that is looked at again, and its text.
    file: Option<(PathBuf, String)>,
}

impl Authorization {
    /// Reads the authorizers of a file; else what is wrong with it.
    pub fn of_file(path: PathBuf) -> Result<Self, String> {
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("open {}: no such file or directory", path.display()),
            _ => format!("open {}: {error}", path.display()),
        })?;
        let mut made = Self::of_text(&text)?;
        made.file = Some((path, text));
        Ok(made)
    }

    fn of_text(text: &str) -> Result<Self, String> {
        Self::of_entries(configuration::parse(text)?)
    }

    fn of_entries(entries: Vec<Entry>) -> Result<Self, String> {
        let (mut links, mut outside) = (Vec::new(), BTreeMap::new());
        for Entry { kind, name, webhook } in entries {
            let authorizer = match (kind.as_str(), webhook) {
                ("Node", _) => Authorizer::Node,
                ("RBAC", _) => Authorizer::Rbac,
                ("AlwaysAllow", _) => Authorizer::AlwaysAllow,
                (_, Some(mut settings)) => {
                    let conditions = std::mem::take(&mut settings.conditions);
                    let closed = settings.closed;
                    outside.insert(name.clone(), Arc::new(Outside::new(settings)?));
                    Authorizer::Webhook(Box::new(Webhook { closed, conditions }))
                }
                _ => Authorizer::AlwaysDeny,
            };
            links.push(Link { name, authorizer });
        }
        Ok(Authorization { chain: Chain::new(links), outside, file: None })
    }
}

/// The authorizers outside, as they are now.
#[derive(Default)]
pub(crate) struct Authorizers {
    outside: RwLock<BTreeMap<String, Arc<Outside>>>,
    pub(crate) counts: Counts,
}

/// One authorizer outside.
struct Outside {
    settings: Settings,
    remote: Remote,
    cache: Mutex<Cache>,
    calls: Semaphore,
}

impl Outside {
    fn new(settings: Settings) -> Result<Self, String> {
        let remote = match &settings.kubeconfig {
            Some(file) => Remote::from_kubeconfig(file)?,
            None => Remote::in_cluster()?,
        };
        Ok(Outside { settings, remote, cache: Mutex::default(), calls: Semaphore::new(AUTHORIZER_CALLS) })
    }

    /// The status of the review; from what is kept where that is still good.
    async fn ask(&self, spec: &Value) -> (Result<Value, String>, &'static str) {
        let key = spec.to_string();
        if let Some(status) = self.cache.lock().find(&key, Instant::now()) {
            return (Ok(status), "cached");
        }
        let wait = self.settings.wait;
        let asked = tokio::time::timeout(wait, self.tried(spec)).await;
        let status = match asked {
            Ok(Ok(status)) => status,
            Ok(Err(why)) => return (Err(why), "error"),
            Err(_) => {
                let url = self.remote.shown(wait);
                return (Err(format!("Post {url:?}: context deadline exceeded")), "timeout");
            }
        };
        let good = if status["allowed"] == true { self.settings.allowed_for } else { self.settings.denied_for };
        if let Some(good) = good {
            self.cache.lock().keep(&key, &status, Instant::now(), good);
        }
        (Ok(status), "success")
    }

    async fn tried(&self, spec: &Value) -> Result<Value, String> {
        let _call = self.calls.acquire().await.map_err(|error| error.to_string())?;
        let body = json!({
            "kind": "SubjectAccessReview",
            "apiVersion": format!("authorization.k8s.io/{}", self.settings.version),
            "metadata": {},
            "spec": written(spec, &self.settings.version),
            "status": {"allowed": false},
        });
        let mut pause = AUTHORIZER_PAUSE;
        for attempt in 1.. {
            match self.remote.post(&body, self.settings.wait).await {
                Ok(answer) => return Ok(answer["status"].clone()),
                Err(failed) if failed.again && attempt < AUTHORIZER_TRIES => {
                    tokio::time::sleep(pause).await;
                    pause = pause * 3 / 2;
                }
                Err(failed) => return Err(failed.why),
            }
        }
        Err("there is no answer".to_owned())
    }
}

/// A question in the words of a version: `v1beta1` calls the groups by another name.
fn written(spec: &Value, version: &str) -> Value {
    let mut spec = spec.clone();
    if version == "v1beta1"
        && let Some(fields) = spec.as_object_mut()
        && let Some(groups) = fields.remove("groups")
    {
        fields.insert("group".to_owned(), groups);
    }
    spec
}

impl Authorizers {
    pub(crate) fn new(authorization: &mut Authorization) -> Self {
        let outside = RwLock::new(std::mem::take(&mut authorization.outside));
        Authorizers { outside, counts: Counts::default() }
    }

    /// What the authorizer of the question says.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Value, String> {
        let outside = self.outside.read().get(&question.webhook).cloned();
        let Some(outside) = outside else {
            return Err(format!("no authorizer is named {:?} any more", question.webhook));
        };
        let started = Instant::now();
        let (answer, result) = outside.ask(&question.spec).await;
        if result != "cached" {
            let took: Duration = started.elapsed();
            let open = answer.is_err() && !outside.settings.closed;
            self.counts.asked(&question.webhook, result, took, open);
        }
        answer
    }
}

impl Authorization {
    /// The authorizers, for decisions.
    pub(crate) fn take_chain(&mut self) -> Chain {
        std::mem::take(&mut self.chain)
    }
}
