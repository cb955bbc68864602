//! PriorityLevelConfigurations: how many requests of a level run at a time, and how the others wait.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::flow_schema::check_conditions;
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules;
use crate::tree::{child, child_or_new, int_at, keep, set_default, str_at};

/// The row of `PriorityLevelConfiguration`.
pub static PRIORITY_LEVEL_CONFIGURATION: Kind = Kind {
    group: "flowcontrol.apiserver.k8s.io",
    version: "v1",
    kind: "PriorityLevelConfiguration",
    plural: "prioritylevelconfigurations",
    singular: "prioritylevelconfiguration",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "PriorityLevelConfiguration",
        schema: "io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
    strategy: &LevelStrategy,
    columns: &[
        NAME,
        Column::field("Type", "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec.type"),
        Column::field(
            "NominalConcurrencyShares",
            "io.k8s.api.flowcontrol.v1.LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
        ),
        Column::field("Queues", "io.k8s.api.flowcontrol.v1.QueuingConfiguration.queues"),
        Column::field("HandSize", "io.k8s.api.flowcontrol.v1.QueuingConfiguration.handSize"),
        Column::field("QueueLengthLimit", "io.k8s.api.flowcontrol.v1.QueuingConfiguration.queueLengthLimit"),
        AGE,
    ],
    cells,
    selectable: &[],
};

const QUEUES_MAX: i64 = 10_000_000;
/// Bits of a hash that a hand is dealt from.
const ENTROPY_MAX: i64 = 60;

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let count = |pointer: &str| int_at(o, pointer).map_or_else(|| Value::from("<none>"), Value::from);
    let queuing = |field: &str| count(&format!("/spec/limited/limitResponse/queuing/{field}"));
    vec![
        name(o),
        Value::from(str_at(o, "/spec/type")),
        count("/spec/limited/nominalConcurrencyShares"),
        queuing("queues"),
        queuing("handSize"),
        queuing("queueLengthLimit"),
        age_of(o, now),
    ]
}

struct LevelStrategy;

impl Strategy for LevelStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        if let Some(exempt) = child(spec, "exempt") {
            set_default(exempt, "nominalConcurrencyShares", 0);
            set_default(exempt, "lendablePercent", 0);
        }
        let Some(limited) = child(spec, "limited") else { return };
        set_default(limited, "nominalConcurrencyShares", 30);
        set_default(limited, "lendablePercent", 0);
        let queuing = child(limited, "limitResponse").and_then(|response| child(response, "queuing"));
        if let Some(queuing) = queuing {
            for (field, value) in [("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)] {
                if queuing.get(field).and_then(Value::as_i64).unwrap_or(0) == 0 {
                    queuing.insert(field.to_owned(), value.into());
                }
            }
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, _old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") { check_conditions(new) } else { check(new) }
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let mut errors = ErrorList::new();
    let kind = str_at(spec, "/type");
    if !kind.is_empty() && (kind == "Exempt") != (str_at(object, "/metadata/name") == "exempt") {
        let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
        errors.push(FieldError::invalid(&path.child("type"), kind, detail));
    }
    let part = |key: &str| spec.get(key).filter(|v| !v.is_null());
    check_fixed(str_at(object, "/metadata/name"), spec, &mut errors);
    match kind {
        "Exempt" => {
            if let Some(exempt) = part("exempt") {
                check_shares(exempt, &path.child("exempt"), &mut errors);
                check_lendable(exempt, &path.child("exempt"), &mut errors);
            }
            if let Some(limited) = part("limited") {
                errors.push(FieldError::forbidden(&path.child("limited"), ""));
                check_response(&limited["limitResponse"], &path.child("limited").child("limitResponse"), &mut errors);
            }
        }
        "Limited" => {
            match part("limited") {
                None => errors.push(FieldError::required(&path.child("limited"), "")),
                Some(limited) => check_limited(limited, &path.child("limited"), &mut errors),
            }
            if part("exempt").is_some() {
                errors.push(FieldError::forbidden(&path.child("exempt"), ""));
            }
        }
        _ => rules::required_one_of(kind, &["Exempt", "Limited"], &path.child("type"), &mut errors),
    }
    errors
}

/// The two levels that the system rests on are what they are; only how many seats `exempt` lends may be said.
fn check_fixed(name: &str, spec: &Value, errors: &mut ErrorList) {
    let part = |key: &str| spec.get(key).cloned().unwrap_or_default();
    let (same, besides) = match name {
        "exempt" => (spec["type"] == "Exempt" && part("limited").is_null(), " except the 'spec.exempt' field"),
        "catch-all" => {
            let limited = json!({
                "nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}, "lendablePercent": 0,
            });
            (spec["type"] == "Limited" && part("limited") == limited && part("exempt").is_null(), "")
        }
        _ => return,
    };
    if !same {
        let detail = format!("spec of '{name}'{besides} must equal the fixed value");
        errors.push(FieldError::invalid(&Path::new("spec"), spec.clone(), detail));
    }
}

fn check_shares(part: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(shares) = int_at(part, "/nominalConcurrencyShares").filter(|shares| *shares < 0) {
        let path = path.child("nominalConcurrencyShares");
        errors.push(FieldError::invalid(&path, shares, "must be a non-negative integer"));
    }
}

fn check_lendable(part: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(percent) = int_at(part, "/lendablePercent") {
        rules::within(percent, 0, 100, &path.child("lendablePercent"), errors);
    }
}

fn check_limited(limited: &Value, path: &Path, errors: &mut ErrorList) {
    check_shares(limited, path, errors);
    check_response(&limited["limitResponse"], &path.child("limitResponse"), errors);
    check_lendable(limited, path, errors);
    if let Some(percent) = int_at(limited, "/borrowingLimitPercent").filter(|percent| *percent < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.push(FieldError::invalid(&path.child("borrowingLimitPercent"), percent, detail));
    }
}

fn check_response(response: &Value, path: &Path, errors: &mut ErrorList) {
    let queuing = response.get("queuing").filter(|q| !q.is_null());
    match (str_at(response, "/type"), queuing) {
        ("Reject", Some(_)) => errors.push(FieldError::forbidden(&path.child("queuing"), "")),
        ("Queue", None) => errors.push(FieldError::required(&path.child("queuing"), "")),
        ("Queue", Some(queuing)) => check_queuing(queuing, &path.child("queuing"), errors),
        (kind, _) => rules::required_one_of(kind, &["Queue", "Reject"], &path.child("type"), errors),
    }
}

fn check_queuing(queuing: &Value, path: &Path, errors: &mut ErrorList) {
    let count = |field: &str| int_at(queuing, &format!("/{field}")).unwrap_or(0);
    let (queues, hand) = (count("queues"), count("handSize"));
    for field in ["queueLengthLimit", "queues", "handSize"] {
        let value = count(field);
        if value <= 0 {
            errors.push(FieldError::invalid(&path.child(field), value, "must be positive"));
        } else if field == "queues" && value > QUEUES_MAX {
            let detail = format!("must not be greater than {QUEUES_MAX}");
            errors.push(FieldError::invalid(&path.child(field), value, detail));
        }
    }
    if hand <= 0 {
        return;
    }
    let mut wrong = |detail: String| errors.push(FieldError::invalid(&path.child("handSize"), hand, detail));
    if hand > queues {
        wrong(format!("should not be greater than queues ({queues})"));
    } else if entropy(queues, hand) > ENTROPY_MAX {
        wrong(format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {ENTROPY_MAX}"
        ));
    }
}

/// Bits that it takes to deal `hand` of `queues`.
fn entropy(queues: i64, hand: i64) -> i64 {
    (0..hand.min(64)).map(|dealt| ((queues - dealt) as f64).log2()).sum::<f64>().ceil() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_filled_in_and_checked() {
        let texts = |name: &str, spec: Value| {
            let mut level = json!({"metadata": {"name": name}, "spec": spec});
            LevelStrategy.default(&mut level);
            check(&level).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let queue = |queuing: Value| json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": queuing}}});
        assert_eq!(texts("x", queue(json!({}))), Vec::<String>::new());
        let path = "spec.limited.limitResponse.queuing";
        assert_eq!(
            texts("x", queue(json!({"queues": 3, "handSize": 5}))),
            [format!("{path}.handSize: Invalid value: 5: should not be greater than queues (3)")]
        );
        assert_eq!(texts("x", queue(json!({"queues": 10_000_000, "handSize": 20}))).len(), 1);
        assert_eq!(
            texts("foo", json!({"type": "Exempt"})),
            ["spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'"]
        );
        assert_eq!(texts("x", json!({})), ["spec.type: Required value"]);
        let shares =
            json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 0, "limitResponse": {"type": "Reject"}}});
        let mut level = json!({"metadata": {"name": "x"}, "spec": shares.clone()});
        gantry_schema::prune(gantry_schema::Schema::builtin(), PRIORITY_LEVEL_CONFIGURATION.schema, &mut level);
        LevelStrategy.default(&mut level);
        assert_eq!(level["spec"]["limited"]["nominalConcurrencyShares"], 0);
        let catch_all =
            json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}}});
        assert_eq!(texts("catch-all", catch_all), Vec::<String>::new());
        assert!(texts("catch-all", shares)[0].ends_with("spec of 'catch-all' must equal the fixed value"));
    }
}
