//! What the scheduler knows of a node: its own facts and what the pods on it hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_kinds::Quantity;
use gantry_view::{Object, ObjectKey};
use k8s_openapi::api::core::v1::{Node, Taint};

use crate::pod::{HostPort, PodFacts};
use crate::resources::Resources;

/// The facts of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`
    pub unschedulable: bool,
    /// What it has for pods.
    pub allocatable: Resources,
    /// How many pods it takes.
    pub max_pods: i64,
    /// Sizes of the images it has, by name.
    pub images: BTreeMap<String, i64>,
}

impl NodeFacts {
    /// Reads a node; `None` when it is none.
    pub fn of(object: &Object) -> Option<Self> {
        let node: Node = object.typed().ok()?;
        let (spec, status) = (node.spec.unwrap_or_default(), node.status.unwrap_or_default());
        let pods = status.allocatable.as_ref().and_then(|list| list.get("pods"));
        let images = status.images.into_iter().flatten().flat_map(|image| {
            let size = image.size_bytes.unwrap_or(0);
            image.names.unwrap_or_default().into_iter().map(move |name| (name, size))
        });
        Some(NodeFacts {
            name: object.name().to_owned(),
            labels: object.header.labels.clone(),
            taints: spec.taints.unwrap_or_default(),
            unschedulable: spec.unschedulable.unwrap_or(false),
            allocatable: Resources::of(status.allocatable.as_ref()),
            max_pods: pods.and_then(|text| Quantity::parse(&text.0).ok()).map_or(0, |quantity| quantity.value()),
            images: images.collect(),
        })
    }

    /// Whether a pod that did not fit might fit now.
    pub fn may_help(&self, before: &NodeFacts) -> bool {
        let images_aside = NodeFacts { images: before.images.clone(), ..self.clone() };
        images_aside != *before
    }
}

/// A node with the pods on it.
#[derive(Debug, Default)]
pub struct NodeState {
    /// Its facts; `None` while only pods name it.
    pub facts: Option<NodeFacts>,
    /// The pods on it that hold something.
    pub pods: BTreeMap<ObjectKey, Arc<PodFacts>>,
    /// What they ask for together.
    pub requested: Resources,
    /// What they count for together when nodes are scored.
    pub weight: Resources,
    /// The node's ports that they take.
    pub ports: Vec<HostPort>,
}

impl NodeState {
    /// A pod comes to the node.
    pub fn place(&mut self, pod: Arc<PodFacts>) {
        self.requested.add(&pod.requests);
        self.weight.add(&pod.weight);
        self.ports.extend(pod.ports.iter().cloned());
        self.pods.insert(pod.key.clone(), pod);
    }

    /// A pod leaves the node.
    pub fn remove(&mut self, key: &ObjectKey) -> Option<Arc<PodFacts>> {
        let pod = self.pods.remove(key)?;
        self.requested.subtract(&pod.requests);
        self.weight.subtract(&pod.weight);
        for port in &pod.ports {
            if let Some(at) = self.ports.iter().position(|p| p == port) {
                self.ports.swap_remove(at);
            }
        }
        Some(pod)
    }
}
