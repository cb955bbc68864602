//! The words of a refusal.

use gantry_kinds::Status;

use crate::attributes::{Attributes, Verdict};

/// The refusal that a verdict comes to, if it is one: 403, or 500 where something went wrong on the way.
pub fn refusal(asked: &Attributes<'_>, verdict: &Verdict) -> Result<(), Box<Status>> {
    if verdict.allowed {
        return Ok(());
    }
    Err(Box::new(match verdict.error.as_str() {
        "" => forbidden(asked, &verdict.reason),
        error => Status::internal(error),
    }))
}

/// The 403 for what is asked: `pods "x" is forbidden: User "u" cannot get resource "pods" in API group "" ...`.
pub fn forbidden(asked: &Attributes<'_>, reason: &str) -> Status {
    let Attributes { user, verb, group, resource, subresource, namespace, name, path, .. } = asked;
    let mut message = if path.is_empty() {
        let mut subject = (*resource).to_owned();
        if !group.is_empty() {
            subject = format!("{subject}.{group}");
        }
        if !name.is_empty() {
            subject = format!("{subject} {name:?}");
        }
        let what = if subresource.is_empty() { (*resource).to_owned() } else { format!("{resource}/{subresource}") };
        let scope = match *namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let who = &user.name;
        format!("{subject} is forbidden: User {who:?} cannot {verb} resource {what:?} in API group {group:?} {scope}")
    } else {
        format!("forbidden: User {:?} cannot {verb} path {path:?}", user.name)
    };
    if !reason.is_empty() {
        message = format!("{message}: {reason}");
    }
    let mut status = Status::new(403, "Forbidden", message);
    if path.is_empty() {
        (status.name, status.group, status.kind) = ((*name).to_owned(), (*group).to_owned(), (*resource).to_owned());
    }
    status
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gantry_kinds::FieldSelector;
    use gantry_kinds::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, KindRef, NODE, POD, ROLE, ROLE_BINDING, SECRET};
    use gantry_view::{Object, View};
    use serde_json::{Value, json};

    use super::*;
    use crate::attributes::User;
    use crate::{Chain, rules_of};

    fn authorize(view: &View, asked: &Attributes<'_>) -> Verdict {
        Chain::default().decide(view, asked, &|_| None).expect("nobody is to be asked")
    }

    fn put(view: &mut View, kind: KindRef, mut value: Value) {
        let revision = view.revision() + 1;
        value["metadata"]["uid"] = format!("uid-{revision}").into();
        let object = Object::from_value(kind, &value, revision).expect("an object");
        view.apply(object.key().clone(), Some(Arc::new(object)), revision);
    }

    fn user(name: &str, groups: &[&str]) -> User {
        User { name: name.to_owned(), groups: groups.iter().map(|g| (*g).to_owned()).collect(), ..User::default() }
    }

    fn view() -> View {
        let mut view = View::new();
        let meta = |namespace: &str, name: &str| match namespace {
            "" => json!({"name": name}),
            _ => json!({"name": name, "namespace": namespace}),
        };
        let reader = json!({"metadata": meta("", "reader"),
            "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
        put(&mut view, &CLUSTER_ROLE, reader);
        let keeper = json!({"metadata": meta("web", "keeper"),
            "rules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]}]});
        put(&mut view, &ROLE, keeper);
        let everywhere = json!({"metadata": meta("", "all-read"), "roleRef": {"kind": "ClusterRole", "name": "reader"},
            "subjects": [{"kind": "Group", "name": "readers"}]});
        put(&mut view, &CLUSTER_ROLE_BINDING, everywhere);
        let web = json!({"metadata": meta("web", "keep"), "roleRef": {"kind": "Role", "name": "keeper"},
            "subjects": [{"kind": "ServiceAccount", "name": "bot"}, {"kind": "User", "name": "jane"}]});
        put(&mut view, &ROLE_BINDING, web);
        let lost = json!({"metadata": meta("web", "lost"), "roleRef": {"kind": "ClusterRole", "name": "nope"},
            "subjects": [{"kind": "User", "name": "joe"}]});
        put(&mut view, &ROLE_BINDING, lost);
        let pod = json!({"metadata": meta("web", "p"), "spec": {"nodeName": "n1", "serviceAccountName": "bot",
            "volumes": [{"secret": {"secretName": "tls"}}]}});
        put(&mut view, &POD, pod);
        view
    }

    #[track_caller]
    fn check(who: &User, verb: &str, kind: KindRef, (namespace, name): (&str, &str), expected: Result<&str, &str>) {
        let asked = Attributes::resource(who, verb, kind, namespace, name);
        let verdict = authorize(&view(), &asked);
        let expected = match expected {
            Ok(reason) => Verdict::allowed(reason),
            Err(reason) => Verdict::none(reason),
        };
        assert_eq!(verdict, expected, "{verb} {kind:?} {namespace}/{name}");
    }

    #[test]
    fn roles_and_bindings() {
        let (jane, group) = (user("jane", &["system:authenticated"]), user("x", &["readers"]));
        let bot = user("system:serviceaccount:web:bot", &[]);
        let why = r#"RBAC: allowed by ClusterRoleBinding "all-read" of ClusterRole "reader" to Group "readers""#;
        check(&group, "get", &POD, ("web", "p"), Ok(why));
        check(&group, "list", &POD, ("web", ""), Err(""));
        let why = r#"RBAC: allowed by RoleBinding "keep/web" of Role "keeper" to User "jane""#;
        check(&jane, "delete", &SECRET, ("web", "a"), Ok(why));
        check(&jane, "delete", &SECRET, ("web", "b"), Err(""));
        check(&jane, "get", &SECRET, ("other", "a"), Err(""));
        let why = r#"RBAC: allowed by RoleBinding "keep/web" of Role "keeper" to ServiceAccount "bot/web""#;
        check(&bot, "get", &SECRET, ("web", "a"), Ok(why));
        check(&user("root", &["system:masters"]), "get", &NODE, ("", "n"), Ok(""));
        let why = r#"rbac: RBAC: clusterrole.rbac.authorization.k8s.io "nope" not found"#;
        check(&user("joe", &[]), "get", &SECRET, ("web", "x"), Err(why));
        assert_eq!(rules_of(&view(), &jane, "web").len(), 1);
        assert!(rules_of(&view(), &jane, "").is_empty());
    }

    #[test]
    fn nodes_see_their_own_pods_and_what_these_refer_to() {
        let n1 = user("system:node:n1", &["system:nodes"]);
        let n2 = user("system:node:n2", &["system:nodes"]);
        check(&n1, "get", &SECRET, ("web", "tls"), Ok(""));
        check(
            &n2,
            "get",
            &SECRET,
            ("web", "tls"),
            Err("node: no relationship found between node 'n2' and this object"),
        );
        check(&n1, "list", &SECRET, ("web", ""), Err("node: No Object name found"));
        check(&n1, "update", &SECRET, ("web", "tls"), Err("node: can only read resources of this type"));
        check(&n1, "get", &POD, ("web", "p"), Ok(""));
        check(&n1, "get", &NODE, ("", "n1"), Ok(""));
        check(&n1, "get", &NODE, ("", "n2"), Err("node: node 'n1' cannot read 'n2', only its own Node object"));
        check(&n1, "create", &NODE, ("", "n1"), Ok(""));
        let mut pods = Attributes::resource(&n1, "watch", &POD, "", "");
        assert!(!authorize(&view(), &pods).allowed);
        let own = FieldSelector::parse("spec.nodeName=n1").expect("a selector");
        pods.fields = own.requirements();
        assert!(authorize(&view(), &pods).allowed);
        let token =
            Attributes::resource(&n1, "create", &gantry_kinds::SERVICE_ACCOUNT, "web", "bot").subresource("token");
        assert!(authorize(&view(), &token).allowed);
        // Without the group the name means nothing.
        check(&user("system:node:n1", &[]), "get", &SECRET, ("web", "tls"), Err(""));
    }

    #[test]
    fn refusals_use_the_known_words() {
        let bob = user("bob", &[]);
        let text = |asked: &Attributes<'_>| forbidden(asked, "").message;
        let pods = Attributes::resource(&bob, "get", &POD, "default", "x");
        assert_eq!(
            text(&pods),
            r#"pods "x" is forbidden: User "bob" cannot get resource "pods" in API group "" in the namespace "default""#
        );
        assert_eq!(
            text(&Attributes::resource(&bob, "list", &ROLE, "", "").subresource("log")),
            r#"roles.rbac.authorization.k8s.io is forbidden: User "bob" cannot list resource "roles/log" in API group "rbac.authorization.k8s.io" at the cluster scope"#
        );
        assert_eq!(text(&Attributes::path(&bob, "get", "/foo")), r#"forbidden: User "bob" cannot get path "/foo""#);
    }
}
