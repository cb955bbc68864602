//! The only way an object changes: `decide(view, request, context)` answers with a commit, a reply or a refusal.
//!
//! Invariants: pure; every write carries the revision that it was decided on for every key it touches or relied
//! on, so that the store refuses it if something moved in between; authorization is decided here for every
//! caller, controllers and agents included. Addresses and node ports of Services are kept apart by one stored
//! record each (`allocation`): who creates the record owns it, and two cannot create the same key.

mod access;
mod admission;
mod allocation;
mod ask;
mod body;
pub mod bootstrap;
mod case;
mod check;
mod commit;
mod context;
mod conversion;
mod create;
mod custom;
mod definition;
mod delete;
mod draw;
mod lens;
mod meta;
mod patch;
mod refuse;
pub mod request;
mod review;
mod selection;
mod service;
mod subresource;
#[cfg(test)]
mod tests;
mod update;
mod versions;

pub use admission::{
    AdmissionReview, Disabled, EventWrite, LimitedResources, Placement, Plugin, Plugins, PodSecurity, UnknownPlugin,
};
pub use allocation::stored_kinds;
pub use ask::{Answer, Answers, Ask};
pub use check::check_reservations;
pub use context::{Cidr, Context, MalformedCidr, Settings};
pub use conversion::{Conversion, Converted};
pub use custom::to_scale as custom_scale;
pub use lens::{Lens, Opened, present, unlistable, unreadable};
pub use request::{
    Body, Connection, Decision, DeleteOptions, FieldValidation, Operation, Options, PatchKind, Request, Target, User,
    Write,
};
pub use subresource::scale;

use case::{Case, Refusal};
use gantry_kinds::{Status, Update};
use gantry_view::View;

/// Decides one write: what it changes, what it answers, or why not. The same inputs give the same decision.
pub fn decide(view: &View, request: &Request, context: &Context<'_>) -> Decision {
    let decided = custom::settled(view, request).and_then(|settled| {
        let keeps_version = settled.is_some();
        route(&Case { view, request: settled.as_ref().unwrap_or(request), context, keeps_version })
    });
    decided.unwrap_or_else(|refusal| match refusal {
        Refusal::Status(status) => Decision::Refuse(status),
        Refusal::Ask(ask) => Decision::Ask(ask),
    })
}

fn route(case: &Case<'_>) -> Result<Decision, Refusal> {
    access::check(case)?;
    if !case.kind().stored() {
        return review::answer(case);
    }
    let sub = case.target().subresource.as_str();
    match (&case.request.operation, sub) {
        (Operation::Connect(connection), _) => subresource::connect(case, connection),
        (Operation::Create(body), "") => create::decide(case, body),
        (Operation::Delete(options), "") => delete::decide(case, options),
        (Operation::Create(body), "binding") => subresource::binding::decide(case, body),
        (Operation::Create(body), "token") => subresource::token::decide(case, body),
        (Operation::Create(body), "eviction") => subresource::eviction::decide(case, body),
        (Operation::Create(body) | Operation::Update(body), "finalize") => {
            update::decide(case, body, Update::Sub("finalize"))
        }
        (Operation::Update(body), "scale") => scale::update(case, body),
        (Operation::Patch(patch, body), "scale") => scale::patch(case, *patch, body),
        (Operation::Update(body), sub) => update::decide(case, body, way(sub)),
        (Operation::Patch(patch, body), sub) => patch::decide(case, *patch, body, way(sub)),
        _ => {
            let message = "the server does not allow this method on the requested resource";
            Err(Status::new(405, "MethodNotAllowed", message).into())
        }
    }
}

fn way(subresource: &str) -> Update<'_> {
    if subresource.is_empty() { Update::Main } else { Update::Sub(subresource) }
}
