//! Carries out intents: each becomes a registry request of the controller's own user.

use gantry_cluster::{Cluster, Epoch, Reply};
use gantry_kinds::Status;
use gantry_registry::{Body, DeleteOptions, Operation, Options, PatchKind, Request, Target, User};
use gantry_view::{Intent, ObjectKey};

use crate::events::Recorder;

/// Who carries intents out.
pub(crate) struct Actor {
    user: User,
    /// Component of its events, and its field manager.
    component: &'static str,
    epoch: Epoch,
    recorder: Recorder,
}

impl Actor {
    /// The service account of that name in kube-system.
    pub(crate) fn service_account(name: &'static str, component: &'static str, epoch: Epoch) -> Self {
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
        Self::new(format!("system:serviceaccount:kube-system:{name}"), &groups, component, epoch)
    }

    /// The scheduler, a user of its own.
    pub(crate) fn scheduler(epoch: Epoch) -> Self {
        Self::new("system:kube-scheduler".to_owned(), &["system:authenticated"], "default-scheduler", epoch)
    }

    fn new(name: String, groups: &[&str], component: &'static str, epoch: Epoch) -> Self {
        let groups = groups.iter().map(ToString::to_string).collect();
        let user = User { name, groups, ..User::default() };
        Actor { user, component, epoch, recorder: Recorder::new(component, epoch) }
    }

    /// Carries out one intent. What an intent wanted gone and is gone already is no failure.
    pub(crate) async fn carry_out(&self, cluster: &Cluster, intent: Intent) -> Result<(), Box<Status>> {
        match intent {
            Intent::Event { about, kind, reason, message } => {
                self.recorder.record(cluster, &self.user, &about, kind, reason, &message).await;
                Ok(())
            }
            Intent::Delete { .. } => match self.execute(cluster, intent).await {
                Err(status) if status.code == 404 => Ok(()),
                other => other.map(drop),
            },
            _ => self.execute(cluster, intent).await.map(drop),
        }
    }

    async fn execute(&self, cluster: &Cluster, intent: Intent) -> Result<Reply, Box<Status>> {
        let (target, operation) = match intent {
            Intent::Create { kind, namespace, body } => {
                let target = Target { kind, namespace, name: String::new(), subresource: String::new() };
                (target, Operation::Create(Body::from(body)))
            }
            Intent::Patch { key, subresource, patch } => {
                (target(&key, subresource), Operation::Patch(PatchKind::Merge, Body::from(patch)))
            }
            Intent::Post { key, subresource, body } => (target(&key, subresource), Operation::Create(Body::from(body))),
            Intent::Delete { key, uid, revision, propagation, grace_seconds } => {
                let options = DeleteOptions {
                    grace_seconds,
                    propagation: propagation.map(str::to_owned),
                    uid: Some(uid),
                    revision: revision.map(|r| r.to_string()),
                    collection: false,
                };
                (target(&key, ""), Operation::Delete(options))
            }
            Intent::Event { .. } => return Err(Box::new(Status::internal("an event is recorded, not executed"))),
        };
        let options = Options { field_manager: self.component.to_owned(), ..Options::default() };
        let request = Request { user: self.user.clone(), target, operation, options };
        cluster.execute_as_leader(request, self.epoch).await
    }
}

fn target(key: &ObjectKey, subresource: &str) -> Target {
    Target {
        kind: key.kind,
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        subresource: subresource.to_owned(),
    }
}
