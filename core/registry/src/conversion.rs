//! Conversion of custom objects by a webhook: what is asked, and what of the answer is taken.
//!
//! Invariants: a webhook decides about everything but an object's identity. Its answer must hold each object, in order,
//! under its name and as the version that was asked for; of the metadata only labels and annotations are taken, all else
//! stays what it was.

use std::collections::BTreeMap;

use gantry_kinds::custom::Definition;
use gantry_kinds::meta::{check_annotations, check_labels};
use gantry_kinds::{ErrorList, Path};
use gantry_schema::patch::go_type;
use serde_json::{Map, Value, json};

use crate::ask::Answer;

/// The version in which webhooks are spoken to.
const REVIEW: &str = "apiextensions.k8s.io/v1";

/// The objects in their order, or why there are none.
pub type Converted = Result<Vec<Value>, String>;

/// Objects of one version that are wanted as another.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// Name of the definition.
    pub definition: String,
    /// `webhook` of the definition's conversion: who is asked, and how.
    pub webhook: Value,
    /// `apiVersion` that the objects have.
    pub from: String,
    /// Kind of the objects.
    pub kind: String,
    /// `apiVersion` that they should have.
    pub to: String,
    /// The objects.
    pub objects: Vec<Value>,
}

impl Conversion {
    /// Asks for objects of a definition that has a webhook.
    pub(crate) fn new(definition: &Definition, to: String, objects: Vec<Value>) -> Self {
        let from = objects.first().and_then(|object| object["apiVersion"].as_str()).unwrap_or_default().to_owned();
        let webhook = definition.webhook.as_ref().map(|conversion| conversion["webhook"].clone()).unwrap_or_default();
        let (definition, kind) = (definition.name.clone(), definition.home.kind.to_owned());
        Conversion { definition, webhook, from, kind, to, objects }
    }

    /// The body that the webhook is sent.
    pub fn review(&self, uid: &str) -> Value {
        let objects: Vec<Value> = self.objects.iter().map(bare).collect();
        json!({
            "kind": "ConversionReview", "apiVersion": REVIEW,
            "request": {"uid": uid, "desiredAPIVersion": self.to, "objects": objects},
            "response": {"uid": "", "convertedObjects": null, "result": {"metadata": {}}},
        })
    }

    /// The objects of an answer, checked; else why not.
    pub fn accept(&self, uid: &str, answer: &Value) -> Converted {
        let converted = converted(uid, answer).map_err(|why| self.failed(&why))?;
        if converted.len() != self.objects.len() {
            let (got, expected) = (converted.len(), self.objects.len());
            return Err(format!("{} returned {got} objects, expected {expected}", self.subject()));
        }
        let pairs = self.objects.iter().zip(converted).enumerate();
        pairs.map(|(index, (original, converted))| self.take(index, original, converted)).collect()
    }

    /// What was answered, for each object.
    pub fn spread(&self, converted: Converted) -> Answer {
        match converted {
            Ok(objects) => objects.into_iter().map(Ok).collect(),
            Err(why) => vec![Err(why); self.objects.len()],
        }
    }

    /// `conversion webhook for g/v1, Kind=K failed: why`.
    pub fn failed(&self, why: &str) -> String {
        format!("{} failed: {why}", self.subject())
    }

    fn subject(&self) -> String {
        format!("conversion webhook for {}, Kind={}", self.from, self.kind)
    }

    fn take(&self, index: usize, original: &Value, converted: &Value) -> Result<Value, String> {
        let text = |key: &str| converted.get(key).and_then(Value::as_str).unwrap_or_default();
        let misfit = |what: &str, expected: &str, got: &str| {
            let subject = self.subject();
            Err(format!(
                "{subject} returned invalid object at index {index}: invalid {what} (expected {expected}, received {got})"
            ))
        };
        if text("apiVersion") != self.to {
            return misfit("groupVersion", &self.to, text("apiVersion"));
        }
        if text("kind") != self.kind {
            return misfit("kind", &self.kind, text("kind"));
        }
        for (key, name) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
            let of =
                |object: &Value| object["metadata"].get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (was, is) = (of(original), of(converted));
            if was != is {
                return Err(format!(
                    "{} returned invalid object: must have the same {name}: {was} != {is}",
                    self.subject()
                ));
            }
        }
        let mut taken = converted.clone();
        taken["metadata"] = metadata(&original["metadata"], &converted["metadata"])
            .map_err(|why| format!("{} returned invalid metadata: {why}", self.subject()))?;
        Ok(taken)
    }
}

/// An object as a webhook is sent it.
fn bare(object: &Value) -> Value {
    let mut bare = object.clone();
    if let Some(metadata) = bare.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
    }
    bare
}

fn converted<'a>(uid: &str, answer: &'a Value) -> Result<&'a [Value], String> {
    let text = |at: &str| answer.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("/apiVersion"), text("/kind"));
    match (version, kind) {
        (REVIEW, "ConversionReview") => {}
        ("", "") => {
            return Err(format!("expected webhook response of {REVIEW}, Kind=ConversionReview, got /, Kind="));
        }
        ("apiextensions.k8s.io/v1beta1", "ConversionReview") => {
            return Err("converting (v1beta1.ConversionReview) to (v1.ConversionReview): unknown conversion".to_owned());
        }
        _ => {
            return Err(format!(
                "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\""
            ));
        }
    }
    if !answer["response"].is_object() {
        return Err("no response provided".to_owned());
    }
    let got = text("/response/uid");
    if got != uid {
        return Err(format!("expected response.uid={uid:?}, got {got:?}"));
    }
    let status = text("/response/result/status");
    if status != "Success" {
        let message = text("/response/result/message");
        let why = format!("response.result.status was '{status}', not 'Success'");
        return Err(if message.is_empty() { why } else { message.to_owned() });
    }
    Ok(answer["response"]["convertedObjects"].as_array().map(Vec::as_slice).unwrap_or_default())
}

/// The original metadata with the converted labels and annotations.
fn metadata(original: &Value, converted: &Value) -> Result<Value, String> {
    let mut metadata = original.as_object().cloned().unwrap_or_default();
    for key in ["labels", "annotations"] {
        let texts = texts(key, converted.get(key))?;
        let (mut errors, path) = (ErrorList::new(), Path::new("metadata").child(key));
        match key {
            "labels" => check_labels(&texts, &path, &mut errors),
            _ => check_annotations(&texts, &path, &mut errors),
        }
        if let Some(error) = errors.first() {
            return Err(error.to_string());
        }
        let texts: Map<String, Value> = texts.into_iter().map(|(name, text)| (name, text.into())).collect();
        match texts.is_empty() {
            true => metadata.remove(key),
            false => metadata.insert(key.to_owned(), Value::Object(texts)),
        };
    }
    Ok(Value::Object(metadata))
}

fn texts(key: &str, map: Option<&Value>) -> Result<BTreeMap<String, String>, String> {
    let fields = match map {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(fields)) => fields,
        Some(other) => {
            return Err(format!("metadata.{key} must be a map, but is {} in converted object", go_type(other)));
        }
    };
    let text = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        other => Err(format!("metadata.{key}[{name}] must be a string, but is {} in converted object", go_type(other))),
    };
    fields.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversion() -> Conversion {
        let object = json!({"apiVersion": "g.io/v1", "kind": "Foo", "spec": {"a": 1}, "metadata": {
            "name": "x", "namespace": "n", "uid": "u", "generation": 3, "resourceVersion": "9", "labels": {"l": "1"}}});
        Conversion {
            definition: "foos.g.io".to_owned(),
            webhook: Value::Null,
            from: "g.io/v1".to_owned(),
            kind: "Foo".to_owned(),
            to: "g.io/v2".to_owned(),
            objects: vec![object],
        }
    }

    fn answer(change: impl Fn(&mut Value)) -> Result<Vec<Value>, String> {
        let conversion = conversion();
        let mut converted = conversion.review("id")["request"]["objects"][0].clone();
        converted["apiVersion"] = json!("g.io/v2");
        let mut answer = json!({"apiVersion": REVIEW, "kind": "ConversionReview", "response": {
            "uid": "id", "result": {"status": "Success"}, "convertedObjects": [converted]}});
        change(&mut answer);
        conversion.accept("id", &answer)
    }

    #[test]
    fn a_review_holds_the_objects_without_their_revision() {
        let review = conversion().review("id");
        assert_eq!(review["request"]["desiredAPIVersion"], "g.io/v2");
        assert_eq!(review["request"]["objects"][0]["metadata"].get("resourceVersion"), None);
    }

    #[test]
    fn only_labels_and_annotations_of_the_metadata_are_taken() {
        let taken = answer(|answer| {
            let object = &mut answer["response"]["convertedObjects"][0];
            object["metadata"]["generation"] = json!(7);
            object["metadata"]["finalizers"] = json!(["a.b/c"]);
            object["metadata"]["labels"] = Value::Null;
            object["metadata"]["annotations"] = json!({"a": "b"});
            object["spec"] = json!({"b": 2});
        });
        let taken = &taken.unwrap()[0];
        let expected = json!({"name": "x", "namespace": "n", "uid": "u", "generation": 3, "resourceVersion": "9",
            "annotations": {"a": "b"}});
        assert_eq!((&taken["metadata"], &taken["spec"]), (&expected, &json!({"b": 2})));
    }

    #[test]
    fn what_does_not_answer_the_question_is_refused() {
        let refused = |at: &str, value: Value, expected: &str| {
            let got = answer(|answer| {
                *answer.pointer_mut(at).unwrap() = value.clone();
            });
            assert_eq!(got.unwrap_err(), format!("conversion webhook for g.io/v1, Kind=Foo {expected}"));
        };
        let object = "/response/convertedObjects/0";
        refused("/response/uid", json!("z"), "failed: expected response.uid=\"id\", got \"z\"");
        refused("/response/result", json!({"status": "Failure", "message": "no"}), "failed: no");
        refused("/response/result", json!({}), "failed: response.result.status was '', not 'Success'");
        refused("/response", Value::Null, "failed: no response provided");
        refused("/response/convertedObjects", json!([]), "returned 0 objects, expected 1");
        let misfit = "returned invalid object at index 0: invalid groupVersion (expected g.io/v2, received g.io/v3)";
        refused(&format!("{object}/apiVersion"), json!("g.io/v3"), misfit);
        let renamed = "returned invalid object: must have the same name: x != y";
        refused(&format!("{object}/metadata/name"), json!("y"), renamed);
        refused(&format!("{object}/metadata"), json!("y"), "returned invalid object: must have the same name: x != ");
        let typed = "returned invalid metadata: metadata.labels[l] must be a string, but is int64 in converted object";
        refused(&format!("{object}/metadata/labels/l"), json!(1), typed);
    }
}
