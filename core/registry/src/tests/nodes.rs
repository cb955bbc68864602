use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gantry_kinds::{
    CERTIFICATE_SIGNING_REQUEST, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, NODE, POD, POD_CERTIFICATE_REQUEST,
    SERVICE_ACCOUNT,
};

use super::*;

fn as_node(mut request: Request) -> Request {
    request.user = user("system:node:n1", &["system:nodes", "system:authenticated"]);
    request
}

#[test]
fn a_node_sets_the_labels_that_are_its_own() {
    let mut world = World::new();
    let create = |labels: Value| {
        let node = json!({"metadata": {"name": "n1", "labels": labels}});
        as_node(request(&NODE, "", "", Operation::Create(node.into())))
    };
    let why = "nodes \"n1\" is forbidden: node \"n1\" is not allowed to set the following labels: kubernetes.io/foo, \
               node-restriction.kubernetes.io/a, node-role.kubernetes.io/x";
    let labels = json!({"node-restriction.kubernetes.io/a": "b", "kubernetes.io/foo": "x", "node-role.kubernetes.io/x": "",
        "kubelet.kubernetes.io/a": "b", "x.node.kubernetes.io/y": "z", "mine": "1", "kubernetes.io/hostname": "n1"});
    refused(world.execute(&create(labels)), 403, why);
    world.execute(&create(json!({"kubernetes.io/hostname": "n1", "mine": "1"}))).expect("its own");
    let patch = |patch: Value| as_node(request(&NODE, "", "n1", Operation::Patch(PatchKind::Merge, patch.into())));
    let why = "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify labels: kubernetes.io/foo";
    refused(world.execute(&patch(json!({"metadata": {"labels": {"kubernetes.io/foo": "x"}}}))), 403, why);
    let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "u"}]);
    let why = "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify ownerReferences";
    refused(world.execute(&patch(json!({"metadata": {"ownerReferences": owner}}))), 403, why);
}

#[test]
fn a_node_shows_pods_of_its_own_that_refer_to_nothing() {
    let mut world = World::new();
    let (_, node) = world.create(&NODE, "", json!({"metadata": {"name": "n1"}})).expect("a node");
    let mut mirror = |owner: Value, extra: Value| {
        let mut body = pod("m", extra);
        body["spec"]["nodeName"] = json!("n1");
        body["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        body["metadata"]["ownerReferences"] = owner;
        world.execute(&as_node(request(&POD, "web", "", Operation::Create(body.into()))))
    };
    let owner = |uid: &Value, controller: bool| json!([{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": controller}]);
    let uid = &node["metadata"]["uid"];
    let why = |text: &str| format!("pods \"m\" is forbidden: node \"n1\" {text}");
    let answer = mirror(json!([]), json!({}));
    refused(answer, 403, &why("can only create pods with an owner reference set to itself"));
    let answer = mirror(owner(uid, false), json!({}));
    refused(answer, 403, &why("can only create pods with a controller owner reference set to itself"));
    assert!(mirror(owner(&json!("other"), true), json!({})).expect_err("another").message.contains("UID mismatch"));
    let volume = json!({"volumes": [{"name": "v", "configMap": {"name": "x"}}]});
    refused(mirror(owner(uid, true), volume), 403, &why("can not create pods that reference configmaps"));
    mirror(owner(uid, true), json!({})).expect("a mirror pod");
}

#[test]
fn a_node_asks_for_certificates_of_the_pods_that_it_runs() {
    let mut world = World::new();
    let (_, node) = world.create(&NODE, "", json!({"metadata": {"name": "n1"}})).expect("a node");
    let account = json!({"metadata": {"name": "runner"}});
    let (_, account) = world.create(&SERVICE_ACCOUNT, "web", account).expect("an account");
    let bound = pod("p", json!({"nodeName": "n1", "serviceAccountName": "runner"}));
    let (_, bound) = world.create(&POD, "web", bound).expect("a pod");
    let uid = |object: &Value| object["metadata"]["uid"].clone();
    let spec = json!({"signerName": "a.b/c", "podName": "p", "podUID": uid(&bound), "serviceAccountName": "runner",
        "serviceAccountUID": uid(&account), "nodeName": "n1", "nodeUID": uid(&node), "stubPKCS10Request": "YWJj"});
    let mut ask = |field: &str, value: &str| {
        let mut spec = spec.clone();
        if !field.is_empty() {
            spec[field] = json!(value);
        }
        let body = json!({"metadata": {"name": "r"}, "spec": spec});
        world.execute(&as_node(request(&POD_CERTIFICATE_REQUEST, "web", "", Operation::Create(body.into()))))
    };
    for (field, value, why) in [
        ("nodeName", "n2", "which is not the requesting node"),
        ("podName", "q", "while retrieving pod"),
        ("podUID", "x", "contains pod UID"),
        ("serviceAccountName", "default", "contains serviceAccountName"),
        ("serviceAccountUID", "x", "contains serviceAccountUID"),
        ("nodeUID", "x", "contains nodeUID"),
    ] {
        let status = ask(field, value).expect_err(field);
        assert!(status.code == 403 && status.message.contains(why), "{}", status.message);
    }
    ask("", "").expect("its own");
}

#[test]
fn who_approves_and_signs_needs_the_signers_right() {
    let mut world = World::new();
    let rules = |names: &[&str]| {
        json!([{"apiGroups": ["certificates.k8s.io"], "verbs": ["*"],
            "resources": ["certificatesigningrequests", "certificatesigningrequests/approval"]},
            {"apiGroups": ["certificates.k8s.io"], "verbs": ["approve"], "resources": ["signers"], "resourceNames": names}])
    };
    let role = json!({"metadata": {"name": "r"}, "rules": rules(&["a.b/other"])});
    world.create(&CLUSTER_ROLE, "", role).expect("a role");
    let subject = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve"});
    let binding = json!({"metadata": {"name": "r"}, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}});
    world.create(&CLUSTER_ROLE_BINDING, "", binding).expect("a binding");
    let asked = |subject: &[u8], signer: &str| {
        let text = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            BASE64_STANDARD.encode(subject)
        );
        let spec = json!({"request": BASE64_STANDARD.encode(text), "signerName": signer, "usages": ["client auth"]});
        json!({"metadata": {"name": "c"}, "spec": spec})
    };
    let masters = [&[0x30, 0x15, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c, 0x0e][..], b"system:masters"].concat();
    let client = "kubernetes.io/kube-apiserver-client";
    let why = format!("use of {client} signer with system:masters group is not allowed");
    let answer = world.create(&CERTIFICATE_SIGNING_REQUEST, "", asked(&masters, client));
    refused(answer, 403, &format!("certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: {why}"));
    world.create(&CERTIFICATE_SIGNING_REQUEST, "", asked(&masters, "a.b/c")).expect("a request");
    let approved = json!({"status": {"conditions": [{"type": "Approved", "status": "True"}]}});
    let patch = Operation::Patch(PatchKind::Merge, approved.into());
    let mut approval = sub(request(&CERTIFICATE_SIGNING_REQUEST, "", "c", patch), "approval");
    approval.user = user("eve", &["system:authenticated"]);
    let why = "certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: user not permitted to approve requests \
               with signerName \"a.b/c\"";
    refused(world.execute(&approval), 403, why);
    world
        .update(&CLUSTER_ROLE, "", json!({"metadata": {"name": "r"}, "rules": rules(&["a.b/*"])}))
        .expect("more rights");
    world.execute(&approval).expect("a right for the domain");
}
