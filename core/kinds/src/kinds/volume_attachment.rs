//! VolumeAttachments.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::csi_driver::check_driver_name;
use super::{persistent_volume, persistent_volume_claim};
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{int_at, keep, list_at, str_at};

/// The row of `VolumeAttachment`.
pub static VOLUME_ATTACHMENT: Kind = Kind {
    group: "storage.k8s.io",
    version: "v1",
    kind: "VolumeAttachment",
    plural: "volumeattachments",
    singular: "volumeattachment",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "VolumeAttachment",
        schema: "io.k8s.api.storage.v1.VolumeAttachment",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.storage.v1.VolumeAttachment",
    strategy: &VolumeAttachmentStrategy,
    columns: &[
        NAME,
        Column { format: "name", ..Column::field("Attacher", "io.k8s.api.storage.v1.VolumeAttachmentSpec.attacher") },
        Column::field("PV", "io.k8s.api.storage.v1.VolumeAttachmentSource.persistentVolumeName"),
        Column::field("Node", "io.k8s.api.storage.v1.VolumeAttachmentSpec.nodeName"),
        Column {
            kind: "boolean",
            ..Column::field("Attached", "io.k8s.api.storage.v1.VolumeAttachmentStatus.attached")
        },
        AGE,
    ],
    cells,
    selectable: &[],
};

/// What a driver says of a failure may have this many bytes.
const MESSAGE_MAX: usize = 1024;
/// Fields of a volume that make no sense in one that is written down in place.
const NOT_INLINE: [&str; 4] = ["capacity", "claimRef", "storageClassName", "nodeAffinity"];
const ONE_SOURCE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(o),
        Value::from(str_at(o, "/spec/attacher")),
        Value::from(str_at(o, "/spec/source/persistentVolumeName")),
        Value::from(str_at(o, "/spec/nodeName")),
        Value::from(o.pointer("/status/attached") == Some(&Value::Bool(true))),
        age_of(o, now),
    ]
}

struct VolumeAttachmentStrategy;

impl Strategy for VolumeAttachmentStrategy {
    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({"attached": false});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = ErrorList::new();
        check_source(object, &path.child("source"), &mut errors);
        let node = str_at(object, "/spec/nodeName");
        rules::each(node, names::dns_subdomain(node), &path.child("nodeName"), &mut errors);
        if let Some(volume) = object.pointer("/spec/source/persistentVolumeName").and_then(Value::as_str) {
            let path = path.child("source").child("persistentVolumeName");
            rules::each(volume, names::dns_subdomain(volume), &path, &mut errors);
        }
        check_driver_name(str_at(object, "/spec/attacher"), &path.child("attacher"), &mut errors);
        check_status(object, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        let mut errors = ErrorList::new();
        if update == Update::Main {
            errors.extend(self.validate(new));
            if new.get("spec") != old.get("spec") {
                errors.push(FieldError::invalid(&Path::new("spec"), Value::Null, IMMUTABLE));
            }
        } else {
            check_status(new, &mut errors);
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}

fn check_source(object: &Value, path: &Path, errors: &mut ErrorList) {
    let named = object.pointer("/spec/source/persistentVolumeName").is_some_and(|name| !name.is_null());
    let inline = object.pointer("/spec/source/inlineVolumeSpec").filter(|volume| !volume.is_null());
    match (named, inline) {
        (false, None) => errors.push(FieldError::required(path, ONE_SOURCE)),
        (true, Some(_)) => errors.push(FieldError::forbidden(path, ONE_SOURCE)),
        (true, None) if str_at(object, "/spec/source/persistentVolumeName").is_empty() => {
            let path = path.child("persistentVolumeName");
            errors.push(FieldError::required(&path, "must specify non empty persistentVolumeName"));
        }
        (true, None) => {}
        (false, Some(volume)) => check_inline(volume, &path.child("inlineVolumeSpec"), errors),
    }
}

fn check_inline(volume: &Value, path: &Path, errors: &mut ErrorList) {
    let given = |field: &str| volume.get(field).filter(|value| !value.is_null());
    for field in NOT_INLINE.into_iter().filter(|field| given(field).is_some()) {
        let detail = "may not be specified in the context of inline volumes";
        errors.push(FieldError::forbidden(&path.child(field), detail));
    }
    if given("persistentVolumeReclaimPolicy").is_some_and(|policy| policy != "" && policy != "Retain") {
        let detail = "may only be Retain in the context of inline volumes";
        errors.push(FieldError::forbidden(&path.child("persistentVolumeReclaimPolicy"), detail));
    }
    if given("volumeMode").is_some_and(|mode| mode != "Filesystem") {
        let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
        errors.push(FieldError::forbidden(&path.child("volumeMode"), detail));
    }
    persistent_volume_claim::check_access_modes(volume, &path.child("accessModes"), errors);
    persistent_volume::check_sources(volume, path, errors);
    if volume.get("csi").is_none_or(Value::is_null) {
        let detail = "has to be specified in the context of inline volumes";
        errors.push(FieldError::required(&path.child("csi"), detail));
    }
    if list_at(volume, "/accessModes").is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), ""));
    }
}

fn check_status(object: &Value, errors: &mut ErrorList) {
    for field in ["attachError", "detachError"] {
        if str_at(object, &format!("/status/{field}/message")).len() > MESSAGE_MAX {
            let path = Path::new("status").child(field).child("message");
            errors.push(FieldError::too_long(&path, MESSAGE_MAX));
        }
        if let Some(code) = int_at(object, &format!("/status/{field}/errorCode")) {
            let path = Path::new("status").child(field).child("errorCode");
            rules::within(code, 0, i32::MAX.into(), &path, errors);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_and_no_change() {
        let check = |source: Value| {
            let object = json!({"spec": {"attacher": "a", "nodeName": "n", "source": source}});
            VolumeAttachmentStrategy.validate(&object).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(check(json!({"persistentVolumeName": "pv"})).is_empty());
        assert_eq!(check(json!({})), [format!("spec.source: Required value: {ONE_SOURCE}")]);
        let inline = json!({"inlineVolumeSpec": {"hostPath": {"path": "/x"}, "accessModes": ["ReadWriteOnce"]}});
        let told = "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline \
            volumes";
        assert_eq!(check(inline), [told]);
        let (old, new) = (json!({"spec": {"nodeName": "a"}}), json!({"spec": {"nodeName": "b"}}));
        let errors = VolumeAttachmentStrategy.validate_update(&new, &old, Update::Main);
        assert_eq!(
            errors.last().map(ToString::to_string).as_deref(),
            Some("spec: Invalid value: null: field is immutable")
        );
    }
}
