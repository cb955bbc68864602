//! Ingresses: which host and path leads to which Service.

mod validate;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name, or_none};
use crate::field::ErrorList;
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::tree::{keep, list_at, str_at};

/// The row of `Ingress`.
pub static INGRESS: Kind = Kind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "Ingress",
    plural: "ingresses",
    singular: "ingress",
    version_of: None,
    short_names: &["ing"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "Ingress",
        schema: "io.k8s.api.networking.v1.Ingress",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.networking.v1.Ingress",
    strategy: &IngressStrategy,
    columns: &[
        NAME,
        Column::text("Class", "The name of the IngressClass resource that should be used for additional configuration"),
        Column::text("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
        Column::text("Address", "Address is a list containing ingress points for the load-balancer"),
        Column::text("Ports", "Ports of TLS configurations that open"),
        AGE,
    ],
    cells,
    selectable: &[],
};

/// The annotation that named the class before `ingressClassName` did.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// So many hosts have room in a cell.
const HOSTS_SHOWN: usize = 3;

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let ports = if list_at(o, "/spec/tls").is_empty() { "80" } else { "80, 443" };
    vec![
        name(o),
        or_none(str_at(o, "/spec/ingressClassName")),
        Value::from(hosts(o)),
        Value::from(addresses(o)),
        Value::from(ports),
        age_of(o, now),
    ]
}

fn hosts(o: &Value) -> String {
    let hosts: Vec<_> =
        list_at(o, "/spec/rules").iter().map(|rule| str_at(rule, "/host")).filter(|host| !host.is_empty()).collect();
    match hosts.len() {
        0 => "*".to_owned(),
        count if count > HOSTS_SHOWN => format!("{} + {} more...", hosts[..HOSTS_SHOWN].join(","), count - HOSTS_SHOWN),
        _ => hosts.join(","),
    }
}

fn addresses(o: &Value) -> String {
    let address = |point: &Value| match str_at(point, "/ip") {
        "" => str_at(point, "/hostname").to_owned(),
        ip => ip.to_owned(),
    };
    let mut all: Vec<_> =
        list_at(o, "/status/loadBalancer/ingress").iter().map(address).filter(|a| !a.is_empty()).collect();
    all.sort();
    all.dedup();
    all.join(",")
}

struct IngressStrategy;

impl Strategy for IngressStrategy {
    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({"loadBalancer": {}});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        validate::check_class_annotation(object, &mut errors);
        errors.extend(validate::check(object));
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") { validate::check_status(new) } else { validate::check(new) }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let annotated =
            |o: &Value| o.pointer("/metadata/annotations").is_some_and(|a| a.get(CLASS_ANNOTATION).is_some());
        if !annotated(new) || old.is_some_and(annotated) {
            return Vec::new();
        }
        vec![format!("annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead")]
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_three_hosts_and_both_ports() {
        let rules: Vec<_> = ["a", "b", "c", "d"].iter().map(|host| json!({"host": host})).collect();
        let ingress = json!({"metadata": {"name": "i"}, "spec": {"rules": rules, "tls": [{}]},
            "status": {"loadBalancer": {"ingress": [{"hostname": "h"}, {"ip": "1.2.3.4"}]}}});
        let row = cells(&ingress, Timestamp::UNIX_EPOCH);
        assert_eq!(row[1..5], [json!("<none>"), json!("a,b,c + 1 more..."), json!("1.2.3.4,h"), json!("80, 443")]);
    }
}
