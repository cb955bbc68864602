//! Taints that a pod does not tolerate.

use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::Misfit;
use crate::cycle::{Candidate, Cycle};

pub(super) fn check(cycle: &Cycle<'_>, node: &Candidate<'_>, misfits: &mut Vec<Misfit>) {
    if untolerated(&cycle.pod.tolerations, &node.facts.taints).is_some() {
        misfits.push(Misfit::lasting("TaintToleration", "node(s) had untolerated taint(s)"));
    }
}

/// The first taint that keeps a pod with these tolerations away.
pub fn untolerated<'t>(tolerations: &[Toleration], taints: &'t [Taint]) -> Option<&'t Taint> {
    let strict = |taint: &&Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
    taints.iter().filter(strict).find(|taint| !tolerated(tolerations, taint))
}

/// Whether one of the tolerations covers the taint.
pub fn tolerated(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| {
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let key = toleration.key.as_deref().unwrap_or_default();
        let (wanted, have) =
            (toleration.value.as_deref().unwrap_or_default(), taint.value.as_deref().unwrap_or_default());
        let numbers = || have.parse::<i64>().ok().zip(wanted.parse::<i64>().ok());
        (effect.is_empty() || effect == taint.effect)
            && (key.is_empty() || key == taint.key)
            && match toleration.operator.as_deref().unwrap_or_default() {
                "" | "Equal" => wanted == have && !key.is_empty(),
                "Exists" => true,
                "Gt" => numbers().is_some_and(|(have, wanted)| have > wanted),
                "Lt" => numbers().is_some_and(|(have, wanted)| have < wanted),
                _ => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(toleration: Value, taint: Value, expected: bool) {
        let toleration: Toleration = serde_json::from_value(toleration).expect("a toleration");
        let taint: Taint = serde_json::from_value(taint).expect("a taint");
        assert_eq!(tolerated(std::slice::from_ref(&toleration), &taint), expected, "{toleration:?} {taint:?}");
    }

    #[test]
    fn tolerations_cover_key_value_and_effect() {
        let taint = json!({"key": "k", "value": "v", "effect": "NoSchedule"});
        check(json!({"operator": "Exists"}), taint.clone(), true);
        check(json!({"key": "k", "operator": "Exists"}), taint.clone(), true);
        check(json!({"key": "k", "value": "v"}), taint.clone(), true);
        check(json!({"key": "k", "value": "w"}), taint.clone(), false);
        check(json!({"key": "x", "operator": "Exists"}), taint.clone(), false);
        check(json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}), taint, false);
        let number = json!({"key": "k", "value": "5", "effect": "NoSchedule"});
        check(json!({"key": "k", "operator": "Gt", "value": "4"}), number.clone(), true);
        check(json!({"key": "k", "operator": "Lt", "value": "4"}), number, false);
    }

    #[test]
    fn soft_taints_keep_nobody_away() {
        let taint = Taint { key: "k".into(), effect: "PreferNoSchedule".into(), ..Taint::default() };
        assert_eq!(untolerated(&[], &[taint]), None);
    }
}
