//! What a node may do: the rules of `system:node`, narrowed to its own objects and to what pods bound to it refer to.

use gantry_kinds::tree::str_at;
use gantry_kinds::{KindRef, PERSISTENT_VOLUME, POD, POD_CERTIFICATE_REQUEST, RESOURCE_SLICE, VOLUME_ATTACHMENT};
use gantry_view::View;

use crate::attributes::{Attributes, Verdict};
use crate::defaults;

/// Namespace of the leases by which nodes say that they are alive.
const LEASES: &str = "kube-node-lease";
/// The field by which objects say which node they are of.
const NODE_NAME: &str = "spec.nodeName";

/// What `node` asks, and the view that answers it.
struct Ask<'a> {
    view: &'a View,
    node: &'a str,
    asked: &'a Attributes<'a>,
}

pub(crate) fn authorize(view: &View, node: &str, asked: &Attributes<'_>) -> Verdict {
    let ask = Ask { view, node, asked };
    let reads = matches!(asked.verb, "get" | "list" | "watch");
    let narrowed = match (asked.group, asked.resource, asked.subresource) {
        _ if !asked.path.is_empty() => None,
        ("", "secrets" | "configmaps", _) => Some(ask.referred()),
        ("", "persistentvolumeclaims", "status") => Some(ask.claim_status()),
        ("", "persistentvolumeclaims" | "persistentvolumes", _)
        | ("storage.k8s.io", "volumeattachments", _)
        | ("resource.k8s.io", "resourceclaims", _) => Some(ask.one()),
        ("", "serviceaccounts", _) => Some(ask.account()),
        ("", "nodes", "") if reads => Some(ask.own_node()),
        ("", "pods", "") if reads => Some(ask.own_pods()),
        ("coordination.k8s.io", "leases", _) => Some(ask.lease()),
        ("storage.k8s.io", "csinodes", _) => Some(ask.drivers()),
        ("resource.k8s.io", "resourceslices", _) => Some(ask.slices()),
        ("certificates.k8s.io", "podcertificaterequests", _) => Some(ask.certificates()),
        _ => None,
    };
    narrowed.unwrap_or_else(|| {
        let ruled = defaults::node_rules().iter().any(|rule| rule.allows(asked));
        if ruled { Verdict::allowed("") } else { Verdict::none("") }
    })
}

impl Ask<'_> {
    /// What is read as one object, or by nobody.
    fn one(&self) -> Verdict {
        if self.asked.verb != "get" {
            return Verdict::none("can only get individual resources of this type");
        }
        if !self.asked.subresource.is_empty() {
            return Verdict::none("cannot get subresource");
        }
        self.related()
    }

    /// What is read, listed and watched one by one.
    fn referred(&self) -> Verdict {
        let Attributes { verb, subresource, namespace, .. } = self.asked;
        if !matches!(*verb, "get" | "list" | "watch") {
            return Verdict::none("can only read resources of this type");
        }
        if !subresource.is_empty() {
            return Verdict::none("cannot read subresource");
        }
        if namespace.is_empty() {
            return Verdict::none("can only read namespaced object of this type");
        }
        self.related()
    }

    /// Whether the object that is asked for has to do with the node.
    fn related(&self) -> Verdict {
        if self.asked.name.is_empty() {
            return Verdict::none("No Object name found");
        }
        if self.is_related() {
            return Verdict::allowed("");
        }
        Verdict::none(format!("no relationship found between node '{}' and this object", self.node))
    }

    fn is_related(&self) -> bool {
        let Attributes { resource, namespace, name, .. } = self.asked;
        match *resource {
            "pods" => self.field(&POD, NODE_NAME) == Some(self.node),
            "resourceslices" => self.field(&RESOURCE_SLICE, NODE_NAME) == Some(self.node),
            "podcertificaterequests" => self.field(&POD_CERTIFICATE_REQUEST, NODE_NAME) == Some(self.node),
            "volumeattachments" => {
                let attachment = self.view.get(&VOLUME_ATTACHMENT, "", name);
                attachment.is_some_and(|object| str_at(&object.value(), "/spec/nodeName") == self.node)
            }
            "persistentvolumes" => self.uses_volume(name),
            "secrets" => self.is_used("secrets", namespace, name) || self.needs_for_volume(namespace, name),
            resource => self.is_used(resource, namespace, name),
        }
    }

    fn field(&self, kind: KindRef, field: &str) -> Option<&str> {
        self.view.get(kind, self.asked.namespace, self.asked.name)?.field(field)
    }

    /// Whether a pod of the node refers to it.
    fn is_used(&self, what: &str, namespace: &str, name: &str) -> bool {
        self.view.by_term(&POD, &format!("{what}:{}/{namespace}/{name}", self.node)).next().is_some()
    }

    /// Whether a pod of the node uses the claim that the volume is bound to.
    fn uses_volume(&self, name: &str) -> bool {
        self.view.get(&PERSISTENT_VOLUME, "", name).is_some_and(|volume| {
            let volume = volume.value();
            let claim = |field: &str| str_at(&volume, &format!("/spec/claimRef/{field}")).to_owned();
            self.is_used("persistentvolumeclaims", &claim("namespace"), &claim("name"))
        })
    }

    /// Whether a volume that the node uses names the secret.
    fn needs_for_volume(&self, namespace: &str, name: &str) -> bool {
        let volumes = self.view.by_term(&PERSISTENT_VOLUME, &format!("secrets:{namespace}/{name}"));
        volumes.into_iter().any(|volume| self.uses_volume(volume.name()))
    }

    fn claim_status(&self) -> Verdict {
        if !matches!(self.asked.verb, "update" | "patch") {
            return Verdict::none("can only get/update/patch this type");
        }
        self.related()
    }

    fn account(&self) -> Verdict {
        let Attributes { verb, subresource, name, .. } = self.asked;
        if (*verb, *subresource) == ("get", "") {
            return self.related();
        }
        if *verb != "create" || name.is_empty() {
            return Verdict::none("can only create tokens for individual service accounts");
        }
        if *subresource != "token" {
            return Verdict::none("can only create token subresource of serviceaccount");
        }
        self.related()
    }

    fn lease(&self) -> Verdict {
        let Attributes { verb, namespace, name, .. } = self.asked;
        if !matches!(*verb, "get" | "create" | "update" | "patch" | "delete") {
            return Verdict::none("can only get, create, update, patch, or delete a node lease");
        }
        if *namespace != LEASES {
            return Verdict::none(format!("can only access leases in the {LEASES:?} system namespace"));
        }
        // What is created has its name in the body; admission looks there.
        if *verb != "create" && *name != self.node {
            return Verdict::none("can only access node lease with the same name as the requesting node");
        }
        Verdict::allowed("")
    }

    fn drivers(&self) -> Verdict {
        let Attributes { verb, subresource, name, .. } = self.asked;
        if !matches!(*verb, "get" | "create" | "update" | "patch" | "delete") {
            return Verdict::none("can only get, create, update, patch, or delete a CSINode");
        }
        if !subresource.is_empty() {
            return Verdict::none("cannot authorize CSINode subresources");
        }
        if *verb != "create" && *name != self.node {
            return Verdict::none("can only access CSINode with the same name as the requesting node");
        }
        Verdict::allowed("")
    }

    fn own_node(&self) -> Verdict {
        match self.asked.name {
            name if name == self.node => Verdict::allowed(""),
            "" => Verdict::none(format!("node '{}' cannot read all nodes, only its own Node object", self.node)),
            name => Verdict::none(format!("node '{}' cannot read '{name}', only its own Node object", self.node)),
        }
    }

    fn own_pods(&self) -> Verdict {
        if self.asked.verb == "get" || !self.asked.name.is_empty() {
            return self.related();
        }
        self.selected("can only list/watch pods with spec.nodeName field selector")
    }

    fn slices(&self) -> Verdict {
        let Attributes { verb, subresource, .. } = self.asked;
        if !subresource.is_empty() {
            return Verdict::none("cannot authorize ResourceSlice subresources");
        }
        match *verb {
            // Admission looks at the node that the slice names.
            "create" => Verdict::allowed(""),
            "get" | "update" | "patch" | "delete" => self.related(),
            "list" | "watch" | "deletecollection" => {
                self.selected("can only list/watch/deletecollection resourceslices with nodeName field selector")
            }
            _ => Verdict::none(
                "only the following verbs are allowed for a ResourceSlice: create, get, update, patch, delete, list, watch, deletecollection",
            ),
        }
    }

    fn certificates(&self) -> Verdict {
        let Attributes { verb, subresource, .. } = self.asked;
        if !subresource.is_empty() {
            return Verdict::none(format!(
                "nodes may not access the {subresource} subresource of PodCertificateRequests"
            ));
        }
        match *verb {
            "create" => Verdict::allowed(""),
            "get" => self.related(),
            "list" | "watch" => {
                self.selected("can only list/watch podcertificaterequests with nodeName field selector")
            }
            verb => Verdict::none(format!("nodes may not {verb} podcertificaterequests")),
        }
    }

    /// Whether only objects of the node are selected.
    fn selected(&self, otherwise: &str) -> Verdict {
        let own = self.asked.fields.iter().any(|r| r.field == NODE_NAME && r.equal && r.value == self.node);
        if own { Verdict::allowed("") } else { Verdict::none(otherwise) }
    }
}
