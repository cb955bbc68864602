use gantry_kinds::{
    CERTIFICATE_SIGNING_REQUEST, CLUSTER_ROLE, CONFIG_MAP, LOCAL_SUBJECT_ACCESS_REVIEW, ROLE, ROLE_BINDING,
    SELF_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_REVIEW, SELF_SUBJECT_RULES_REVIEW, SUBJECT_ACCESS_REVIEW,
};
use gantry_policy::{Authorizer, Link, Webhook};
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

#[test]
fn reviews_tell_of_selectors() {
    let mut world = World::new();
    let mut ask = |attributes: Value| {
        let spec = json!({"user": "system:node:n1", "groups": ["system:nodes"], "resourceAttributes": attributes});
        world.create(&SUBJECT_ACCESS_REVIEW, "", json!({"spec": spec}))
    };
    let pods = |selector: Value| json!({"verb": "list", "resource": "pods", "fieldSelector": selector});
    let one = |operator: &str, values: &[&str]| json!({"requirements": [{"key": "spec.nodeName", "operator": operator, "values": values}]});
    for (selector, allowed) in [
        (one("In", &["n1"]), true),
        (one("In", &["n2"]), false),
        (one("NotIn", &["n1"]), false),
        (json!({"rawSelector": "spec.nodeName=n1"}), true),
    ] {
        let (_, review) = ask(pods(selector.clone())).expect("an answer");
        assert_eq!(review["status"]["allowed"], allowed, "{selector}");
        assert_eq!(review["status"].get("evaluationError"), None);
    }
    let (_, review) = ask(pods(one("In", &["n1", "n2"]))).expect("an answer");
    let ignored = "spec.resourceAttributes.fieldSelector ignored due to parse error";
    assert_eq!((&review["status"]["allowed"], &review["status"]["evaluationError"]), (&json!(false), &json!(ignored)));
    let both = json!({"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "Exists", "values": ["x"]}]});
    let refused = ask(pods(both)).expect_err("a refusal");
    assert_eq!(
        refused.message,
        ".authorization.k8s.io \"\" is invalid: [spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: \
         \"a=b\": may not specified at the same time as requirements, \
         spec.resourceAttributes.fieldSelector.requirements[0].values: Forbidden: may not be specified when \
         `operator` is 'Exists' or 'DoesNotExist']"
    );
}

#[test]
fn an_authorizer_outside_is_asked_wherever_rights_count() {
    let webhook = |closed| Authorizer::Webhook(Box::new(Webhook { closed, conditions: Vec::new() }));
    let link = |authorizer| Link { name: "hook".to_owned(), authorizer };
    let mut world = World::new();
    world.authorizers = Chain::new(vec![link(webhook(false))]);
    world.authorizer = |question| {
        let allowed = question.spec["user"] == "jane" && question.spec["resourceAttributes"]["verb"] != "escalate";
        Ok(json!({"allowed": allowed, "reason": "because"}))
    };
    let post = |who: &str, kind: KindRef, body: &Value| {
        let namespace = if kind.namespaced { "web" } else { "" };
        Request { user: user(who, &[]), ..request(kind, namespace, "", Operation::Create(body.clone().into())) }
    };
    let role =
        json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
    // May create roles, as the webhook says, but has none of the rights that this one gives.
    let refused = world.execute(&post("jane", &ROLE, &role)).expect_err("a refusal");
    assert!(refused.message.contains("is attempting to grant RBAC permissions not currently held"), "{refused:?}");
    let refused = world.execute(&post("joe", &ROLE, &role)).expect_err("a refusal");
    assert!(refused.message.ends_with(": hook: because"), "{}", refused.message);
    world.authorizer = |_| Err("nobody answers".to_owned());
    world.authorizers = Chain::new(vec![link(webhook(true)), link(Authorizer::AlwaysAllow)]);
    let refused = world.execute(&post("jane", &ROLE, &role)).expect_err("a refusal");
    assert_eq!((refused.code, refused.message.as_str()), (500, "Internal error occurred: nobody answers"));
    world.authorizers = Chain::new(vec![link(webhook(false)), link(Authorizer::AlwaysAllow)]);
    let path = json!({"spec": {"user": "x", "nonResourceAttributes": {"verb": "get", "path": "/x"}}});
    let (_, review) = world.execute(&post("jane", &SUBJECT_ACCESS_REVIEW, &path)).expect("an answer");
    assert_eq!(review["status"], json!({"allowed": true}));
}
