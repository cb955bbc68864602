//! Nobody hands out rights that he does not have, by a role or by a binding.

use gantry_kinds::tree::str_at;
use gantry_kinds::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, KindRef, ROLE, ROLE_BINDING, Status};
use gantry_policy::escalation::{message, uncovered};
use gantry_policy::{Attributes, Rule, rules_of};
use serde_json::Value;

use super::forbidden;
use crate::case::{Case, Refusal};
use crate::meta;

/// Whose members may hand out anything.
const MASTERS: &str = "system:masters";

/// Checks a new or changed role or binding; `old` is what it was.
pub(crate) fn check(case: &Case<'_>, new: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    let kind = case.kind();
    if case.user().is_in(MASTERS) {
        return Ok(());
    }
    if [&ROLE, &CLUSTER_ROLE].contains(&kind) {
        return role(case, new, old);
    }
    if [&ROLE_BINDING, &CLUSTER_ROLE_BINDING].contains(&kind) {
        return binding(case, new, old);
    }
    Ok(())
}

fn same(new: &Value, old: Option<&Value>, keys: [&str; 2]) -> bool {
    old.is_some_and(|old| keys.iter().all(|key| new.get(key) == old.get(key)))
}

fn may(case: &Case<'_>, verb: &str, kind: KindRef, name: &str) -> Result<bool, Refusal> {
    let namespace = if kind.namespaced { case.target().namespace.as_str() } else { "" };
    Ok(case.authorize(&Attributes::resource(case.user(), verb, kind, namespace, name))?.allowed)
}

fn role(case: &Case<'_>, new: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    if same(new, old, ["rules", "aggregationRule"]) || may(case, "escalate", case.kind(), meta::text(new, "name"))? {
        return Ok(());
    }
    covered(case, new, &Rule::list(&new["rules"]))?;
    if new.get("aggregationRule").is_some_and(|rule| !rule.is_null()) {
        let all = Rule { verbs: star(), groups: star(), resources: star(), ..Rule::default() };
        let everywhere = Rule { verbs: star(), urls: star(), ..Rule::default() };
        let owned = rules_of(case.view, case.user(), "");
        if !uncovered(&owned, &[all, everywhere]).is_empty() {
            return Err(forbidden(case, new, "must have cluster-admin privileges to use an aggregationRule"));
        }
    }
    Ok(())
}

fn star() -> Vec<String> {
    vec!["*".to_owned()]
}

fn binding(case: &Case<'_>, new: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    if same(new, old, ["roleRef", "subjects"]) {
        return Ok(());
    }
    let name = str_at(new, "/roleRef/name");
    let kind: KindRef = if str_at(new, "/roleRef/kind") == "Role" { &ROLE } else { &CLUSTER_ROLE };
    if may(case, "bind", kind, name)? {
        return Ok(());
    }
    let namespace = if kind.namespaced { case.target().namespace.as_str() } else { "" };
    let Some(role) = case.view.get(kind, namespace, name) else {
        return Err(Status::not_found(case.kind(), name).into());
    };
    covered(case, new, &Rule::list(&role.value()["rules"]))
}

fn covered(case: &Case<'_>, object: &Value, wanted: &[Rule]) -> Result<(), Refusal> {
    let owned = rules_of(case.view, case.user(), &case.target().namespace);
    let lines = uncovered(&owned, wanted);
    if lines.is_empty() { Ok(()) } else { Err(forbidden(case, object, &message(case.user(), &lines))) }
}
