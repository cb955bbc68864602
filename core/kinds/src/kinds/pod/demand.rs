//! What a pod asks for and may use as a whole: containers side by side, init containers one after the other, sidecars
//! from their start to the end.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::quantity::Quantity;
use crate::tree::{list_at, map_at, str_at};

/// Amounts by resource.
pub type Amounts = BTreeMap<String, Quantity>;

/// The amounts in the map at a JSON pointer.
pub fn amounts(object: &Value, pointer: &str) -> Amounts {
    map_at(object, pointer).map(|(resource, amount)| (resource.clone(), quantity(amount))).collect()
}

fn quantity(amount: &Value) -> Quantity {
    let parsed = match amount {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    };
    parsed.unwrap_or(Quantity::ZERO)
}

/// What the pod requests, without overhead. Of a container that is being resized it is the larger of what it has and
/// what it is to have.
pub fn requests(pod: &Value) -> Amounts {
    whole(pod, "requests", |container| {
        let mut own = amounts(container, "/resources/requests");
        let name = str_at(container, "/name");
        let statuses = ["/status/containerStatuses", "/status/initContainerStatuses"];
        let status = statuses.iter().flat_map(|list| list_at(pod, list)).find(|status| str_at(status, "/name") == name);
        for list in ["/allocatedResources", "/resources/requests"] {
            for (resource, amount) in status.map(|status| amounts(status, list)).unwrap_or_default() {
                own.entry(resource).and_modify(|own| *own = amount.max(*own));
            }
        }
        own
    })
}

/// What the pod may use, without overhead.
pub fn limits(pod: &Value) -> Amounts {
    whole(pod, "limits", |container| amounts(container, "/resources/limits"))
}

/// The overhead that comes on top of what the pod requests, and of what it may use where that is bounded.
pub fn overhead(pod: &Value) -> Amounts {
    amounts(pod, "/spec/overhead")
}

fn whole(pod: &Value, list: &str, of: impl Fn(&Value) -> Amounts) -> Amounts {
    let (mut sidecars, mut start) = (Amounts::new(), Amounts::new());
    for container in list_at(pod, "/spec/initContainers") {
        let own = of(container);
        if str_at(container, "/restartPolicy") == "Always" {
            add(&mut sidecars, &own);
            raise(&mut start, &sidecars);
        } else {
            let mut together = own;
            add(&mut together, &sidecars);
            raise(&mut start, &together);
        }
    }
    let mut total = Amounts::new();
    list_at(pod, "/spec/containers").iter().for_each(|container| add(&mut total, &of(container)));
    add(&mut total, &sidecars);
    raise(&mut total, &start);
    // What is said of the pod as a whole counts in place of the sum.
    total.extend(amounts(pod, &format!("/spec/resources/{list}")));
    total
}

/// Adds all of `more` to `sum`.
pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (resource, amount) in more {
        let before = sum.entry(resource.clone()).or_insert(Quantity::ZERO);
        *before = before.add(amount);
    }
}

fn raise(most: &mut Amounts, other: &Amounts) {
    for (resource, amount) in other {
        let before = most.entry(resource.clone()).or_insert(*amount);
        *before = (*before).max(*amount);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cpu(amount: &str) -> Value {
        json!({"resources": {"requests": {"cpu": amount}}})
    }

    #[test]
    fn what_runs_at_once_adds_up() {
        let check = |spec: Value, expected: &str| {
            assert_eq!(requests(&json!({ "spec": spec }))["cpu"].to_string(), expected, "{spec}");
        };
        let mut sidecar = cpu("50m");
        sidecar["restartPolicy"] = json!("Always");
        check(json!({"containers": [cpu("100m"), cpu("200m")]}), "300m");
        check(json!({"containers": [cpu("100m")], "initContainers": [cpu("500m"), cpu("400m")]}), "500m");
        check(json!({"containers": [cpu("100m")], "initContainers": [sidecar, cpu("300m")]}), "350m");
        check(json!({"containers": [cpu("100m")], "initContainers": [cpu("20m"), sidecar]}), "150m");
        check(json!({"containers": [cpu("100m")], "resources": {"requests": {"cpu": "1"}}}), "1");
    }

    #[test]
    fn a_container_that_is_made_smaller_counts_as_it_is_until_it_is_done() {
        let status = json!([{"name": "c", "allocatedResources": {"cpu": "1"}}]);
        let mut container = cpu("200m");
        container["name"] = json!("c");
        let pod = json!({"spec": {"containers": [container]}, "status": {"containerStatuses": status}});
        assert_eq!(requests(&pod)["cpu"].to_string(), "1");
    }
}
