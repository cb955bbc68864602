//! Which pods a Service selects, on which addresses and ports they answer, and which changes of a pod can be seen by
//! those who ask the Service: what Endpoints and EndpointSlices share.

use std::collections::BTreeMap;

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{LabelSelector, SERVICE};
use gantry_view::{Change, Object, View};
use serde_json::{Value, json};

use crate::QueueKey;
use crate::pod_facts::PodFacts;

/// Label of what belongs to a Service without an address of its own.
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";
/// Annotation with the time of what made the object change, by which delays are measured.
pub(crate) const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Whether a change of a pod can be seen behind a Service.
pub(crate) fn moves_endpoint(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return true };
    if before.header.labels != after.header.labels || before.header.deleted != after.header.deleted {
        return true;
    }
    let (old, new) = (PodFacts::of(before), PodFacts::of(after));
    old.ready != new.ready
        || old.addresses != new.addresses
        || old.node != new.node
        || old.is_terminal() != new.is_terminal()
        || (&old.hostname, &old.subdomain, &old.ports) != (&new.hostname, &new.subdomain, &new.ports)
}

/// The Services that select the pod of a change, before it or after.
pub(crate) fn services_of_change(view: &View, change: &Change) -> Vec<QueueKey> {
    [&change.before, &change.after].into_iter().flatten().flat_map(|pod| services_of(view, pod)).collect()
}

/// The Services that select a pod.
pub(crate) fn services_of(view: &View, pod: &Object) -> Vec<QueueKey> {
    let services = view.list(&SERVICE, Some(pod.namespace()));
    let selecting = services.filter(|service| match service.derived::<Option<LabelSelector>>(read_selector) {
        Some(selector) => selects(selector.as_ref(), pod),
        None => selects(read_selector(service).as_ref(), pod),
    });
    selecting.map(|service| QueueKey::of(service.key())).collect()
}

fn read_selector(service: &Object) -> Option<LabelSelector> {
    selector(&service.value())
}

fn selects(selector: Option<&LabelSelector>, pod: &Object) -> bool {
    selector.is_some_and(|selector| selector.matches(&pod.header.labels))
}

/// The selector of a Service whose endpoints are ours to keep.
pub(crate) fn selector(service: &Value) -> Option<LabelSelector> {
    if str_at(service, "/spec/type") == "ExternalName" {
        return None;
    }
    let labels = service.pointer("/spec/selector")?.as_object()?;
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    (!labels.is_empty()).then(|| LabelSelector::from_labels(&labels))
}

/// The address types of a Service; `IPv4` where it does not say.
pub(crate) fn families(service: &Value) -> Vec<&'static str> {
    let named: Vec<_> = list_at(service, "/spec/ipFamilies")
        .iter()
        .filter_map(|family| ["IPv4", "IPv6"].into_iter().find(|known| family == known))
        .collect();
    if named.is_empty() { vec!["IPv4"] } else { named }
}

/// The address of a pod that is of that type.
pub(crate) fn address<'a>(facts: &'a PodFacts, family: &str) -> Option<&'a String> {
    facts.addresses.iter().find(|address| address.contains(':') == (family == "IPv6"))
}

/// Whether a Service has no address of its own.
pub(crate) fn is_headless(service: &Value) -> bool {
    str_at(service, "/spec/clusterIP") == "None"
}

/// Whether pods are named that are not ready, too.
pub(crate) fn publishes_unready(service: &Value) -> bool {
    service.pointer("/spec/publishNotReadyAddresses").and_then(Value::as_bool).unwrap_or(false)
}

/// The name by which a pod is found below the Service, where it asks for one.
pub(crate) fn hostname<'a>(service: &Object, facts: &'a PodFacts) -> Option<&'a str> {
    (!facts.hostname.is_empty() && facts.subdomain == service.name()).then_some(facts.hostname.as_str())
}

/// The reference to a pod that an endpoint carries.
pub(crate) fn target(pod: &Object) -> Value {
    json!({"kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid()})
}

/// The ports of the Service as this pod answers on them; those that it does not name are left out.
pub(crate) fn ports(service: &Value, facts: &PodFacts) -> Vec<Value> {
    let resolve = |port: &Value| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let number = match &port["targetPort"] {
            Value::String(name) => {
                let named = facts.ports.iter().find(|p| p.name == *name && p.protocol == protocol)?;
                Value::from(named.container_port)
            }
            Value::Number(number) if number.as_i64() != Some(0) => Value::Number(number.clone()),
            _ => port["port"].clone(),
        };
        let mut resolved =
            json!({"name": port["name"].as_str().unwrap_or_default(), "protocol": protocol, "port": number});
        if let Some(application) = port.get("appProtocol") {
            resolved["appProtocol"] = application.clone();
        }
        Some(resolved)
    };
    let mut ports: Vec<Value> = list_at(service, "/spec/ports").iter().filter_map(resolve).collect();
    ports.sort_by(|a, b| str_at(a, "/name").cmp(str_at(b, "/name")));
    ports
}
