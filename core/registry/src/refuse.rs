//! Refusals that name something else than the request's kind.

use gantry_kinds::{Cause, FieldError, Status};

use crate::case::Refusal;

/// 422 for one field of a body that is not the object itself, such as options or a Scale.
pub(crate) fn invalid(group: &str, kind: &str, name: &str, error: &FieldError) -> Refusal {
    let subject = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let mut status = Status::new(422, "Invalid", format!("{subject} {name:?} is invalid: {error}"));
    (status.name, status.group, status.kind) = (name.to_owned(), group.to_owned(), kind.to_owned());
    let (reason, message, field) = (error.reason.to_owned(), error.message.clone(), error.path.to_string());
    status.causes = vec![Cause { reason, message, field }];
    status.into()
}
