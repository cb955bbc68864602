//! A pod as the checks see it: one walk over everything in it that can say something about security, and the words for
//! who said what is not allowed.

use gantry_kinds::tree::{list_at, str_at};
use serde_json::Value;

const LISTS: [&str; 3] = ["/initContainers", "/containers", "/ephemeralContainers"];

/// Metadata and spec of a pod or of a template.
pub(super) struct Pod<'a> {
    pub(super) metadata: &'a Value,
    pub(super) spec: &'a Value,
    /// All containers of any sort, in the order in which they start.
    pub(super) containers: Vec<&'a Value>,
}

impl<'a> Pod<'a> {
    pub(super) fn of(object: &'a Value) -> Self {
        let spec = &object["spec"];
        let containers = LISTS.iter().flat_map(|list| list_at(spec, list)).collect();
        Pod { metadata: &object["metadata"], spec, containers }
    }

    /// What the pod says in its security context.
    pub(super) fn own(&self, pointer: &str) -> Option<&'a Value> {
        self.spec.pointer(&format!("/securityContext{pointer}")).filter(|value| !value.is_null())
    }

    /// The containers for which that holds, by name.
    pub(super) fn named(&self, holds: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        self.containers
            .iter()
            .filter(|container| holds(container))
            .map(|container| str_at(container, "/name"))
            .collect()
    }

    pub(super) fn is_windows(&self) -> bool {
        str_at(self.spec, "/os/name") == "windows"
    }

    /// Whether its users are mapped to ones without rights on the node.
    pub(super) fn maps_users(&self) -> bool {
        self.spec.get("hostUsers") == Some(&Value::Bool(false))
    }
}

/// What a container says in its security context.
pub(super) fn context<'a>(container: &'a Value, pointer: &str) -> Option<&'a Value> {
    container.pointer(&format!("/securityContext{pointer}")).filter(|value| !value.is_null())
}

/// `"a", "b"`.
pub(super) fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(|name| format!("\"{}\"", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The same without repeats, in order.
pub(super) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

/// The word for one or for many.
pub(super) fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// `container "a"`, `containers "a", "b"`.
pub(super) fn containers(names: &[&str]) -> String {
    format!("{} {}", plural(names.len(), "container", "containers"), quoted(names))
}

/// `pod and container "a"`: whoever said it.
pub(super) fn setters(pod: bool, names: &[&str]) -> Vec<String> {
    let named = (!names.is_empty()).then(|| containers(names));
    pod.then(|| "pod".to_owned()).into_iter().chain(named).collect()
}
