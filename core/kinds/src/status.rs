//! `Status`: how the API says no, in the shape that clients read (`metav1.Status`).

use serde_json::{Value, json};

use crate::field::ErrorList;
use crate::row::Kind;

/// One cause in `status.details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable reason, such as `FieldValueRequired`.
    pub reason: String,
    /// Text.
    pub message: String,
    /// Field path; may be empty.
    pub field: String,
}

/// Every reason that clients know.
const REASONS: [&str; 19] = [
    "Unauthorized",
    "Forbidden",
    "NotFound",
    "AlreadyExists",
    "Conflict",
    "Gone",
    "Invalid",
    "ServerTimeout",
    "StorageReadError",
    "Timeout",
    "TooManyRequests",
    "BadRequest",
    "MethodNotAllowed",
    "NotAcceptable",
    "RequestEntityTooLarge",
    "UnsupportedMediaType",
    "InternalError",
    "Expired",
    "ServiceUnavailable",
];

/// A refusal: code, reason, message and details. Refusals are data, never panics or strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Upstream's reason, such as `NotFound`; clients branch on it.
    pub reason: &'static str,
    /// Text for people.
    pub message: String,
    /// `details.name`.
    pub name: String,
    /// `details.group`.
    pub group: String,
    /// `details.kind`: the plural resource, or the kind for `Invalid`.
    pub kind: String,
    /// `details.uid`.
    pub uid: String,
    /// `details.causes`.
    pub causes: Vec<Cause>,
    /// `details.retryAfterSeconds`; 0 for none.
    pub retry_after_seconds: u32,
    /// Texts for `Warning` headers beside it.
    pub warnings: Vec<String>,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Status {}

impl Status {
    /// A refusal with code, reason and text alone.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Status {
            code,
            reason,
            message: message.into(),
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
            warnings: Vec::new(),
        }
    }
    /// Names the object that the refusal is about.
    #[must_use]
    pub fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.group = kind.group.to_owned();
        self.kind = kind.plural.to_owned();
        self.name = name.to_owned();
        self
    }
    /// 404 `pods "x" not found`.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", kind.group_resource())).about(kind, name)
    }
    /// 404 for a path that nothing serves.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }
    /// 409 `pods "x" already exists`.
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", kind.group_resource())).about(kind, name)
    }
    /// 409 `Operation cannot be fulfilled on pods "x": why`.
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.group_resource());
        Self::new(409, "Conflict", message).about(kind, name)
    }
    /// 403 `pods "x" is forbidden: why`.
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", kind.group_resource())
        } else {
            format!("{} {name:?} is forbidden: {why}", kind.group_resource())
        };
        Self::new(403, "Forbidden", message).about(kind, name)
    }
    /// 422 with one cause for each field error.
    pub fn invalid(kind: &Kind, name: &str, errors: &ErrorList) -> Self {
        // wire: what is wrong twice in the same words is said once.
        let once = |at: usize| !errors[..at].contains(&errors[at]);
        let errors: Vec<_> = errors.iter().enumerate().filter(|(at, _)| once(*at)).map(|(_, error)| error).collect();
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let joined = if let [one] = texts.as_slice() { one.clone() } else { format!("[{}]", texts.join(", ")) };
        // wire: events are of the core group in these refusals, whichever group they were sent to.
        let group = if kind.group == "events.k8s.io" { "" } else { kind.group };
        let subject = if group.is_empty() { kind.kind.to_owned() } else { format!("{}.{group}", kind.kind) };
        let mut status = Self::new(422, "Invalid", format!("{subject} {name:?} is invalid: {joined}"));
        status.group = group.to_owned();
        status.kind = kind.kind.to_owned();
        status.name = name.to_owned();
        status.causes = errors
            .iter()
            .map(|e| Cause { reason: e.reason.to_owned(), message: e.message.clone(), field: e.path.to_string() })
            .collect();
        status
    }
    /// The reason of that name; none where nobody knows it.
    pub fn known_reason(name: &str) -> &'static str {
        REASONS.into_iter().find(|reason| *reason == name).unwrap_or_default()
    }
    /// 400 with the text as it is.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }
    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }
    /// 405 for a verb that the resource does not have.
    pub fn method_not_supported(kind: &Kind, action: &str) -> Self {
        let message = format!("{action} is not supported on resources of kind {:?}", kind.group_resource());
        Self::new(405, "MethodNotAllowed", message).about(kind, "")
    }
    /// 410 for a revision that has been compacted away.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }
    /// 500.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }
    /// The JSON that goes on the wire (`kind: Status`, `status: Failure`).
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        let mut details = serde_json::Map::new();
        for (key, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            if !text.is_empty() {
                details.insert(key.to_owned(), Value::from(text.as_str()));
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(Cause::to_value).collect();
            details.insert("causes".to_owned(), Value::Array(causes));
        }
        if self.retry_after_seconds > 0 {
            details.insert("retryAfterSeconds".to_owned(), Value::from(self.retry_after_seconds));
        }
        if !details.is_empty() {
            status["details"] = Value::Object(details);
        }
        status
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut cause = serde_json::Map::new();
        for (key, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                cause.insert(key.to_owned(), Value::from(text.as_str()));
            }
        }
        Value::Object(cause)
    }
}
