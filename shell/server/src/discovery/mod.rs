//! Discovery: which groups, versions and resources there are, derived from the kind table and the definitions of
//! custom resources; one document for each path, and the aggregated form.

pub(crate) mod catalog;

use std::sync::Arc;

use gantry_cluster::Cluster;
use gantry_view::View;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

use self::catalog::{Catalog, Resource, Version};
use crate::Refusal;
use crate::aggregation::Aggregation;
use crate::negotiate::{Accepted, Format, Offer, accept, for_refusals, wants_aggregated_discovery};
use crate::query::Query;
use crate::respond::{self, Answer};

/// How the aggregated form is called in a format.
fn aggregated_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        Format::Yaml => "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        Format::Protobuf => "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    }
}

/// What is served, as of some definitions.
pub(crate) struct Served {
    /// Tells these definitions and other servers from all others.
    pub of: (usize, u64, u64),
    pub catalog: Catalog,
}

/// The catalog of what is served, made anew when the definitions of custom resources have changed.
#[derive(Default)]
pub(crate) struct Discovery {
    last: Mutex<Arc<Served>>,
}

impl Default for Served {
    fn default() -> Self {
        Served { of: (usize::MAX, 0, 0), catalog: Catalog::default() }
    }
}

impl Discovery {
    /// What is served now, here and by others.
    pub(crate) fn served(&self, cluster: &Cluster, aggregation: &Aggregation) -> Arc<Served> {
        let remotes = aggregation.remotes();
        let view = cluster.view();
        let (count, newest) = fingerprint(&view);
        let of = (count, newest, remotes.generation);
        let mut last = self.last.lock();
        if last.of != of {
            *last = Arc::new(Served { of, catalog: Catalog::of(&view, &remotes) });
        }
        last.clone()
    }
}

/// How many definitions of custom resources there are, and the newest revision of one: no two states share both.
fn fingerprint(view: &View) -> (usize, u64) {
    let definitions = catalog::definitions().into_iter().flat_map(|kind| view.list(kind, None));
    definitions.fold((0, 0), |(count, newest), definition| (count + 1, newest.max(definition.header.revision)))
}

impl Served {
    /// `/api` and `/apis`, in the form that the client prefers.
    pub(crate) fn root(
        &self,
        core: bool,
        advertise: &str,
        headers: &HeaderMap,
        query: &Query,
    ) -> Result<Answer, Refusal> {
        if let Some(format) = wants_aggregated_discovery(headers) {
            let accepted = Accepted { format, ..for_refusals(headers, query) };
            return Ok(aggregated(&self.aggregated(core), headers, &accepted));
        }
        let accepted = accept(headers, query, Offer::DOCUMENTS)?;
        let body = if core { api_versions(advertise) } else { self.groups() };
        Ok(respond::value(200, &body, &accepted))
    }

    /// `/apis/GROUP`.
    pub(crate) fn group(&self, group: &str, accepted: &Accepted) -> Option<Answer> {
        let (name, versions) = self.catalog.groups().find(|(name, _)| *name == group && !name.is_empty())?;
        let mut body = group_value(name, versions);
        body["kind"] = Value::from("APIGroup");
        body["apiVersion"] = Value::from("v1");
        Some(respond::value(200, &body, accepted))
    }

    /// `/api/v1` and `/apis/GROUP/VERSION`.
    pub(crate) fn resources(&self, group: &str, version: &str, accepted: &Accepted) -> Option<Answer> {
        let version = self.catalog.version(group, version)?;
        let rows: Vec<Value> = version.resources.iter().flat_map(legacy_rows).collect();
        let mut body = json!({"kind": "APIResourceList", "groupVersion": version.group_version(), "resources": rows});
        // wire: upstream leaves the version out for the core group.
        if !group.is_empty() {
            body["apiVersion"] = Value::from("v1");
        }
        Some(respond::value(200, &body, accepted))
    }

    fn groups(&self) -> Value {
        let groups = self.catalog.groups().filter(|(name, _)| !name.is_empty());
        let groups: Vec<Value> = groups.map(|(name, versions)| group_value(name, versions)).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    fn aggregated(&self, core: bool) -> Value {
        let groups = self.catalog.groups().filter(|(name, _)| name.is_empty() == core);
        let items: Vec<Value> = groups
            .map(|(name, versions)| {
                let metadata = if name.is_empty() { json!({}) } else { json!({"name": name}) };
                let versions: Vec<Value> = versions.iter().map(aggregated_version).collect();
                json!({"metadata": metadata, "versions": versions})
            })
            .collect();
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
    }
}

fn group_value(group: &str, versions: &[Version]) -> Value {
    let versions: Vec<Value> =
        versions.iter().map(|v| json!({"groupVersion": v.group_version(), "version": v.name})).collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

fn aggregated_version(version: &Version) -> Value {
    if version.remote.as_ref().is_some_and(|(_, stale)| *stale) {
        return json!({"version": version.name, "freshness": "Stale"});
    }
    let resources: Vec<Value> = version.resources.iter().map(|r| aggregated_resource(version, r)).collect();
    json!({"version": version.name, "resources": resources, "freshness": "Current"})
}

fn aggregated(body: &Value, headers: &HeaderMap, accepted: &Accepted) -> Answer {
    let media_type = aggregated_type(accepted.format);
    let etag = etag(&serde_json::to_vec(body).unwrap_or_default());
    let same = headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok()) == Some(etag.as_str());
    let mut answer = if same { respond::bytes(304, media_type, "") } else { respond::value(200, body, accepted) };
    let answer_headers = answer.headers_mut();
    answer_headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer_headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    answer_headers.append(VARY, HeaderValue::from_static("Accept"));
    if let Ok(value) = HeaderValue::from_str(&etag) {
        answer_headers.insert(ETAG, value);
    }
    answer
}

/// The entity tag of a document: its SHA-512, quoted.
pub(crate) fn etag(bytes: &[u8]) -> String {
    let hash: String = Sha512::digest(bytes).iter().map(|b| format!("{b:02X}")).collect();
    format!("\"{hash}\"")
}

fn api_versions(advertise: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": advertise}]})
}

/// The row of a resource and those of its subresources.
fn legacy_rows(resource: &Resource) -> Vec<Value> {
    let mut row = json!({"name": resource.plural, "singularName": resource.singular,
        "namespaced": resource.namespaced, "kind": resource.kind, "verbs": resource.verbs});
    add_names(&mut row, resource);
    if !resource.storage_hash.is_empty() {
        row["storageVersionHash"] = Value::from(resource.storage_hash.as_str());
    }
    let subresources = resource.subresources.iter().map(|s| {
        let mut row = json!({"name": format!("{}/{}", resource.plural, s.name), "singularName": "",
            "namespaced": resource.namespaced, "kind": s.kind, "verbs": s.verbs});
        if let Some((group, version)) = &s.group_version {
            row["group"] = Value::from(group.as_str());
            row["version"] = Value::from(version.as_str());
        }
        row
    });
    std::iter::once(row).chain(subresources).collect()
}

fn aggregated_resource(version: &Version, resource: &Resource) -> Value {
    // wire: empty group and version mean those of the resource; only custom resources say them again.
    let own = if resource.row.is_some() { ("", "") } else { (version.group.as_str(), version.name.as_str()) };
    let of_kind = |group_version: Option<(&str, &str)>, kind: &str| {
        let (group, version) = group_version.unwrap_or(own);
        json!({"group": group, "version": version, "kind": kind})
    };
    let mut row = json!({"resource": resource.plural, "responseKind": of_kind(None, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular, "verbs": resource.verbs});
    add_names(&mut row, resource);
    let subresources = resource.subresources.iter().map(|s| {
        let group_version = s.group_version.as_ref().map(|(group, version)| (group.as_str(), version.as_str()));
        json!({"subresource": s.name, "responseKind": of_kind(group_version, &s.kind), "verbs": s.verbs})
    });
    let subresources: Vec<Value> = subresources.collect();
    if !subresources.is_empty() {
        row["subresources"] = Value::from(subresources);
    }
    row
}

fn add_names(row: &mut Value, resource: &Resource) {
    let mut lists = Map::new();
    for (key, names) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !names.is_empty() {
            lists.insert(key.to_owned(), Value::from(names.as_slice()));
        }
    }
    if let Some(row) = row.as_object_mut() {
        row.extend(lists);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregation::Remotes;

    fn served() -> Served {
        Served { of: (0, 0, 0), catalog: Catalog::of(&View::new(), &Remotes::default()) }
    }

    #[test]
    fn discovery_derives_from_the_table() {
        let served = served();
        let apps = served.catalog.version("apps", "v1").unwrap();
        let rows: Vec<Value> = apps.resources.iter().flat_map(legacy_rows).collect();
        let deployments = rows.iter().find(|row| row["name"] == "deployments").unwrap();
        assert_eq!(deployments["storageVersionHash"], json!("8aSe+NMegvE="));
        assert_eq!(deployments["shortNames"], json!(["deploy"]));
        let aggregated = served.aggregated(false);
        let items = aggregated["items"].as_array().unwrap();
        let apps = items.iter().find(|item| item["metadata"]["name"] == "apps").unwrap();
        let resources = apps["versions"][0]["resources"].as_array().unwrap();
        let deployments = resources.iter().find(|row| row["resource"] == "deployments").unwrap();
        assert_eq!(deployments["responseKind"], json!({"group": "", "version": "", "kind": "Deployment"}));
        assert_eq!(deployments["subresources"][0]["responseKind"]["kind"], "Scale");
        assert_eq!(served.aggregated(true)["items"][0]["metadata"], json!({}));
    }

    #[test]
    fn an_unchanged_document_is_not_sent_again() {
        let body = served().aggregated(true);
        let first = aggregated(&body, &HeaderMap::new(), &Accepted::PLAIN);
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(first.status(), 200);
        let binary = Accepted { format: Format::Protobuf, ..Accepted::PLAIN };
        assert_eq!(aggregated(&body, &headers, &binary).status(), 304);
        assert_eq!(
            aggregated(&body, &HeaderMap::new(), &binary).headers()[CONTENT_TYPE],
            aggregated_type(Format::Protobuf)
        );
    }
}
