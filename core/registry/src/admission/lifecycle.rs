//! Objects are made only in namespaces that are there and stay.

use gantry_kinds::{Cause, NAMESPACE, Status};
use serde_json::Value;

use super::named;
use crate::case::{Case, Refusal};
use crate::commit::Draft;

/// Namespaces that the cluster cannot be without.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// Refuses what would go into a namespace that is absent or going, and relies on it staying as it is.
pub(crate) fn create(case: &Case<'_>, object: &Value, draft: &mut Draft) -> Result<(), Refusal> {
    if !case.kind().namespaced {
        return Ok(());
    }
    let name = case.target().namespace.as_str();
    let Some(namespace) = case.view.get(&NAMESPACE, "", name) else {
        return Err(Status::not_found(&NAMESPACE, name).into());
    };
    if namespace.header.deleted.is_some() {
        let why = format!("unable to create new content in namespace {name} because it is being terminated");
        let mut status = named(case, object, &why);
        status.causes = vec![Cause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {name} is being terminated"),
            field: "metadata.namespace".to_owned(),
        }];
        return Err(status.into());
    }
    draft.guards.push((namespace.key().clone(), namespace.header.revision));
    Ok(())
}

/// Refuses to delete the namespaces that the cluster cannot be without.
pub(crate) fn delete(case: &Case<'_>) -> Result<(), Refusal> {
    let name = case.target().name.as_str();
    if case.kind() == &NAMESPACE && IMMORTAL.contains(&name) {
        return Err(Status::forbidden(&NAMESPACE, name, "this namespace may not be deleted").into());
    }
    Ok(())
}
