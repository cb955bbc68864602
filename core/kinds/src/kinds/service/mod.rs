//! Services.

mod change;
mod validate;
mod warnings;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name, or_none};
use crate::field::ErrorList;
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::tree::{int_at, keep, list_at, map_at, str_at, text};

/// The row of `Service`.
pub static SERVICE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Service",
    plural: "services",
    singular: "service",
    version_of: None,
    short_names: &["svc"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[
        Subresource {
            name: "proxy",
            group_version: None,
            kind: "ServiceProxyOptions",
            schema: "",
            verbs: &["create", "delete", "get", "patch", "update"],
        },
        Subresource {
            name: "status",
            group_version: None,
            kind: "Service",
            schema: "io.k8s.api.core.v1.Service",
            verbs: STATUS_VERBS,
        },
    ],
    schema: "io.k8s.api.core.v1.Service",
    strategy: &ServiceStrategy,
    columns: &[
        NAME,
        Column::field("Type", "io.k8s.api.core.v1.ServiceSpec.type"),
        Column::field("Cluster-IP", "io.k8s.api.core.v1.ServiceSpec.clusterIP"),
        Column::field("External-IP", "io.k8s.api.core.v1.ServiceSpec.externalIPs"),
        Column::field("Port(s)", "io.k8s.api.core.v1.ServiceSpec.ports"),
        AGE,
        Column::field("Selector", "io.k8s.api.core.v1.ServiceSpec.selector").wide(),
    ],
    cells,
    selectable: &[("spec.clusterIP", |o| text(o, "/spec/clusterIP")), ("spec.type", |o| text(o, "/spec/type"))],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let selector = map_at(o, "/spec/selector").map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
    vec![
        name(o),
        Value::from(str_at(o, "/spec/type")),
        or_none(list_at(o, "/spec/clusterIPs").first().and_then(Value::as_str).unwrap_or_default()),
        or_none(external(o)),
        or_none(ports(o)),
        age_of(o, now),
        or_none(selector.collect::<Vec<_>>().join(",")),
    ]
}

fn external(o: &Value) -> String {
    let mut addresses: Vec<&str> = Vec::new();
    match str_at(o, "/spec/type") {
        "ExternalName" => return text(o, "/spec/externalName"),
        "LoadBalancer" => {
            for ingress in list_at(o, "/status/loadBalancer/ingress") {
                let ip = str_at(ingress, "/ip");
                addresses.push(if ip.is_empty() { str_at(ingress, "/hostname") } else { ip });
            }
            addresses.extend(list_at(o, "/spec/externalIPs").iter().filter_map(Value::as_str));
            if addresses.is_empty() {
                return "<pending>".to_owned();
            }
        }
        _ => addresses.extend(list_at(o, "/spec/externalIPs").iter().filter_map(Value::as_str)),
    }
    addresses.join(",")
}

fn ports(o: &Value) -> String {
    let port = |p: &Value| {
        let (port, protocol) = (text(p, "/port"), str_at(p, "/protocol"));
        match int_at(p, "/nodePort").unwrap_or(0) {
            0 => format!("{port}/{protocol}"),
            node => format!("{port}:{node}/{protocol}"),
        }
    };
    list_at(o, "/spec/ports").iter().map(port).collect::<Vec<_>>().join(",")
}

struct ServiceStrategy;

impl Strategy for ServiceStrategy {
    fn default(&self, object: &mut Value) {
        change::default(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({ "loadBalancer": {} });
        change::normalize_addresses(object, None);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        if update == Update::Sub("status") {
            keep(new, old, "spec");
            return;
        }
        keep(new, old, "status");
        change::normalize_addresses(new, Some(old));
        change::keep_allocated(new, old);
        change::drop_unneeded(new, old);
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validate::service(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        match update {
            Update::Sub("status") => validate::status(new),
            _ => validate::update(new, old),
        }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        warnings::service(new)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_label(names::stem(name, prefix))
    }

    fn create_on_update(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_show_addresses_and_ports() {
        let check = |spec: Value, status: Value, expected: [&str; 4]| {
            let row = cells(&json!({"spec": spec, "status": status}), Timestamp::UNIX_EPOCH);
            assert_eq!(Value::from(&row[1..5]), json!(expected));
        };
        let port = json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "nodePort": 30053, "protocol": "UDP"}]);
        check(
            json!({"type": "NodePort", "clusterIPs": ["10.0.0.1"], "ports": port}),
            json!({}),
            ["NodePort", "10.0.0.1", "<none>", "80/TCP,53:30053/UDP"],
        );
        check(
            json!({"type": "ExternalName", "externalName": "a.b"}),
            json!({}),
            ["ExternalName", "<none>", "a.b", "<none>"],
        );
        check(
            json!({"type": "LoadBalancer", "clusterIPs": ["None"]}),
            json!({}),
            ["LoadBalancer", "None", "<pending>", "<none>"],
        );
        check(
            json!({"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "externalIPs": ["2.2.2.2"]}),
            json!({"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}, {"hostname": "h"}]}}),
            ["LoadBalancer", "10.0.0.1", "1.1.1.1,h,2.2.2.2", "<none>"],
        );
    }
}
