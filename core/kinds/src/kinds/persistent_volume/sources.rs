//! Where a volume's bytes are.

use serde_json::{Map, Value};

use crate::tree::{child, fill, set_default};

/// Fills in what a volume's source leaves open.
pub fn default(spec: &mut Map<String, Value>) {
    if let Some(path) = child(spec, "hostPath") {
        set_default(path, "type", "");
    }
    if let Some(iscsi) = child(spec, "iscsi") {
        fill(iscsi, "iscsiInterface", "default");
    }
    if let Some(rbd) = child(spec, "rbd") {
        fill(rbd, "pool", "rbd");
        fill(rbd, "user", "admin");
        fill(rbd, "keyring", "/etc/ceph/keyring");
    }
    if let Some(scale) = child(spec, "scaleIO") {
        fill(scale, "storageMode", "ThinProvisioned");
        fill(scale, "fsType", "xfs");
    }
    if let Some(disk) = child(spec, "azureDisk") {
        set_default(disk, "cachingMode", "ReadWrite");
        set_default(disk, "kind", "Shared");
        set_default(disk, "fsType", "ext4");
        set_default(disk, "readOnly", false);
    }
}
