//! ResourceClaims.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::requests;
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::IMMUTABLE;
use crate::tree::{child_or_new, keep, list_at};

/// The row of `ResourceClaim`.
pub static RESOURCE_CLAIM: Kind = Kind {
    group: "resource.k8s.io",
    version: "v1",
    kind: "ResourceClaim",
    plural: "resourceclaims",
    singular: "resourceclaim",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "ResourceClaim",
        schema: "io.k8s.api.resource.v1.ResourceClaim",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.resource.v1.ResourceClaim",
    strategy: &ResourceClaimStrategy,
    columns: &[
        NAME,
        Column::text("State", "A summary of the current state (allocated, pending, reserved, etc.)."),
        AGE,
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let mut states = Vec::new();
    let deleted = o.pointer("/metadata/deletionTimestamp").is_some();
    if deleted {
        states.push("deleted");
    }
    if !allocated(o) {
        if !deleted {
            states.push("pending");
        }
    } else {
        states.push("allocated");
        if !list_at(o, "/status/reservedFor").is_empty() {
            states.push("reserved");
        }
    }
    vec![name(o), Value::from(states.join(",")), age_of(o, now)]
}

fn allocated(claim: &Value) -> bool {
    claim.pointer("/status/allocation").is_some_and(|allocation| !allocation.is_null())
}

struct ResourceClaimStrategy;

impl Strategy for ResourceClaimStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(object) = object.as_object_mut() {
            requests::default(child_or_new(object, "spec"));
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        requests::check(&object["spec"], &Path::new("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        let mut errors = ErrorList::new();
        if update == Update::Main {
            if new.get("spec") != old.get("spec") {
                errors.push(FieldError::invalid(&Path::new("spec"), Value::Null, IMMUTABLE));
            }
            return errors;
        }
        let path = Path::new("status");
        super::allocation::check(new, &mut errors);
        if allocated(old) && allocated(new) && new.pointer("/status/allocation") != old.pointer("/status/allocation") {
            let detail = "field cannot be modified once set";
            errors.push(FieldError::invalid(&path.child("allocation"), Value::Null, detail));
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(request: Value) -> Value {
        let mut claim = json!({"spec": {"devices": {"requests": [request]}}});
        ResourceClaimStrategy.default(&mut claim);
        claim
    }

    #[test]
    fn requests_are_filled_in_and_checked() {
        let good = claim(json!({"name": "a", "exactly": {"deviceClassName": "c"}}));
        assert_eq!(
            good["spec"]["devices"]["requests"][0]["exactly"],
            json!({"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1})
        );
        assert!(ResourceClaimStrategy.validate(&good).is_empty());
        let errors = ResourceClaimStrategy.validate(&claim(json!({"name": "a"})));
        assert_eq!(
            errors[0].to_string(),
            "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"
        );
    }

    #[test]
    fn an_allocation_stays() {
        let with = |status: Value| json!({"spec": {}, "status": status});
        let check = |new: Value, old: Value, expected: &[&str]| {
            let errors = ResourceClaimStrategy.validate_update(&new, &old, Update::Sub("status"));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        };
        let told = "status.reservedFor: Forbidden: may not be specified when `allocated` is not set";
        let consumer = json!({"resource": "pods", "name": "p", "uid": "u"});
        check(with(json!({"reservedFor": [consumer]})), with(json!({})), &[told]);
        let told = "status.allocation: Invalid value: null: field cannot be modified once set";
        check(with(json!({"allocation": {"a": 1}})), with(json!({"allocation": {}})), &[told]);
        let row = cells(&with(json!({"allocation": {}, "reservedFor": [{}]})), Timestamp::UNIX_EPOCH);
        assert_eq!(row[1], "allocated,reserved");
    }
}
