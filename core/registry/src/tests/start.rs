use gantry_kinds::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, DEPLOYMENT, NAMESPACE, NODE, POD, REPLICA_SET, SERVICE};
use gantry_policy::Attributes;
use serde_json::json;

use super::*;

fn started() -> World {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut world = World::empty(now);
    for request in bootstrap::requests(&world.view, &world.settings.clone()) {
        world.execute(&request).unwrap_or_else(|status| panic!("{:?}: {status}", request.operation));
    }
    world
}

#[test]
fn a_start_makes_everything_once() {
    let mut world = started();
    assert_eq!(world.view.count(&NAMESPACE), 4);
    let ip = |namespace, name| world.get(&SERVICE, namespace, name).map(|s| s["spec"]["clusterIP"].clone());
    assert_eq!(ip("default", "kubernetes"), Some(json!("10.43.0.1")));
    assert_eq!(ip("kube-system", "kube-dns"), Some(json!("10.43.0.10")));
    assert!(bootstrap::requests(&world.view, &world.settings.clone()).is_empty());
    assert_eq!(check_reservations(&world.view), Vec::<String>::new());
    world.settings.api_port = 7443;
    let moved = bootstrap::requests(&world.view, &world.settings.clone());
    assert_eq!(moved.len(), 1);
    world.execute(&moved[0]).expect("moved");
    let port = world.get(&SERVICE, "default", "kubernetes").map(|s| s["spec"]["ports"][0]["targetPort"].clone());
    assert_eq!(port, Some(json!(7443)));
}

#[test]
fn additions_are_kept_and_losses_mended() {
    let mut world = started();
    let mine = json!({"verbs": ["get"], "apiGroups": ["mine"], "resources": ["x"]});
    world.patch(&CLUSTER_ROLE, "", "system:kube-dns", json!({"rules": [mine]})).expect("changed");
    world
        .patch(
            &CLUSTER_ROLE,
            "",
            "system:monitoring",
            json!({"rules": [mine],
        "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}}),
        )
        .expect("changed");
    world.patch(&CLUSTER_ROLE_BINDING, "", "system:kube-dns", json!({"subjects": null})).expect("changed");
    let mends = bootstrap::requests(&world.view, &world.settings.clone());
    assert_eq!(mends.len(), 2);
    mends.iter().for_each(|mend| drop(world.execute(mend).expect("mended")));
    let rules = |name| world.get(&CLUSTER_ROLE, "", name).map(|role| role["rules"].clone()).unwrap_or_default();
    assert!(rules("system:kube-dns").as_array().is_some_and(|rules| rules.len() == 2 && rules[0] == mine));
    assert_eq!(rules("system:monitoring"), json!([mine]));
    let subjects = world.get(&CLUSTER_ROLE_BINDING, "", "system:kube-dns").map(|b| b["subjects"].clone());
    assert_eq!(subjects, Some(json!([{"kind": "ServiceAccount", "namespace": "kube-system", "name": "kube-dns"}])));
}

#[test]
fn controllers_may_do_their_work() {
    let world = started();
    let check = |controller: &str, verb: &str, kind: KindRef, subresource: &str| {
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
        let user = user(&format!("system:serviceaccount:kube-system:{controller}"), &groups);
        let asked = Attributes::resource(&user, verb, kind, "default", "x").subresource(subresource);
        assert!(world.allows(&asked), "{controller} {verb} {kind:?}/{subresource}");
    };
    check("deployment-controller", "patch", &DEPLOYMENT, "status");
    check("deployment-controller", "create", &REPLICA_SET, "");
    check("replicaset-controller", "create", &POD, "");
    check("replicaset-controller", "patch", &REPLICA_SET, "status");
    check("namespace-controller", "update", &NAMESPACE, "finalize");
    check("namespace-controller", "patch", &NAMESPACE, "status");
    check("namespace-controller", "delete", &DEPLOYMENT, "");
    check("generic-garbage-collector", "delete", &REPLICA_SET, "");
    check("node-controller", "patch", &NODE, "");
    check("node-controller", "patch", &NODE, "status");
    check("pod-garbage-collector", "delete", &POD, "");
    check("endpointslice-controller", "create", &gantry_kinds::ENDPOINT_SLICE, "");
    check("endpointslice-controller", "patch", &gantry_kinds::ENDPOINT_SLICE, "");
    check("endpoint-controller", "create", &gantry_kinds::ENDPOINTS, "");
    check("endpoint-controller", "patch", &gantry_kinds::ENDPOINTS, "");
    check("endpointslicemirroring-controller", "create", &gantry_kinds::ENDPOINT_SLICE, "");
    check("service-cidrs-controller", "patch", &gantry_kinds::SERVICE_CIDR, "status");
    check("ip-address-repair", "create", &gantry_kinds::IP_ADDRESS, "");
    check("ip-address-repair", "delete", &gantry_kinds::IP_ADDRESS, "");
    check("service-account-controller", "create", &gantry_kinds::SERVICE_ACCOUNT, "");
    check("root-ca-cert-publisher", "create", &gantry_kinds::CONFIG_MAP, "");
    check("clusterrole-aggregation-controller", "patch", &CLUSTER_ROLE, "");
    check("api-service-registration", "create", &gantry_kinds::kinds::api_service::API_SERVICE, "");
    let scheduler = user("system:kube-scheduler", &["system:authenticated"]);
    for (verb, subresource) in [("create", "binding"), ("patch", "status"), ("delete", "")] {
        let asked = Attributes::resource(&scheduler, verb, &POD, "default", "x").subresource(subresource);
        assert!(world.allows(&asked), "{verb} {subresource}");
    }
}

#[test]
fn records_of_former_data_become_addresses() {
    let mut world = started();
    let address = || gantry_view::ObjectKey::new(&gantry_kinds::IP_ADDRESS, "", "10.43.0.1");
    let revision = world.view.revision() + 1;
    world.view.apply(address(), None, revision);
    let former = json!({"metadata": {"name": "ip-10.43.0.1", "uid": "u"}, "owner": "default/kubernetes"});
    let former = Object::from_value(&crate::allocation::ALLOCATION, &former, revision + 1).expect("a record");
    world.view.apply(former.key().clone(), Some(Arc::new(former)), revision + 1);
    let requests = bootstrap::requests(&world.view, &world.settings.clone());
    assert_eq!(requests.len(), 2);
    requests.iter().for_each(|request| drop(world.execute(request).expect("converted")));
    assert_eq!(check_reservations(&world.view), Vec::<String>::new());
    assert!(world.view.at(&address()).is_some());
    assert!(bootstrap::requests(&world.view, &world.settings.clone()).is_empty());
}
