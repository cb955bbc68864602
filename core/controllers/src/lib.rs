//! The controllers: `reconcile(key, turn) -> Outcome`, a file or folder each.
//!
//! Invariants: a reconciler looks at one view and answers with intents; it keeps no books of what it asked for,
//! because a key is not run again before the view shows its last write. Every intent that replaces or removes is
//! guarded by uid, and by resourceVersion where the decision rests on what the object said. What must not be decided
//! twice at once for several objects (addresses, quotas of eviction) is decided under the one key `Sweep`.

mod addresses;
mod aggregation;
mod api_services;
mod certificates;
mod check;
mod conditions;
mod custom_resources;
mod deployment;
mod disruption;
mod endpoints;
mod endpointslice;
mod event_expiry;
mod flow_schemas;
mod garbage;
mod namespace;
mod nodes;
mod owners;
mod pod_facts;
mod pod_garbage;
mod policy_status;
mod protection;
mod replicaset;
mod resource_quota;
mod root_ca;
mod selected;
mod service_accounts;
mod settings;
mod share;
mod suffix;
mod time;
mod write;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod walk;

use gantry_kinds::{NAMESPACE, Status};
use gantry_view::{Change, Intent, ObjectKey, Outcome, Turn, View};

pub use certificates::{Asked, Plan, Signatory, signers};
pub use check::{Violation, check, converged};
pub use settings::{BadCidr, Cidr, Settings};

/// What a controller is asked to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueueKey {
    /// Everything that the controller decides as a whole.
    Sweep,
    /// One object, which need not exist any more.
    Object(ObjectKey),
}

impl QueueKey {
    /// The key of an object.
    pub fn of(key: &ObjectKey) -> Self {
        QueueKey::Object(key.clone())
    }
    /// The object's key; `None` for a sweep.
    pub fn object(&self) -> Option<&ObjectKey> {
        match self {
            QueueKey::Object(key) => Some(key),
            QueueKey::Sweep => None,
        }
    }
}

/// One reconciler.
pub trait Controller: Send {
    /// Name of its service account in `kube-system`. Controllers that are one upstream share a name.
    fn name(&self) -> &'static str;
    /// Source of its events.
    fn component(&self) -> &'static str {
        self.name()
    }
    /// What to look at when it starts.
    fn initial(&self, view: &View) -> Vec<QueueKey>;
    /// What to look at after a change. `view` has reached the change, and may be ahead of it.
    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>);
    /// Decides what to do about a key.
    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome;
    /// What to say about an intent of this key that was refused: conditions and events. The intents that came after
    /// the refused one have not been carried out.
    fn refused(&mut self, _key: &QueueKey, _intent: &Intent, _status: &Status, _turn: Turn<'_>) -> Outcome {
        Outcome::nothing()
    }
}

/// All controllers.
pub fn all(settings: &Settings) -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(deployment::Deployments),
        Box::new(replicaset::ReplicaSets::sets()),
        Box::new(replicaset::ReplicaSets::controllers()),
        Box::new(endpointslice::EndpointSlices),
        Box::new(endpointslice::ApiEndpoints::new(settings)),
        Box::new(endpointslice::Mirrors),
        Box::new(endpoints::EndpointsOfServices),
        Box::new(endpoints::ApiAddresses),
        Box::new(addresses::ServiceCidrs),
        Box::new(addresses::AddressRecords),
        Box::new(protection::Claims),
        Box::new(protection::Volumes),
        Box::new(protection::AttributesClasses),
        Box::new(namespace::Namespaces),
        Box::new(garbage::Garbage),
        Box::new(nodes::Health::new(settings.node_grace_seconds)),
        Box::new(nodes::Taints::default()),
        Box::new(nodes::Eviction::default()),
        Box::new(nodes::Addresses::new(settings)),
        Box::new(pod_garbage::PodGarbage::default()),
        Box::new(service_accounts::ServiceAccounts),
        Box::new(root_ca::RootCa::new(settings)),
        Box::new(aggregation::Aggregation),
        Box::new(event_expiry::EventExpiry),
        Box::new(custom_resources::CustomResources),
        Box::new(api_services::ApiServices),
        Box::new(flow_schemas::FlowSchemas),
        Box::new(policy_status::PolicyStatus),
        Box::new(disruption::Disruption),
        Box::new(resource_quota::ResourceQuotas),
        Box::new(certificates::Requests),
        Box::new(certificates::PodRequests),
    ]
}

/// Whether a namespace takes new objects.
fn takes_objects(view: &View, namespace: &str) -> bool {
    view.get(&NAMESPACE, "", namespace).is_some_and(|object| object.header.deleted.is_none())
}
