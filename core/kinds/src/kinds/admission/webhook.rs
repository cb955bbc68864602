//! Webhook configurations: whom the server asks about an object before it is stored.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{condition, matching};
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::selecting;
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules;
use crate::tree::{child, children, int_at, list_at, set_default, str_at};

/// The row of `MutatingWebhookConfiguration`.
pub static MUTATING_WEBHOOK_CONFIGURATION: Kind = Kind {
    group: "admissionregistration.k8s.io",
    version: "v1",
    kind: "MutatingWebhookConfiguration",
    plural: "mutatingwebhookconfigurations",
    singular: "mutatingwebhookconfiguration",
    version_of: None,
    short_names: &[],
    categories: &["api-extensions"],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    strategy: &WebhookStrategy { mutating: true },
    columns: &[
        NAME,
        Column::text("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration")
            .integer(),
        AGE,
    ],
    cells,
    selectable: &[],
};

/// The row of `ValidatingWebhookConfiguration`.
pub static VALIDATING_WEBHOOK_CONFIGURATION: Kind = Kind {
    group: "admissionregistration.k8s.io",
    version: "v1",
    kind: "ValidatingWebhookConfiguration",
    plural: "validatingwebhookconfigurations",
    singular: "validatingwebhookconfiguration",
    version_of: None,
    short_names: &[],
    categories: &["api-extensions"],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
    strategy: &WebhookStrategy { mutating: false },
    columns: &[
        NAME,
        Column::text("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration")
            .integer(),
        AGE,
    ],
    cells,
    selectable: &[],
};

const TIMEOUT: i64 = 10;
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(o), Value::from(list_at(o, "/webhooks").len()), age_of(o, now)]
}

struct WebhookStrategy {
    mutating: bool,
}

impl Strategy for WebhookStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        for hook in children(object, "webhooks") {
            set_default(hook, "failurePolicy", "Fail");
            matching::default_selection(hook);
            set_default(hook, "timeoutSeconds", TIMEOUT);
            if self.mutating {
                set_default(hook, "reinvocationPolicy", "Never");
            }
            matching::default_scopes(hook, "rules");
            let service = child(hook, "clientConfig").and_then(|config| child(config, "service"));
            if let Some(service) = service {
                set_default(service, "port", 443);
            }
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        let hooks = list_at(object, "/webhooks");
        for (at, hook) in hooks.iter().enumerate() {
            let path = Path::new("webhooks").index(at);
            self.check(hook, &path, &mut errors);
            let name = str_at(hook, "/name");
            if !name.is_empty() && hooks[..at].iter().any(|other| str_at(other, "/name") == name) {
                errors.push(FieldError::duplicate(&path.child("name"), name));
            }
        }
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        self.validate(new)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn bumps_generation(&self, new: &Value, old: &Value, _update: Update<'_>) -> bool {
        new.get("webhooks") != old.get("webhooks")
    }
}

impl WebhookStrategy {
    fn check(&self, hook: &Value, path: &Path, errors: &mut ErrorList) {
        check_name(str_at(hook, "/name"), &path.child("name"), errors);
        for (at, rule) in list_at(hook, "/rules").iter().enumerate() {
            matching::check_rule(rule, &path.child("rules").index(at), errors);
        }
        if let Some(failure) = hook.get("failurePolicy").and_then(Value::as_str) {
            rules::one_of(failure, &["Fail", "Ignore"], &path.child("failurePolicy"), errors);
        }
        matching::check_policy(hook, path, errors);
        match hook.get("sideEffects").and_then(Value::as_str) {
            None => {
                errors.push(FieldError::required(&path.child("sideEffects"), "must specify one of None, NoneOnDryRun"))
            }
            Some(effects) => rules::one_of(effects, &["None", "NoneOnDryRun"], &path.child("sideEffects"), errors),
        }
        if let Some(seconds) = int_at(hook, "/timeoutSeconds").filter(|seconds| !(1..=30).contains(seconds)) {
            let detail = "the timeout value must be between 1 and 30 seconds";
            errors.push(FieldError::invalid(&path.child("timeoutSeconds"), seconds, detail));
        }
        for key in ["namespaceSelector", "objectSelector"] {
            selecting::check(hook, key, path, errors);
        }
        check_client(&hook["clientConfig"], &path.child("clientConfig"), errors);
        if let Some(policy) = hook.get("reinvocationPolicy").and_then(Value::as_str).filter(|_| self.mutating) {
            rules::one_of(policy, &["IfNeeded", "Never"], &path.child("reinvocationPolicy"), errors);
        }
        condition::check(hook, false, path, errors);
        check_reviews(hook, &path.child("admissionReviewVersions"), errors);
    }
}

/// A domain of at least three parts.
fn check_name(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let wrong = names::dns_subdomain(name);
    if wrong.is_empty() && name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        errors.push(FieldError::invalid(path, name, detail));
    }
    rules::each(name, wrong, path, errors);
}

fn check_reviews(hook: &Value, path: &Path, errors: &mut ErrorList) {
    let versions: Vec<_> = list_at(hook, "/admissionReviewVersions").iter().filter_map(Value::as_str).collect();
    if versions.is_empty() {
        errors.push(FieldError::required(path, "must specify one of v1, v1beta1"));
        return;
    }
    for (at, version) in versions.iter().enumerate() {
        if versions[..at].contains(version) {
            errors.push(FieldError::invalid(&path.index(at), *version, "duplicate version"));
            continue;
        }
        rules::each(version, names::dns_1035_label(version), &path.index(at), errors);
    }
    if !versions.iter().any(|version| REVIEWS.contains(version)) {
        errors.push(FieldError::invalid(path, json!(versions), "must include at least one of v1, v1beta1"));
    }
}

fn check_client(config: &Value, path: &Path, errors: &mut ErrorList) {
    let service = config.get("service").filter(|s| !s.is_null());
    match (config.get("url").and_then(Value::as_str), service) {
        (Some(url), None) => check_url(url, &path.child("url"), errors),
        (None, Some(service)) => check_service(service, &path.child("service"), errors),
        _ => errors.push(FieldError::required(path, "exactly one of url or service is required")),
    }
}

fn check_url(url: &str, path: &Path, errors: &mut ErrorList) {
    const FORM: &str = "desired format: https://host[/path]";
    let mut wrong = |value: &str, detail: &str| errors.push(FieldError::invalid(path, value, detail));
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once(':').unwrap_or(("", rest));
    let authority = rest.strip_prefix("//").map_or("", |rest| rest.split('/').next().unwrap_or_default());
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if scheme != "https" {
        wrong(scheme, &format!("'https' is the only allowed URL scheme; {FORM}"));
    }
    if host.is_empty() {
        wrong("", &format!("host must be specified; {FORM}"));
    }
    if !user.is_empty() {
        wrong(user, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        wrong(fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        wrong(query, "query parameters are not permitted in the URL");
    }
}

fn check_service(service: &Value, path: &Path, errors: &mut ErrorList) {
    // wire: what lacks one is told to lack the other.
    for (field, told) in [("name", "namespace"), ("namespace", "name")] {
        rules::required(str_at(service, &format!("/{field}")), &path.child(told), errors);
    }
    let port = int_at(service, "/port").unwrap_or(0);
    for sentence in names::port_number(port) {
        errors.push(FieldError::invalid(&path.child("port"), port, format!("port is not valid: {sentence}")));
    }
    let Some(text) = service.get("path").and_then(Value::as_str).filter(|text| !text.is_empty()) else { return };
    let mut wrong = |detail: String| errors.push(FieldError::invalid(&path.child("path"), text, detail));
    if !text.starts_with('/') {
        wrong("must start with a '/'".to_owned());
    }
    let inner = text.get(1..).unwrap_or_default();
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if text == "/" || text.is_empty() {
        return;
    }
    for (at, segment) in inner.split('/').enumerate() {
        if segment.is_empty() {
            wrong(format!("segment[{at}] may not be empty"));
        } else {
            names::dns_subdomain(segment).into_iter().for_each(|sentence| wrong(format!("segment[{at}]: {sentence}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(hooks: Value) -> Vec<String> {
        let mut object = json!({"webhooks": hooks});
        let strategy = WebhookStrategy { mutating: false };
        strategy.default(&mut object);
        strategy.validate(&object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn webhooks_are_checked() {
        let good = json!({"name": "a.b.c", "clientConfig": {"url": "https://x/y"}, "sideEffects": "None", "admissionReviewVersions": ["v1"]});
        assert_eq!(texts(json!([good])), Vec::<String>::new());
        assert_eq!(texts(json!([good, good])), ["webhooks[1].name: Duplicate value: \"a.b.c\""]);
        assert_eq!(
            texts(json!([{}])),
            [
                "webhooks[0].name: Required value",
                "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
                "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
                "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
            ]
        );
        let mut other = good.clone();
        other["clientConfig"]["url"] = json!("http://u:p@h/x?q#f");
        assert_eq!(texts(json!([other])).len(), 4);
    }
}
