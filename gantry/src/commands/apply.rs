//! `gantry apply`: server-side apply of files.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gantry_client::PatchKind;
use serde_json::Value;

use super::resources::{Resource, discover, of_object};
use super::target;
use crate::cli::Apply;
use crate::output::say;

/// Who gantry's own commands are among an object's managers.
const FIELD_MANAGER: &str = "gantry";

/// Applies every object of the files, in their order; goes on after a refusal and then exits with 1.
pub async fn apply(flags: Apply) -> Result<u8> {
    let objects = read_objects(&flags.files)?;
    if objects.is_empty() {
        bail!("the files hold no objects");
    }
    let client = target::client(&flags.target)?;
    let resources = discover(&client).await?;
    let mut failed = false;
    for object in &objects {
        let resource = of_object(&resources, object)?;
        match apply_one(&client, resource, object, &flags).await {
            Ok(line) => say!("{line}"),
            Err(error) => {
                eprintln!("error: {error:#}");
                failed = true;
            }
        }
    }
    Ok(u8::from(failed))
}

async fn apply_one(
    client: &gantry_client::Client,
    resource: &Resource,
    object: &Value,
    flags: &Apply,
) -> Result<String> {
    let name = object["metadata"]["name"].as_str().context("metadata.name: Required value")?;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&flags.target.namespace);
    let mut path = resource.path(Some(namespace), Some(name));
    path.push_str(&format!("?fieldManager={FIELD_MANAGER}&fieldValidation=Strict&force={}", flags.force_conflicts));
    if flags.dry_run {
        path.push_str("&dryRun=All");
    }
    let subject = format!("{}/{name}", resource.kind.to_lowercase());
    client.patch(&path, PatchKind::Apply, object).await.with_context(|| subject.clone())?;
    Ok(format!("{subject} applied{}", if flags.dry_run { " (dry run)" } else { "" }))
}

/// The objects of files, folders and standard input; Lists are taken apart.
pub fn read_objects(files: &[PathBuf]) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for file in files {
        if file.is_dir() {
            let mut inner: Vec<_> =
                std::fs::read_dir(file)?.collect::<Result<Vec<_>, _>>()?.iter().map(|e| e.path()).collect();
            inner.sort();
            for path in inner.iter().filter(|p| is_manifest(p)) {
                read_file(path, &mut objects)?;
            }
        } else {
            read_file(file, &mut objects)?;
        }
    }
    Ok(objects)
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

fn read_file(path: &Path, objects: &mut Vec<Value>) -> Result<()> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
        text
    } else {
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?
    };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).with_context(|| format!("{} is not YAML", path.display()))?;
    for document in documents {
        match document {
            Value::Null => {}
            Value::Object(ref map) if map.get("kind").is_some_and(|k| k == "List") => {
                objects.extend(map.get("items").and_then(Value::as_array).into_iter().flatten().cloned());
            }
            document => objects.push(document),
        }
    }
    Ok(())
}
