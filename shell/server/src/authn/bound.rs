//! Whether what a token is bound to is still there, and the user that it stands for.

use gantry_kinds::{KindRef, table};
use gantry_registry::User;
use gantry_view::View;
use jiff::Timestamp;

use super::AUTHENTICATED;
use super::keys::{Claims, Named};

/// How long a token outlives the pod or account that is being deleted, in seconds.
const LEEWAY: i64 = 60;

/// The user of a token; `None` when its account, pod, secret or node is gone or another by now.
pub(crate) fn user(view: &View, claims: &Claims, now: i64) -> Option<User> {
    let k = &claims.kubernetes;
    let name = &k.serviceaccount.name;
    if claims.sub != format!("system:serviceaccount:{}:{name}", k.namespace) {
        return None;
    }
    let alive = |plural, namespace: &str, named: &Named| alive(view, plural, namespace, named, now);
    let bound = [("pods", &k.pod), ("secrets", &k.secret)];
    let all = alive("serviceaccounts", &k.namespace, &k.serviceaccount)
        && bound.iter().all(|(plural, named)| named.as_ref().is_none_or(|n| alive(plural, &k.namespace, n)));
    // A token of a pod names its node too, but lives with the pod; only a token bound to a node alone lives with it.
    let node = k.node.as_ref().filter(|_| k.pod.is_none()).is_none_or(|n| alive("nodes", "", n));
    (all && node).then(|| User {
        name: claims.sub.clone(),
        uid: k.serviceaccount.uid.clone(),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{}", k.namespace),
            AUTHENTICATED.to_owned(),
        ],
        extra: extra(claims),
    })
}

/// A core kind of the table.
pub(crate) fn core_kind(plural: &str) -> Option<KindRef> {
    table::by_resource("", "v1", plural)
}

fn alive(view: &View, plural: &str, namespace: &str, named: &Named, now: i64) -> bool {
    let Some(object) = core_kind(plural).and_then(|kind| view.get(kind, namespace, &named.name)) else { return false };
    let ending = object.header.deleted.is_some_and(|at: Timestamp| at.as_second() + LEEWAY < now);
    object.uid() == named.uid && !ending
}

fn extra(claims: &Claims) -> Vec<(String, Vec<String>)> {
    let k = &claims.kubernetes;
    let mut extra = Vec::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            extra.push((format!("authentication.kubernetes.io/{name}"), vec![value.to_owned()]));
        }
    };
    if !claims.jti.is_empty() {
        put("credential-id", &format!("JTI={}", claims.jti));
    }
    if let Some(node) = &k.node {
        put("node-name", &node.name);
        put("node-uid", &node.uid);
    }
    if let Some(pod) = &k.pod {
        put("pod-name", &pod.name);
        put("pod-uid", &pod.uid);
    }
    extra
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gantry_view::{Object, ObjectKey};
    use serde_json::json;

    use super::super::keys::KubernetesClaims;
    use super::*;

    fn put(view: &mut View, plural: &str, name: &str, uid: &str) {
        let kind = core_kind(plural).unwrap();
        let body = json!({"metadata": {"namespace": "a", "name": name, "uid": uid}});
        let object = Object::from_value(kind, &body, 1).unwrap();
        view.apply(ObjectKey::new(kind, "a", name), Some(Arc::new(object)), 1);
    }

    #[test]
    fn a_token_dies_with_what_it_is_bound_to() {
        let named = |name: &str, uid: &str| Named { name: name.to_owned(), uid: uid.to_owned() };
        let claims = Claims {
            sub: "system:serviceaccount:a:s".to_owned(),
            kubernetes: KubernetesClaims {
                namespace: "a".to_owned(),
                pod: Some(named("p", "2")),
                serviceaccount: named("s", "1"),
                ..KubernetesClaims::default()
            },
            ..Claims::default()
        };
        let mut view = View::new();
        put(&mut view, "serviceaccounts", "s", "1");
        assert_eq!(user(&view, &claims, 0), None);
        put(&mut view, "pods", "p", "3");
        assert_eq!(user(&view, &claims, 0), None);
        put(&mut view, "pods", "p", "2");
        let user = user(&view, &claims, 0).unwrap();
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
        assert_eq!(user.extra[0].0, "authentication.kubernetes.io/pod-name");
    }
}
