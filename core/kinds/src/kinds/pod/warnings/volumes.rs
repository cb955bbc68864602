//! Warnings about volumes: sources that no longer work, files in each other's way.

use serde_json::Value;

use crate::field::{Path, quote};
use crate::quantity::Quantity;
use crate::tree::{list_at, str_at};

/// Sources with the names by which they are told of, and what became of them.
const GONE: &[(&str, &str, &str)] = &[
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];
const CLAIM_SIZE: &str = "/ephemeral/volumeClaimTemplate/spec/resources/requests/storage";

/// Warnings about the volumes of a spec.
pub fn all(spec: &Value, list: &Path, warnings: &mut Vec<String>) {
    for (at, volume) in list_at(spec, "/volumes").iter().enumerate() {
        let path = list.index(at);
        for (_, told, what) in GONE.iter().filter(|(source, ..)| volume.get(*source).is_some_and(|v| !v.is_null())) {
            warnings.push(format!("{}: {what}", path.child(told)));
        }
        let size = volume.pointer(CLAIM_SIZE).and_then(Value::as_str).and_then(|text| Quantity::parse(text).ok());
        if let Some(size) = size.filter(|size| !size.is_whole()) {
            let path = path.child("ephemeral").child("volumeClaimTemplate").child("spec").child("resources");
            let path = path.child("requests").key("storage");
            let shown = quote(&size.to_string());
            warnings.push(format!("{path}: fractional byte value {shown} is invalid, must be an integer"));
        }
        overlaps(volume, warnings);
    }
}

/// A file of a volume, with the source that it is from.
struct File<'a> {
    path: &'a str,
    from: String,
}

fn items<'a>(source: &'a Value, from: &str) -> Vec<File<'a>> {
    list_at(source, "/items").iter().map(|item| File { path: str_at(item, "/path"), from: from.to_owned() }).collect()
}

fn overlaps(volume: &Value, warnings: &mut Vec<String>) {
    let name = quote(str_at(volume, "/name"));
    let given = |source: &str| volume.get(source).filter(|value| !value.is_null());
    for (source, title, field) in
        [("secret", "Secret", "/secretName"), ("configMap", "ConfigMap", "/name"), ("downwardAPI", "DownwardAPI", "")]
    {
        let Some(value) = given(source) else { continue };
        let of = if field.is_empty() { String::new() } else { format!(" {}", quote(str_at(value, field))) };
        let head = format!("volume {name} ({title}{of})");
        compare(&head, &items(value, ""), warnings);
    }
    let Some(projected) = given("projected") else { return };
    let head = format!("volume {name} (Projected)");
    let mut files = Vec::new();
    for source in list_at(projected, "/sources") {
        if source.as_object().is_none_or(|all| all.values().all(Value::is_null)) {
            warnings.push(format!("{head} has no sources provided"));
        }
        files.extend(projection(source));
    }
    compare(&head, &files, warnings);
}

fn projection(source: &Value) -> Vec<File<'_>> {
    let mut files = Vec::new();
    for (field, title) in [("secret", "Secret"), ("configMap", "ConfigMap")] {
        if let Some(value) = source.get(field).filter(|value| !value.is_null()) {
            files.extend(items(value, &format!("{title} {}", quote(str_at(value, "/name")))));
        }
    }
    if let Some(value) = source.get("downwardAPI") {
        files.extend(items(value, "DownwardAPI"));
    }
    let single = [
        ("/serviceAccountToken/path", "ServiceAccountToken"),
        ("/clusterTrustBundle/path", "ClusterTrustBundle"),
        ("/podCertificate/credentialBundlePath", "PodCertificate"),
        ("/podCertificate/keyPath", "PodCertificate"),
        ("/podCertificate/certificateChainPath", "PodCertificate"),
    ];
    let paths = single.iter().map(|(at, title)| (str_at(source, at), *title)).filter(|(path, _)| !path.is_empty());
    files.extend(paths.map(|(path, title)| File { path, from: title.to_owned() }));
    files
}

/// Tells of each two files of which one is the other, or in it.
fn compare(head: &str, files: &[File<'_>], warnings: &mut Vec<String>) {
    let inside = |file: &str, folder: &str| {
        file == folder || file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/') && !folder.is_empty())
    };
    for (at, file) in files.iter().enumerate() {
        for other in &files[..at] {
            let (a, b) = (file.path.trim_end_matches('/'), other.path.trim_end_matches('/'));
            if !inside(a, b) && !inside(b, a) {
                continue;
            }
            let show = |file: &File<'_>| {
                let from = if file.from.is_empty() { String::new() } else { format!(" ({})", file.from) };
                format!("{}{from}", quote(file.path))
            };
            let (file, other) = if inside(a, b) { (file, other) } else { (other, file) };
            warnings.push(format!("{head}: overlapping paths: {} with {}", show(file), show(other)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_in_each_others_way() {
        let volume = json!({"name": "v", "projected": {"sources": [
            {"configMap": {"name": "s", "items": [{"key": "a", "path": "p"}]}},
            {"downwardAPI": {"items": [{"path": "p/q"}]}}, {}]}});
        let mut warnings = Vec::new();
        all(&json!({"volumes": [volume]}), &Path::new("spec.volumes"), &mut warnings);
        assert_eq!(
            warnings,
            [
                "volume \"v\" (Projected) has no sources provided",
                "volume \"v\" (Projected): overlapping paths: \"p/q\" (DownwardAPI) with \"p\" (ConfigMap \"s\")",
            ]
        );
    }
}
