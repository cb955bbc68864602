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
    let mut body = serde_json::from_str(&text).unwrap_or_else(|_| lines(&text));
    object(&mut body);
    if driven {
        undriven(&mut body);
    }
    let mut warnings: Vec<&str> = reply.header("warning");
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
            if let Some(Value::Array(entries)) = fields.get_mut("managedFields") {
                // What controllers own depends on when they came by.
                entries.retain(|entry| CLIENTS.iter().any(|client| entry["manager"] == *client));
            }
            for (name, below) in fields.iter_mut() {
                walk(name, below);
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
                _ => replaced(text),
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

/// What stands before the revision of an object that a text shows.
const REVISION: &str = "\\\"resourceVersion\\\":\\\"";

/// A text with uids, times and the revisions of objects in it replaced.
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
        } else if let Some(after) = rest.strip_prefix(REVISION) {
            (out, rest) = (out + REVISION + "RV", after.trim_start_matches(|c: char| c.is_ascii_digit()));
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
    fn revisions_of_objects_that_a_text_shows_are_replaced() {
        assert_eq!(replaced(r#"bad: "{\"resourceVersion\":\"12\"}""#), r#"bad: "{\"resourceVersion\":\"RV\"}""#);
    }
}
