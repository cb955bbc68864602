//! Nodes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeSpec, Taint};
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path, quote, shown};
use crate::kinds::pod::round_to_milli;
use crate::names;
use crate::quantity::Quantity;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, NON_NEGATIVE};
use crate::tree::{has, keep, list_at, map_at, str_at, text_or};
use crate::typed;

/// The row of `Node`.
pub static NODE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Node",
    plural: "nodes",
    singular: "node",
    version_of: None,
    short_names: &["no"],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[
        Subresource {
            name: "proxy",
            group_version: None,
            kind: "NodeProxyOptions",
            schema: "",
            verbs: &["create", "delete", "get", "patch", "update"],
        },
        Subresource {
            name: "status",
            group_version: None,
            kind: "Node",
            schema: "io.k8s.api.core.v1.Node",
            verbs: STATUS_VERBS,
        },
    ],
    schema: "io.k8s.api.core.v1.Node",
    strategy: &NodeStrategy,
    columns: &[
        NAME,
        Column::text("Status", "The status of the node"),
        Column::text("Roles", "The roles of the node"),
        AGE,
        Column::field("Version", "io.k8s.api.core.v1.NodeSystemInfo.kubeletVersion"),
        Column::field("Internal-IP", "io.k8s.api.core.v1.NodeStatus.addresses").wide(),
        Column::field("External-IP", "io.k8s.api.core.v1.NodeStatus.addresses").wide(),
        Column::field("OS-Image", "io.k8s.api.core.v1.NodeSystemInfo.osImage").wide(),
        Column::field("Kernel-Version", "io.k8s.api.core.v1.NodeSystemInfo.kernelVersion").wide(),
        Column::field("Container-Runtime", "io.k8s.api.core.v1.NodeSystemInfo.containerRuntimeVersion").wide(),
    ],
    cells,
    selectable: &[("spec.unschedulable", |o| text_or(o, "/spec/unschedulable", "false"))],
};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let or_unknown = |pointer| Value::from(Some(str_at(o, pointer)).filter(|t| !t.is_empty()).unwrap_or("<unknown>"));
    vec![
        name(o),
        Value::from(status(o)),
        Value::from(roles(o)),
        age_of(o, now),
        Value::from(str_at(o, "/status/nodeInfo/kubeletVersion")),
        Value::from(address(o, "InternalIP")),
        Value::from(address(o, "ExternalIP")),
        or_unknown("/status/nodeInfo/osImage"),
        Value::from(kernel(o)),
        or_unknown("/status/nodeInfo/containerRuntimeVersion"),
    ]
}

fn status(o: &Value) -> String {
    let ready = list_at(o, "/status/conditions").iter().find(|c| str_at(c, "/type") == "Ready");
    let status = match ready.map(|c| str_at(c, "/status")) {
        None => "Unknown",
        Some("True") => "Ready",
        Some(_) => "NotReady",
    };
    let cordoned = o.pointer("/spec/unschedulable") == Some(&Value::Bool(true));
    format!("{status}{}", if cordoned { ",SchedulingDisabled" } else { "" })
}

fn roles(o: &Value) -> String {
    let mut roles = BTreeSet::new();
    for (label, value) in map_at(o, "/metadata/labels") {
        if let Some(role) = label.strip_prefix(ROLE_PREFIX).filter(|role| !role.is_empty()) {
            roles.insert(role);
        } else if label == ROLE_LABEL {
            roles.extend(value.as_str().filter(|role| !role.is_empty()));
        }
    }
    if roles.is_empty() { "<none>".to_owned() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}

/// The kernel with the machine's architecture, where the node tells it.
fn kernel(o: &Value) -> String {
    match (str_at(o, "/status/nodeInfo/kernelVersion"), str_at(o, "/status/nodeInfo/architecture")) {
        ("", _) => "<unknown>".to_owned(),
        (kernel, "") => kernel.to_owned(),
        (kernel, architecture) => format!("{kernel} ({architecture})"),
    }
}

fn address<'a>(o: &'a Value, kind: &str) -> &'a str {
    let found = list_at(o, "/status/addresses").iter().find(|a| str_at(a, "/type") == kind);
    found.map_or("<none>", |a| str_at(a, "/address"))
}

struct NodeStrategy;

impl Strategy for NodeStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            same_cidrs(spec);
            // Neither is served: one no longer, the other not yet.
            spec.remove("configSource");
            spec.remove("podPreemptionPolicy");
        }
        let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else { return };
        round_to_milli(status, "capacity");
        if !has(status, "allocatable")
            && let Some(capacity) = status.get("capacity").cloned()
        {
            status.insert("allocatable".to_owned(), capacity);
        }
        round_to_milli(status, "allocatable");
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let node = match typed::whole::<Node>(object) {
            Ok(node) => node,
            Err(error) => return vec![error],
        };
        let spec = node.spec.unwrap_or_default();
        let mut errors = ErrorList::new();
        check_taints(spec.taints.as_deref().unwrap_or_default(), &mut errors);
        check_resources(object, &mut errors);
        check_cidrs(spec.pod_cidrs.as_deref().unwrap_or_default(), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let specs = (typed::whole::<Node>(new), typed::whole::<Node>(old));
        let (new_spec, old_spec) = match specs {
            (Ok(new), Ok(old)) => (new.spec.unwrap_or_default(), old.spec.unwrap_or_default()),
            (Err(error), _) | (_, Err(error)) => return vec![error],
        };
        let mut errors = ErrorList::new();
        check_taints(new_spec.taints.as_deref().unwrap_or_default(), &mut errors);
        check_resources(new, &mut errors);
        check_addresses(new, &mut errors);
        check_cidrs(new_spec.pod_cidrs.as_deref().unwrap_or_default(), &mut errors);
        check_kept(&new_spec, &old_spec, &mut errors);
        errors
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let given = !str_at(new, "/spec/externalID").is_empty();
        let text = "spec.externalID: this field is deprecated, and is unused by Kubernetes";
        given.then(|| text.to_owned()).into_iter().collect()
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

/// `podCIDR` is the first of `podCIDRs`; where the two differ it wins.
fn same_cidrs(spec: &mut serde_json::Map<String, Value>) {
    let first = spec.get("podCIDRs").and_then(|c| c.get(0)).cloned();
    let one = spec.get("podCIDR").filter(|c| c.as_str().is_some_and(|c| !c.is_empty())).cloned();
    match (one, first) {
        (Some(one), first) if first.as_ref() != Some(&one) => {
            spec.insert("podCIDRs".to_owned(), Value::Array(vec![one]));
        }
        (None, Some(first)) => {
            spec.insert("podCIDR".to_owned(), first);
        }
        _ => {}
    }
}

fn check_kept(new: &NodeSpec, old: &NodeSpec, errors: &mut ErrorList) {
    let spec = Path::new("spec");
    let before = old.pod_cidrs.as_deref().unwrap_or_default();
    if !before.is_empty() && new.pod_cidrs.as_deref() != Some(before) {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(FieldError::forbidden(&spec.child("podCIDRs"), detail));
    }
    if old.provider_id.as_deref().is_some_and(|id| !id.is_empty()) && new.provider_id != old.provider_id {
        let cleared = new.provider_id.as_deref().unwrap_or_default().is_empty();
        let detail = if cleared { "field cannot be cleared once set" } else { "field cannot be modified once set" };
        errors.push(FieldError::invalid(&spec.child("providerID"), Value::Null, detail));
    }
    if new.external_id != old.external_id {
        errors.push(FieldError::forbidden(&spec.child("externalID"), "may not be updated"));
    }
}

fn check_taints(taints: &[Taint], errors: &mut ErrorList) {
    const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let mut seen = BTreeSet::new();
    for (at, taint) in taints.iter().enumerate() {
        // wire: taints are in the spec, and their errors say metadata.
        let path = Path::new("metadata").child("taints").index(at);
        rules::each(&taint.key, names::qualified_name(&taint.key), &path.child("key"), errors);
        let value = taint.value.as_deref().unwrap_or_default();
        rules::each(value, names::label_value(value), &path.child("value"), errors);
        rules::required_one_of(&taint.effect, EFFECTS, &path.child("effect"), errors);
        if !seen.insert((taint.effect.as_str(), taint.key.as_str())) {
            let text = |t: &str| shown(&Value::from(t));
            let time = taint.time_added.as_ref().map_or("null".to_owned(), |t| text(&t.0.to_string()));
            let value = format!(
                "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":{time}}}",
                text(&taint.key),
                text(value),
                text(&taint.effect)
            );
            let mut error = FieldError::duplicate_shown(&path, &value);
            error.message.push_str(": taints must be unique by key and effect pair");
            errors.push(error);
        }
    }
}

fn check_resources(object: &Value, errors: &mut ErrorList) {
    for list in ["capacity", "allocatable"] {
        for (resource, quantity) in map_at(object, &format!("/status/{list}")) {
            let text = quantity.as_str().unwrap_or_default();
            let Ok(amount) = Quantity::parse(text) else { continue };
            let path = Path::new("status").child(list).child(resource);
            if amount.sign() < 0 {
                errors.push(FieldError::invalid(&path, amount.to_string(), NON_NEGATIVE));
            }
            if resource.contains('/') && !amount.is_whole() {
                errors.push(FieldError::invalid(&path, amount.to_string(), "must be an integer"));
            }
        }
    }
}

fn check_addresses(object: &Value, errors: &mut ErrorList) {
    let addresses = list_at(object, "/status/addresses");
    for (at, address) in addresses.iter().enumerate() {
        if addresses[..at].contains(address) {
            let (kind, text) = (quote(str_at(address, "/type")), quote(str_at(address, "/address")));
            let path = Path::new("status").child("addresses").index(at);
            errors.push(FieldError::duplicate_shown(&path, &format!("{{\"Type\":{kind},\"Address\":{text}}}")));
        }
    }
}

fn check_cidrs(cidrs: &[String], errors: &mut ErrorList) {
    let path = Path::new("spec").child("podCIDRs");
    for (at, cidr) in cidrs.iter().enumerate() {
        rules::cidr(cidr, &path.index(at), errors);
    }
    let families: BTreeSet<bool> = cidrs.iter().map(|c| c.contains(':')).collect();
    if cidrs.len() > families.len() {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid(&path, cidrs.to_vec(), detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_readiness_and_roles() {
        let check = |object: Value, expected: Value| {
            let row = cells(&object, "2026-01-01T00:00:05Z".parse().unwrap());
            assert_eq!(Value::from(&row[1..3]), expected);
        };
        check(json!({}), json!(["Unknown", "<none>"]));
        check(
            json!({"metadata": {"labels": {"node-role.kubernetes.io/b": "", "kubernetes.io/role": "a"}},
                "spec": {"unschedulable": true},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
            json!(["Ready,SchedulingDisabled", "a,b"]),
        );
        assert_eq!(kernel(&json!({})), "<unknown>");
        assert_eq!(
            kernel(&json!({"status": {"nodeInfo": {"kernelVersion": "6.1", "architecture": "amd64"}}})),
            "6.1 (amd64)"
        );
    }

    #[test]
    fn a_pod_range_stays_once_set() {
        let node = |cidr: &str| {
            let mut node = json!({"spec": {"podCIDR": cidr}});
            NodeStrategy.default(&mut node);
            node
        };
        let check = |new: &Value, old: &Value, expected| {
            assert_eq!(NodeStrategy.validate_update(new, old, Update::Main).len(), expected);
        };
        check(&node("10.0.0.0/24"), &json!({}), 0);
        check(&node("10.0.1.0/24"), &node("10.0.0.0/24"), 1);
    }

    #[test]
    fn equal_taints_are_refused() {
        let taint = json!({"key": "a", "effect": "NoSchedule"});
        let errors = NodeStrategy.validate(&json!({"spec": {"taints": [taint, taint]}}));
        let expected = "metadata.taints[1]: Duplicate value: {\"Key\":\"a\",\"Value\":\"\",\"Effect\":\"NoSchedule\",\
            \"TimeAdded\":null}: taints must be unique by key and effect pair";
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
    }
}
