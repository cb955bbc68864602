//! Names, versions, columns, subresources and conversion of a definition.

use serde_json::{Value, json};

use super::{rules, schema};
use crate::custom::simple;
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::names;
use crate::tree::{list_at, str_at};

const APPROVAL: &str = "api-approved.kubernetes.io";
const APPROVAL_TEXT: &str = "https://github.com/kubernetes/enhancements/pull/1111";
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// All that is wrong with a definition; what may not change is compared with `old`.
pub(super) fn validate(object: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = &object["spec"];
    let wanted = format!("{}.{}", str_at(spec, "/names/plural"), str_at(spec, "/group"));
    let name = str_at(object, "/metadata/name");
    if !name.is_empty() && name != wanted && old.is_none() {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid(&Path::new("metadata").child("name"), name, why));
    }
    spec_of(spec, &mut errors);
    errors.extend(stored_versions(object));
    approval(object, old, &mut errors);
    if let Some(old) = old {
        immutable(object, old, &mut errors);
    }
    errors
}

fn spec_of(spec: &Value, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let group = str_at(spec, "/group");
    if group.is_empty() {
        errors.push(FieldError::required(&path.child("group"), ""));
    } else if !names::dns_subdomain(group).is_empty() {
        errors.extend(FieldError::each(&path.child("group"), group, names::dns_subdomain(group)));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid(&path.child("group"), group, "should be a domain with at least one dot"));
    }
    match str_at(spec, "/scope") {
        "Cluster" | "Namespaced" => {}
        "" => errors.push(FieldError::required(&path.child("scope"), "")),
        other => errors.push(FieldError::not_supported(&path.child("scope"), other, &["Cluster", "Namespaced"])),
    }
    if spec["preserveUnknownFields"] == true {
        let why =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid(&path.child("preserveUnknownFields"), true, why));
    }
    versions(spec, errors);
    check_names(&spec["names"], &path.child("names"), errors);
    let listed = list_at(spec, "/versions");
    // What all versions say alike is told once, where it used to be written.
    let alike = |key: &str| listed.iter().all(|version| version.get(key) == listed[0].get(key));
    for (index, version) in listed.iter().enumerate() {
        let at = path.child("versions").index(index);
        let place = |key: &str| if alike(key) { path.clone() } else { at.clone() };
        let first = |key: &str| index == 0 || !alike(key);
        match version.pointer("/schema/openAPIV3Schema").filter(|schema| !schema.is_null()) {
            None => errors.push(FieldError::required(&at.child("schema").child("openAPIV3Schema"), "")),
            Some(written) if first("schema") => {
                let at = if alike("schema") { path.child("validation") } else { at.child("schema") };
                let at = at.child("openAPIV3Schema");
                let before = errors.len();
                schema::validate(written, &at, errors);
                if errors.len() == before {
                    rules::validate(written, &at, errors);
                }
            }
            Some(_) => {}
        }
        if first("additionalPrinterColumns") {
            columns(version, &place("additionalPrinterColumns"), errors);
        }
        if first("subresources") {
            scale(version, &place("subresources"), errors);
        }
        if first("selectableFields") {
            selectable(version, &place("selectableFields"), errors);
        }
    }
    conversion(&spec["conversion"], &path.child("conversion"), errors);
}

fn versions(spec: &Value, errors: &mut ErrorList) {
    let path = Path::new("spec").child("versions");
    let listed = list_at(spec, "/versions");
    let mut seen = Vec::new();
    let mut unique = true;
    for (index, version) in listed.iter().enumerate() {
        let name = str_at(version, "/name");
        unique &= !seen.contains(&name);
        seen.push(name);
        errors.extend(FieldError::each(&path.index(index).child("name"), name, names::dns_1035_label(name)));
        let warning = version.get("deprecationWarning").and_then(Value::as_str);
        if warning.is_some() && version["deprecated"] != true {
            let why = "can only be set for deprecated versions";
            let at = path.index(index).child("deprecationWarning");
            errors.push(FieldError::invalid(&at, warning.unwrap_or_default(), why));
        }
    }
    if !unique {
        errors.push(FieldError::invalid_shown(&path, &as_go(listed), "must contain unique version names"));
    }
    if listed.iter().filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid_shown(&path, &as_go(listed), why));
    }
    if let Some(name) = listed.first().map(|v| str_at(v, "/name")).filter(|n| !names::dns_1035_label(n).is_empty()) {
        errors.extend(FieldError::each(&Path::new("spec").child("version"), name, names::dns_1035_label(name)));
    }
}

/// Versions as error texts show them.
fn as_go(listed: &[Value]) -> String {
    if listed.is_empty() {
        return "null".to_owned();
    }
    let flag = |version: &Value, key: &str| version[key] == true;
    let one = |v: &Value| {
        let warning = v.get("deprecationWarning").cloned().unwrap_or_default();
        format!(
            "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{warning},\
             \"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
            shown(&v["name"]),
            flag(v, "served"),
            flag(v, "storage"),
            flag(v, "deprecated"),
        )
    };
    format!("[{}]", listed.iter().map(one).collect::<Vec<_>>().join(","))
}

fn check_names(given: &Value, path: &Path, errors: &mut ErrorList) {
    let mixed = |text: &str| -> Vec<String> {
        let wrong = names::dns_1035_label(&text.to_lowercase()).into_iter();
        wrong.map(|why| format!("may have mixed case, but should otherwise match: {why}")).collect()
    };
    for (key, is_kind) in [("plural", false), ("singular", false), ("kind", true), ("listKind", true)] {
        let text = given.get(key).and_then(Value::as_str).unwrap_or_default();
        let at = path.child(key);
        if text.is_empty() {
            errors.push(FieldError::required(&at, ""));
        } else {
            let wrong = if is_kind { mixed(text) } else { names::dns_1035_label(text) };
            errors.extend(FieldError::each(&at, text, wrong));
        }
    }
    for key in ["shortNames", "categories"] {
        for (index, name) in given[key].as_array().into_iter().flatten().enumerate() {
            let name = name.as_str().unwrap_or_default();
            errors.extend(FieldError::each(&path.child(key).index(index), name, names::dns_1035_label(name)));
        }
    }
    let (kind, list) = (str_at(given, "/kind"), str_at(given, "/listKind"));
    if !kind.is_empty() && kind == list {
        errors.push(FieldError::invalid(&path.child("listKind"), list, "kind and listKind may not be the same"));
    }
}

fn columns(version: &Value, path: &Path, errors: &mut ErrorList) {
    for (index, column) in list_at(version, "/additionalPrinterColumns").iter().enumerate() {
        let at = path.child("additionalPrinterColumns").index(index);
        let text = |key: &str| column.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("name").is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        }
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        match text("type") {
            "" => errors.push(FieldError::required(&at.child("type"), &types)),
            kind if COLUMN_TYPES.contains(&kind) => {}
            kind => errors.push(FieldError::invalid(&at.child("type"), kind, types)),
        }
        let format = text("format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let why = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.push(FieldError::invalid(&at.child("format"), format, why));
        }
        match text("jsonPath") {
            "" => errors.push(FieldError::required(&at.child("JSONPath"), "")),
            path => simple_path(path, &at.child("JSONPath"), errors),
        }
    }
}

fn simple_path(text: &str, at: &Path, errors: &mut ErrorList) {
    if !text.starts_with('.') {
        errors.push(FieldError::invalid(at, text, "must be a simple json path starting with ."));
    }
}

fn scale(version: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(scale) = version.pointer("/subresources/scale").filter(|scale| !scale.is_null()) else { return };
    let at = path.child("subresources").child("scale");
    let under = [
        ("specReplicasPath", &[".spec."][..], "should be a json path under .spec"),
        ("statusReplicasPath", &[".status."][..], "should be a json path under .status"),
        ("labelSelectorPath", &[".spec.", ".status."][..], "should be a json path under either .spec or .status"),
    ];
    for (key, roots, why) in under {
        let text = scale.get(key).and_then(Value::as_str).unwrap_or_default();
        let at = at.child(key);
        if text.is_empty() {
            if key != "labelSelectorPath" {
                errors.push(FieldError::required(&at, ""));
            }
        } else if !text.starts_with('.') || simple(text).is_none() {
            errors.push(FieldError::invalid(&at, text, "must be a simple json path starting with ."));
        } else if !roots.iter().any(|root| text.starts_with(root)) {
            errors.push(FieldError::invalid(&at, text, why));
        }
    }
}

fn selectable(version: &Value, path: &Path, errors: &mut ErrorList) {
    let mut seen = Vec::new();
    for (index, field) in list_at(version, "/selectableFields").iter().enumerate() {
        let at = path.child("selectableFields").index(index).child("jsonPath");
        let text = str_at(field, "/jsonPath");
        if text.is_empty() {
            errors.push(FieldError::required(&at, ""));
            continue;
        }
        if !text.starts_with('.') {
            let head = text.split(['.', '[']).next().unwrap_or_default();
            let why = format!("is an invalid path: expected [ or . but got: {head}");
            errors.push(FieldError::invalid(&at, text, why));
            continue;
        }
        if seen.contains(&text) {
            errors.push(FieldError::duplicate(&at, text));
            continue;
        }
        seen.push(text);
        let names = simple(text).filter(|names| names[0] != "metadata");
        let found = names.and_then(|names| {
            let root = version.pointer("/schema/openAPIV3Schema")?;
            names.iter().try_fold(root, |node, name| node.get("properties")?.get(name))
        });
        match found {
            None => errors.push(FieldError::invalid(&at, text, "is an invalid path: does not refer to a valid field")),
            Some(node) if !["string", "boolean", "integer"].contains(&str_at(node, "/type")) => {
                let why = "must point to a field of type string, boolean or integer. Enum string fields and strings \
                           with formats are allowed.";
                errors.push(FieldError::invalid(&at, text, why));
            }
            Some(_) => {}
        }
    }
}

fn conversion(given: &Value, path: &Path, errors: &mut ErrorList) {
    let reviews = given.pointer("/webhook/conversionReviewVersions");
    let reviews_at = path.child("conversionReviewVersions");
    let client_at = path.child("webhookClientConfig");
    match str_at(given, "/strategy") {
        "None" => {
            if given.pointer("/webhook/clientConfig").is_some() {
                let why = "should not be set when strategy is not set to Webhook";
                errors.push(FieldError::forbidden(&client_at, why));
            }
            if reviews.is_some_and(|reviews| reviews.as_array().is_some_and(|all| !all.is_empty())) {
                let why = "should not be set when strategy is not set to Webhook";
                errors.push(FieldError::forbidden(&reviews_at, why));
            }
        }
        "Webhook" => {
            match given.pointer("/webhook/clientConfig").filter(|client| !client.is_null()) {
                None => {
                    errors.push(FieldError::required(&client_at, "required when strategy is set to Webhook"));
                }
                Some(client) if client.get("url").is_some() == client.get("service").is_some() => {
                    errors.push(FieldError::required(&client_at, "exactly one of url or service is required"));
                }
                Some(_) => {}
            }
            let listed = reviews.and_then(Value::as_array).filter(|all| !all.is_empty());
            match listed {
                None => errors.push(FieldError::required(&reviews_at, "")),
                Some(all) if !all.iter().any(|v| v == "v1" || v == "v1beta1") => {
                    let why = "must include at least one of v1, v1beta1";
                    errors.push(FieldError::invalid(&reviews_at, json!(all), why));
                }
                Some(_) => {}
            }
        }
        "" => errors.push(FieldError::required(&path.child("strategy"), "")),
        other => errors.push(FieldError::not_supported(&path.child("strategy"), other, &["None", "Webhook"])),
    }
}

fn stored_versions(object: &Value) -> ErrorList {
    let path = Path::new("status").child("storedVersions");
    let stored = list_at(object, "/status/storedVersions");
    let mut errors = ErrorList::new();
    if stored.is_empty() {
        errors.push(FieldError::invalid_shown(&path, "null", "must have at least one stored version"));
        return errors;
    }
    let versions = list_at(object, "/spec/versions");
    for (index, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| version["name"] == *name) {
            let name_text = name.as_str().unwrap_or_default();
            let why = format!(
                "missing from spec.versions; {name_text} was previously a storage version, and must remain in \
                 spec.versions until a storage migration ensures no data remains persisted in {name_text} and removes \
                 {name_text} from status.storedVersions"
            );
            errors.push(FieldError::invalid(&path.index(index), name_text, why));
        }
    }
    let storage = versions.iter().rev().find(|version| version["storage"] == true).map(|v| str_at(v, "/name"));
    if let Some(storage) = storage.filter(|storage| !stored.iter().any(|name| name == storage)) {
        let why = format!("must have the storage version {storage}");
        errors.push(FieldError::invalid(&path, json!(stored), why));
    }
    errors
}

fn approval(object: &Value, old: Option<&Value>, errors: &mut ErrorList) {
    let group = str_at(object, "/spec/group");
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|root| group == *root || group.strip_suffix(root).is_some_and(|rest| rest.ends_with('.')));
    let annotation = |object: &Value| object["metadata"]["annotations"][APPROVAL].as_str().map(str::to_owned);
    if !protected || old.is_some_and(|old| annotation(old) == annotation(object)) {
        return;
    }
    let at = Path::new("metadata").child("annotations").key(APPROVAL);
    match annotation(object).as_deref().unwrap_or_default() {
        "" => {
            let why = format!("protected groups must have approval annotation {APPROVAL:?}, see {APPROVAL_TEXT}");
            errors.push(FieldError::required(&at, &why));
        }
        text if text.starts_with("unapproved") || (text.contains("://") && !text.contains(' ')) => {}
        text => {
            let why = format!(
                "protected groups must have approval annotation {APPROVAL:?} with either a URL or a reason starting \
                 with \"unapproved\", see {APPROVAL_TEXT}"
            );
            errors.push(FieldError::invalid(&at, text, why));
        }
    }
}

fn immutable(new: &Value, old: &Value, errors: &mut ErrorList) {
    let established =
        list_at(old, "/status/conditions").iter().any(|c| c["type"] == "Established" && c["status"] == "True");
    let mut fields = vec!["group", "names/plural"];
    if established {
        fields.splice(0..0, ["scope", "names/kind"]);
    }
    for field in fields {
        let (was, is) = (str_at(&old["spec"], &format!("/{field}")), str_at(&new["spec"], &format!("/{field}")));
        if was != is {
            let path = field.split('/').fold(Path::new("spec"), |path, name| path.child(name));
            errors.push(FieldError::invalid(&path, is, "field is immutable"));
        }
    }
}
