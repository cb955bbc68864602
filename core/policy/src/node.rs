//! What a node may do: the rules of `system:node`, narrowed to its own objects and to what pods bound to it refer to.

use gantry_kinds::POD;
use gantry_view::View;

use crate::attributes::{Attributes, Verdict};
use crate::defaults;

/// Namespace of the leases by which nodes say that they are alive.
const LEASES: &str = "kube-node-lease";

pub(crate) fn authorize(view: &View, node: &str, asked: &Attributes<'_>) -> Verdict {
    if asked.path.is_empty() {
        match (asked.group, asked.resource, asked.subresource) {
            ("", "secrets" | "configmaps", _) => return referred(view, node, asked, asked.resource),
            ("", "serviceaccounts", "") if asked.verb == "get" => return account(view, node, asked),
            ("", "serviceaccounts", "token") => return token(view, node, asked),
            ("coordination.k8s.io", "leases", _) => return lease(node, asked),
            ("", "nodes", "") if matches!(asked.verb, "get" | "list" | "watch") => return own_node(node, asked),
            ("", "pods", "") if matches!(asked.verb, "get" | "list" | "watch") => return own_pods(view, node, asked),
            _ => {}
        }
    }
    if defaults::node_rules().iter().any(|rule| rule.allows(asked)) {
        Verdict::allowed("")
    } else {
        Verdict::denied("")
    }
}

fn unrelated(node: &str) -> Verdict {
    Verdict::denied(format!("node: no relationship found between node '{node}' and this object"))
}

fn referred(view: &View, node: &str, asked: &Attributes<'_>, what: &str) -> Verdict {
    if !matches!(asked.verb, "get" | "list" | "watch") {
        return Verdict::denied("node: can only read resources of this type");
    }
    if !asked.subresource.is_empty() {
        return Verdict::denied("node: cannot read subresource");
    }
    // wire: clients watch one object by a field selector on its name.
    let name = match asked.name {
        "" => selected(asked.field_selector, "metadata.name").unwrap_or_default(),
        name => name,
    };
    if name.is_empty() {
        return Verdict::denied("node: No Object name found");
    }
    related(view, node, &format!("{what}:{node}/{}/{name}", asked.namespace))
}

fn related(view: &View, node: &str, term: &str) -> Verdict {
    if view.by_term(&POD, term).next().is_some() { Verdict::allowed("") } else { unrelated(node) }
}

fn token(view: &View, node: &str, asked: &Attributes<'_>) -> Verdict {
    if asked.verb != "create" || asked.name.is_empty() {
        return Verdict::denied("node: can only create tokens for individual service accounts");
    }
    account(view, node, asked)
}

fn account(view: &View, node: &str, asked: &Attributes<'_>) -> Verdict {
    related(view, node, &format!("serviceaccounts:{node}/{}/{}", asked.namespace, asked.name))
}

fn lease(node: &str, asked: &Attributes<'_>) -> Verdict {
    if !matches!(asked.verb, "get" | "create" | "update" | "patch" | "delete") {
        return Verdict::denied("node: can only get, create, update, patch, or delete a node lease");
    }
    if asked.namespace != LEASES {
        return Verdict::denied(format!("node: can only access leases in the {LEASES:?} system namespace"));
    }
    if asked.verb != "create" && asked.name != node {
        return Verdict::denied("node: can only access node lease with the same name as the requesting node");
    }
    Verdict::allowed("")
}

fn own_node(node: &str, asked: &Attributes<'_>) -> Verdict {
    let name = match asked.name {
        "" => selected(asked.field_selector, "metadata.name").unwrap_or_default(),
        name => name,
    };
    match (asked.verb, name) {
        (_, name) if name == node => Verdict::allowed(""),
        ("get", name) => Verdict::denied(format!("node: node '{node}' cannot read '{name}', only its own Node object")),
        _ => Verdict::denied(format!("node: node '{node}' cannot read all nodes, only its own Node object")),
    }
}

fn own_pods(view: &View, node: &str, asked: &Attributes<'_>) -> Verdict {
    if asked.name.is_empty() {
        return match selected(asked.field_selector, "spec.nodeName") {
            Some(name) if name == node => Verdict::allowed(""),
            _ => Verdict::denied("node: can only list/watch pods with spec.nodeName field selector"),
        };
    }
    let bound = view.get(&POD, asked.namespace, asked.name).and_then(|pod| pod.field("spec.nodeName"));
    if bound == Some(node) { Verdict::allowed("") } else { unrelated(node) }
}

/// The value that a field selector demands of `path`.
fn selected<'a>(selector: &'a str, path: &str) -> Option<&'a str> {
    selector.split(',').find_map(|term| {
        let value = term.trim().strip_prefix(path)?.strip_prefix('=')?;
        Some(value.strip_prefix('=').unwrap_or(value))
    })
}
