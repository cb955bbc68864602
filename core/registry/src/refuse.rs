//! Refusals that name something else than the request's kind.

use gantry_kinds::{Cause, FieldError, Status};

use crate::case::Refusal;

/// 422 for one field of a body that is not the object itself, such as options or a Scale.
pub(crate) fn invalid(group: &str, kind: &str, name: &str, error: &FieldError) -> Refusal {
    invalid_fields(group, kind, name, std::slice::from_ref(error))
}

/// 422 for fields of such a body.
pub(crate) fn invalid_fields(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Refusal {
    let subject = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let joined = if let [one] = texts.as_slice() { one.clone() } else { format!("[{}]", texts.join(", ")) };
    let mut status = Status::new(422, "Invalid", format!("{subject} {name:?} is invalid: {joined}"));
    (status.name, status.group, status.kind) = (name.to_owned(), group.to_owned(), kind.to_owned());
    let cause = |error: &FieldError| {
        let (reason, message, field) = (error.reason.to_owned(), error.message.clone(), error.path.to_string());
        Cause { reason, message, field }
    };
    status.causes = errors.iter().map(cause).collect();
    status.into()
}
