use gantry_kinds::{CONFIG_MAP, DEPLOYMENT, POD, RESOURCE_QUOTA, SERVICE};

use super::*;

/// A world with a quota that has been counted.
fn bounded(hard: Value) -> World {
    let mut world = World::new();
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
    world.create(&RESOURCE_QUOTA, "web", quota).expect("a quota");
    let used: Value = hard.as_object().into_iter().flatten().map(|(name, _)| (name.clone(), json!("0"))).collect();
    let status = json!({"status": {"hard": hard, "used": used}});
    let patch = Operation::Patch(PatchKind::Merge, status.into());
    world.execute(&sub(request(&RESOURCE_QUOTA, "web", "q", patch), "status")).expect("a status");
    world
}

fn used(world: &World) -> Value {
    world.get(&RESOURCE_QUOTA, "web", "q").expect("a quota")["status"]["used"].clone()
}

fn sized(name: &str, cpu: &str) -> Value {
    let resources = json!({"requests": {"cpu": cpu}});
    pod(name, json!({"containers": [{"name": "c", "image": "i", "resources": resources}]}))
}

#[test]
fn what_an_object_takes_is_written_along_and_no_more_than_there_is() {
    let mut world = bounded(json!({"pods": "2", "requests.cpu": "1"}));
    world.create(&POD, "web", sized("a", "600m")).expect("room");
    assert_eq!(used(&world), json!({"pods": "1", "requests.cpu": "600m"}));
    refused(
        world.create(&POD, "web", sized("b", "500m")),
        403,
        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, \
         limited: requests.cpu=1",
    );
    refused(
        world.create(&POD, "web", pod("b", json!({}))),
        403,
        "pods \"b\" is forbidden: failed quota: q: must specify requests.cpu for: c",
    );
    let mut dry = request(&POD, "web", "", Operation::Create(sized("b", "400m").into()));
    dry.options.dry_run = true;
    world.execute(&dry).expect("room");
    assert_eq!(used(&world), json!({"pods": "1", "requests.cpu": "600m"}));
}

#[test]
fn of_two_that_want_the_last_place_one_is_decided_anew() {
    let mut world = bounded(json!({"configmaps": "1"}));
    let body = |name: &str| json!({"metadata": {"name": name}});
    let decisions = ["a", "b"].map(|name| {
        let create = request(&CONFIG_MAP, "web", "", Operation::Create(body(name).into()));
        world.decide(&create)
    });
    let mut committed = 0;
    for decision in decisions {
        let Decision::Commit { writes, guards, .. } = decision else { unreachable!("each was alone") };
        committed += usize::from(world.commit(&writes, &guards).is_some());
    }
    assert_eq!((committed, used(&world)), (1, json!({"configmaps": "1"})));
    let why = "configmaps \"b\" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=1, \
               limited: configmaps=1";
    refused(world.create(&CONFIG_MAP, "web", body("b")), 403, why);
}

#[test]
fn changes_take_what_they_grow_by() {
    let mut world = bounded(json!({"services.nodeports": "2", "count/deployments.apps": "0"}));
    let service = |ports: &[u16]| {
        let ports: Vec<Value> = ports.iter().map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
        json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": ports}})
    };
    world.create(&SERVICE, "web", service(&[1])).expect("room");
    world.update(&SERVICE, "web", service(&[1, 2])).expect("room");
    assert_eq!(used(&world)["services.nodeports"], "2");
    let answer = world.update(&SERVICE, "web", service(&[1, 2, 3]));
    let why = "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: \
               services.nodeports=2, limited: services.nodeports=2";
    refused(answer, 403, why);
    world.update(&SERVICE, "web", service(&[1])).expect("less is never refused");
    assert_eq!(used(&world)["services.nodeports"], "2", "what is given back is counted by the controller");
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let answer = world.create(&DEPLOYMENT, "web", json!({"metadata": {"name": "d"}, "spec": spec}));
    assert_eq!(answer.expect_err("none may be").code, 403);
}
