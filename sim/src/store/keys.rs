//! The names of things in the store, read independently of the code under test.

use gantry_kinds::KindRef;
use gantry_view::ObjectKey;

/// Written once by each new leader; compared by all that he writes.
pub const EPOCH: &[u8] = b"/gantry/leader/epoch";
/// Renewed by the leader.
pub const ALIVE: &[u8] = b"/gantry/leader/alive";

/// The object that a key of the store names; `None` for what is not an object.
pub fn decode(key: &[u8]) -> Option<ObjectKey> {
    let text = std::str::from_utf8(key).ok()?.strip_prefix("/registry/")?;
    let mut parts = text.splitn(4, '/');
    let (group, plural, namespace, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let group = if group == "core" { "" } else { group };
    Some(ObjectKey::new(find(group, plural)?, namespace, name))
}

fn find(group: &str, plural: &str) -> Option<KindRef> {
    gantry_registry::stored_kinds().find(|kind| kind.group == group && kind.plural == plural)
}
