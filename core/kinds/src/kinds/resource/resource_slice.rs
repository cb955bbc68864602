//! ResourceSlices: what the drivers of devices offer.

use jiff::Timestamp;
use serde_json::Value;

use super::{check_pool, devices};
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::selecting;
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{int_at, list_at, str_at};

/// The row of `ResourceSlice`.
pub static RESOURCE_SLICE: Kind = Kind {
    group: "resource.k8s.io",
    version: "v1",
    kind: "ResourceSlice",
    plural: "resourceslices",
    singular: "resourceslice",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.resource.v1.ResourceSlice",
    strategy: &ResourceSliceStrategy,
    columns: &[
        NAME,
        Column::field("Node", "io.k8s.api.resource.v1.ResourceSliceSpec.nodeName"),
        Column::field("Driver", "io.k8s.api.resource.v1.ResourceSliceSpec.driver"),
        Column::field("Pool", "io.k8s.api.resource.v1.ResourcePool.name"),
        AGE,
    ],
    cells,
    selectable: &[
        ("spec.driver", |o| str_at(o, "/spec/driver").to_owned()),
        ("spec.nodeName", |o| str_at(o, "/spec/nodeName").to_owned()),
        ("spec.pool.name", |o| str_at(o, "/spec/pool/name").to_owned()),
    ],
};

const DRIVER_MAX: usize = 63;
const POOL_MAX: usize = 253;
/// The ways to say which nodes reach the devices; a slice has one of them.
const PLACES: [&str; 4] = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let text = |pointer| Value::from(str_at(o, pointer));
    vec![name(o), text("/spec/nodeName"), text("/spec/driver"), text("/spec/pool/name"), age_of(o, now)]
}

struct ResourceSliceStrategy;

impl Strategy for ResourceSliceStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            devices::drop_gated(spec);
        }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let driver = str_at(new, "/spec/driver");
        if !driver.bytes().any(|c| c.is_ascii_uppercase()) {
            return Vec::new();
        }
        let shown = crate::field::quote(driver);
        vec![format!("spec.driver: driver names should be lowercase; {shown} contains uppercase characters")]
    }

    fn default_times(&self, object: &mut Value, now: &str) {
        let devices = object.pointer_mut("/spec/devices").and_then(Value::as_array_mut);
        for device in devices.into_iter().flatten().filter_map(Value::as_object_mut) {
            for taint in crate::tree::children(device, "taints") {
                crate::tree::set_default(taint, "timeAdded", now);
            }
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = ErrorList::new();
        check_driver(str_at(object, "/spec/driver"), &path.child("driver"), &mut errors);
        check_pool_of_slice(object, &path.child("pool"), &mut errors);
        check_place(object, &path, &mut errors);
        let (offered, sets) = (list_at(object, "/spec/devices"), list_at(object, "/spec/sharedCounters"));
        if !offered.is_empty() && !sets.is_empty() {
            errors.push(FieldError::invalid(&path, "", "only one of `sharedCounters` or `devices` is allowed"));
        }
        let placed = object.pointer("/spec/perDeviceNodeSelection") == Some(&Value::Bool(true));
        devices::check(offered, placed, &path.child("devices"), &mut errors);
        devices::check_sets(sets, &path.child("sharedCounters"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = self.validate(new);
        for field in ["driver", "pool.name", "nodeName"] {
            let at = format!("/spec/{}", field.replace('.', "/"));
            if new.pointer(&at) != old.pointer(&at) {
                let value = new.pointer(&at).cloned().unwrap_or_default();
                errors.push(FieldError::invalid(&Path::new("spec").child(field), value, IMMUTABLE));
            }
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

fn check_driver(driver: &str, path: &Path, errors: &mut ErrorList) {
    if driver.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if driver.len() > DRIVER_MAX {
        errors.push(FieldError::too_long(path, DRIVER_MAX));
    }
    rules::each(driver, names::dns_subdomain(&driver.to_lowercase()), path, errors);
}

fn check_pool_of_slice(object: &Value, path: &Path, errors: &mut ErrorList) {
    let name = str_at(object, "/spec/pool/name");
    if name.len() > POOL_MAX {
        errors.push(FieldError::too_long(&path.child("name"), POOL_MAX));
    }
    check_pool(name, &path.child("name"), errors);
    let count = int_at(object, "/spec/pool/resourceSliceCount").unwrap_or_default();
    if count <= 0 {
        errors.push(FieldError::invalid(&path.child("resourceSliceCount"), count, "must be greater than zero"));
    }
    let generation = int_at(object, "/spec/pool/generation").unwrap_or_default();
    if generation < 0 {
        let detail = "must be greater than or equal to zero";
        errors.push(FieldError::invalid(&path.child("generation"), generation, detail));
    }
}

fn check_place(object: &Value, path: &Path, errors: &mut ErrorList) {
    let spec = &object["spec"];
    match spec.get("nodeName").and_then(Value::as_str) {
        None => {}
        Some("") => {
            let detail = "must be either unset or set to a non-empty string";
            errors.push(FieldError::invalid(&path.child("nodeName"), "", detail));
        }
        Some(node) => rules::each(node, names::dns_subdomain(node), &path.child("nodeName"), errors),
    }
    if spec.get("nodeSelector").is_some_and(|selector| !selector.is_null()) {
        devices::check_selector(spec, path, errors);
        let terms = list_at(spec, "/nodeSelector/nodeSelectorTerms");
        if terms.len() != 1 {
            let path = path.child("nodeSelector").child("nodeSelectorTerms");
            let told = if terms.is_empty() { "null".to_owned() } else { selecting::show_terms(terms) };
            errors.push(FieldError::invalid_shown(&path, &told, "must have exactly one node selector term"));
        }
    }
    for field in ["allNodes", "perDeviceNodeSelection"] {
        if spec.get(field) == Some(&Value::Bool(false)) {
            errors.push(FieldError::invalid(&path.child(field), false, "must be either unset or set to true"));
        }
    }
    let given = |field: &&&str| spec.get(**field).is_some_and(|v| !v.is_null() && *v != false && *v != "");
    let places: Vec<_> = PLACES.iter().filter(given).map(|place| format!("`{place}`")).collect();
    let all = PLACES.map(|place| format!("`{place}`")).join(", ");
    let detail = format!("exactly one of {all} is required");
    match places.len() {
        0 => errors.push(FieldError::required(path, &detail)),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", places.join(", "));
            errors.push(FieldError::invalid(path, shown, format!("{detail}, but multiple fields are set")));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slice_says_where_its_devices_are() {
        let check = |place: Value, expected: &str| {
            let mut spec = json!({"driver": "d", "pool": {"name": "p", "resourceSliceCount": 1}});
            spec.as_object_mut().expect("a map").extend(place.as_object().expect("a map").clone());
            let errors = ResourceSliceStrategy.validate(&json!({"spec": spec}));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<String>(), expected);
        };
        let one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
        check(json!({"nodeName": "n"}), "");
        check(json!({}), &format!("spec: Required value: {one}"));
        check(
            json!({"nodeName": "n", "allNodes": true}),
            &format!("spec: Invalid value: \"{{`nodeName`, `allNodes`}}\": {one}, but multiple fields are set"),
        );
    }
}
