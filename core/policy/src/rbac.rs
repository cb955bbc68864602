//! Role-based access: the rules that bindings give to a user.

use gantry_kinds::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, KindRef, ROLE, ROLE_BINDING};
use gantry_view::{Object, View};
use serde::Deserialize;

use crate::attributes::{Attributes, User, Verdict};
use crate::rule::Rule;

/// The few facts of a binding that matter, decoded once for each revision of it.
#[derive(Deserialize)]
struct Binding {
    #[serde(rename = "roleRef")]
    role: RoleRef,
}

#[derive(Deserialize)]
struct RoleRef {
    kind: String,
    name: String,
}

impl RoleRef {
    fn not_found(&self) -> String {
        format!("{}.rbac.authorization.k8s.io {:?} not found", self.kind.to_lowercase(), self.name)
    }
}

/// What one binding gives.
pub(crate) struct Grant<'a> {
    binding: &'a Object,
    subject: String,
    role: &'a RoleRef,
    /// `None` when the role does not exist.
    rules: Option<&'a [Rule]>,
}

impl Grant<'_> {
    fn reason(&self) -> String {
        let Grant { binding, subject, role, .. } = self;
        let (kind, name) = match subject.split_once(':') {
            Some(("ServiceAccount", account)) => {
                let (namespace, name) = account.split_once('/').unwrap_or_default();
                ("ServiceAccount", format!("{name}/{namespace}"))
            }
            Some((kind, name)) => (kind, name.to_owned()),
            None => ("", subject.clone()),
        };
        let bound = match binding.namespace() {
            "" => format!("ClusterRoleBinding {:?}", binding.name()),
            namespace => format!("RoleBinding {:?}", format!("{}/{namespace}", binding.name())),
        };
        format!("RBAC: allowed by {bound} of {} {:?} to {kind} {name:?}", role.kind, role.name)
    }
}

fn terms(user: &User) -> Vec<String> {
    let mut terms = vec![format!("User:{}", user.name)];
    if let Some((namespace, name)) = user.service_account() {
        terms.push(format!("ServiceAccount:{namespace}/{name}"));
    }
    terms.extend(user.groups.iter().map(|group| format!("Group:{group}")));
    terms
}

/// Everything that bindings give to `user`: in the whole cluster, and in `namespace` where one is named.
pub(crate) fn grants<'a>(view: &'a View, user: &User, namespace: &'a str) -> impl Iterator<Item = Grant<'a>> + use<'a> {
    let terms = terms(user);
    let everywhere = bound(view, &CLUSTER_ROLE_BINDING, terms.clone());
    let here = if namespace.is_empty() { Vec::new() } else { terms };
    let here = bound(view, &ROLE_BINDING, here).filter(move |(b, _)| b.namespace() == namespace);
    everywhere.chain(here).filter_map(|(binding, subject)| {
        let role = &binding.derived::<Option<Binding>>(|b| b.typed().ok())?.as_ref()?.role;
        let found = match role.kind.as_str() {
            "ClusterRole" => view.get(&CLUSTER_ROLE, "", &role.name),
            _ => view.get(&ROLE, binding.namespace(), &role.name),
        };
        Some(Grant { binding, subject, role, rules: found.map(|role| Rule::of(role)) })
    })
}

fn bound(view: &View, kind: KindRef, terms: Vec<String>) -> impl Iterator<Item = (&Object, String)> {
    terms.into_iter().flat_map(move |term| {
        let found = view.by_term(kind, &term);
        found.map(move |binding| (&**binding, term.clone()))
    })
}

/// What role-based access says.
pub(crate) fn authorize(view: &View, asked: &Attributes<'_>) -> Verdict {
    let mut missing = Vec::new();
    for grant in grants(view, asked.user, asked.namespace) {
        match grant.rules {
            Some(rules) if rules.iter().any(|rule| rule.allows(asked)) => return Verdict::allowed(grant.reason()),
            Some(_) => {}
            None => missing.push(grant.role.not_found()),
        }
    }
    missing.dedup();
    match missing.as_slice() {
        [] => Verdict::none(""),
        [one] => Verdict::none(format!("RBAC: {one}")),
        many => Verdict::none(format!("RBAC: [{}]", many.join(", "))),
    }
}

/// All rules that `user` has in `namespace`, and the roles that are not there.
pub(crate) fn resolve(view: &View, user: &User, namespace: &str) -> (Vec<Rule>, Vec<String>) {
    let missing = grants(view, user, namespace).filter(|grant| grant.rules.is_none());
    let mut missing: Vec<String> = missing.map(|grant| grant.role.not_found()).collect();
    missing.dedup();
    (rules_of(view, user, namespace), missing)
}

/// All rules that `user` has in `namespace`, those for the whole cluster included.
pub fn rules_of(view: &View, user: &User, namespace: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for grant in grants(view, user, namespace) {
        for rule in grant.rules.unwrap_or_default() {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    rules
}
