//! What holds in every view that the cluster can come to, and what holds once nothing more is to be done.
//!
//! Invariant: `check` asks for nothing that a user, a clock or a slow part may bring about rightfully; each of its
//! violations is a defect, or damage. `converged` is for times when nobody has changed anything for a while.

mod quiet;

use std::collections::BTreeMap;

use gantry_kinds::tree::{int_at, list_at, str_at};
use gantry_kinds::{DEPLOYMENT, NAMESPACE, NODE, POD, REPLICA_SET, SERVICE};
use gantry_view::{Object, ObjectKey, View};

use crate::Cidr;

pub use self::quiet::converged;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule is broken: a few words, the same for all that break it.
    pub rule: &'static str,
    /// The object that breaks it.
    pub subject: ObjectKey,
    /// What is wrong with it, for people.
    pub message: String,
}

/// The violations that are found.
#[derive(Default)]
struct Found(Vec<Violation>);

impl Found {
    fn push(&mut self, rule: &'static str, subject: &Object, message: impl Into<String>) {
        self.0.push(Violation { rule, subject: subject.key().clone(), message: message.into() });
    }
}

/// Things of which each object has its own, and who has them.
struct Own<'a> {
    rule: &'static str,
    by: BTreeMap<String, &'a Object>,
}

impl<'a> Own<'a> {
    fn new(rule: &'static str) -> Self {
        Own { rule, by: BTreeMap::new() }
    }

    fn take(&mut self, thing: String, object: &'a Object, found: &mut Found) {
        if let Some(other) = self.by.get(&thing) {
            found.push(self.rule, object, format!("{thing} is that of {} already", other.key()));
        } else {
            self.by.insert(thing, object);
        }
    }
}

/// What is wrong in `view`, whatever is being done in the cluster. Looks at every object once.
pub fn check(view: &View) -> Vec<Violation> {
    let mut found = Found::default();
    let mut uids = Own::new("a uid is one object's");
    for kind in view.stored_kinds() {
        for object in view.list(kind, None) {
            uids.take(object.uid().to_owned(), object, &mut found);
            metadata(view, object, &mut found);
        }
    }
    generations(view, &mut found);
    replica_sets(view, &mut found);
    services(view, &mut found);
    networks(view, &mut found);
    found.0
}

fn metadata(view: &View, object: &Object, found: &mut Found) {
    let header = &object.header;
    if header.uid.is_empty() {
        found.push("an object has a uid", object, "it has none");
    }
    if header.owners.iter().filter(|owner| owner.controller).count() > 1 {
        found.push("one controller manages an object", object, "several ownerReferences are controllers");
    }
    if let Some(owner) = header.owners.iter().find(|owner| owner.uid.is_empty()) {
        found.push("an owner is known by uid", object, format!("the reference to {} has none", owner.name));
    }
    if header.key.kind.namespaced && view.get(&NAMESPACE, "", object.namespace()).is_none() {
        found.push("a namespace outlives what is in it", object, format!("{} is not there", object.namespace()));
    }
    let ends_slowly = [&POD, &NAMESPACE].contains(&header.key.kind);
    if header.deleted.is_some() && header.finalizers.is_empty() && !ends_slowly {
        found.push("what nothing holds is gone", object, "it is being deleted and has no finalizer");
    }
}

fn generations(view: &View, found: &mut Found) {
    for object in [&DEPLOYMENT, &REPLICA_SET].into_iter().flat_map(|kind| view.list(kind, None)) {
        let observed = int_at(&object.value(), "/status/observedGeneration").unwrap_or(0);
        if observed > object.header.generation {
            let message = format!("generation {observed} was observed, and it is at {}", object.header.generation);
            found.push("nobody observes what is to come", object, message);
        }
    }
}

fn replica_sets(view: &View, found: &mut Found) {
    let mut hashes = Own::new("a revision has one ReplicaSet");
    for set in view.list(&REPLICA_SET, None) {
        let hash = set.header.labels.get("pod-template-hash");
        if let (Some(owner), Some(hash)) = (set.controller(), hash) {
            hashes.take(format!("template {hash} of Deployment {}", owner.uid), set, found);
        }
    }
}

fn services(view: &View, found: &mut Found) {
    let mut addresses = Own::new("an address is one Service's");
    let mut ports = Own::new("a node port is one Service's");
    for service in view.list(&SERVICE, None) {
        let value = service.value();
        let address = str_at(&value, "/spec/clusterIP");
        if !["", "None"].contains(&address) {
            addresses.take(format!("address {address}"), service, found);
        }
        for port in list_at(&value, "/spec/ports") {
            if let Some(number) = int_at(port, "/nodePort").filter(|number| *number != 0) {
                ports.take(format!("port {number}/{}", str_at(port, "/protocol")), service, found);
            }
        }
    }
}

fn networks(view: &View, found: &mut Found) {
    let mut taken: Vec<(Cidr, &Object)> = Vec::new();
    for node in view.list(&NODE, None) {
        let Ok(network) = str_at(&node.value(), "/spec/podCIDR").parse::<Cidr>() else { continue };
        if let Some((other, owner)) = taken.iter().find(|(other, _)| other.overlaps(network)) {
            let message = format!("{network} overlaps {other} of {}", owner.key());
            found.push("each node has its own part of the network", node, message);
        }
        taken.push((network, node));
    }
}

#[cfg(test)]
mod tests;
