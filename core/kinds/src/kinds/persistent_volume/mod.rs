//! PersistentVolumes.

mod sources;
mod validate;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::sources::{
    HOST_PATH_TYPES, PORTAL_TOO_LONG, check as check_sources, check_driver, check_iscsi,
    check_shared as check_shared_source, default as default_source, is_portal_too_long,
};
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, Path};
use crate::kinds::persistent_volume_claim::{access_modes, class, old_class_warning, or_unset};
use crate::kinds::pod::{self, round_to_milli};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::tree::{child_or_new, fill, keep, list_at, set_default, str_at};

/// The row of `PersistentVolume`.
pub static PERSISTENT_VOLUME: Kind = Kind {
    group: "",
    version: "v1",
    kind: "PersistentVolume",
    plural: "persistentvolumes",
    singular: "persistentvolume",
    version_of: None,
    short_names: &["pv"],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "PersistentVolume",
        schema: "io.k8s.api.core.v1.PersistentVolume",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.core.v1.PersistentVolume",
    strategy: &PersistentVolumeStrategy,
    columns: &[
        NAME,
        Column::field("Capacity", "io.k8s.api.core.v1.PersistentVolumeSpec.capacity"),
        Column::field("Access Modes", "io.k8s.api.core.v1.PersistentVolumeSpec.accessModes"),
        Column::field("Reclaim Policy", "io.k8s.api.core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy"),
        Column::field("Status", "io.k8s.api.core.v1.PersistentVolumeStatus.phase"),
        Column::field("Claim", "io.k8s.api.core.v1.PersistentVolumeSpec.claimRef"),
        Column::text("StorageClass", "StorageClass of the pv"),
        Column::text("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
        Column::field("Reason", "io.k8s.api.core.v1.PersistentVolumeStatus.reason"),
        AGE,
        Column::field("VolumeMode", "io.k8s.api.core.v1.PersistentVolumeSpec.volumeMode").wide(),
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let claim = o.pointer("/spec/claimRef").filter(|claim| !claim.is_null());
    let claim = claim.map(|claim| format!("{}/{}", str_at(claim, "/namespace"), str_at(claim, "/name")));
    let deleted = o.pointer("/metadata/deletionTimestamp").is_some();
    let phase = if deleted { "Terminating" } else { str_at(o, "/status/phase") };
    vec![
        name(o),
        Value::from(str_at(o, "/spec/capacity/storage")),
        Value::from(access_modes(list_at(o, "/spec/accessModes"))),
        Value::from(str_at(o, "/spec/persistentVolumeReclaimPolicy")),
        Value::from(phase),
        Value::from(claim.unwrap_or_default()),
        Value::from(class(o)),
        or_unset(o, "/spec/volumeAttributesClassName"),
        Value::from(str_at(o, "/status/reason")),
        age_of(o, now),
        or_unset(o, "/spec/volumeMode"),
    ]
}

const RECYCLE: &str =
    "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.";
/// Sources that are known and of no use: the field, the name that it is told of by, the releases that deprecated and
/// ended it.
const GONE: &[(&str, &str, &str, &str)] = &[
    ("photonPersistentDisk", "photonPersistentDisk", "v1.11", "v1.16"),
    ("scaleIO", "scaleIO", "v1.16", "v1.22"),
    ("storageos", "storageOS", "v1.22", "v1.25"),
    ("glusterfs", "glusterfs", "v1.25", "v1.26"),
    ("rbd", "rbd", "v1.28", "v1.31"),
    ("cephfs", "cephfs", "v1.28", "v1.31"),
];

struct PersistentVolumeStrategy;

impl Strategy for PersistentVolumeStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let status = child_or_new(object, "status");
        fill(status, "phase", "Pending");
        let spec = child_or_new(object, "spec");
        fill(spec, "persistentVolumeReclaimPolicy", "Retain");
        set_default(spec, "volumeMode", "Filesystem");
        round_to_milli(spec, "capacity");
        sources::default(spec);
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({ "phase": "Pending" });
        if let Some(created) = object.pointer("/metadata/creationTimestamp").cloned() {
            object["status"]["lastPhaseTransitionTime"] = created;
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validate::check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") { ErrorList::new() } else { validate::check_update(new, old) }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings: Vec<String> = old_class_warning(new).into_iter().collect();
        let path = Path::new("spec");
        if str_at(new, "/spec/persistentVolumeReclaimPolicy") == "Recycle" {
            warnings.push(format!("{}: {RECYCLE}", path.child("persistentVolumeReclaimPolicy")));
        }
        let affinity = path.child("nodeAffinity").child("required");
        let required = new.pointer("/spec/nodeAffinity/required").unwrap_or(&Value::Null);
        pod::node_selector_warnings(required, &affinity, &mut warnings);
        let gone = GONE.iter().filter(|(field, ..)| new["spec"].get(field).is_some_and(|source| !source.is_null()));
        warnings.extend(gone.map(|(_, told, release, end)| {
            format!("{}: deprecated in {release}, non-functional in {end}+", path.child(told))
        }));
        warnings
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}
