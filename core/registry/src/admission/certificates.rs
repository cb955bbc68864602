//! Who asks for a certificate: what the server knows of the user, never what the body says.

use gantry_kinds::CERTIFICATE_SIGNING_REQUEST;
use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::meta;

/// Writes the requester into a new request.
pub(super) fn name_requester(case: &Case<'_>, object: &mut Value) {
    if case.kind() != &CERTIFICATE_SIGNING_REQUEST {
        return;
    }
    let user = &case.request.user;
    let spec = meta::map(object, "spec");
    ["username", "uid", "groups", "extra"].iter().for_each(|field| drop(spec.remove(*field)));
    spec.insert("username".to_owned(), user.name.as_str().into());
    if !user.uid.is_empty() {
        spec.insert("uid".to_owned(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        spec.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        let extra: Map<String, Value> = user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
        spec.insert("extra".to_owned(), Value::Object(extra));
    }
}
