//! Service accounts.

use serde_json::Value;

use crate::columns;
use crate::names;
use crate::row::{Kind, STORED_VERBS, Strategy, Subresource};
use crate::tree::children;

/// The row of `ServiceAccount`.
pub static SERVICE_ACCOUNT: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    version_of: None,
    short_names: &["sa"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "token",
        group_version: Some(("authentication.k8s.io", "v1")),
        kind: "TokenRequest",
        schema: "io.k8s.api.authentication.v1.TokenRequest",
        verbs: &["create"],
    }],
    schema: "io.k8s.api.core.v1.ServiceAccount",
    strategy: &ServiceAccountStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[],
};

struct ServiceAccountStrategy;

const MOUNTABLE: &str = "kubernetes.io/enforce-mountable-secrets";

impl Strategy for ServiceAccountStrategy {
    fn default(&self, object: &mut Value) {
        // Secrets are of the account's own namespace, and named by nothing else.
        let Some(object) = object.as_object_mut() else { return };
        for secret in children(object, "secrets") {
            secret.retain(|field, _| field == "name");
        }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let annotated = new.pointer("/metadata/annotations").is_some_and(|a| a.get(MOUNTABLE).is_some());
        let text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
        annotated.then(|| format!("metadata.annotations[{MOUNTABLE}]: {text}")).into_iter().collect()
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}
