//! APIServices: who serves a version of a group.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules;
use crate::tree::{child, int_at, keep, list_at, set_default, str_at};

/// The row of `APIService`.
pub static API_SERVICE: Kind = Kind {
    group: "apiregistration.k8s.io",
    version: "v1",
    kind: "APIService",
    plural: "apiservices",
    singular: "apiservice",
    version_of: None,
    short_names: &[],
    categories: &["api-extensions"],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "APIService",
        schema: "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    strategy: &ServiceStrategy,
    columns: &[
        NAME,
        Column::text("Service", "The reference to the service that hosts this API endpoint."),
        Column::text("Available", "Whether this service is available."),
        AGE,
    ],
    cells,
    selectable: &[],
};

const PORT: i64 = 443;
const GROUP_MAX: i64 = 20_000;
const VERSION_MAX: i64 = 1000;

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let service = match has_service(o) {
        true => format!("{}/{}", str_at(o, "/spec/service/namespace"), str_at(o, "/spec/service/name")),
        false => "Local".to_owned(),
    };
    let condition = list_at(o, "/status/conditions").iter().find(|c| str_at(c, "/type") == "Available");
    let available = match condition {
        None => "Unknown".to_owned(),
        Some(condition) if str_at(condition, "/status") == "True" => "True".to_owned(),
        Some(condition) => format!("{} ({})", str_at(condition, "/status"), str_at(condition, "/reason")),
    };
    vec![name(o), Value::from(service), Value::from(available), age_of(o, now)]
}

fn has_service(o: &Value) -> bool {
    o.pointer("/spec/service").is_some_and(|service| !service.is_null())
}

struct ServiceStrategy;

impl Strategy for ServiceStrategy {
    fn default(&self, object: &mut Value) {
        let spec = object.as_object_mut().and_then(|object| child(object, "spec"));
        if let Some(service) = spec.and_then(|spec| child(spec, "service")) {
            set_default(service, "port", PORT);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        let local = json!({
            "type": "Available", "status": "True", "reason": "Local",
            "message": "Local APIServices are always available",
            "lastTransitionTime": object["metadata"]["creationTimestamp"],
        });
        object["status"] = if has_service(object) { json!({}) } else { json!({"conditions": [local]}) };
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, _old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") { check_status(new) } else { check(new) }
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::path_segment(name, prefix)
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}

fn check_status(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status").child("conditions");
    for (at, condition) in list_at(object, "/status/conditions").iter().enumerate() {
        let known = ["True", "False", "Unknown"];
        rules::one_of(str_at(condition, "/status"), &known, &path.index(at).child("status"), &mut errors);
    }
    errors
}

fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let (group, version) = (str_at(spec, "/group"), str_at(spec, "/version"));
    let mut errors = ErrorList::new();
    let (name, wanted) = (str_at(object, "/metadata/name"), format!("{version}.{group}"));
    if name != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {}", crate::field::quote(&wanted));
        errors.push(FieldError::invalid(&Path::new("metadata").child("name"), name, detail));
    }
    if !group.is_empty() {
        rules::each(group, names::dns_subdomain(group), &path.child("group"), &mut errors);
    } else if version != "v1" {
        let detail = "only v1 may have an empty group and it better be legacy kube";
        errors.push(FieldError::required(&path.child("group"), detail));
    }
    rules::each(version, names::dns_1035_label(version), &path.child("version"), &mut errors);
    for (field, max) in [("groupPriorityMinimum", GROUP_MAX), ("versionPriority", VERSION_MAX)] {
        let value = int_at(spec, &format!("/{field}")).unwrap_or(0);
        if value <= 0 || value > max {
            let detail = format!("must be positive and less than {max}");
            errors.push(FieldError::invalid(&path.child(field), value, detail));
        }
    }
    check_reach(spec, &path, &mut errors);
    errors
}

/// How the service is reached, and trusted.
fn check_reach(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let bundle = str_at(spec, "/caBundle");
    let skips = spec.get("insecureSkipTLSVerify") == Some(&Value::Bool(true));
    let Some(service) = spec.get("service").filter(|s| !s.is_null()) else {
        if !bundle.is_empty() {
            let bytes = bundle.trim_end_matches('=').len() * 3 / 4;
            let detail = "local APIServices may not have a caBundle";
            errors.push(FieldError::invalid(&path.child("caBundle"), format!("{bytes} bytes"), detail));
        }
        if skips {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(FieldError::invalid(&path.child("insecureSkipTLSVerify"), true, detail));
        }
        return;
    };
    let at = path.child("service");
    rules::required(str_at(service, "/namespace"), &at.child("namespace"), errors);
    rules::required(str_at(service, "/name"), &at.child("name"), errors);
    let port = int_at(service, "/port").unwrap_or(0);
    for sentence in names::port_number(port) {
        errors.push(FieldError::invalid(&at.child("port"), port, format!("port is not valid: {sentence}")));
    }
    if skips && !bundle.is_empty() {
        let detail = "may not be true if caBundle is present";
        errors.push(FieldError::invalid(&path.child("insecureSkipTLSVerify"), true, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_for_what_it_serves() {
        let mut api = json!({"metadata": {"name": "v1.g.com"}, "spec": {"group": "g.com", "version": "v1",
            "groupPriorityMinimum": 10, "versionPriority": 10}});
        ServiceStrategy.prepare_create(&mut api);
        assert!(check(&api).is_empty());
        assert_eq!(cells(&api, Timestamp::UNIX_EPOCH)[1..3], [json!("Local"), json!("True")]);
        api["spec"]["versionPriority"] = json!(2000);
        api["spec"]["caBundle"] = json!("YWJj");
        api["metadata"]["name"] = json!("foo");
        let texts: Vec<_> = check(&api).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "metadata.name: Invalid value: \"foo\": must be `spec.version+\".\"+spec.group`: \"v1.g.com\"",
                "spec.versionPriority: Invalid value: 2000: must be positive and less than 1000",
                "spec.caBundle: Invalid value: \"3 bytes\": local APIServices may not have a caBundle",
            ]
        );
    }
}
