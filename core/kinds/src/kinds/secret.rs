//! Secrets: their types ask for certain keys.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::config_map::{DATA_MAX, check_frozen, decoded_len};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::IMMUTABLE;
use crate::tree::{child_or_new, has, map_at, set_default, str_at, text};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The row of `Secret`.
pub static SECRET: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.core.v1.Secret",
    strategy: &SecretStrategy,
    columns: &[
        NAME,
        Column::field("Type", "io.k8s.api.core.v1.Secret.type"),
        Column::field("Data", "io.k8s.api.core.v1.Secret.data"),
        AGE,
    ],
    cells,
    selectable: &[("type", |o| text(o, "/type"))],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(o), Value::from(str_at(o, "/type")), Value::from(map_at(o, "/data").count()), age_of(o, now)]
}

struct SecretStrategy;

const PEM: &[u8] = b"-----BEGIN ";

impl Strategy for SecretStrategy {
    fn default(&self, object: &mut Value) {
        let Some(secret) = object.as_object_mut() else { return };
        if let Some(Value::Object(plain)) = secret.remove("stringData") {
            encode(plain, secret);
        }
        if str_of(secret, "type").is_empty() {
            secret.remove("type");
        }
        set_default(secret, "type", "Opaque");
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let data = Path::new("data");
        let mut errors = ErrorList::new();
        let mut size = 0;
        for (key, value) in map_at(object, "/data") {
            errors.extend(FieldError::each(&data.key(key), key, names::config_map_key(key)));
            size += decoded_len(value);
        }
        if size > DATA_MAX {
            errors.push(FieldError::too_long(&data, DATA_MAX));
        }
        check_type(object, &data, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = ErrorList::new();
        if str_at(new, "/type") != str_at(old, "/type") {
            errors.push(FieldError::invalid(&Path::new("type"), str_at(new, "/type"), IMMUTABLE));
        }
        errors.extend(check_frozen(new, old, &["data"]));
        errors.extend(self.validate(new));
        errors
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let pem = |key: &str| {
            let text = new.get("data").and_then(|data| data.get(key)).and_then(Value::as_str).unwrap_or_default();
            let bytes = BASE64_STANDARD.decode(text).unwrap_or_default();
            bytes.windows(PEM.len()).any(|window| window == PEM)
        };
        let missing = match str_at(new, "/type") {
            "kubernetes.io/tls" if !pem("tls.crt") => "certificate",
            "kubernetes.io/tls" if !pem("tls.key") => "key",
            _ => return Vec::new(),
        };
        vec![format!("tls: failed to find any PEM data in {missing} input")]
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

fn str_of<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Moves `stringData` into `data`, where it wins.
fn encode(plain: Map<String, Value>, secret: &mut Map<String, Value>) {
    let data = child_or_new(secret, "data");
    for (key, value) in plain {
        let text = value.as_str().unwrap_or_default();
        data.insert(key, Value::from(BASE64_STANDARD.encode(text)));
    }
}

/// Checks that the keys are there that the type asks for.
fn check_type(object: &Value, data: &Path, errors: &mut ErrorList) {
    const ACCOUNT: &str = "kubernetes.io/service-account.name";
    let empty = Map::new();
    let map = object.get("data").and_then(Value::as_object).unwrap_or(&empty);
    let mut need = |key: &str| {
        if !has(map, key) {
            errors.push(FieldError::required(&data.key(key), ""));
        }
    };
    match str_at(object, "/type") {
        "kubernetes.io/service-account-token" => {
            let annotations = object.pointer("/metadata/annotations");
            if annotations.and_then(|a| a.get(ACCOUNT)).and_then(Value::as_str).unwrap_or_default().is_empty() {
                let path = Path::new("metadata").child("annotations").key(ACCOUNT);
                errors.push(FieldError::required(&path, ""));
            }
        }
        "kubernetes.io/tls" => ["tls.crt", "tls.key"].into_iter().for_each(need),
        "kubernetes.io/ssh-auth" => need("ssh-privatekey"),
        "kubernetes.io/basic-auth" if !has(map, "username") && !has(map, "password") => {
            ["username", "password"].into_iter().for_each(need);
        }
        "kubernetes.io/dockercfg" => check_json(map, ".dockercfg", data, errors),
        "kubernetes.io/dockerconfigjson" => check_json(map, ".dockerconfigjson", data, errors),
        _ => {}
    }
}

/// Checks that a key is there and is JSON, without saying what it holds.
fn check_json(map: &Map<String, Value>, key: &str, data: &Path, errors: &mut ErrorList) {
    let Some(bytes) = map.get(key).and_then(Value::as_str).and_then(|text| BASE64_STANDARD.decode(text).ok()) else {
        errors.push(FieldError::required(&data.key(key), ""));
        return;
    };
    if let Err(error) = serde_json::from_slice::<Map<String, Value>>(&bytes) {
        let detail = match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
            None => "unexpected end of JSON input".to_owned(),
            Some(first) if !b"{[\"-0123456789tfn".contains(first) => {
                format!("invalid character '{}' looking for beginning of value", char::from(*first))
            }
            Some(_) => error.to_string(),
        };
        errors.push(FieldError::invalid(&data.key(key), "<secret contents redacted>", detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_text_becomes_data_and_wins() {
        let mut secret = json!({"stringData": {"a": "b"}, "data": {"a": "Yw==", "d": "Yw=="}});
        SecretStrategy.default(&mut secret);
        assert_eq!(secret, json!({"data": {"a": "Yg==", "d": "Yw=="}, "type": "Opaque"}));
    }

    #[test]
    fn types_ask_for_keys() {
        let check = |kind: &str, data: Value, expected: &[&str]| {
            let object = json!({"type": kind, "data": data});
            let errors: Vec<_> = SecretStrategy.validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(errors, expected);
        };
        check("Opaque", json!({}), &[]);
        check("kubernetes.io/tls", json!({"tls.crt": ""}), &["data[tls.key]: Required value"]);
        check(
            "kubernetes.io/basic-auth",
            json!({}),
            &["data[username]: Required value", "data[password]: Required value"],
        );
        check(
            "kubernetes.io/dockercfg",
            json!({".dockercfg": "Yw=="}),
            &["data[.dockercfg]: Invalid value: \"<secret contents redacted>\": invalid character 'c' looking for \
               beginning of value"],
        );
    }
}
