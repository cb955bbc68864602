//! The quality of service that a pod gets by what it requests and limits.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::quantity::Quantity;
use crate::tree::{list_at, map_at};

const COUNTED: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn class(pod: &Value) -> &'static str {
    let whole = pod.pointer("/spec/resources").filter(|r| r.as_object().is_some_and(|map| !map.is_empty()));
    let parts: Vec<&Value> = match whole {
        Some(_) => vec![&pod["spec"]],
        None => ["/spec/initContainers", "/spec/containers"].iter().flat_map(|list| list_at(pod, list)).collect(),
    };
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    let mut all_limited = true;
    for part in parts {
        sum(part, "/resources/requests", &mut requests);
        all_limited &= sum(part, "/resources/limits", &mut limits) == COUNTED.len();
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if all_limited && limits.len() == COUNTED.len() && requests.iter().all(|(k, v)| limits.get(k) == Some(v)) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds what a part asks for to the sums; how many of the counted resources it names.
fn sum<'a>(part: &'a Value, pointer: &str, sums: &mut BTreeMap<&'a str, Quantity>) -> usize {
    let mut named = 0;
    for (resource, text) in map_at(part, pointer) {
        let quantity = text.as_str().and_then(|t| Quantity::parse(t).ok()).unwrap_or(Quantity::ZERO);
        if COUNTED.contains(&resource.as_str()) && quantity.sign() > 0 {
            let total = sums.entry(resource.as_str()).or_insert(Quantity::ZERO);
            *total = total.add(&quantity);
            named += 1;
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes() {
        let check = |containers: Value, expected| {
            assert_eq!(class(&json!({"spec": {"containers": containers}})), expected, "{containers}");
        };
        let with = |resources: Value| json!({ "resources": resources });
        let full = json!({"cpu": "1", "memory": "1Gi"});
        check(json!([{}]), "BestEffort");
        check(json!([with(json!({"limits": {"example.com/x": "1"}}))]), "BestEffort");
        check(json!([with(json!({"requests": {"cpu": "1"}}))]), "Burstable");
        check(json!([with(json!({"requests": full, "limits": full}))]), "Guaranteed");
        check(json!([with(json!({"requests": full, "limits": full})), {}]), "Burstable");
        check(json!([with(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}))]), "Burstable");
    }
}
