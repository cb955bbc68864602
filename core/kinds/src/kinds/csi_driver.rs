//! CSIDrivers, and the names of drivers.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{child_or_new, int_at, list_at, set_default, str_at};

/// The row of `CSIDriver`.
pub static CSI_DRIVER: Kind = Kind {
    group: "storage.k8s.io",
    version: "v1",
    kind: "CSIDriver",
    plural: "csidrivers",
    singular: "csidriver",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.storage.v1.CSIDriver",
    strategy: &CsiDriverStrategy,
    columns: &[
        NAME,
        boolean("AttachRequired", "io.k8s.api.storage.v1.CSIDriverSpec.attachRequired"),
        boolean("PodInfoOnMount", "io.k8s.api.storage.v1.CSIDriverSpec.podInfoOnMount"),
        boolean("StorageCapacity", "io.k8s.api.storage.v1.CSIDriverSpec.storageCapacity"),
        Column::field("TokenRequests", "io.k8s.api.storage.v1.CSIDriverSpec.tokenRequests"),
        boolean("RequiresRepublish", "io.k8s.api.storage.v1.CSIDriverSpec.requiresRepublish"),
        Column::field("Modes", "io.k8s.api.storage.v1.CSIDriverSpec.volumeLifecycleModes"),
        AGE,
    ],
    cells,
    selectable: &[],
};

const fn boolean(name: &'static str, documents: &'static str) -> Column {
    Column { kind: "boolean", ..Column::field(name, documents) }
}

/// The name of a driver may have this many bytes.
const NAME_MAX: usize = 63;
/// Bounds of the seconds that a token is good for.
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
/// A node may not be asked more often than this for what it can take.
const UPDATE_SECONDS_MIN: i64 = 10;
const MODES: [&str; 2] = ["Persistent", "Ephemeral"];

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let yes = |pointer| Value::from(o.pointer(pointer) == Some(&Value::Bool(true)));
    let texts = |list: &[Value], pointer: &str| list.iter().map(|v| str_at(v, pointer)).collect::<Vec<_>>().join(",");
    let tokens = list_at(o, "/spec/tokenRequests");
    let audiences = if tokens.is_empty() { "<unset>".to_owned() } else { texts(tokens, "/audience") };
    let modes = list_at(o, "/spec/volumeLifecycleModes");
    let modes = if modes.is_empty() { "<none>".to_owned() } else { texts(modes, "") };
    let attach = Value::from(o.pointer("/spec/attachRequired") != Some(&Value::Bool(false)));
    vec![
        name(o),
        attach,
        yes("/spec/podInfoOnMount"),
        yes("/spec/storageCapacity"),
        Value::from(audiences),
        yes("/spec/requiresRepublish"),
        Value::from(modes),
        age_of(o, now),
    ]
}

struct CsiDriverStrategy;

impl Strategy for CsiDriverStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        set_default(spec, "attachRequired", true);
        for field in
            ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount", "preventPodSchedulingIfMissing"]
        {
            set_default(spec, field, false);
        }
        set_default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        if spec.get("volumeLifecycleModes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            spec.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"]));
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = ErrorList::new();
        let policies = ["File", "None", "ReadWriteOnceWithFSType"];
        let policy = str_at(object, "/spec/fsGroupPolicy");
        rules::one_of(policy, &policies, &path.child("fsGroupPolicy"), &mut errors);
        let tokens = list_at(object, "/spec/tokenRequests");
        check_tokens(tokens, &path.child("tokenRequests"), &mut errors);
        for mode in list_at(object, "/spec/volumeLifecycleModes").iter().filter_map(Value::as_str) {
            rules::one_of(mode, &MODES, &path.child("volumeLifecycleModes"), &mut errors);
        }
        let field = "nodeAllocatableUpdatePeriodSeconds";
        if let Some(seconds) = int_at(object, &format!("/spec/{field}")).filter(|s| *s < UPDATE_SECONDS_MIN) {
            let detail = format!("must be greater than or equal to {UPDATE_SECONDS_MIN} seconds");
            errors.push(FieldError::invalid(&path.child(field), seconds, detail));
        }
        let field = "serviceAccountTokenInSecrets";
        if object.pointer(&format!("/spec/{field}")) == Some(&Value::Bool(true)) && tokens.is_empty() {
            let detail = format!("{field} is set but no tokenRequests are specified");
            errors.push(FieldError::invalid(&path.child(field), true, detail));
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = self.validate(new);
        // wire: the path of the first field is told so.
        for (field, told) in [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")]
        {
            let at = format!("/spec/{field}");
            if new.pointer(&at) != old.pointer(&at) {
                let value = new.pointer(&at).cloned().unwrap_or_default();
                errors.push(FieldError::invalid(&Path::new("spec").child(told), value, IMMUTABLE));
            }
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let asks = |object: &Value| {
            !list_at(object, "/spec/tokenRequests").is_empty()
                && object.pointer("/spec/serviceAccountTokenInSecrets").is_none_or(Value::is_null)
        };
        let text = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to \
            prevent possible logging of tokens in volume attributes";
        (asks(new) && !old.is_some_and(asks)).then(|| text.to_owned()).into_iter().collect()
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}

/// Checks the name of a driver where another object names it; case does not count.
pub fn check_driver_name(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if name.len() > NAME_MAX {
        errors.push(FieldError::too_long(path, NAME_MAX));
    }
    if !names::dns_subdomain(&name.to_lowercase()).is_empty() {
        let detail = "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and \
            end with an alphanumeric character (e.g. 'Example.com', regex used for validation is \
            '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
        errors.push(FieldError::invalid(path, name, detail));
    }
}

fn check_tokens(tokens: &[Value], list: &Path, errors: &mut ErrorList) {
    let mut audiences = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let path = list.index(at);
        let audience = str_at(token, "/audience");
        if !audiences.insert(audience) {
            errors.push(FieldError::duplicate(&path.child("audience"), audience));
            continue;
        }
        let Some(seconds) = int_at(token, "/expirationSeconds") else { continue };
        let path = path.child("expirationSeconds");
        if seconds < TOKEN_SECONDS_MIN {
            errors.push(FieldError::invalid(&path, seconds, "may not specify a duration less than 10 minutes"));
        }
        if seconds > TOKEN_SECONDS_MAX {
            let detail = "may not specify a duration larger than 2^32 seconds";
            errors.push(FieldError::invalid(&path, seconds, detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver(spec: Value) -> Value {
        let mut object = json!({"metadata": {"name": "d"}, "spec": spec});
        CsiDriverStrategy.default(&mut object);
        object
    }

    #[test]
    fn drivers_are_checked() {
        let check = |spec: Value, expected: &[&str]| {
            let errors = CsiDriverStrategy.validate(&driver(spec));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        };
        check(json!({}), &[]);
        check(
            json!({"tokenRequests": [{"audience": "a"}, {"audience": "a"}], "volumeLifecycleModes": ["Y"]}),
            &[
                "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
                "spec.volumeLifecycleModes: Unsupported value: \"Y\": supported values: \"Persistent\", \"Ephemeral\"",
            ],
        );
    }

    #[test]
    fn attaching_stays_and_cells_tell() {
        let (old, new) = (driver(json!({})), driver(json!({"attachRequired": false})));
        let errors = CsiDriverStrategy.validate_update(&new, &old, Update::Main);
        assert_eq!(errors[0].to_string(), "spec.attachedRequired: Invalid value: false: field is immutable");
        let row = cells(&old, Timestamp::UNIX_EPOCH);
        assert_eq!(
            row[1..7],
            [json!(true), json!(false), json!(false), json!("<unset>"), json!(false), json!("Persistent")]
        );
    }
}
