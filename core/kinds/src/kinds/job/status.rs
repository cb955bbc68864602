//! What the status of a Job may become.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{condition, indexes};
use crate::age;
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::rules::non_negative;
use crate::tree::{int_at, list_at, str_at};

/// Checks a changed status. Most rules ask only about what has changed.
pub fn check(new: &Value, old: &Value) -> ErrorList {
    let status = Status { new, old, path: Path::new("status") };
    let mut errors = ErrorList::new();
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        non_negative(status.count(new, field), &status.path.child(field), &mut errors);
    }
    status.check_uncounted(&mut errors);
    status.check_conditions(&mut errors);
    status.check_finished(&mut errors);
    status.check_indexes(&mut errors);
    if status.field(new, "ready").is_some()
        && status.count(new, "ready") > status.count(new, "active")
        && (status.changed("ready") || status.changed("active"))
    {
        let path = status.path.child("ready");
        errors.push(FieldError::invalid(&path, status.count(new, "ready"), "cannot set more ready pods than active"));
    }
    status.check_progress(&mut errors);
    errors
}

/// What a status says that may not be taken back.
const TERMINAL: [&str; 4] = ["Failed", "Complete", "FailureTarget", "SuccessCriteriaMet"];

struct Status<'a> {
    new: &'a Value,
    old: &'a Value,
    path: Path,
}

impl<'a> Status<'a> {
    fn count(&self, object: &Value, field: &str) -> i64 {
        int_at(object, &format!("/status/{field}")).unwrap_or(0)
    }

    fn field(&self, object: &'a Value, field: &str) -> Option<&'a Value> {
        object.get("status")?.get(field).filter(|value| !value.is_null())
    }

    fn changed(&self, field: &str) -> bool {
        self.field(self.new, field) != self.field(self.old, field)
    }

    /// Whether the new status says so.
    fn is(&self, kind: &str) -> bool {
        condition(self.new, kind).is_some()
    }

    /// Whether one of the statuses says so and the other does not.
    fn turned(&self, kind: &str) -> bool {
        self.is(kind) != condition(self.old, kind).is_some()
    }

    fn finished(object: &Value) -> bool {
        ["Complete", "Failed"].iter().any(|kind| condition(object, kind).is_some())
    }

    fn invalid(&self, field: &str, detail: &str) -> FieldError {
        let value = self.field(self.new, field).map_or_else(|| "null".to_owned(), shown);
        FieldError::invalid_shown(&self.path.child(field), &value, detail)
    }

    fn contradiction(&self, detail: String) -> FieldError {
        FieldError::invalid_bare(&self.path.child("conditions"), detail)
    }

    fn check_uncounted(&self, errors: &mut ErrorList) {
        let path = self.path.child("uncountedTerminatedPods");
        let mut seen = BTreeSet::new();
        for list in ["succeeded", "failed"] {
            let uids = list_at(self.new, &format!("/status/uncountedTerminatedPods/{list}"));
            for (at, uid) in uids.iter().filter_map(Value::as_str).enumerate() {
                let path = path.child(list).index(at);
                if uid.is_empty() {
                    errors.push(FieldError::invalid(&path, uid, "must not be empty"));
                } else if !seen.insert(uid) {
                    errors.push(FieldError::duplicate(&path, uid));
                }
            }
        }
    }

    fn check_conditions(&self, errors: &mut ErrorList) {
        for (one, other) in
            [("Complete", "Failed"), ("Complete", "FailureTarget"), ("SuccessCriteriaMet", "FailureTarget")]
        {
            if self.is(one) && self.is(other) && (self.turned(one) || self.turned(other)) {
                errors.push(self.contradiction(format!("cannot set {one}=True and {other}=true conditions")));
            }
        }
        let completed = self.field(self.new, "completionTime").is_some();
        if self.turned("Complete") || self.changed("completionTime") {
            if completed && !self.is("Complete") {
                let detail = "cannot set completionTime when there is no Complete=True condition";
                errors.push(self.invalid("completionTime", detail));
            }
            if !completed && self.is("Complete") {
                let detail = "completionTime is required for Complete jobs";
                errors.push(FieldError::required(&self.path.child("completionTime"), detail));
            }
        }
        let moment = |field: &str| age::moment(self.new, &format!("/status/{field}"));
        let times_changed = self.changed("startTime") || self.changed("completionTime");
        if let (Some(start), Some(end)) = (moment("startTime"), moment("completionTime"))
            && end < start
            && times_changed
        {
            errors.push(self.invalid("completionTime", "must be equal to or after `startTime`"));
        }
        for (end, reason) in [("Failed", "FailureTarget"), ("Complete", "SuccessCriteriaMet")] {
            if self.is(end) && !self.is(reason) && self.turned(end) {
                let detail = format!("cannot set {end}=True condition without the {reason}=true condition");
                errors.push(self.contradiction(detail));
            }
        }
    }

    fn check_finished(&self, errors: &mut ErrorList) {
        let finished = Self::finished(self.new);
        let turned = finished != Self::finished(self.old);
        if !finished {
            return;
        }
        for field in ["active", "terminating"] {
            if self.count(self.new, field) > 0 && (turned || self.changed(field)) {
                errors.push(self.invalid(field, &format!("{field}>0 is invalid for finished job")));
            }
        }
        if self.field(self.new, "startTime").is_none() && (turned || self.changed("startTime")) {
            let path = self.path.child("startTime");
            errors.push(FieldError::required(&path, "startTime is required for finished job"));
        }
        let uncounted = ["succeeded", "failed"]
            .iter()
            .any(|list| !list_at(self.new, &format!("/status/uncountedTerminatedPods/{list}")).is_empty());
        if uncounted && (turned || self.changed("uncountedTerminatedPods")) {
            let detail = "uncountedTerminatedPods needs to be empty for finished job";
            errors.push(self.invalid("uncountedTerminatedPods", detail));
        }
    }

    fn check_indexes(&self, errors: &mut ErrorList) {
        let completions = int_at(self.new, "/spec/completions").unwrap_or(0);
        let mut read = |field: &str| {
            let text = str_at(self.new, &format!("/status/{field}"));
            let parsed = indexes::parse(text, completions);
            if let Err(why) = &parsed
                && self.changed(field)
            {
                errors.push(self.invalid(field, &format!("error parsing {field}: {why}")));
            }
            parsed.unwrap_or_default()
        };
        let (completed, failed) = (read("completedIndexes"), read("failedIndexes"));
        let indexed = str_at(self.new, "/spec/completionMode") == "Indexed";
        if self.changed("completedIndexes") && !indexed && self.field(self.new, "completedIndexes").is_some() {
            let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
            errors.push(self.invalid("completedIndexes", detail));
        }
        let per_index = self.new.pointer("/spec/backoffLimitPerIndex").is_some_and(|limit| !limit.is_null());
        if self.changed("failedIndexes") && !per_index && self.field(self.new, "failedIndexes").is_some() {
            let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            errors.push(self.invalid("failedIndexes", detail));
        }
        if let Some(index) = indexes::shared(&failed, &completed)
            && (self.changed("failedIndexes") || self.changed("completedIndexes"))
        {
            let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
            errors.push(self.invalid("failedIndexes", &detail));
        }
    }

    /// What was reached is not taken back.
    fn check_progress(&self, errors: &mut ErrorList) {
        for kind in TERMINAL {
            if condition(self.old, kind).is_some() && !self.is(kind) {
                errors.push(self.contradiction(format!("cannot disable {kind}=True condition")));
            }
        }
        let decreased = |field| self.count(self.new, field) < self.count(self.old, field);
        if decreased("failed") {
            errors.push(self.invalid("failed", "cannot decrease the failed counter"));
        }
        let elastic = self.new.pointer("/spec/completions") == self.new.pointer("/spec/parallelism");
        if decreased("succeeded") && !elastic {
            errors.push(self.invalid("succeeded", "cannot decrease the succeeded counter"));
        }
        let suspended = self.new.pointer("/spec/suspend") == Some(&Value::Bool(true));
        if self.changed("startTime") && self.field(self.old, "startTime").is_some() && !suspended {
            errors.push(self.invalid("startTime", "field is immutable for unsuspended job once set"));
        }
        if self.changed("completionTime") && self.field(self.old, "completionTime").is_some() && self.is("Complete") {
            errors.push(self.invalid("completionTime", "field is immutable"));
        }
    }
}
