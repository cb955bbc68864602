//! The data table: a small valid object of each kind, and where the kind is served.

use std::path::Path;

use serde_json::Value;

use super::{Endpoint, Request};

/// A valid object with the place of its kind.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Without its namespace; a name in it holds `$NAME` or `$ADDRESS`, which stand for what is the case's own.
    pub object: Value,
    /// As in paths.
    pub resource: String,
    /// Whether it lives in namespaces.
    pub namespaced: bool,
    /// Such as `status` and `scale`.
    pub subresources: Vec<String>,
    /// Whether objects of it are only ever made, and kept nowhere.
    pub is_review: bool,
    /// Whether controllers write to it as they come by; the file says so with `$driven`.
    pub driven: bool,
}

impl Sample {
    /// Where its collection is.
    pub fn collection(&self, namespace: &str) -> String {
        let version = self.object["apiVersion"].as_str().unwrap_or_default();
        let root = if version.contains('/') { "apis" } else { "api" };
        let place = if self.namespaced { format!("namespaces/{namespace}/") } else { String::new() };
        format!("/{root}/{version}/{place}{}", self.resource)
    }
}

impl Sample {
    /// The sample as the object of this name in a namespace.
    #[must_use]
    pub fn named(&self, name: &str, namespace: &str) -> Self {
        let mut named = self.clone();
        let object = &mut named.object;
        if !self.is_review {
            if object["metadata"]["name"].is_null() {
                object["metadata"]["name"] = Value::from("$NAME");
            }
            object["metadata"]["labels"]["case"] = Value::from("$NAME");
        }
        if self.namespaced {
            object["metadata"]["namespace"] = Value::from(namespace);
        }
        let text = object.to_string().replace("$NAMESPACE", namespace);
        let text = text.replace("$NAME", name).replace("$ADDRESS", &address(name));
        named.object = serde_json::from_str(&text).unwrap_or_default();
        named
    }
}

/// An address that follows from a name.
fn address(name: &str) -> String {
    let sum = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let [_, high, middle, low] = sum.to_be_bytes();
    format!("10.{}.{middle}.{low}", 64 | high & 63)
}

/// All samples in the files of a folder, as a server's discovery knows their kinds.
pub fn samples(folder: &Path, server: &mut Endpoint) -> Result<Vec<Sample>, String> {
    let mut files: Vec<_> = std::fs::read_dir(folder).map_err(|error| error.to_string())?.flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file.path()).map_err(|error| error.to_string())?;
        let objects: Vec<Value> =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.path().display()))?;
        for object in objects {
            found.push(sample(object, server)?);
        }
    }
    Ok(found)
}

fn sample(mut object: Value, server: &mut Endpoint) -> Result<Sample, String> {
    let driven = object.as_object_mut().and_then(|fields| fields.remove("$driven")).is_some();
    let (version, kind) = (object["apiVersion"].as_str().unwrap_or_default(), &object["kind"]);
    let root = if version.contains('/') { "apis" } else { "api" };
    let list = server.ask(&Request::bare("GET", format!("/{root}/{version}")))?.json();
    let rows: Vec<&Value> = list["resources"].as_array().into_iter().flatten().collect();
    let names = |row: &&&Value| row["kind"] == *kind && !row["name"].as_str().unwrap_or("/").contains('/');
    let row = rows.iter().find(names).ok_or_else(|| format!("{version} {kind} is not served"))?;
    let resource = row["name"].as_str().unwrap_or_default().to_owned();
    let below = |row: &&Value| row["name"].as_str()?.strip_prefix(&format!("{resource}/")).map(str::to_owned);
    let subresources = rows.iter().filter_map(below).collect();
    let namespaced = row["namespaced"] == true;
    let is_review = row["verbs"] == serde_json::json!(["create"]);
    Ok(Sample { resource, namespaced, subresources, is_review, driven, object })
}
