//! Whether another server answers, and what it serves.

use std::sync::Arc;

use gantry_cluster::Cluster;
use serde_json::Value;

use super::{Aggregation, Behind, Contents};
use crate::discovery::catalog::{Resource, Subresource};
use crate::limits::AGGREGATED_CHECK;
use crate::tunnel::Tunnels;

/// What was found: what it serves, or why it does not, as a condition's reason and message.
pub(super) type Verdict = Result<Arc<Contents>, (&'static str, String)>;

impl Aggregation {
    /// Asks the server behind an APIService; `before` is what it said last.
    pub(super) async fn check(
        &self,
        cluster: &Cluster,
        tunnels: &Tunnels,
        behind: &Behind,
        before: Option<&Arc<Contents>>,
    ) -> Verdict {
        let url = {
            let view = cluster.view();
            behind.look(&view)?;
            behind.url(&view)
        };
        let failed = |why: String| ("FailedDiscoveryCheck", format!("failing or missing response from {url}: {why}"));
        let asking = self.contents(cluster, tunnels, behind, before);
        match tokio::time::timeout(AGGREGATED_CHECK, asking).await {
            Ok(Ok(contents)) => Ok(contents),
            Ok(Err(Unanswered::Status(code))) => Err(failed(format!("bad status from {url}: {code}"))),
            Ok(Err(Unanswered::Because(why))) => Err(failed(format!("Get {url:?}: {why}"))),
            Err(_) => Err(failed(format!("Get {url:?}: context deadline exceeded"))),
        }
    }

    async fn contents(
        &self,
        cluster: &Cluster,
        tunnels: &Tunnels,
        behind: &Behind,
        before: Option<&Arc<Contents>>,
    ) -> Result<Arc<Contents>, Unanswered> {
        let list = self.document(cluster, tunnels, behind, &behind.path()).await?;
        let resources = resources(&list);
        // Older servers have no OpenAPI 3; clients do without, as they do there.
        let index = self.document(cluster, tunnels, behind, "/openapi/v3").await.unwrap_or(Value::Null);
        let url = index["paths"][&behind.path()[1..]]["serverRelativeURL"].as_str().unwrap_or_default().to_owned();
        if let Some(before) = before.filter(|before| before.tag == url && before.resources == resources) {
            return Ok(before.clone());
        }
        let document = match url.as_str() {
            "" => None,
            url => self.document(cluster, tunnels, behind, url).await.ok(),
        };
        Ok(Arc::new(Contents { resources, document, tag: url }))
    }

    async fn document(
        &self,
        cluster: &Cluster,
        tunnels: &Tunnels,
        behind: &Behind,
        target: &str,
    ) -> Result<Value, Unanswered> {
        let (code, bytes) = self.fetch(cluster, tunnels, behind, target).await.map_err(Unanswered::Because)?;
        match code {
            200..=299 => serde_json::from_slice(&bytes).map_err(|error| Unanswered::Because(error.to_string())),
            code => Err(Unanswered::Status(code)),
        }
    }
}

/// Why there is no document.
enum Unanswered {
    Status(u16),
    Because(String),
}

/// The rows of an `APIResourceList`, those of subresources below their resource.
fn resources(list: &Value) -> Vec<Resource> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let texts = |row: &Value, key: &str| {
        row[key].as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    let rows: Vec<&Value> = list["resources"].as_array().into_iter().flatten().collect();
    let mut resources: Vec<Resource> = Vec::new();
    for row in rows.iter().filter(|row| !text(row, "name").contains('/')) {
        resources.push(Resource {
            plural: text(row, "name"),
            singular: text(row, "singularName"),
            kind: text(row, "kind"),
            namespaced: row["namespaced"] == true,
            verbs: texts(row, "verbs"),
            short_names: texts(row, "shortNames"),
            categories: texts(row, "categories"),
            storage_hash: text(row, "storageVersionHash"),
            ..Resource::default()
        });
    }
    for row in rows {
        let name = text(row, "name");
        let Some((plural, below)) = name.split_once('/') else { continue };
        let Some(resource) = resources.iter_mut().find(|resource| resource.plural == plural) else { continue };
        let (group, version) = (text(row, "group"), text(row, "version"));
        resource.subresources.push(Subresource {
            name: below.to_owned(),
            group_version: (!version.is_empty()).then_some((group, version)),
            kind: text(row, "kind"),
            verbs: texts(row, "verbs"),
        });
    }
    resources.sort_by(|a, b| a.plural.cmp(&b.plural));
    resources
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn subresources_go_below_their_resource() {
        let list = json!({"resources": [
            {"name": "flunders/status", "kind": "Flunder", "namespaced": true, "verbs": ["get"]},
            {"name": "flunders", "singularName": "flunder", "kind": "Flunder", "namespaced": true, "verbs": ["list"],
                "shortNames": ["fl"]},
            {"name": "gone/scale", "kind": "Scale", "verbs": []}]});
        let found = resources(&list);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].singular.as_str(), found[0].short_names[0].as_str()), ("flunder", "fl"));
        assert_eq!(found[0].subresources[0].name, "status");
    }
}
