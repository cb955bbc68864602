//! What two servers cannot share, replaced by words.

use serde_json::Value;

use super::Reply;

/// The managers that the requests name, or have from their user agent.
const CLIENTS: [&str; 3] = ["differential", "me", "other"];

/// What controllers put beside their status, on objects that they drive.
const DRIVEN: [&str; 6] = [
    "foregroundDeletion",
    "orphan",
    "kubernetes.io/pv-protection",
    "kubernetes.io/pvc-protection",
    "kubernetes.io/vac-protection",
    "networking.k8s.io/service-cidr-finalizer",
];

/// Header, code and body of an answer as one value; without what controllers write, when they may have come by.
pub fn normalised(reply: &Reply, driven: bool) -> Value {
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let mut body = match reply.header("content-type")[..] {
        // How scalars are quoted is no part of what is said.
        ["application/yaml"] => serde_saphyr::from_str(&text).unwrap_or(Value::from(text)),
        _ => serde_json::from_str(&text).unwrap_or_else(|_| lines(&text)),
    };
    object(&mut body);
    if driven {
        undriven(&mut body);
    }
    let mut warnings: Vec<&str> = reply.header("warning");
    warnings.sort_unstable();
    warnings.dedup();
    serde_json::json!({
        "code": reply.code,
        "type": reply.header("content-type"),
        "warning": warnings,
        "body": body,
    })
}

/// A watch's frames, or a text.
fn lines(text: &str) -> Value {
    let frames: Option<Vec<Value>> = text.lines().map(|line| serde_json::from_str(line).ok()).collect();
    frames.filter(|frames| !frames.is_empty()).map_or_else(|| Value::from(text), Value::from)
}

fn object(value: &mut Value) {
    if value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"))
        && let Some(items) = value["items"].as_array_mut()
    {
        for fields in items.iter_mut().filter_map(Value::as_object_mut) {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
    }
    walk("", value);
}

/// Takes away what depends on when controllers came by: in an object, in a list, in a watch and in a table.
fn undriven(value: &mut Value) {
    match value {
        Value::Array(frames) => frames.iter_mut().for_each(|frame| undriven(&mut frame["object"])),
        Value::Object(fields) if fields.get("kind").is_some_and(|kind| *kind == "Status") => {}
        Value::Object(fields) => {
            for list in ["items", "rows"] {
                for below in fields.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    undriven(below);
                }
            }
            fields.remove("status");
            fields.remove("cells");
            if let Some(Value::Object(spec)) = fields.get_mut("spec") {
                for given in ["podCIDR", "podCIDRs", "taints"] {
                    spec.remove(given);
                }
            }
            if let Some(object) = fields.get_mut("object") {
                undriven(object);
            }
            if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
                metadata.remove("annotations");
                if let Some(Value::Array(finalizers)) = metadata.get_mut("finalizers") {
                    finalizers.retain(|finalizer| !DRIVEN.iter().any(|driven| finalizer == driven));
                    if finalizers.is_empty() {
                        metadata.remove("finalizers");
                    }
                }
            }
        }
        _ => {}
    }
}

fn walk(name: &str, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("generateName") && fields.contains_key("uid") {
                fields.insert("name".to_owned(), Value::from("GENERATED"));
            }
            if fields.get("kind").is_some_and(|kind| *kind == "CertificateSigningRequest") {
                // Each server has administrators of its own.
                for asker in ["username", "uid", "groups", "extra"] {
                    fields.get_mut("spec").and_then(Value::as_object_mut).map(|spec| spec.remove(asker));
                }
            }
            if let Some(Value::Array(entries)) = fields.get_mut("managedFields") {
                // What controllers own depends on when they came by.
                entries.retain(|entry| CLIENTS.iter().any(|client| entry["manager"] == *client));
            }
            for (name, below) in fields.iter_mut() {
                walk(name, below);
            }
            if let Some(Value::Array(causes)) = fields.get_mut("causes")
                && causes.iter().all(|cause| cause["reason"] == "FieldManagerConflict")
            {
                // Upstream names the managers in any order.
                causes.sort_by_key(|cause| cause["message"].to_string() + &cause["field"].to_string());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(name, item)),
        Value::String(text) => {
            let plain = match name {
                "resourceVersion" if text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() > 1 => {
                    "RV".to_owned()
                }
                "continue" if !text.is_empty() => "CONTINUE".to_owned(),
                "uid" if looks_like_uid(text.as_bytes()) => "UID".to_owned(),
                "cells" if looks_like_age(text) => "AGE".to_owned(),
                _ => replaced(&with_sorted_object(text)),
            };
            *text = plain;
        }
        Value::Number(_) if name == "remainingItemCount" || name == "retryAfterSeconds" => *value = Value::from(0),
        _ => {}
    }
}

fn looks_like_age(text: &str) -> bool {
    text.strip_suffix('s').is_some_and(|seconds| seconds.parse::<u8>().is_ok())
}

fn looks_like_uid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn looks_like_time(text: &[u8]) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    text.len() == FORM.len()
        && text.iter().zip(FORM).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form })
}

/// A text with the fields of the object that it shows, quoted, in their order.
fn with_sorted_object(text: &str) -> String {
    let Some(start) = text.find("\"{\\\"") else { return text.to_owned() };
    let mut end = start + 1;
    while let Some(byte) = text.as_bytes().get(end).filter(|byte| **byte != b'"') {
        end += if *byte == b'\\' { 2 } else { 1 };
    }
    let shown = text.get(start..=end).and_then(|quoted| serde_json::from_str::<String>(quoted).ok());
    let object = shown.and_then(|shown| serde_json::from_str::<Value>(&shown).ok());
    object.map_or_else(
        || text.to_owned(),
        |object| format!("{}{:?}{}", &text[..start], object.to_string(), &text[end + 1..]),
    )
}

/// What stands before a revision in texts.
const REVISION: [&str; 3] = ["\\\"resourceVersion\\\":\\\"", "in record (", ", current: "];

/// How names begin that the requests have generated.
const GENERATED: &str = "made-";

/// A text with generated names, uids, times and the revisions of objects in it replaced.
fn replaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let bytes = rest.as_bytes();
        if bytes.get(..36).is_some_and(looks_like_uid) {
            (out, rest) = (out + "UID", &rest[36..]);
        } else if bytes.get(..19).is_some_and(looks_like_time) {
            let end = rest[19..].find(|c: char| !(c.is_ascii_digit() || c == '.' || c == 'Z'));
            (out, rest) = (out + "TIME", end.map_or("", |end| &rest[19 + end..]));
        } else if let Some(before) = REVISION.iter().find(|before| rest.starts_with(*before)) {
            let after = rest[before.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
            let number = after.starts_with(['"', ')', '\\']) || after.is_empty();
            (out, rest) = if number { (out + before + "RV", after) } else { (out + before, &rest[before.len()..]) };
        } else if let Some(after) = rest.strip_prefix(GENERATED) {
            let drawn = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            (out, rest) = (out + GENERATED, after.trim_start_matches(drawn));
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_cannot_share_is_replaced_and_nothing_else() {
        let body = serde_json::json!({"kind": "ConfigMap", "metadata": {
            "name": "a", "uid": "0a1b2c3d-0000-4000-8000-000000000000", "resourceVersion": "12",
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "12"}}});
        let reply = Reply { code: 200, headers: Vec::new(), body: body.to_string().into_bytes() };
        let metadata = &normalised(&reply, false)["body"]["metadata"];
        assert_eq!(metadata["uid"], "UID");
        assert_eq!(metadata["resourceVersion"], "RV");
        assert_eq!(metadata["creationTimestamp"], "TIME");
        assert_eq!(metadata["labels"]["a"], "12");
    }

    #[test]
    fn what_controllers_write_is_left_out_where_they_may_have_come_by() {
        let body = serde_json::json!({"kind": "JobList", "items": [{"status": {"ready": 0}, "spec": {"a": 1},
            "metadata": {"finalizers": ["orphan", "example.com/held"]}}]});
        let reply = Reply { code: 200, headers: Vec::new(), body: body.to_string().into_bytes() };
        assert_eq!(normalised(&reply, false)["body"], body);
        let left = serde_json::json!({"spec": {"a": 1}, "metadata": {"finalizers": ["example.com/held"]}});
        assert_eq!(normalised(&reply, true)["body"]["items"][0], left);
    }

    #[test]
    fn objects_in_texts_are_compared_whatever_their_order() {
        let (one, other) = (r#"bad: "{\"a\":1,\"b\":\"c\"}": no"#, r#"bad: "{\"b\":\"c\",\"a\":1}": no"#);
        assert_eq!(with_sorted_object(one), with_sorted_object(other));
        assert_eq!(with_sorted_object(one), one);
    }

    #[test]
    fn revisions_of_objects_that_a_text_shows_are_replaced() {
        assert_eq!(replaced(r#"bad: "{\"resourceVersion\":\"12\"}""#), r#"bad: "{\"resourceVersion\":\"RV\"}""#);
    }
}
