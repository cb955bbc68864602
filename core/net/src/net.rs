//! Everything a node's network is made from, fed object by object.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::choose::Here;
use crate::cidr::Cidr;
use crate::compile::{self, Context};
use crate::dns::Records;
use crate::facts::{PodFacts, ServiceFacts, SliceFacts};
use crate::table::{Flow, Fragment, Owner, Table};
use crate::{base, dns};

/// Facts of the node and the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Name of this node.
    pub node_name: String,
    /// Its `topology.kubernetes.io/zone`; empty for none.
    pub zone: String,
    /// Addresses of all pods.
    pub cluster_cidr: Cidr,
    /// Addresses of this node's pods, once it has been given them.
    pub node_pod_cidr: Option<Cidr>,
    /// Addresses of all services.
    pub service_cidr: Cidr,
    /// Address of the DNS server that every node answers itself.
    pub dns_ip: Ipv4Addr,
}

/// Namespace and name.
type Id = (String, String);

/// What is to be done since the last time.
#[derive(Debug, Default)]
pub struct Changes {
    /// Text for `nft -f -`; `None` where the ruleset stays.
    pub nft: Option<String>,
    /// UDP flows to forget after that.
    pub flows: Vec<Flow>,
    /// Services whose names changed: namespace, name and the new records.
    pub names: Vec<(String, String, Option<Records>)>,
}

/// The state of a node's network.
pub struct Net {
    params: Params,
    services: BTreeMap<Id, ServiceFacts>,
    /// Slices by namespace, service and slice name.
    slices: BTreeMap<Id, BTreeMap<String, SliceFacts>>,
    /// The service that a slice belongs to.
    slice_service: BTreeMap<Id, String>,
    table: Table,
    renamed: BTreeSet<Id>,
}

impl Net {
    /// A network without services.
    pub fn new(params: Params) -> Self {
        Net {
            params,
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            slice_service: BTreeMap::new(),
            table: Table::new(),
            renamed: BTreeSet::new(),
        }
    }

    /// The facts in force.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Takes new facts of the node; what follows from them shows in the next `full`.
    pub fn set_params(&mut self, params: Params) {
        self.params = params;
        let all: Vec<_> = self.services.keys().cloned().collect();
        for id in all {
            self.refresh(id);
        }
    }

    /// A service is as given, or gone.
    pub fn service(&mut self, namespace: &str, name: &str, service: Option<&Service>) {
        let id = (namespace.to_owned(), name.to_owned());
        let facts = service.map(ServiceFacts::of);
        if self.services.get(&id) == facts.as_ref() {
            return;
        }
        match facts {
            Some(facts) => self.services.insert(id.clone(), facts),
            None => self.services.remove(&id),
        };
        self.refresh(id);
    }

    /// An endpoint slice is as given, or gone.
    pub fn slice(&mut self, namespace: &str, name: &str, slice: Option<&EndpointSlice>) {
        let slice_id = (namespace.to_owned(), name.to_owned());
        let facts = slice.and_then(SliceFacts::of);
        let now = facts.as_ref().map(|f| f.service.clone());
        let before = match &now {
            Some(service) => self.slice_service.insert(slice_id, service.clone()),
            None => self.slice_service.remove(&slice_id),
        };
        if let Some(service) = before.filter(|before| Some(before) != now.as_ref()) {
            let id = (namespace.to_owned(), service);
            if let Some(of_service) = self.slices.get_mut(&id) {
                of_service.remove(name);
                if of_service.is_empty() {
                    self.slices.remove(&id);
                }
            }
            self.refresh(id);
        }
        if let Some(facts) = facts {
            let id = (namespace.to_owned(), facts.service.clone());
            let before = self.slices.entry(id.clone()).or_default().insert(name.to_owned(), facts.clone());
            if before.as_ref() != Some(&facts) {
                self.refresh(id);
            }
        }
    }

    /// A pod of this node is as given, or gone.
    pub fn pod(&mut self, namespace: &str, name: &str, pod: Option<&Pod>) {
        let fragment = pod.and_then(PodFacts::of).map(|facts| compile::pod(&facts)).unwrap_or_default();
        self.table.replace(&Owner::Pod(namespace.to_owned(), name.to_owned()), fragment);
    }

    /// Addresses of this node's pods to which some service sends new connections.
    pub fn ready_here(&self) -> BTreeSet<Ipv4Addr> {
        let endpoints = self.slices.values().flat_map(BTreeMap::values).flat_map(|slice| &slice.endpoints);
        let here = endpoints.filter(|e| e.ready && e.node.as_deref() == Some(self.params.node_name.as_str()));
        here.map(|e| e.address).collect()
    }

    fn refresh(&mut self, id: Id) {
        let owner = Owner::Service(id.0.clone(), id.1.clone());
        let fragment = match self.services.get(&id) {
            Some(service) => {
                let here = Here { node: &self.params.node_name, zone: &self.params.zone };
                let context = Context { here, dns_ip: self.params.dns_ip };
                compile::service(&context, &format!("{}/{}", id.0, id.1), service, &self.slices_of(&id))
            }
            None => Fragment::default(),
        };
        self.table.replace(&owner, fragment);
        self.renamed.insert(id);
    }

    fn slices_of(&self, id: &Id) -> Vec<&SliceFacts> {
        self.slices.get(id).into_iter().flat_map(BTreeMap::values).collect()
    }

    /// The whole ruleset: one transaction that replaces whatever table there is.
    pub fn full(&mut self) -> String {
        self.table.full(&base::text(&self.params))
    }

    /// What has changed since the last `changes` (or, for the ruleset, `full`).
    pub fn changes(&mut self) -> Changes {
        let (nft, flows) = self.table.changes();
        let names = self.names();
        Changes { nft, flows, names }
    }

    /// Names that have changed since they were last taken.
    pub fn names(&mut self) -> Vec<(String, String, Option<Records>)> {
        let renamed = std::mem::take(&mut self.renamed);
        let records = renamed.into_iter().map(|id| {
            let records = self.services.get(&id).map(|service| dns::records(service, &self.slices_of(&id)));
            (id.0, id.1, records)
        });
        records.collect()
    }
}
