//! Discovery: which groups, versions and resources there are, derived from the kind table; one document for each
//! path, and the aggregated form.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_kinds::{Kind, KindRef, Subresource, table};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256, Sha512};

use crate::Refusal;
use crate::negotiate::{Accepted, Offer, accept, wants_aggregated_discovery};
use crate::query::Query;
use crate::respond::{self, Answer};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The order in which groups are listed; clients prefer earlier ones for a resource that is in several.
const ORDER: [&str; 12] = [
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
];

/// The groups and versions that are served, in order.
pub(crate) struct Discovery {
    /// Group, version.
    versions: Vec<(&'static str, &'static str)>,
}

impl Discovery {
    pub(crate) fn new() -> Self {
        let mut versions: Vec<_> = table::ALL.iter().map(|kind| (kind.group, kind.version)).collect();
        versions.sort_by_key(|(group, version)| (place(group), *group, *version));
        versions.dedup();
        Discovery { versions }
    }

    /// All groups and versions, the core group first.
    pub(crate) fn versions(&self) -> &[(&'static str, &'static str)] {
        &self.versions
    }

    /// `/api` and `/apis`, in the form that the client prefers.
    pub(crate) fn root(
        &self,
        core: bool,
        advertise: &str,
        headers: &HeaderMap,
        query: &Query,
    ) -> Result<Answer, Refusal> {
        if wants_aggregated_discovery(headers) {
            return Ok(aggregated(&self.aggregated(core), headers, query));
        }
        let accepted = accept(headers, query, Offer::Documents)?;
        let body = if core { api_versions(advertise) } else { self.groups() };
        Ok(respond::value(200, &body, &accepted))
    }

    /// `/apis/GROUP`.
    pub(crate) fn group(&self, group: &str, accepted: &Accepted) -> Option<Answer> {
        let mut body = self.group_value(group)?;
        body["kind"] = Value::from("APIGroup");
        body["apiVersion"] = Value::from("v1");
        Some(respond::value(200, &body, accepted))
    }

    /// `/api/v1` and `/apis/GROUP/VERSION`.
    pub(crate) fn resources(&self, group: &str, version: &str, accepted: &Accepted) -> Option<Answer> {
        let mut rows = Vec::new();
        for kind in kinds(group, version) {
            rows.push(legacy_resource(kind));
            rows.extend(kind.subresources.iter().map(|s| legacy_subresource(kind, s)));
        }
        if rows.is_empty() {
            return None;
        }
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let mut body = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": rows});
        // wire: upstream leaves the version out for the core group.
        if !group.is_empty() {
            body["apiVersion"] = Value::from("v1");
        }
        Some(respond::value(200, &body, accepted))
    }

    fn groups(&self) -> Value {
        let mut names: Vec<&str> = self.versions.iter().map(|(group, _)| *group).filter(|g| !g.is_empty()).collect();
        names.dedup();
        let groups: Vec<Value> = names.into_iter().filter_map(|name| self.group_value(name)).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    fn group_value(&self, group: &str) -> Option<Value> {
        let versions = self.versions.iter().filter(|(g, _)| *g == group && !g.is_empty());
        let versions: Vec<Value> =
            versions.map(|(g, v)| json!({"groupVersion": format!("{g}/{v}"), "version": v})).collect();
        let preferred = versions.first()?.clone();
        Some(json!({"name": group, "versions": versions, "preferredVersion": preferred}))
    }

    fn aggregated(&self, core: bool) -> Value {
        let mut items: Vec<Value> = Vec::new();
        let mut last = None;
        for (group, version) in self.versions.iter().filter(|(g, _)| g.is_empty() == core) {
            let resources: Vec<Value> = kinds(group, version).map(aggregated_resource).collect();
            let version = json!({"version": version, "resources": resources, "freshness": "Current"});
            if last == Some(group) {
                if let Some(versions) = items.last_mut().and_then(|item| item["versions"].as_array_mut()) {
                    versions.push(version);
                }
                continue;
            }
            last = Some(group);
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            items.push(json!({"metadata": metadata, "versions": [version]}));
        }
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
    }
}

fn place(group: &str) -> usize {
    if group.is_empty() { 0 } else { 1 + ORDER.iter().position(|name| *name == group).unwrap_or(ORDER.len()) }
}

/// The kinds of a group and version, by plural.
fn kinds(group: &str, version: &str) -> impl Iterator<Item = KindRef> {
    let mut kinds: Vec<KindRef> =
        table::ALL.iter().copied().filter(|k| k.group == group && k.version == version).collect();
    kinds.sort_by_key(|kind| kind.plural);
    kinds.into_iter()
}

fn aggregated(body: &Value, headers: &HeaderMap, query: &Query) -> Answer {
    let accepted = accept(headers, query, Offer::Documents).unwrap_or(Accepted::PLAIN);
    let etag = etag(&serde_json::to_vec(body).unwrap_or_default());
    let same = headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok()) == Some(etag.as_str());
    let mut answer = if same { respond::bytes(304, AGGREGATED, "") } else { respond::value(200, body, &accepted) };
    let answer_headers = answer.headers_mut();
    answer_headers.insert(CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    answer_headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    answer_headers.insert(VARY, HeaderValue::from_static("Accept"));
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

fn legacy_resource(kind: &Kind) -> Value {
    let mut row = json!({"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": kind.verbs});
    add_names(&mut row, kind);
    if kind.stored() {
        let text = format!("{}/{}/{}", kind.group, kind.version, kind.kind);
        row["storageVersionHash"] = Value::from(STANDARD.encode(&Sha256::digest(text)[..8]));
    }
    row
}

fn legacy_subresource(kind: &Kind, subresource: &Subresource) -> Value {
    let mut row = json!({"name": format!("{}/{}", kind.plural, subresource.name), "singularName": "",
        "namespaced": kind.namespaced, "kind": subresource.kind, "verbs": subresource.verbs});
    if let Some((group, version)) = subresource.group_version {
        row["group"] = Value::from(group);
        row["version"] = Value::from(version);
    }
    row
}

fn aggregated_resource(kind: KindRef) -> Value {
    let mut row = json!({"resource": kind.plural, "responseKind": response_kind(None, kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "singularResource": kind.singular,
        "verbs": kind.verbs});
    add_names(&mut row, kind);
    let subresources: Vec<Value> = kind
        .subresources
        .iter()
        .map(|s| json!({"subresource": s.name, "responseKind": response_kind(s.group_version, s.kind), "verbs": s.verbs}))
        .collect();
    if !subresources.is_empty() {
        row["subresources"] = Value::from(subresources);
    }
    row
}

/// wire: empty group and version mean those of the resource.
fn response_kind(group_version: Option<(&str, &str)>, kind: &str) -> Value {
    let (group, version) = group_version.unwrap_or_default();
    json!({"group": group, "version": version, "kind": kind})
}

fn add_names(row: &mut Value, kind: &Kind) {
    let mut lists = Map::new();
    for (key, names) in [("shortNames", kind.short_names), ("categories", kind.categories)] {
        if !names.is_empty() {
            lists.insert(key.to_owned(), Value::from(names));
        }
    }
    if let Some(row) = row.as_object_mut() {
        row.extend(lists);
    }
}

#[cfg(test)]
mod tests {
    use gantry_kinds::DEPLOYMENT;

    use super::*;

    #[test]
    fn discovery_derives_from_the_table() {
        let discovery = Discovery::new();
        assert_eq!(discovery.versions()[..2], [("", "v1"), ("apps", "v1")]);
        let row = legacy_resource(&DEPLOYMENT);
        assert_eq!((&row["storageVersionHash"], &row["shortNames"]), (&json!("8aSe+NMegvE="), &json!(["deploy"])));
        let aggregated = discovery.aggregated(false);
        let apps = &aggregated["items"][0];
        assert_eq!(apps["metadata"]["name"], "apps");
        let deployments = &apps["versions"][0]["resources"][0];
        assert_eq!(deployments["responseKind"], json!({"group": "", "version": "", "kind": "Deployment"}));
        assert_eq!(deployments["subresources"][0]["responseKind"]["kind"], "Scale");
        let core = discovery.aggregated(true);
        assert_eq!(core["items"][0]["metadata"], json!({}));
    }

    #[test]
    fn an_unchanged_document_is_not_sent_again() {
        let body = Discovery::new().aggregated(true);
        let first = aggregated(&body, &HeaderMap::new(), &Query::default());
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(first.status(), 200);
        assert_eq!(aggregated(&body, &headers, &Query::default()).status(), 304);
    }
}
