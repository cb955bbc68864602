//! The downward API: fields and resources of a pod as texts.

use std::collections::BTreeMap;

use gantry_kinds::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use crate::pod;
use crate::qos::{Side, amount};
use crate::sources::NodeFacts;

/// The text of a field, such as `metadata.labels['app']`; `ips` are the pod's addresses.
pub fn field(pod: &Pod, path: &str, ips: &[String], node: &NodeFacts) -> Result<String, String> {
    let host_network = pod::host_network(pod);
    let ips = if host_network { &node.ips } else { ips };
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = match map {
            "metadata.labels" => &pod.metadata.labels,
            "metadata.annotations" => &pod.metadata.annotations,
            _ => return Err(format!("fieldPath {path:?} does not support subscript")),
        };
        return Ok(map.iter().flatten().find(|(name, _)| *name == key).map(|(_, v)| v.clone()).unwrap_or_default());
    }
    let first = |list: &[String]| list.first().cloned().unwrap_or_default();
    Ok(match path {
        "metadata.name" => pod::name(pod).to_owned(),
        "metadata.namespace" => pod::namespace(pod).to_owned(),
        "metadata.uid" => pod::uid(pod).to_owned(),
        "metadata.labels" => lines(pod.metadata.labels.as_ref()),
        "metadata.annotations" => lines(pod.metadata.annotations.as_ref()),
        "spec.nodeName" => node.name.clone(),
        "spec.serviceAccountName" => pod::spec(pod).service_account_name.clone().unwrap_or_default(),
        "spec.restartPolicy" => pod::spec(pod).restart_policy.clone().unwrap_or_default(),
        "status.hostIP" => first(&node.ips),
        "status.hostIPs" => node.ips.join(","),
        "status.podIP" => first(ips),
        "status.podIPs" => ips.join(","),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// Whether volumes may show something else of the pod than before: its labels and annotations may change at any time.
pub fn differs(before: &Pod, after: &Pod) -> bool {
    let shown = |pod: &Pod| (pod.metadata.labels.clone(), pod.metadata.annotations.clone());
    shown(before) != shown(after)
}

/// `key="value"` lines, sorted, as volumes hold maps.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<_> = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect();
    lines.join("\n")
}

/// The text of a resource, such as `limits.cpu`, counted in its divisor and rounded up. A limit that is not set is
/// what the node can give.
pub fn resource(container: &Container, selector: &ResourceFieldSelector, node: &NodeFacts) -> Result<String, String> {
    let unsupported = || format!("unsupported container resource : {}", selector.resource);
    let (side, resource) = match selector.resource.split_once('.') {
        Some(("limits", resource)) => (Side::Limits, resource),
        Some(("requests", resource)) => (Side::Requests, resource),
        _ => return Err(unsupported()),
    };
    if !matches!(resource, "cpu" | "memory" | "ephemeral-storage") && !resource.starts_with("hugepages-") {
        return Err(unsupported());
    }
    let own = amount(container, side, resource);
    let whole = || node.allocatable.get(resource).and_then(|text| Quantity::parse(text).ok());
    let quantity = if side == Side::Limits { own.or_else(whole) } else { own };
    let divisor = selector.divisor.as_ref().and_then(|divisor| Quantity::parse(&divisor.0).ok());
    let divisor = divisor.filter(|divisor| !divisor.is_zero()).unwrap_or_else(|| Quantity::from_value(1));
    let Some(quantity) = quantity else { return Ok("0".to_owned()) };
    let (amount, unit) = if resource == "cpu" {
        (quantity.milli_value(), divisor.milli_value())
    } else {
        (quantity.value(), divisor.value())
    };
    let unit = unit.max(1);
    Ok((amount / unit + i64::from(amount % unit != 0)).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields() {
        let mut pod = crate::pod::tests::pod(json!({"containers": [], "serviceAccountName": "robot"}));
        let labels = [("app", "web"), ("q", "say \"hi\"")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        pod.metadata.labels = Some(labels.into());
        let node = NodeFacts { name: "n1".to_owned(), ips: vec!["10.0.0.1".to_owned()], ..NodeFacts::default() };
        let ips = ["10.42.0.9".to_owned()];
        let check = |path: &str, expected: &str| {
            assert_eq!(field(&pod, path, &ips, &node).unwrap_or_else(|error| error), expected, "{path}");
        };
        check("metadata.name", "web");
        check("metadata.labels['app']", "web");
        check("metadata.labels['none']", "");
        check("metadata.labels", "app=\"web\"\nq=\"say \\\"hi\\\"\"");
        check("spec.serviceAccountName", "robot");
        check("status.podIP", "10.42.0.9");
        check("status.hostIP", "10.0.0.1");
        check("spec.other", "unsupported fieldPath: spec.other");
    }

    #[test]
    fn labels_and_annotations_may_differ() {
        let before = crate::pod::tests::pod(json!({"containers": []}));
        let note = || Some([("builder".to_owned(), "foo".to_owned())].into());
        let check = |change: &dyn Fn(&mut Pod), expected: bool| {
            let mut after = before.clone();
            change(&mut after);
            assert_eq!(differs(&before, &after), expected);
        };
        check(&|pod| pod.metadata.annotations = note(), true);
        check(&|pod| pod.metadata.labels = note(), true);
        check(&|pod| pod.metadata.resource_version = Some("7".to_owned()), false);
    }

    #[test]
    fn resources_are_counted_in_their_divisor() {
        let limits = json!({"cpu": "1500m", "memory": "100Mi"});
        let container = serde_json::from_value(json!({"name": "a", "resources": {"limits": limits}})).unwrap();
        let bare = serde_json::from_value(json!({"name": "b"})).unwrap();
        let allocatable = [("cpu".to_owned(), "4".to_owned())].into();
        let node = NodeFacts { allocatable, ..NodeFacts::default() };
        let check = |container: &Container, name: &str, divisor: &str, expected: &str| {
            let selector = serde_json::from_value(json!({"resource": name, "divisor": divisor})).unwrap();
            assert_eq!(resource(container, &selector, &node).unwrap_or_else(|e| e), expected, "{name}");
        };
        check(&container, "limits.cpu", "0", "2");
        check(&container, "limits.cpu", "1m", "1500");
        check(&container, "limits.memory", "1Mi", "100");
        check(&bare, "limits.cpu", "1", "4");
        check(&bare, "requests.memory", "1", "0");
        check(&bare, "limits.color", "1", "unsupported container resource : limits.color");
    }
}
