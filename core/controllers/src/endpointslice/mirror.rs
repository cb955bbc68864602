//! EndpointSlices for the Endpoints that somebody else than a controller writes: those of Services without a selector.
//!
//! Invariants: at most `MIRRORED_MAX` addresses of one subset are mirrored, ready ones first; the slices go when the
//! Endpoints or the Service go, when the Service gets a selector, or when the Endpoints ask not to be mirrored.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gantry_kinds::tree::{list_at, map_at, str_at};
use gantry_kinds::{ENDPOINT_SLICE, ENDPOINTS, SERVICE};
use gantry_view::{Change, Object, ObjectKey, Outcome, Turn, View};
use serde_json::{Map, Value, json};

use super::endpoint::{Groups, identity};
use super::slice::{self, Keeper};
use super::{MANAGED_BY, SERVICE_NAME};
use crate::selected::TRIGGER;
use crate::{Controller, QueueKey, takes_objects, write};

/// Addresses of one subset that are mirrored, and endpoints of one slice, at most.
const MIRRORED_MAX: usize = 1000;
/// What ours say of who keeps them.
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Label of Endpoints that are not to be mirrored.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Annotation of Endpoints that only serve to elect a leader.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Annotation with what a client applied last; it is about the Endpoints alone.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The types of addresses.
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// The controller of the slices of Services that select nothing.
pub(crate) struct Mirrors;

impl Controller for Mirrors {
    fn name(&self) -> &'static str {
        "endpointslicemirroring-controller"
    }

    fn component(&self) -> &'static str {
        "endpoint-slice-mirroring-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        let written = view.list(&ENDPOINTS, None).map(|endpoints| key(endpoints.namespace(), endpoints.name()));
        let kept = view.list(&ENDPOINT_SLICE, None).filter_map(|slice| service_of(slice));
        written.chain(kept).collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        if [&SERVICE, &ENDPOINTS].contains(&change.key.kind) {
            out.push(key(&change.key.namespace, &change.key.name));
        } else if change.key.kind == &ENDPOINT_SLICE {
            out.extend(service_of(change.object()));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(ObjectKey { namespace, name, .. }) = key.object() else { return outcome };
        let (service, endpoints) =
            (turn.view.get(&SERVICE, namespace, name), turn.view.get(&ENDPOINTS, namespace, name));
        let selects = |service: &Object| map_at(&service.value(), "/spec/selector").next().is_some();
        let pair = service.filter(|service| service.header.deleted.is_none() && !selects(service)).zip(endpoints);
        match pair.filter(|(_, endpoints)| is_mirrored(endpoints)) {
            None => slice::drop_all(namespace, name, MANAGER, turn.view, &mut outcome),
            Some((_, endpoints)) if takes_objects(turn.view, namespace) => mirror(endpoints, turn, &mut outcome),
            Some(_) => {}
        }
        outcome
    }
}

fn key(namespace: &str, name: &str) -> QueueKey {
    QueueKey::Object(ObjectKey::new(&SERVICE, namespace, name))
}

/// The Service of a slice that is ours.
fn service_of(slice: &Object) -> Option<QueueKey> {
    let labels = &slice.header.labels;
    let ours = labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER);
    labels.get(SERVICE_NAME).filter(|_| ours).map(|service| key(slice.namespace(), service))
}

fn is_mirrored(endpoints: &Object) -> bool {
    let skipped = endpoints.header.labels.get(SKIP).is_some_and(|skip| skip == "true");
    let elects = map_at(&endpoints.value(), "/metadata/annotations").any(|(name, _)| name == LEADER);
    endpoints.header.deleted.is_none() && !skipped && !elects
}

fn mirror(endpoints: &Object, turn: Turn<'_>, outcome: &mut Outcome) {
    let value = endpoints.value();
    let entries = |pointer, without: &[&str]| -> Map<String, Value> {
        let entries = map_at(&value, pointer).filter(|(name, _)| !without.contains(&name.as_str()));
        entries.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let mut labels = entries("/metadata/labels", &[]);
    labels.insert(SERVICE_NAME.to_owned(), endpoints.name().into());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    let keeper = Keeper {
        owner: endpoints,
        manager: MANAGER,
        labels,
        annotations: Some(entries("/metadata/annotations", &[TRIGGER, APPLIED])),
        size: MIRRORED_MAX,
        keeps_empty: false,
    };
    let (mut wanted, skipped) = wanted(&value);
    for family in FAMILIES {
        keeper.reconcile(family, wanted.remove(family).unwrap_or_default(), turn, outcome);
    }
    if skipped > 0 && !outcome.intents.is_empty() {
        let message = format!(
            "A max of {MIRRORED_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. {skipped} \
             addresses were skipped"
        );
        outcome.push(write::warning(endpoints.key(), "TooManyAddressesToMirror", message));
    }
}

/// What the slices of each address type should hold, and how many addresses there are too many.
fn wanted(endpoints: &Value) -> (BTreeMap<&'static str, Groups>, usize) {
    let mut wanted: BTreeMap<&'static str, Groups> = BTreeMap::new();
    let mut skipped = 0;
    for subset in list_at(endpoints, "/subsets") {
        let ports = ports(subset);
        let of = |list, ready| list_at(subset, list).iter().map(move |address| (address, ready));
        let all = of("/addresses", true).chain(of("/notReadyAddresses", false));
        let mut mirrored = 0;
        for (address, ready) in all {
            let Some(ip) = str_at(address, "/ip").parse::<IpAddr>().ok().filter(|_| mirrored < MIRRORED_MAX) else {
                skipped += 1;
                continue;
            };
            mirrored += 1;
            let endpoint = endpoint(address, ip, ready);
            let groups = wanted.entry(FAMILIES[usize::from(ip.is_ipv6())]).or_default();
            let group = groups.entry(Value::from(ports.clone()).to_string()).or_default();
            group.ports.clone_from(&ports);
            group.endpoints.insert(identity(&endpoint), endpoint);
        }
    }
    (wanted, skipped)
}

fn endpoint(address: &Value, ip: IpAddr, ready: bool) -> Value {
    let mut endpoint = json!({"addresses": [ip.to_string()], "conditions": {"ready": ready}});
    for field in ["hostname", "nodeName", "targetRef"] {
        match address.get(field) {
            Some(value) if !value.is_null() && value != "" => endpoint[field] = value.clone(),
            _ => {}
        }
    }
    endpoint
}

fn ports(subset: &Value) -> Vec<Value> {
    let port = |port: &Value| {
        let mut mirrored = json!({
            "name": str_at(port, "/name"), "port": port["port"],
            "protocol": port["protocol"].as_str().unwrap_or("TCP"),
        });
        if let Some(application) = port.get("appProtocol") {
            mirrored["appProtocol"] = application.clone();
        }
        mirrored
    };
    let mut ports: Vec<Value> = list_at(subset, "/ports").iter().map(port).collect();
    ports.sort_by(|a, b| str_at(a, "/name").cmp(str_at(b, "/name")));
    ports
}
