//! PersistentVolumeClaims.

mod validate;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use self::validate::{check_access_modes, check_spec};
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, Path, quote};
use crate::kinds::pod::round_to_milli;
use crate::names;
use crate::quantity::Quantity;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::tree::{child, child_or_new, fill, has, keep, list_at, set_default, str_at};

/// The row of `PersistentVolumeClaim`.
pub static PERSISTENT_VOLUME_CLAIM: Kind = Kind {
    group: "",
    version: "v1",
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    version_of: None,
    short_names: &["pvc"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "PersistentVolumeClaim",
        schema: "io.k8s.api.core.v1.PersistentVolumeClaim",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.core.v1.PersistentVolumeClaim",
    strategy: &PersistentVolumeClaimStrategy,
    columns: &[
        NAME,
        Column::field("Status", "io.k8s.api.core.v1.PersistentVolumeClaimStatus.phase"),
        Column::field("Volume", "io.k8s.api.core.v1.PersistentVolumeClaimSpec.volumeName"),
        Column::field("Capacity", "io.k8s.api.core.v1.PersistentVolumeClaimStatus.capacity"),
        Column::field("Access Modes", "io.k8s.api.core.v1.PersistentVolumeClaimStatus.accessModes"),
        Column::text("StorageClass", "StorageClass of the pvc"),
        Column::text("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
        AGE,
        Column::field("VolumeMode", "io.k8s.api.core.v1.PersistentVolumeClaimSpec.volumeMode").wide(),
    ],
    cells,
    selectable: &[],
};

/// The annotation that named the class before there was a field for it.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// wire: a bound claim that tells of no capacity has none.
fn capacity(o: &Value) -> &str {
    o.pointer("/status/capacity/storage").and_then(Value::as_str).unwrap_or("0")
}

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let deleted = o.pointer("/metadata/deletionTimestamp").is_some();
    let phase = if deleted { "Terminating" } else { str_at(o, "/status/phase") };
    let volume = str_at(o, "/spec/volumeName");
    let (capacity, modes) = match volume {
        "" => ("", String::new()),
        _ => (capacity(o), access_modes(list_at(o, "/status/accessModes"))),
    };
    vec![
        name(o),
        Value::from(phase),
        Value::from(volume),
        Value::from(capacity),
        Value::from(modes),
        Value::from(class(o)),
        or_unset(o, "/spec/volumeAttributesClassName"),
        age_of(o, now),
        or_unset(o, "/spec/volumeMode"),
    ]
}

/// Access modes in short: `RWO,ROX`, each once and in a fixed order.
pub fn access_modes(modes: &[Value]) -> String {
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let given = short.iter().filter(|(long, _)| modes.iter().any(|mode| mode == long));
    given.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The storage class of a claim or volume.
pub fn class(o: &Value) -> &str {
    let old = o.pointer("/metadata/annotations").and_then(|annotations| annotations.get(CLASS));
    old.and_then(Value::as_str).unwrap_or_else(|| str_at(o, "/spec/storageClassName"))
}

/// The text at a JSON pointer, or `<unset>`.
pub fn or_unset(o: &Value, pointer: &str) -> Value {
    Value::from(o.pointer(pointer).and_then(Value::as_str).unwrap_or("<unset>"))
}

struct PersistentVolumeClaimStrategy;

impl Strategy for PersistentVolumeClaimStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(object) = object.as_object_mut() {
            default_claim(object);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({ "phase": "Pending" });
        drop_sources(object);
        same_source(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
        same_source(new);
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validate::check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") {
            validate::check_status(new, old)
        } else {
            validate::check_update(new, old)
        }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings: Vec<String> = old_class_warning(new).into_iter().collect();
        warnings.extend(fraction_warnings(&new["spec"], &Path::new("spec")));
        warnings
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

/// The warning for a class that is named the old way.
pub fn old_class_warning(o: &Value) -> Option<String> {
    let annotated = o.pointer("/metadata/annotations").is_some_and(|annotations| annotations.get(CLASS).is_some());
    let path = Path::new("metadata").child("annotations").key(CLASS);
    annotated.then(|| format!("{path}: deprecated since v1.8; use \"storageClassName\" attribute instead"))
}

/// Warnings for sizes that are no whole number of bytes.
pub fn fraction_warnings(spec: &Value, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    for list in ["limits", "requests"] {
        let size = str_at(spec, &format!("/resources/{list}/storage"));
        if Quantity::parse(size).is_ok_and(|size| !size.is_whole()) {
            let path = path.child("resources").child(list).key("storage");
            warnings.push(format!("{path}: fractional byte value {} is invalid, must be an integer", quote(size)));
        }
    }
    warnings
}

/// Fills in a claim.
pub fn default_claim(claim: &mut Map<String, Value>) {
    fill(child_or_new(claim, "status"), "phase", "Pending");
    let spec = child_or_new(claim, "spec");
    set_default(spec, "volumeMode", "Filesystem");
    if let Some(resources) = child(spec, "resources") {
        round_to_milli(resources, "limits");
        round_to_milli(resources, "requests");
    }
}

/// Takes away sources that are not served: other kinds than claims and snapshots, and other namespaces.
fn drop_sources(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let known = [("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot")];
    let served = |source: &Value| known.contains(&(str_at(source, "/apiGroup"), str_at(source, "/kind")));
    if spec.get("dataSource").is_some_and(|source| !source.is_null() && !served(source)) {
        spec.remove("dataSource");
    }
    if spec.get("dataSourceRef").is_some_and(|source| !str_at(source, "/namespace").is_empty()) {
        spec.remove("dataSourceRef");
    }
}

/// `dataSource` and `dataSourceRef` say the same, where the reference is to something near.
fn same_source(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match (has(spec, "dataSource"), has(spec, "dataSourceRef")) {
        (true, false) => {
            let source = spec["dataSource"].clone();
            spec.insert("dataSourceRef".to_owned(), source);
        }
        (false, true) if spec["dataSourceRef"].get("namespace").is_none_or(Value::is_null) => {
            let source = spec["dataSourceRef"].clone();
            spec.insert("dataSource".to_owned(), source);
        }
        _ => {}
    }
}
