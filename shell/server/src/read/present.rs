//! Objects as the version that is asked for sees them. Most kinds are kept as they are served and cost nothing here.

use std::sync::Arc;

use gantry_kinds::KindRef;
use gantry_view::{Change, Object, View};

/// Whether objects of the kind are kept otherwise than they are served.
pub(crate) fn differs(kind: KindRef) -> bool {
    kind.version_of.is_some()
}

/// A kept object as `kind` sees it.
pub(crate) fn object(view: &View, kind: KindRef, kept: &Arc<Object>) -> Arc<Object> {
    if !differs(kind) {
        return kept.clone();
    }
    let value = gantry_registry::present(view, kind, kept);
    // What was read from the store can be read again: only the version of it is another.
    Object::from_value(kind, &value, kept.header.revision).map_or_else(|_| kept.clone(), Arc::new)
}

/// A change of a kept object as `kind` sees it.
pub(crate) fn change(view: &View, kind: KindRef, kept: &Arc<Change>) -> Arc<Change> {
    if !differs(kind) {
        return kept.clone();
    }
    let shown = |side: &Option<Arc<Object>>| side.as_ref().map(|kept| object(view, kind, kept));
    Arc::new(Change {
        key: gantry_view::ObjectKey { kind, ..kept.key.clone() },
        revision: kept.revision,
        before: shown(&kept.before),
        after: shown(&kept.after),
    })
}
