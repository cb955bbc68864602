//! Encoded events. Watchers of the same change in the same format share one encoding.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use gantry_schema::protobuf;
use gantry_view::{Change, Object};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::event::Transition;
use crate::binary;
use crate::limits::SHARED_FRAMES;
use crate::negotiate::Format;

/// The last encoded events.
#[derive(Default)]
pub(crate) struct SharedFrames {
    recent: Mutex<VecDeque<Shared>>,
}

struct Shared {
    change: Arc<Change>,
    transition: Transition,
    format: Format,
    frame: Bytes,
}

impl SharedFrames {
    /// The frame of a change for watchers that see whole objects.
    pub(crate) fn whole(&self, change: &Arc<Change>, transition: Transition, object: &Object, format: Format) -> Bytes {
        let same = |s: &&Shared| Arc::ptr_eq(&s.change, change) && s.transition == transition && s.format == format;
        if let Some(shared) = self.recent.lock().iter().rev().find(same) {
            return shared.frame.clone();
        }
        let mut frame = Vec::new();
        append(transition.name(), &shown(change, transition, object), format, &mut frame);
        let frame = Bytes::from(frame);
        let mut recent = self.recent.lock();
        if recent.len() >= SHARED_FRAMES {
            recent.pop_front();
        }
        recent.push_back(Shared { change: change.clone(), transition, format, frame: frame.clone() });
        frame
    }
}

/// The JSON that an event shows: a deletion has the revision of the deletion.
pub(crate) fn shown(change: &Change, transition: Transition, object: &Object) -> Bytes {
    if transition != Transition::Deleted || object.header.revision == change.revision {
        return object.json().clone();
    }
    let mut value = object.value();
    value["metadata"]["resourceVersion"] = Value::from(change.revision.to_string());
    Bytes::from(serde_json::to_vec(&value).unwrap_or_default())
}

/// Appends one event: a line of JSON, or a message with its length before it.
pub(crate) fn append(kind: &str, object: &[u8], format: Format, out: &mut Vec<u8>) {
    if format == Format::Protobuf {
        let value: Value = serde_json::from_slice(object).unwrap_or_default();
        return append_message(kind, &value, out);
    }
    append_line(kind, object, out);
}

/// Appends one event about a tree.
pub(crate) fn append_value(kind: &str, object: &Value, format: Format, out: &mut Vec<u8>) {
    match format {
        Format::Protobuf => append_message(kind, object, out),
        _ => append_line(kind, object.to_string().as_bytes(), out),
    }
}

fn append_message(kind: &str, object: &Value, out: &mut Vec<u8>) {
    out.append(&mut protobuf::watch_event(kind, &binary::body(object).unwrap_or_default()));
}

fn append_line(kind: &str, object: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
}

/// The events of a piece of a watch one by one, without the lengths before them.
pub(super) fn split(piece: &Bytes, format: Format) -> Vec<Bytes> {
    let (mut events, mut at) = (Vec::new(), 0);
    while at < piece.len() {
        let rest = &piece[at..];
        let (start, length) = match rest.first_chunk::<4>() {
            Some(length) if format == Format::Protobuf => (4, u32::from_be_bytes(*length) as usize),
            _ => (0, rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1)),
        };
        let end = (at + start + length).min(piece.len());
        events.push(piece.slice(at + start..end));
        at = end;
    }
    events
}

/// An object that says nothing but how far the watch has come. `initial_end`: everything there was has been sent.
pub(crate) fn bookmark(kind: &str, api_version: &str, revision: u64, initial_end: bool) -> Value {
    let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
    if initial_end {
        metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
    }
    json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata })
}

#[cfg(test)]
mod tests {
    use gantry_kinds::NAMESPACE;
    use gantry_view::ObjectKey;

    use super::*;

    #[test]
    fn watchers_share_a_frame_and_a_deletion_has_its_own_revision() {
        let body = json!({"metadata": {"name": "a", "resourceVersion": "1"}});
        let object = Arc::new(Object::from_value(&NAMESPACE, &body, 1).unwrap());
        let key = ObjectKey::new(&NAMESPACE, "", "a");
        let change = Arc::new(Change { key, revision: 9, before: Some(object.clone()), after: None });
        let frames = SharedFrames::default();
        let first = frames.whole(&change, Transition::Deleted, &object, Format::Json);
        let second = frames.whole(&change, Transition::Deleted, &object, Format::Json);
        assert_eq!(first.as_ptr(), second.as_ptr());
        let event: Value = serde_json::from_slice(&first).unwrap();
        assert_eq!((&event["type"], &event["object"]["metadata"]["resourceVersion"]), (&json!("DELETED"), &json!("9")));
        assert!(first.ends_with(b"}\n"));
        let binary = frames.whole(&change, Transition::Deleted, &object, Format::Protobuf);
        assert_eq!(binary[..4], u32::to_be_bytes(binary.len() as u32 - 4));
        let twice = |frame: &Bytes| Bytes::from([&frame[..], &frame[..]].concat());
        assert_eq!(split(&twice(&first), Format::Json), [first.clone(), first]);
        assert_eq!(split(&twice(&binary), Format::Protobuf), [binary.slice(4..), binary.slice(4..)]);
    }
}
