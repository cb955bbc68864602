//! Where a volume's bytes are: what each kind of source leaves open, must say, and may not.

use serde_json::{Map, Value};

use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules;
use crate::tree::{child, fill, int_at, list_at, map_at, set_default, str_at};

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

/// One kind of source: its field, what it must say, and what else is checked of it.
struct Source {
    field: &'static str,
    required: &'static [&'static str],
    check: fn(&Value, &Path, &mut ErrorList),
}

const fn plain(field: &'static str, required: &'static [&'static str]) -> Source {
    Source { field, required, check: |_, _, _| {} }
}

const fn checked(
    field: &'static str,
    required: &'static [&'static str],
    check: fn(&Value, &Path, &mut ErrorList),
) -> Source {
    Source { field, required, check }
}

/// The kinds of source, in the order in which they are looked at.
const SOURCES: &[Source] = &[
    checked("hostPath", &["path"], check_host_path),
    checked("gcePersistentDisk", &["pdName"], check_partition),
    checked("awsElasticBlockStore", &["volumeID"], check_partition),
    checked("glusterfs", &["endpoints", "path"], check_glusterfs),
    checked("flocker", &[], check_flocker),
    checked("nfs", &["server", "path"], check_nfs),
    checked("rbd", &[], check_rbd),
    checked("quobyte", &[], check_quobyte),
    checked("cephfs", &[], check_monitors),
    checked("iscsi", &["targetPortal", "iqn"], |source, path, errors| {
        check_iscsi(source, ISCSI_FORM, true, path, errors)
    }),
    plain("cinder", &["volumeID"]),
    checked("fc", &[], check_fc),
    checked("flexVolume", &["driver"], check_flex),
    checked("azureFile", &["secretName", "shareName"], check_azure_file),
    plain("vsphereVolume", &["volumePath"]),
    plain("photonPersistentDisk", &["pdID"]),
    plain("portworxVolume", &["volumeID"]),
    checked("azureDisk", &["diskName", "diskURI"], check_azure_disk),
    plain("scaleIO", &["gateway", "system", "volumeName"]),
    checked("local", &["path"], check_local),
    checked("storageos", &["volumeName"], check_storageos),
    checked("csi", &["driver", "volumeHandle"], check_csi),
];

/// The fields of a spec that are sources.
pub fn fields() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|source| source.field)
}

/// Checks that a volume has one source, and that it is sound.
pub fn check(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let given = |source: &&Source| spec.get(source.field).is_some_and(|value| !value.is_null());
    let mut sources = SOURCES.iter().filter(given);
    let Some(source) = sources.next() else {
        errors.push(FieldError::required(path, "must specify a volume type"));
        return;
    };
    check_one(source, &spec[source.field], path, errors);
    if matches!(source.field, "cinder" | "storageos") {
        check_secret(&spec[source.field], "secretRef", false, &path.child(source.field), errors);
    }
    for other in sources {
        errors.push(FieldError::forbidden(&path.child(other.field), "may not specify more than 1 volume type"));
    }
}

/// Checks a source that pods have too.
pub fn check_shared(field: &str, value: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(source) = SOURCES.iter().find(|source| source.field == field) {
        check_one(source, value, path, errors);
    }
}

fn check_one(source: &Source, value: &Value, path: &Path, errors: &mut ErrorList) {
    // wire: this one source is told of by another name.
    let told = if source.field == "gcePersistentDisk" { "persistentDisk" } else { source.field };
    let place = path.child(told);
    for field in source.required {
        rules::required(str_at(value, &format!("/{field}")), &place.child(field), errors);
    }
    (source.check)(value, &place, errors);
}

/// wire: said of a volume whose name and portal are too long together.
pub const PORTAL_TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
    iscsi.initiatorName is specified.";
/// Characters of the name of a volume and its portal together.
const PORTAL_MAX: usize = 64;

/// Whether a volume of that name and its portal are too long together, where an initiator is named.
pub fn is_portal_too_long(volume: &str, iscsi: &Value) -> bool {
    !str_at(iscsi, "/initiatorName").is_empty() && volume.len() + 1 + str_at(iscsi, "/targetPortal").len() > PORTAL_MAX
}

/// What a path of the node may be.
pub const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

fn check_host_path(source: &Value, path: &Path, errors: &mut ErrorList) {
    no_backsteps(str_at(source, "/path"), &path.child("path"), errors);
    if let Some(kind) = source.get("type").and_then(Value::as_str) {
        rules::one_of(kind, HOST_PATH_TYPES, &path.child("type"), errors);
    }
}

fn check_local(source: &Value, path: &Path, errors: &mut ErrorList) {
    no_backsteps(str_at(source, "/path"), &path.child("path"), errors);
}

fn no_backsteps(text: &str, path: &Path, errors: &mut ErrorList) {
    if text.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, text, "must not contain '..'"));
    }
}

fn check_partition(source: &Value, path: &Path, errors: &mut ErrorList) {
    let partition = int_at(source, "/partition").unwrap_or(0);
    if !(0..=255).contains(&partition) {
        let detail = "must be between 1 and 255, inclusive";
        errors.push(FieldError::invalid(&path.child("partition"), partition, detail));
    }
}

fn check_lun(source: &Value, path: &Path, errors: &mut ErrorList) {
    rules::within(int_at(source, "/lun").unwrap_or(0), 0, 255, &path.child("lun"), errors);
}

fn check_glusterfs(source: &Value, path: &Path, errors: &mut ErrorList) {
    let path = path.child("endpointsNamespace");
    match source.get("endpointsNamespace").and_then(Value::as_str) {
        None => {}
        Some("") => {
            let detail = "if the endpointnamespace is set, it must be a valid namespace name";
            errors.push(FieldError::invalid(&path, "", detail));
        }
        Some(namespace) => rules::each(namespace, names::dns_label(namespace), &path, errors),
    }
}

fn check_flocker(source: &Value, path: &Path, errors: &mut ErrorList) {
    let (name, uuid) = (str_at(source, "/datasetName"), str_at(source, "/datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.push(FieldError::required(path, "one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(FieldError::invalid(path, "resource", detail));
    }
    if name.contains('/') {
        errors.push(FieldError::invalid(&path.child("datasetName"), name, "must not contain '/'"));
    }
}

fn check_nfs(source: &Value, path: &Path, errors: &mut ErrorList) {
    let exported = str_at(source, "/path");
    if !exported.starts_with('/') {
        errors.push(FieldError::invalid(&path.child("path"), exported, "must be an absolute path"));
    }
}

fn check_monitors(source: &Value, path: &Path, errors: &mut ErrorList) {
    if list_at(source, "/monitors").is_empty() {
        errors.push(FieldError::required(&path.child("monitors"), ""));
    }
}

fn check_rbd(source: &Value, path: &Path, errors: &mut ErrorList) {
    check_monitors(source, path, errors);
    rules::required(str_at(source, "/image"), &path.child("image"), errors);
}

const TENANT_MAX: usize = 65;

fn check_quobyte(source: &Value, path: &Path, errors: &mut ErrorList) {
    let (registry, tenant) = (str_at(source, "/registry"), str_at(source, "/tenant"));
    let detail = "must be a host:port pair or multiple pairs separated by commas";
    if registry.is_empty() {
        errors.push(FieldError::required(&path.child("registry"), detail));
    } else if tenant.len() >= TENANT_MAX {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(FieldError::required(&path.child("tenant"), detail));
    } else if registry.split(',').any(|pair| !is_host_and_port(pair)) {
        errors.push(FieldError::invalid(&path.child("registry"), registry, detail));
    }
    rules::required(str_at(source, "/volume"), &path.child("volume"), errors);
}

fn is_host_and_port(pair: &str) -> bool {
    pair.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.starts_with('['))
}

const ISCSI_FORM: &str = "must be valid format";

/// Checks a target; `form` says what names must be like, and `named` that its Secret must have a name.
pub fn check_iscsi(source: &Value, form: &str, named: bool, path: &Path, errors: &mut ErrorList) {
    let iqn = str_at(source, "/iqn");
    if !iqn.is_empty() && !is_qualified_iscsi(iqn) {
        errors.push(FieldError::invalid(&path.child("iqn"), iqn, form));
    }
    check_lun(source, path, errors);
    let secured = ["chapAuthDiscovery", "chapAuthSession"].iter().any(|chap| source[chap] == true);
    match source.get("secretRef").filter(|secret| !secret.is_null()) {
        None if secured => errors.push(FieldError::required(&path.child("secretRef"), "")),
        Some(secret) if named => {
            rules::required(str_at(secret, "/name"), &path.child("secretRef").child("name"), errors);
        }
        _ => {}
    }
    if let Some(name) = source.get("initiatorName").and_then(Value::as_str)
        && !is_qualified_iscsi(name)
    {
        // wire: spelt so.
        errors.push(FieldError::invalid(&path.child("initiatorname"), name, form));
    }
}

/// A name of a target or initiator: `iqn.YEAR-MONTH.domain:name`, `eui.` and 16 or `naa.` and 32 characters.
fn is_qualified_iscsi(name: &str) -> bool {
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|c| c.is_ascii_alphanumeric());
    let iqn = |rest: &str| {
        let (date, rest) = rest.split_once('.')?;
        let (year, month) = date.split_once('-')?;
        let (domain, own) = rest.split_once(':')?;
        let digits = |text: &str, length| text.len() == length && text.bytes().all(|c| c.is_ascii_digit());
        let host = !domain.is_empty() && domain.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.".contains(&c));
        let own = !own.is_empty() && !own.contains(|c: char| ",;*&$|".contains(c) || c.is_whitespace());
        (digits(year, 4) && digits(month, 2) && host && own).then_some(())
    };
    match name.split_at_checked(4) {
        Some(("iqn.", rest)) => iqn(rest).is_some(),
        Some(("eui.", rest)) => hex(rest, 16),
        Some(("naa.", rest)) => hex(rest, 32),
        _ => false,
    }
}

fn check_fc(source: &Value, path: &Path, errors: &mut ErrorList) {
    let (names, ids) = (list_at(source, "/targetWWNs"), list_at(source, "/wwids"));
    let targets = path.child("targetWWNs");
    if names.is_empty() && ids.is_empty() {
        errors.push(FieldError::required(&targets, "must specify either targetWWNs or wwids, but not both"));
    }
    if !names.is_empty() && !ids.is_empty() {
        let detail = "targetWWNs and wwids can not be specified simultaneously";
        errors.push(FieldError::invalid(&targets, names.to_vec(), detail));
    }
    if !names.is_empty() {
        match int_at(source, "/lun") {
            None => errors.push(FieldError::required(&path.child("lun"), "lun is required if targetWWNs is specified")),
            Some(_) => check_lun(source, path, errors),
        }
    }
}

fn check_flex(source: &Value, path: &Path, errors: &mut ErrorList) {
    let reserved = |domain: &str| {
        ["kubernetes.io", "k8s.io"].iter().any(|own| domain == *own || domain.ends_with(&format!(".{own}")))
    };
    for (option, _) in map_at(source, "/options") {
        if option.split_once('/').is_some_and(|(domain, _)| reserved(domain)) {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(FieldError::invalid(&path.child("options").key(option), option.as_str(), detail));
        }
    }
}

fn check_azure_file(source: &Value, path: &Path, errors: &mut ErrorList) {
    if source.get("secretNamespace").and_then(Value::as_str) == Some("") {
        errors.push(FieldError::required(&path.child("secretNamespace"), ""));
    }
}

const MANAGED_DISK: &str =
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
const BLOB_DISK: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";

fn check_azure_disk(source: &Value, path: &Path, errors: &mut ErrorList) {
    let (uri, kind) = (str_at(source, "/diskURI"), str_at(source, "/kind"));
    let caching = str_at(source, "/cachingMode");
    rules::one_of(caching, &["None", "ReadOnly", "ReadWrite"], &path.child("cachingMode"), errors);
    rules::one_of(kind, &["Dedicated", "Managed", "Shared"], &path.child("kind"), errors);
    let managed = kind == "Managed";
    let fits = if managed { uri.starts_with("/subscriptions/") } else { uri.starts_with("https://") };
    if !fits {
        let shape = if managed { MANAGED_DISK } else { BLOB_DISK };
        errors.push(FieldError::not_supported(&path.child("diskURI"), uri, &[shape]));
    }
}

fn check_storageos(source: &Value, path: &Path, errors: &mut ErrorList) {
    for field in ["volumeName", "volumeNamespace"] {
        let text = str_at(source, &format!("/{field}"));
        if !text.is_empty() {
            rules::each(text, names::dns_label(text), &path.child(field), errors);
        }
    }
}

const DRIVER_MAX: usize = 63;

fn check_csi(source: &Value, path: &Path, errors: &mut ErrorList) {
    check_driver(str_at(source, "/driver"), &path.child("driver"), errors);
    for field in
        ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"]
    {
        check_secret(source, field, true, path, errors);
    }
}

/// Checks the name of a driver.
pub fn check_driver(driver: &str, path: &Path, errors: &mut ErrorList) {
    if driver.len() > DRIVER_MAX {
        errors.push(FieldError::too_long(path, DRIVER_MAX));
    }
    if !driver.is_empty() {
        rules::each(driver, names::dns_subdomain(&driver.to_lowercase()), path, errors);
    }
}

/// Checks a reference to a Secret: both its parts are there, and with `strict` they are names.
fn check_secret(source: &Value, field: &str, strict: bool, path: &Path, errors: &mut ErrorList) {
    let Some(secret) = source.get(field).filter(|secret| !secret.is_null()) else { return };
    let path = path.child(field);
    for (part, rule) in [("name", names::dns_subdomain as fn(&str) -> Vec<String>), ("namespace", names::dns_label)] {
        let text = str_at(secret, &format!("/{part}"));
        rules::required(text, &path.child(part), errors);
        if strict && !text.is_empty() {
            rules::each(text, rule(text), &path.child(part), errors);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_has_one_source() {
        let check = |spec: Value, expected: &[&str]| {
            let mut errors = ErrorList::new();
            super::check(&spec, &Path::new("spec"), &mut errors);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        };
        check(json!({}), &["spec: Required value: must specify a volume type"]);
        check(json!({"nfs": {"server": "a", "path": "/b"}}), &[]);
        check(
            json!({"hostPath": {"path": "/x"}, "nfs": {}}),
            &["spec.nfs: Forbidden: may not specify more than 1 volume type"],
        );
        check(
            json!({"hostPath": {"path": "/a/../b"}}),
            &["spec.hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"],
        );
        check(
            json!({"csi": {"driver": "a.b", "nodePublishSecretRef": {"name": "a"}}}),
            &["spec.csi.volumeHandle: Required value", "spec.csi.nodePublishSecretRef.namespace: Required value"],
        );
    }

    #[test]
    fn iscsi_names() {
        for good in ["iqn.2001-04.com.example:storage", "eui.02004567A425678D", "naa.62004567BA64678D0123456789ABCDEF"]
        {
            assert!(is_qualified_iscsi(good), "{good}");
        }
        for bad in ["x", "iqn.x", "eui.0200", "iqn.2001-04.com.example", "iqn.2001-04.com.example:a b"] {
            assert!(!is_qualified_iscsi(bad), "{bad}");
        }
    }
}
