//! May this user ask for this at all?

use gantry_kinds::Status;
use gantry_policy::{Attributes, refusal};

use crate::case::{Case, Refusal};
use crate::request::Operation;

/// Authorizes the request, and refuses subresources that the kind does not have.
pub(crate) fn check(case: &Case<'_>) -> Result<(), Refusal> {
    let target = case.target();
    let verb = match &case.request.operation {
        Operation::Create(_) if target.subresource == "finalize" => "update",
        Operation::Create(_) => "create",
        Operation::Update(_) => "update",
        Operation::Patch(..) => "patch",
        Operation::Delete(options) if options.collection => "deletecollection",
        Operation::Delete(_) => "delete",
        Operation::Connect(connection) => connection.verb,
    };
    verb_allowed(case, verb)?;
    if !target.subresource.is_empty() && case.kind().subresource(&target.subresource).is_none() {
        return Err(Status::no_such_path().into());
    }
    Ok(())
}

/// Authorizes `verb` on the request's target.
pub(crate) fn verb_allowed(case: &Case<'_>, verb: &str) -> Result<(), Refusal> {
    let target = case.target();
    let asked = Attributes::resource(case.user(), verb, case.kind(), &target.namespace, &target.name);
    let asked = asked.subresource(&target.subresource);
    Ok(refusal(&asked, &case.authorize(&asked)?)?)
}
