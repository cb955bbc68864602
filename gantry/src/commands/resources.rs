//! Finds what a user means by `deploy`, `pods.v1` or `pods/web-0`, by the server's own discovery.

use anyhow::{Context, Result, bail};
use gantry_client::Client;
use serde_json::Value;

use super::get::escape;

/// One resource that the server serves.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    pub root: String,
    /// `v1` or `GROUP/VERSION`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Plural name, as in paths.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    names: Vec<String>,
}

impl Resource {
    /// Path of the collection, or of one object.
    pub fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = self.root.clone();
        if let (true, Some(namespace)) = (self.namespaced, namespace) {
            path.push_str(&format!("/namespaces/{}", escape(namespace)));
        }
        path.push_str(&format!("/{}", self.plural));
        if let Some(name) = name {
            path.push_str(&format!("/{}", escape(name)));
        }
        path
    }
}

/// Everything that the server serves, in its order of preference.
pub async fn discover(client: &Client) -> Result<Vec<Resource>> {
    let mut found = Vec::new();
    read_list(client, "/api/v1", "v1", &mut found).await?;
    let groups = client.get("/apis").await.context("asking the server for its groups")?;
    for group in groups["groups"].as_array().into_iter().flatten() {
        for version in group["versions"].as_array().into_iter().flatten() {
            let version = version["groupVersion"].as_str().unwrap_or_default();
            read_list(client, &format!("/apis/{version}"), version, &mut found).await?;
        }
    }
    Ok(found)
}

async fn read_list(client: &Client, root: &str, api_version: &str, found: &mut Vec<Resource>) -> Result<()> {
    let list = client.get(root).await.with_context(|| format!("asking the server what is in {root}"))?;
    for entry in list["resources"].as_array().into_iter().flatten() {
        let plural = entry["name"].as_str().unwrap_or_default();
        if plural.contains('/') {
            continue;
        }
        let kind = entry["kind"].as_str().unwrap_or_default();
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let mut names = vec![plural.to_owned(), kind.to_lowercase(), format!("{plural}.{group}")];
        names.extend(entry["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
        found.push(Resource {
            root: root.to_owned(),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced: entry["namespaced"].as_bool().unwrap_or_default(),
            names,
        });
    }
    Ok(())
}

/// The resource that a user's word means.
pub fn find<'a>(resources: &'a [Resource], word: &str) -> Result<&'a Resource> {
    let word = word.to_lowercase();
    let found = resources.iter().find(|r| r.names.contains(&word));
    found.with_context(|| format!("the server does not have a resource type {word:?}"))
}

/// The resource of an object's `apiVersion` and `kind`.
pub fn of_object<'a>(resources: &'a [Resource], object: &Value) -> Result<&'a Resource> {
    let (version, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
    let (Some(version), Some(kind)) = (version, kind) else {
        bail!("an object must have apiVersion and kind");
    };
    let found = resources.iter().find(|r| r.api_version == version && r.kind == kind);
    found.with_context(|| format!("no matches for kind {kind:?} in version {version:?}"))
}

/// Splits `pods/web-0` into its parts; a name given separately comes second.
pub fn split<'a>(resource: &'a str, name: Option<&'a str>) -> Result<(&'a str, Option<&'a str>)> {
    match (resource.split_once('/'), name) {
        (Some((resource, inner)), None) => Ok((resource, Some(inner))),
        (None, name) => Ok((resource, name)),
        (Some(_), Some(_)) => bail!("name an object as TYPE/NAME or as TYPE NAME, not as both"),
    }
}
