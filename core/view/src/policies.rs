//! Admission policies, their bindings, and webhook configurations: what the view holds, ready to be used.

use std::sync::Arc;

use gantry_kinds::kinds::admission::webhook::{MUTATING_WEBHOOK_CONFIGURATION, VALIDATING_WEBHOOK_CONFIGURATION};
use gantry_kinds::policies::{Binding, Policy};
use gantry_kinds::webhooks::Webhooks;
use gantry_kinds::{
    MUTATING_ADMISSION_POLICY, MUTATING_ADMISSION_POLICY_BINDING, VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
};

use crate::object::{Object, ObjectKey};
use crate::readings::Readings;
use crate::view::View;

/// Policies, bindings and webhooks of both sorts.
pub(crate) struct Policies {
    validating: Readings<Policy>,
    mutating: Readings<Policy>,
    checks: Readings<Binding>,
    changes: Readings<Binding>,
    asked_to_change: Readings<Webhooks>,
    asked_to_check: Readings<Webhooks>,
}

impl Default for Policies {
    fn default() -> Self {
        Policies {
            validating: Readings::new(&VALIDATING_ADMISSION_POLICY, |o| Some(Policy::read(o, false))),
            mutating: Readings::new(&MUTATING_ADMISSION_POLICY, |o| Some(Policy::read(o, true))),
            checks: Readings::new(&VALIDATING_ADMISSION_POLICY_BINDING, |o| Some(Binding::read(o))),
            changes: Readings::new(&MUTATING_ADMISSION_POLICY_BINDING, |o| Some(Binding::read(o))),
            asked_to_change: Readings::new(&MUTATING_WEBHOOK_CONFIGURATION, |o| Some(Webhooks::read(o))),
            asked_to_check: Readings::new(&VALIDATING_WEBHOOK_CONFIGURATION, |o| Some(Webhooks::read(o))),
        }
    }
}

impl Policies {
    /// Follows one change.
    pub(crate) fn note(&mut self, key: &ObjectKey, after: Option<&Object>) {
        self.validating.note(key, after);
        self.mutating.note(key, after);
        self.checks.note(key, after);
        self.changes.note(key, after);
        self.asked_to_change.note(key, after);
        self.asked_to_check.note(key, after);
    }
}

impl View {
    /// Every policy that mutates, or every one that validates, by name.
    pub fn policies(&self, mutating: bool) -> impl Iterator<Item = &Arc<Policy>> {
        if mutating { &self.policies.mutating } else { &self.policies.validating }.all()
    }

    /// Every configuration of webhooks that mutate, or every one of those that validate, by name.
    pub fn webhooks(&self, mutating: bool) -> impl Iterator<Item = &Arc<Webhooks>> {
        if mutating { &self.policies.asked_to_change } else { &self.policies.asked_to_check }.all()
    }

    /// The bindings of that policy, by name.
    pub fn bindings<'a>(&'a self, policy: &'a Policy) -> impl Iterator<Item = &'a Arc<Binding>> {
        let all = if policy.mutating { &self.policies.changes } else { &self.policies.checks };
        all.all().filter(|binding| binding.policy == policy.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies_follow_their_objects() {
        let mut view = View::new();
        let mut put = |kind, value: serde_json::Value, revision| {
            let object = Object::from_value(kind, &value, revision).unwrap();
            view.apply(object.key().clone(), Some(Arc::new(object)), revision);
        };
        put(&VALIDATING_ADMISSION_POLICY, json!({"metadata": {"name": "p", "uid": "p"}, "spec": {"x": 1}}), 1);
        put(&VALIDATING_ADMISSION_POLICY_BINDING, json!({"metadata": {"name": "b"}, "spec": {"policyName": "p"}}), 2);
        put(&VALIDATING_ADMISSION_POLICY_BINDING, json!({"metadata": {"name": "c"}, "spec": {"policyName": "q"}}), 3);
        put(&MUTATING_ADMISSION_POLICY_BINDING, json!({"metadata": {"name": "d"}, "spec": {"policyName": "p"}}), 4);
        let policy = view.policies(false).next().unwrap().clone();
        let names = view.bindings(&policy).map(|binding| binding.name.clone()).collect::<Vec<_>>();
        assert_eq!((policy.spec["x"].clone(), names), (json!(1), vec!["b".to_owned()]));
        assert_eq!(view.policies(true).count(), 0);
        view.apply(ObjectKey::new(&VALIDATING_ADMISSION_POLICY, "", "p"), None, 5);
        assert_eq!(view.policies(false).count(), 0);
    }
}
