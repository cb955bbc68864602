//! Which objects a quota is for.

use serde_json::Value;

use crate::kinds::pod::qos_class;
use crate::tree::{int_at, list_at, str_at};
use crate::{KindRef, PERSISTENT_VOLUME_CLAIM, POD};

/// Whether the scopes in the spec of a quota, all of them, hold the object. A quota without scopes holds everything; only pods and
/// claims of volumes can be in a scope.
pub fn covers(spec: &Value, kind: KindRef, object: &Value) -> bool {
    let named = list_at(spec, "/scopes").iter().filter_map(Value::as_str);
    let mut named = named.map(|scope| (scope, "Exists", &[][..]));
    let selected = list_at(spec, "/scopeSelector/matchExpressions").iter();
    let mut selected = selected.map(|e| (str_at(e, "/scopeName"), str_at(e, "/operator"), list_at(e, "/values")));
    let holds = |(scope, operator, values): (&str, &str, &[Value])| match kind.home() {
        home if home == &POD => of_pod(object, scope, operator, values),
        home if home == &PERSISTENT_VOLUME_CLAIM => {
            scope == "VolumeAttributesClass" && matches(&attributes(object), operator, values)
        }
        _ => false,
    };
    named.all(holds) && selected.all(holds)
}

fn of_pod(pod: &Value, scope: &str, operator: &str, values: &[Value]) -> bool {
    let ends = int_at(pod, "/spec/activeDeadlineSeconds").is_some_and(|seconds| seconds >= 0);
    match scope {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => qos_class(pod) == "BestEffort",
        "NotBestEffort" => qos_class(pod) != "BestEffort",
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        "PriorityClass" => {
            let class = str_at(pod, "/spec/priorityClassName");
            let classes: Vec<&str> = Some(class).filter(|class| !class.is_empty()).into_iter().collect();
            matches(&classes, operator, values)
        }
        _ => false,
    }
}

/// Whether one of the names fits; of an object without any, whether it fits that there is none.
fn matches(names: &[&str], operator: &str, values: &[Value]) -> bool {
    let among = |name: &&str| values.iter().any(|value| value == name);
    match operator {
        "Exists" => !names.is_empty(),
        "DoesNotExist" => names.is_empty(),
        "In" => names.iter().any(among),
        "NotIn" => names.is_empty() || names.iter().any(|name| !among(name)),
        _ => false,
    }
}

/// The attributes classes that a claim has, is to have, or is on its way to.
fn attributes(claim: &Value) -> Vec<&str> {
    let fields = [
        "/spec/volumeAttributesClassName",
        "/status/currentVolumeAttributesClassName",
        "/status/modifyVolumeStatus/targetVolumeAttributesClassName",
    ];
    fields.iter().map(|field| str_at(claim, field)).filter(|name| !name.is_empty()).collect()
}

fn crosses_namespaces(pod: &Value) -> bool {
    ["podAffinity", "podAntiAffinity"].iter().any(|side| {
        let pointer = |list: &str| format!("/spec/affinity/{side}/{list}");
        let required = pointer("requiredDuringSchedulingIgnoredDuringExecution");
        let preferred = pointer("preferredDuringSchedulingIgnoredDuringExecution");
        let preferred = list_at(pod, &preferred).iter().filter_map(|weighted| weighted.get("podAffinityTerm"));
        list_at(pod, &required).iter().chain(preferred).any(|term| {
            !list_at(term, "/namespaces").is_empty() || term.get("namespaceSelector").is_some_and(|s| !s.is_null())
        })
    })
}
