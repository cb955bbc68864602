//! What was acknowledged has happened: at the revision that the answer carries, the history has that object with
//! that uid.

use gantry_cluster::Reply;
use gantry_kinds::tree::str_at;
use gantry_registry::Request;

use crate::plan::Sabotage;
use crate::world::World;

/// What is wrong with an answer.
pub fn acknowledged(world: &World, request: &Request, reply: &Reply) -> Option<String> {
    // Where the revision itself is broken on purpose, it is the consequences that must be found.
    let kind = request.target.kind;
    if !kind.stored() || reply.body["kind"] == "Status" || world.plan.sabotage == Some(Sabotage::Wait) {
        return None;
    }
    let (name, uid) = (str_at(&reply.body, "/metadata/name"), str_at(&reply.body, "/metadata/uid"));
    let revision: u64 = str_at(&reply.body, "/metadata/resourceVersion").parse().unwrap_or(0);
    if request.target.subresource == "scale" || revision <= world.history.first() {
        return None;
    }
    let step = world.history.at(revision);
    let change = step.as_ref().and_then(|step| {
        let about = |key: &gantry_view::ObjectKey| {
            key.kind == kind && *key.namespace == *request.target.namespace && &*key.name == name
        };
        step.changes.iter().find(|change| about(&change.key))
    });
    match change {
        Some(change) if change.object().uid() == uid => None,
        _ => Some(format!(
            "{}/{name} was acknowledged at revision {revision}, where the history does not have it",
            kind.plural
        )),
    }
}
