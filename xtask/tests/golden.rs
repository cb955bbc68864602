//! Every object of upstream's golden files, from JSON to the binary form and back, byte for byte.
//!
//! The files are none of this project: GANTRY_UPSTREAM_DATA names their folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use gantry_schema::Schema;
use gantry_schema::protobuf;
use gantry_schema::prune::prune;
use serde_json::Value;

/// The folder of the golden files, if they are there.
fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/kubernetes-1.37");
    let data = std::env::var_os("GANTRY_UPSTREAM_DATA").map_or(beside, PathBuf::from);
    Some(data.join("golden")).filter(|folder| folder.is_dir())
}

/// The type of the object, if its kind is served.
fn type_of(schema: &Schema, object: &Value) -> Option<String> {
    let api_version = object["apiVersion"].as_str()?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = object["kind"].as_str()?;
    let is = |k: &gantry_schema::GroupVersionKind| k.group == group && k.version == version && k.kind == kind;
    schema.types().find(|known| known.kinds.iter().any(is)).map(|known| known.name.clone())
}

#[test]
fn golden_objects_are_written_and_read_as_upstream_does() {
    let Some(folder) = folder() else {
        // Written past the capture of tests, so that whoever runs them sees it.
        let words = b"SKIPPED: there are no golden files; GANTRY_UPSTREAM_DATA names their folder\n";
        std::io::stderr().write_all(words).expect("standard error");
        return;
    };
    let schema = Schema::builtin();
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read(&path).expect("the file");
        let object: Value = serde_json::from_slice(&text).expect("JSON");
        let Some(type_name) = type_of(schema, &object) else { continue };
        let binary = std::fs::read(path.with_extension("pb")).expect("the binary file");
        seen += 1;
        let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let encoded = protobuf::encode(schema, &type_name, &object).expect("a type");
        if encoded != binary {
            let at = encoded.iter().zip(&binary).take_while(|(a, b)| a == b).count();
            let shown = |bytes: &[u8]| {
                String::from_utf8_lossy(&bytes[at.saturating_sub(30).min(bytes.len())..(at + 30).min(bytes.len())])
                    .into_owned()
            };
            wrong.push(format!(
                "{name}: differs at {at} of {}/{}: {:?} {:?}",
                encoded.len(),
                binary.len(),
                shown(&encoded),
                shown(&binary)
            ));
            continue;
        }
        let mut decoded = protobuf::decode(schema, &type_name, &binary).expect("a message");
        prune(schema, &type_name, &mut decoded);
        if decoded != object {
            wrong.push(format!("{name}: read as {decoded}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {seen} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen > 50, "only {seen} golden objects of kinds that are served");
}
