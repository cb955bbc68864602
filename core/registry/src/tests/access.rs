use gantry_kinds::{
    CERTIFICATE_SIGNING_REQUEST, CLUSTER_ROLE, CONFIG_MAP, LOCAL_SUBJECT_ACCESS_REVIEW, ROLE, ROLE_BINDING,
    SELF_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_REVIEW, SELF_SUBJECT_RULES_REVIEW, SUBJECT_ACCESS_REVIEW,
};
use serde_json::json;

use super::*;

/// A world in which eve may write roles and bindings in `web`, and nothing else.
fn with_eve() -> World {
    let mut world = World::new();
    let rules = json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"],
                        "verbs": ["create", "update", "patch", "get"]}]);
    world.create(&ROLE, "web", json!({"metadata": {"name": "ed"}, "rules": rules})).expect("a role");
    let binding = json!({"metadata": {"name": "ed"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "ed"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve"}]});
    world.create(&ROLE_BINDING, "web", binding).expect("a binding");
    let dns = json!({"metadata": {"name": "dns"}, "rules": [
        {"apiGroups": [""], "resources": ["endpoints", "services"], "verbs": ["list", "watch"]}]});
    world.create(&CLUSTER_ROLE, "", dns).expect("a role");
    world
}

fn as_eve(mut request: Request) -> Request {
    request.user = user("eve", &["system:authenticated"]);
    request
}

#[test]
fn nobody_without_rights_writes() {
    let mut world = World::new();
    let ask = as_eve(request(&CONFIG_MAP, "web", "", Operation::Create(json!({"metadata": {"name": "a"}}).into())));
    let why = r#"configmaps is forbidden: User "eve" cannot create resource "configmaps" in API group "" in the namespace "web""#;
    refused(world.execute(&ask), 403, why);
}

#[test]
fn nobody_asks_for_a_certificate_as_somebody_else() {
    let mut world = World::new();
    let pem = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KQUFBQQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K";
    let spec = json!({"request": pem, "signerName": "example.com/mine", "usages": ["client auth"],
        "username": "root", "groups": ["system:masters"], "uid": "0", "extra": {"a": ["b"]}});
    let body = json!({"metadata": {"name": "mine"}, "spec": spec});
    let (_, made) = world.create(&CERTIFICATE_SIGNING_REQUEST, "", body).expect("a request");
    let me = request(&CERTIFICATE_SIGNING_REQUEST, "", "", Operation::Create(json!({}).into())).user;
    assert_eq!((&made["spec"]["username"], &made["spec"]["groups"]), (&json!(me.name), &json!(me.groups)));
    assert_eq!((made["spec"].get("uid"), made["spec"].get("extra")), (None, None));
}

#[test]
fn nobody_hands_out_what_he_does_not_have() {
    let mut world = with_eve();
    let mut post =
        |kind: KindRef, body: Value| world.execute(&as_eve(request(kind, "web", "", Operation::Create(body.into()))));
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
                       {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["get"]}]);
    let why = "roles.rbac.authorization.k8s.io \"esc\" is forbidden: user \"eve\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\" \"list\"]}";
    refused(post(&ROLE, json!({"metadata": {"name": "esc"}, "rules": rules})), 403, why);
    let binding = |kind: &str, name: &str| {
        json!({"metadata": {"name": "b"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
               "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"}]})
    };
    let why = "rolebindings.rbac.authorization.k8s.io \"nope\" not found";
    refused(post(&ROLE_BINDING, binding("Role", "nope")), 404, why);
    let why = "rolebindings.rbac.authorization.k8s.io \"b\" is forbidden: user \"eve\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"endpoints\"], Verbs:[\"list\" \"watch\"]}\n{APIGroups:[\"\"], Resources:[\"services\"], Verbs:[\"list\" \"watch\"]}";
    refused(post(&ROLE_BINDING, binding("ClusterRole", "dns")), 403, why);
    post(&ROLE_BINDING, binding("Role", "ed")).expect("what she has herself");
}

#[test]
fn reviews_answer() {
    let mut world = with_eve();
    let mut ask = |kind: KindRef, namespace: &str, body: Value| {
        let mut request = request(kind, namespace, "", Operation::Create(body.into()));
        request.user = user("eve", &["system:masters"]);
        world.execute(&request)
    };
    let roles = json!({"namespace": "web", "verb": "get", "group": "rbac.authorization.k8s.io", "resource": "roles"});
    let body = json!({"spec": {"user": "eve", "resourceAttributes": roles}});
    let (code, review) = ask(&SUBJECT_ACCESS_REVIEW, "", body.clone()).expect("an answer");
    let why = r#"RBAC: allowed by RoleBinding "ed/web" of Role "ed" to User "eve""#;
    assert_eq!((code, &review["status"]), (201, &json!({"allowed": true, "reason": why})));
    let (_, review) = ask(&LOCAL_SUBJECT_ACCESS_REVIEW, "web", body.clone()).expect("an answer");
    assert_eq!(review["status"]["allowed"], true);
    refused(
        ask(&LOCAL_SUBJECT_ACCESS_REVIEW, "other", body),
        422,
        ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: \"web\": must match metadata.namespace",
    );
    let body = json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/x"}}});
    let (_, review) = ask(&SELF_SUBJECT_ACCESS_REVIEW, "", body).expect("an answer");
    assert_eq!(review["status"], json!({"allowed": true}));
    let (_, review) = ask(&SELF_SUBJECT_RULES_REVIEW, "", json!({"spec": {"namespace": "web"}})).expect("an answer");
    assert_eq!(review["status"]["resourceRules"][0]["resources"], json!(["roles", "rolebindings"]));
    refused(ask(&SELF_SUBJECT_RULES_REVIEW, "", json!({"spec": {}})), 400, "no namespace on request");
    let (_, review) = ask(&SELF_SUBJECT_REVIEW, "", json!({})).expect("an answer");
    assert_eq!(review["status"]["userInfo"], json!({"username": "eve", "groups": ["system:masters"]}));
}

#[test]
fn whole_collections_and_single_objects_are_different_rights() {
    let mut world = with_eve();
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["deletecollection"]}]);
    world.create(&ROLE, "web", json!({"metadata": {"name": "sweep"}, "rules": rules})).expect("a role");
    let binding = json!({"metadata": {"name": "sweep"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "sweep"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve"}]});
    world.create(&ROLE_BINDING, "web", binding).expect("a binding");
    world.create(&CONFIG_MAP, "web", json!({"metadata": {"name": "a"}})).expect("an object");
    let delete = |collection| {
        let options = DeleteOptions { collection, ..DeleteOptions::default() };
        as_eve(request(&CONFIG_MAP, "web", "a", Operation::Delete(options)))
    };
    let why = r#"configmaps "a" is forbidden: User "eve" cannot delete resource "configmaps" in API group "" in the namespace "web""#;
    refused(world.execute(&delete(false)), 403, why);
    world.execute(&delete(true)).expect("gone with its collection");
}
