//! Claims, volumes and classes of volumes' attributes that are used stay, though they be deleted: a finalizer holds
//! them, which goes when nobody uses them any more.
//!
//! Invariant: an object that nobody deletes has its finalizer, whoever took it away.

mod attributes;
mod claims;
mod volumes;

use gantry_view::{Intent, Object};
use serde_json::{Value, json};

pub(crate) use self::attributes::AttributesClasses;
pub(crate) use self::claims::Claims;
pub(crate) use self::volumes::Volumes;
use crate::write;

/// Puts the finalizer onto an object that lacks it, and takes it from one that is being deleted and is not used.
fn hold(object: &Object, finalizer: &str, is_used: impl FnOnce() -> bool) -> Option<Intent> {
    let finalizers = &object.header.finalizers;
    let held = finalizers.iter().any(|there| there == finalizer);
    let new = match (object.header.deleted.is_some(), held) {
        (false, false) => {
            let mut all = finalizers.clone();
            all.push(finalizer.to_owned());
            json!(all)
        }
        (true, true) if !is_used() => match finalizers.iter().filter(|there| *there != finalizer).collect::<Vec<_>>() {
            left if left.is_empty() => Value::Null,
            left => json!(left),
        },
        _ => return None,
    };
    Some(write::patch(object, "", json!({"metadata": {"finalizers": new}})))
}

#[cfg(test)]
mod tests;
