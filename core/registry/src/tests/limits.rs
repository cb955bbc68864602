use gantry_kinds::{DEPLOYMENT, LIMIT_RANGE, NAMESPACE, PERSISTENT_VOLUME_CLAIM, POD};

use super::*;

fn limited(limits: Value) -> World {
    let mut world = World::new();
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": limits}});
    world.create(&LIMIT_RANGE, "web", range).expect("a range");
    world
}

#[test]
fn containers_get_what_they_do_not_ask_for() {
    let defaults =
        json!({"type": "Container", "default": {"cpu": "500m", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}});
    let mut world = limited(json!([defaults]));
    let own = json!({"limits": {"cpu": "2"}});
    let spec = json!({"initContainers": [{"name": "i", "image": "i"}], "containers": [
        {"name": "c", "image": "i"}, {"name": "d", "image": "i", "resources": own}]});
    let (_, made) = world.create(&POD, "web", pod("p", spec)).expect("a pod");
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c; memory request \
         for container d; memory limit for container d; cpu, memory request for init container i; cpu, memory limit for \
         init container i"
    );
    let all = json!({"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}});
    assert_eq!(made["spec"]["containers"][0]["resources"], all);
    let kept = json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "2", "memory": "1Gi"}});
    assert_eq!(made["spec"]["containers"][1]["resources"], kept);
}

#[test]
fn what_is_out_of_bounds_is_refused_all_at_once() {
    let container =
        json!({"type": "Container", "min": {"cpu": "50m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "4"}});
    let whole = json!({"type": "Pod", "max": {"cpu": "1500m", "ephemeral-storage": "1Gi"}});
    let claim = json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}});
    let mut world = limited(json!([container, whole, claim]));
    let with =
        |resources: Value| pod("p", json!({"containers": [{"name": "c", "image": "i", "resources": resources}]}));
    let answer = world.create(&POD, "web", with(json!({"requests": {"cpu": "10m"}})));
    let why = "pods \"p\" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, cpu max limit to \
               request ratio per Container is 4, but provided ratio is 100.000000, maximum ephemeral-storage usage per \
               Pod is 1Gi.  No limit is specified]";
    refused(answer, 403, why);
    for (size, why) in [
        ("5Gi", "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi"),
        ("1Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"),
    ] {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
        let answer = world.create(&PERSISTENT_VOLUME_CLAIM, "web", json!({"metadata": {"name": "c"}, "spec": spec}));
        refused(answer, 403, &format!("persistentvolumeclaims \"c\" is forbidden: {why}"));
    }
}

fn labelled(world: &mut World, labels: Value) -> Decision {
    let patch = json!({"metadata": {"labels": labels}});
    world.decide(&request(&NAMESPACE, "", "web", Operation::Patch(PatchKind::Merge, patch.into())))
}

#[test]
fn a_namespace_says_how_secure_its_pods_must_be() {
    let mut world = World::new();
    for name in ["x1", "x2"] {
        world.create(&POD, "web", pod(name, json!({"hostPID": true}))).expect("anything goes");
    }
    let wrong = labelled(&mut world, json!({"pod-security.kubernetes.io/enforce": "x"}));
    let Decision::Refuse(status) = wrong else { unreachable!("{wrong:?}") };
    assert_eq!(
        status.message,
        "Namespace \"web\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"x\": must \
         be one of privileged, baseline, restricted"
    );
    let enforced = labelled(&mut world, json!({"pod-security.kubernetes.io/enforce": "baseline"}));
    let Decision::Commit { writes, guards, warnings, .. } = enforced else { unreachable!("{enforced:?}") };
    world.commit(&writes, &guards).expect("nobody else writes");
    let head = "existing pods in namespace \"web\" violate the new PodSecurity enforce level \"baseline:latest\"";
    assert_eq!(warnings, [head, "x1 (and 1 other pod): host namespaces"]);
    let why = "pods \"y\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true)";
    refused(world.create(&POD, "web", pod("y", json!({"hostPID": true}))), 403, why);
    let template = json!({"metadata": {"labels": {"a": "b"}},
        "spec": {"hostPID": true, "containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let create = Operation::Create(json!({"metadata": {"name": "d"}, "spec": spec}).into());
    let decision = world.decide(&request(&DEPLOYMENT, "web", "", create));
    let Decision::Commit { warnings, .. } = decision else { unreachable!("{decision:?}") };
    assert_eq!(warnings, ["would violate PodSecurity \"baseline:latest\": host namespaces (hostPID=true)"]);
}
