//! What objects take of a namespace's quotas: how much of which resource, and which quotas an object falls under.
//!
//! Invariants: who admits objects and who counts them afterwards go by the same functions; a resource that an object
//! does not use is not in its usage.

mod claims;
mod pods;
mod scopes;
mod services;

use jiff::Timestamp;
use serde_json::Value;

pub use self::pods::unspecified;
pub use self::scopes::covers;
pub use crate::kinds::pod::demand::{Amounts, amounts};
use crate::quantity::Quantity;
use crate::{KindRef, PERSISTENT_VOLUME_CLAIM, POD, RESOURCE_CLAIM, SERVICE};

/// Kinds of the core group that are counted by their plain names.
const PLAIN: [&str; 4] = ["configmaps", "replicationcontrollers", "resourcequotas", "secrets"];

/// The name by which objects of the kind are counted.
pub fn count_of(kind: KindRef) -> String {
    format!("count/{}", kind.home().group_resource())
}

/// What one object uses.
pub fn usage(kind: KindRef, object: &Value, now: Timestamp) -> Amounts {
    let mut used = match kind.home() {
        home if home == &POD => pods::usage(object, now),
        home if home == &SERVICE => services::usage(object),
        home if home == &PERSISTENT_VOLUME_CLAIM => claims::usage(object),
        home if home == &RESOURCE_CLAIM => claims::devices(object),
        home if is_plain(home) => Amounts::from([(home.plural.to_owned(), Quantity::from_value(1))]),
        _ => Amounts::new(),
    };
    used.insert(count_of(kind), Quantity::from_value(1));
    used
}

/// Whether objects of the kind can use the resource.
pub fn concerns(kind: KindRef, resource: &str) -> bool {
    if let Some(counted) = resource.strip_prefix("count/") {
        return counted == kind.home().group_resource();
    }
    match kind.home() {
        home if home == &POD => pods::concerns(resource),
        home if home == &SERVICE => services::RESOURCES.contains(&resource),
        home if home == &PERSISTENT_VOLUME_CLAIM => claims::concerns(resource),
        home if home == &RESOURCE_CLAIM => resource.ends_with(claims::DEVICES),
        home => is_plain(home) && resource == home.plural,
    }
}

fn is_plain(kind: KindRef) -> bool {
    kind.group.is_empty() && PLAIN.contains(&kind.plural)
}

/// `a=1,b=2`, as refusals list amounts.
pub fn listed(amounts: &Amounts) -> String {
    amounts.iter().map(|(resource, amount)| format!("{resource}={amount}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
