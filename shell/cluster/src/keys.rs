//! The names of objects in the store: `/registry/GROUP/PLURAL/NAMESPACE/NAME`, group `core` for the core group.

use bytes::Bytes;
use gantry_kinds::KindRef;
use gantry_view::ObjectKey;

/// Prefix of all keys.
pub(crate) const EVERYTHING: &[u8] = b"/";
/// Prefix of all objects.
const PREFIX: &[u8] = b"/registry/";

/// The store's key for an object. Namespace and name never hold a slash, so the parts can be told apart.
pub(crate) fn encode(key: &ObjectKey) -> Bytes {
    let group = if key.kind.group.is_empty() { "core" } else { key.kind.group };
    Bytes::from(format!("/registry/{group}/{}/{}/{}", key.kind.plural, key.namespace, key.name))
}

/// What the keys of all objects of a kind begin with.
pub(crate) fn prefix(kind: KindRef) -> Bytes {
    let group = if kind.group.is_empty() { "core" } else { kind.group };
    Bytes::from(format!("/registry/{group}/{}/", kind.plural))
}

/// The object that a store's key names; `None` for a kind that nobody knows. Kinds are found by group, plural, and
/// whether the object is in a namespace.
pub(crate) fn decode(key: &[u8], find: impl Fn(&str, &str, bool) -> Option<KindRef>) -> Option<ObjectKey> {
    let text = std::str::from_utf8(key.strip_prefix(PREFIX)?).ok()?;
    let mut parts = text.splitn(4, '/');
    let (group, plural, namespace, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let kind = find(if group == "core" { "" } else { group }, plural, !namespace.is_empty())?;
    Some(ObjectKey::new(kind, namespace, name))
}
