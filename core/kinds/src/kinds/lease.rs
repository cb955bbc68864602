//! Leases: who leads, and which nodes are alive.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules;
use crate::tree::{int_at, remove, str_at};

/// The row of `Lease`.
pub static LEASE: Kind = Kind {
    group: "coordination.k8s.io",
    version: "v1",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.coordination.v1.Lease",
    strategy: &LeaseStrategy,
    columns: &[NAME, Column::field("Holder", "io.k8s.api.coordination.v1.LeaseSpec.holderIdentity"), AGE],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(o), Value::from(str_at(o, "/spec/holderIdentity")), age_of(o, now)]
}

struct LeaseStrategy;

/// Fields of coordinated leader election, which is not served.
const UNSERVED: [&str; 2] = ["strategy", "preferredHolder"];

impl Strategy for LeaseStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = object.get_mut("spec") {
            UNSERVED.iter().for_each(|field| remove(spec, field));
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let spec = Path::new("spec");
        let mut errors = ErrorList::new();
        if let Some(seconds) = int_at(object, "/spec/leaseDurationSeconds").filter(|s| *s <= 0) {
            errors.push(FieldError::invalid(&spec.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
        }
        if let Some(count) = int_at(object, "/spec/leaseTransitions") {
            rules::non_negative(count, &spec.child("leaseTransitions"), &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        self.validate(new)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn create_on_update(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}
