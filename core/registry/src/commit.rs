//! From a finished object to the decision that stores it.

use bytes::Bytes;
use gantry_kinds::Status;
use gantry_view::{Object, ObjectKey};
use serde_json::{Value, json};

use crate::case::{Case, Refusal};
use crate::request::{Decision, Write};
use crate::{custom, meta};

/// The largest object that is stored, in bytes of JSON.
pub(crate) const LARGEST_OBJECT: usize = 1_572_864;

/// What a decision gathers on its way beside the object itself.
#[derive(Default)]
pub(crate) struct Draft {
    /// Further keys that change in the same commit.
    pub(crate) writes: Vec<Write>,
    /// Keys that were relied on.
    pub(crate) guards: Vec<(ObjectKey, u64)>,
    /// Texts for `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

impl Draft {
    pub(crate) fn warning(warnings: Vec<String>) -> Self {
        Draft { warnings, ..Draft::default() }
    }

    /// Stores `object` in place of `before`, and answers with it.
    pub(crate) fn save(self, case: &Case<'_>, before: Option<&Object>, object: Value) -> Result<Decision, Refusal> {
        self.save_as(case, before, object, Value::clone)
    }

    /// Stores `object` in place of `before`, and answers with what `show` makes of it.
    pub(crate) fn save_as(
        mut self,
        case: &Case<'_>,
        before: Option<&Object>,
        mut object: Value,
        show: impl Fn(&Value) -> Value,
    ) -> Result<Decision, Refusal> {
        let code = if before.is_some() { 200 } else { 201 };
        if let Some(before) = before {
            meta::of(&mut object).insert("resourceVersion".to_owned(), before.header.revision.to_string().into());
        }
        let (mut stored, reply) = match custom::stored(case, &object)? {
            Some((stored, seen)) => (stored, show(&seen)),
            None => {
                let reply = show(&object);
                (object, reply)
            }
        };
        if case.dry_run() || before.is_some_and(|before| before.value() == stored) {
            return Ok(Decision::Reply { reply, code, warnings: self.warnings });
        }
        meta::of(&mut stored).remove("resourceVersion");
        let json = serde_json::to_vec(&stored).map_err(Status::internal)?;
        if json.len() > LARGEST_OBJECT {
            let message = format!("Request entity too large: limit is {LARGEST_OBJECT}");
            return Err(Status::new(413, "RequestEntityTooLarge", message).into());
        }
        let key = ObjectKey::new(case.kind().home(), meta::text(&stored, "namespace"), meta::text(&stored, "name"));
        let expect = before.map_or(0, |before| before.header.revision);
        self.writes.insert(0, Write { key, expect, json: Some(Bytes::from(json)) });
        let Draft { writes, guards, warnings } = self;
        Ok(Decision::Commit { writes, guards, reply, code, warnings })
    }

    /// Takes `before` out of the store, and answers with `reply`.
    pub(crate) fn remove(mut self, case: &Case<'_>, before: &Object, reply: Value) -> Decision {
        let Draft { ref mut writes, .. } = self;
        writes.insert(0, Write { key: before.key().clone(), expect: before.header.revision, json: None });
        let Draft { writes, guards, warnings } = self;
        if case.dry_run() {
            return Decision::Reply { reply, code: 200, warnings };
        }
        Decision::Commit { writes, guards, reply, code: 200, warnings }
    }
}

/// The `Status` that says that it is done.
pub(crate) fn success(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code})
}
