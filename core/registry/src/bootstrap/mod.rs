//! What every cluster starts with: namespaces, the range of Services' addresses, two Services, roles and bindings, flow schemas
//! and priority levels, an APIService for each version; and the requests that bring it
//! about at every start.
//!
//! Invariants: rules and subjects are added, never taken away; what carries the annotation
//! `rbac.authorization.kubernetes.io/autoupdate: "false"` is left alone.

mod api_services;
mod records;
mod roles;

use gantry_kinds::kinds::priority_class::SYSTEM;
use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, KindRef, ROLE, ROLE_BINDING, table};
use gantry_view::View;
use serde_json::{Value, json};

use crate::context::Settings;
use crate::request::{Operation, Options, PatchKind, Request, Target, User};
use crate::service::ranges::DEFAULT as DEFAULT_RANGE;

/// Manager of the fields that are set here.
const MANAGER: &str = "gantry";

/// Whether roles are kept up to date.
pub(crate) const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// All objects, in an order in which they can be created.
pub fn objects(settings: &Settings) -> Vec<Value> {
    let names = ["kube-system", "kube-public", "kube-node-lease", "default"];
    let namespaces = names.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let mut objects = Vec::from(namespaces);
    objects.push(service_cidr(settings));
    objects.extend(services(settings));
    objects.extend(priority_classes());
    objects.extend(roles::objects());
    objects.extend(gantry_policy::fairness::objects());
    objects.extend(api_services::objects());
    objects
}

fn service_cidr(settings: &Settings) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": DEFAULT_RANGE},
        "spec": {"cidrs": [settings.service_cidr.to_string()]},
    })
}

fn services(settings: &Settings) -> [Value; 2] {
    let api = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": settings.api_service_ip.to_string(),
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": settings.api_port}],
        },
    });
    let dns = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kube-dns", "namespace": "kube-system",
            "labels": {
                "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": settings.dns_service_ip.to_string(),
            "ports": [
                {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53},
                {"name": "dns-tcp", "protocol": "TCP", "port": 53, "targetPort": 53},
            ],
        },
    });
    [api, dns]
}

fn priority_classes() -> impl Iterator<Item = Value> {
    SYSTEM.into_iter().map(|(name, value, description)| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            "description": description,
        })
    })
}

/// What must be done so that the view holds all of it: creations, and additions to what is short of something.
pub fn requests(view: &View, settings: &Settings) -> Vec<Request> {
    let wanted = objects(settings).into_iter().filter_map(|wanted| request(view, wanted));
    wanted.chain(records::requests(view)).collect()
}

fn request(view: &View, wanted: Value) -> Option<Request> {
    let api_version = str_at(&wanted, "/apiVersion").to_owned();
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let kind = table::by_kind(group, version, str_at(&wanted, "/kind"))?;
    let (namespace, name) = (str_at(&wanted, "/metadata/namespace"), str_at(&wanted, "/metadata/name"));
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    let (name, operation) = match view.get(kind, &namespace, &name) {
        None => (String::new(), Operation::Create(wanted.into())),
        Some(there) => {
            let patch = addition(kind, &there.value(), &wanted)?;
            (name, Operation::Patch(PatchKind::Merge, patch.into()))
        }
    };
    Some(own(Target { kind, namespace, name, subresource: String::new() }, operation))
}

/// A request of the server itself.
fn own(target: Target, operation: Operation) -> Request {
    Request {
        user: User {
            name: "system:apiserver".to_owned(),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            ..User::default()
        },
        target,
        operation,
        options: Options { field_manager: MANAGER.to_owned(), ..Options::default() },
    }
}

/// The merge patch that adds what `there` lacks; `None` when it lacks nothing.
fn addition(kind: KindRef, there: &Value, wanted: &Value) -> Option<Value> {
    if [&ROLE, &CLUSTER_ROLE].contains(&kind) {
        return roles::add_rules(there, wanted);
    }
    if [&ROLE_BINDING, &CLUSTER_ROLE_BINDING].contains(&kind) {
        return roles::add_subjects(there, wanted);
    }
    // The API may have moved to another port since the last start.
    let ports = |object: &Value| -> Vec<Value> {
        let key = |port: &Value| json!([port["name"], port["port"], port["targetPort"]]);
        list_at(object, "/spec/ports").iter().map(key).collect()
    };
    let moved = kind == &gantry_kinds::SERVICE && ports(there) != ports(wanted);
    moved.then(|| json!({"spec": {"ports": wanted["spec"]["ports"]}}))
}
