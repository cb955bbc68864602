//! Plugins that act only where somebody switched them on, and those that somebody switched off.

use gantry_kinds::{CONFIG_MAP, EVENT, NAMESPACE, POD, RESOURCE_QUOTA, SERVICE};

use super::*;

fn with(plugins: &[Plugin]) -> World {
    let mut world = World::new();
    world.settings.plugins = plugins.iter().fold(Plugins::default(), |all, plugin| all.with(*plugin));
    world
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x",
        "imagePullPolicy": "Never", "resources": {"limits": {"example.com/gpu": "1", "cpu": "1"}}}]}});
    spec.as_object().unwrap().iter().for_each(|(key, value)| pod["spec"][key] = value.clone());
    pod
}

fn why(answer: Answer) -> String {
    answer.expect_err("a refusal").message.clone()
}

#[test]
fn services_gain_no_address_from_outside() {
    let mut world = World::new();
    let service =
        |ips: Value| json!({"metadata": {"name": "a"}, "spec": {"externalIPs": ips, "ports": [{"port": 80}]}});
    world.create(&SERVICE, "web", service(json!(["1.2.3.4", "1.2.3.5"]))).expect("as upstream");
    world.settings.plugins = Plugins::default().with(Plugin::DenyServiceExternalIPs);
    let patch =
        |world: &mut World, ips: Value| world.patch(&SERVICE, "web", "a", json!({"spec": {"externalIPs": ips}}));
    patch(&mut world, json!(["1.2.3.5"])).expect("one that it has");
    let refused = why(patch(&mut world, json!(["1.2.3.4", "1.2.3.5"])));
    assert_eq!(refused, "services \"a\" is forbidden: Use of external IPs is denied by admission control");
    world.patch(&SERVICE, "web", "a", json!({"spec": {"externalIPs": null}})).expect("none");
}

#[test]
fn images_are_pulled_and_devices_tolerated() {
    let mut world = with(&[Plugin::AlwaysPullImages, Plugin::ExtendedResourceToleration]);
    let image = json!([{"name": "i", "image": {"reference": "z", "pullPolicy": "Never"}}]);
    let init = json!([{"name": "i", "image": "y:1", "imagePullPolicy": "IfNotPresent"}]);
    let (_, pod) = world.create(&POD, "web", pod("p", json!({"volumes": image, "initContainers": init}))).unwrap();
    assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(pod["spec"]["initContainers"][0]["imagePullPolicy"], "Always");
    assert_eq!(pod["spec"]["volumes"][0]["image"]["pullPolicy"], "Always");
    let tolerations = pod["spec"]["tolerations"].as_array().unwrap();
    assert!(tolerations.contains(&json!({"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"})));
    assert_eq!(tolerations.len(), 3, "nobody tolerates processors: {tolerations:?}");
}

#[test]
fn pods_keep_others_from_their_host_alone() {
    let mut world = with(&[Plugin::LimitPodHardAntiAffinityTopology]);
    let affinity = |key: &str| {
        let term = json!({"topologyKey": key, "labelSelector": {}});
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
    };
    world.create(&POD, "web", pod("a", affinity("kubernetes.io/hostname"))).unwrap();
    let refused = why(world.create(&POD, "web", pod("b", affinity("zone"))));
    assert!(refused.ends_with("has TopologyKey zone but only key kubernetes.io/hostname is allowed"), "{refused}");
}

#[test]
fn who_writes_an_event_is_asked_for_room() {
    let mut world = with(&[Plugin::EventRateLimit]);
    world.rate = |write| {
        assert_eq!((write.namespace.as_str(), write.source_and_object.as_str()), ("web", "kubeletPodwebpu1v1"));
        Err("limit reached on type Namespace for key web".to_owned())
    };
    let event = json!({"metadata": {"name": "e"}, "source": {"component": "kubelet"}, "involvedObject":
        {"kind": "Pod", "namespace": "web", "name": "p", "uid": "u1", "apiVersion": "v1"}});
    let refused = world.create(&EVENT, "web", event.clone()).expect_err("too many");
    assert_eq!((refused.code, refused.reason), (429, "TooManyRequests"));
    assert_eq!(refused.message, "Too many requests: limit reached on type Namespace for key web");
    world.rate = |_| Ok(());
    world.create(&EVENT, "web", event).expect("there is room again");
}

#[test]
fn what_is_switched_off_does_not_act() {
    let mut world = World::new();
    world.settings.plugins =
        Plugins::default().without(Plugin::DefaultTolerationSeconds).without(Plugin::NamespaceLifecycle);
    let (_, made) = world.create(&POD, "web", pod("p", json!({}))).unwrap();
    assert_eq!(made["spec"].get("tolerations"), None);
    world.create(&CONFIG_MAP, "nowhere", json!({"metadata": {"name": "a"}})).expect("nobody looks for the namespace");
    world.settings.plugins = world.settings.plugins.with(Plugin::NamespaceExists);
    assert_eq!(
        why(world.create(&CONFIG_MAP, "nowhere", json!({"metadata": {"name": "b"}}))),
        "namespaces \"nowhere\" not found"
    );
    world.settings.plugins = Plugins::default().with(Plugin::AlwaysDeny);
    assert!(
        why(world.create(&NAMESPACE, "", json!({"metadata": {"name": "n"}}))).contains("denying all modifications")
    );
}

#[test]
fn namespaces_that_say_nothing_are_held_to_what_is_set() {
    let mut world = World::new();
    world.settings.pod_security = PodSecurity::new("baseline", "baseline", &["kube-system"]).unwrap();
    let refused = why(world.create(&POD, "web", pod("p", json!({"hostNetwork": true}))));
    assert!(refused.contains("violates PodSecurity \"baseline:latest\": host namespaces"), "{refused}");
    world
        .patch(
            &NAMESPACE,
            "",
            "web",
            json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}),
        )
        .unwrap();
    world.create(&POD, "web", pod("p", json!({"hostNetwork": true}))).expect("the namespace has the last word");
}

#[test]
fn a_namespace_is_made_with_the_first_object_in_it() {
    let mut world = with(&[Plugin::NamespaceAutoProvision]);
    let settings = |name: &str| json!({"metadata": {"name": name}});
    let (_, made) = world.create(&CONFIG_MAP, "fresh", settings("a")).expect("made with its namespace");
    let namespace = world.get(&NAMESPACE, "", "fresh").expect("the namespace");
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["metadata"]["managedFields"][0]["manager"], "kube-apiserver");
    assert_ne!(namespace["metadata"]["uid"], made["metadata"]["uid"]);
    world.create(&CONFIG_MAP, "fresh", settings("b")).expect("there is one now");
    let refused = why(world.create(&CONFIG_MAP, "No_name", settings("a")));
    assert!(refused.starts_with("configmaps \"a\" is forbidden: Namespace \"No_name\" is invalid: "), "{refused}");
}

#[test]
fn a_namespace_says_on_which_nodes_its_pods_run() {
    let mut world = with(&[Plugin::PodNodeSelector]);
    let config = json!({"podNodeSelectorPluginConfig": {"clusterDefaultNodeSelector": "a=b", "web": "a=b,x=y"}});
    world.settings.placement.select_nodes(&config).expect("a configuration");
    let mut make = |selector: Value| world.create(&POD, "web", pod("p", json!({"nodeSelector": selector})));
    let refused = why(make(json!({"a": "c"})));
    let start = "pods \"p\" is forbidden: pod node label selector";
    assert_eq!(refused, format!("{start} conflicts with its namespace node label selector"));
    assert_eq!(why(make(json!({"o": "p"}))), format!("{start} labels conflict with its namespace whitelist"));
    let (_, made) = make(json!({"x": "y"})).expect("both");
    assert_eq!(made["spec"]["nodeSelector"], json!({"a": "b", "x": "y"}));
    let own = json!({"metadata": {"annotations": {"scheduler.alpha.kubernetes.io/node-selector": "q in (w)"}}});
    world.patch(&NAMESPACE, "", "web", own).expect("an annotation");
    assert_eq!(why(world.create(&POD, "web", pod("q", json!({})))), "invalid selector: [q in (w)]");
}

#[test]
fn a_namespace_says_what_its_pods_tolerate() {
    let mut world = with(&[Plugin::PodTolerationRestriction]);
    let annotate = |world: &mut World, name: &str, text: &str| {
        let annotations = json!({format!("scheduler.alpha.kubernetes.io/{name}"): text});
        world.patch(&NAMESPACE, "", "web", json!({"metadata": {"annotations": annotations}})).expect("an annotation");
    };
    annotate(&mut world, "defaultTolerations", "[{\"key\": \"k\", \"value\": \"v\"}]");
    let (_, made) = world.create(&POD, "web", pod("p", json!({}))).expect("a pod");
    let keys: Vec<&Value> = made["spec"]["tolerations"].as_array().unwrap().iter().map(|t| &t["key"]).collect();
    let node = |what: &str| format!("node.kubernetes.io/{what}");
    let wanted = [node("not-ready"), node("unreachable"), "k".to_owned(), node("memory-pressure")];
    assert_eq!(keys, wanted.each_ref().map(|key| json!(key)).each_ref());
    annotate(&mut world, "tolerationsWhitelist", "[{\"key\": \"k\", \"operator\": \"Exists\"}]");
    let refused = world.create(&POD, "web", pod("q", json!({}))).expect_err("a refusal");
    let what = "pod tolerations (possibly merged with namespace default tolerations)";
    assert_eq!((refused.code, refused.reason), (500, ""));
    assert_eq!(refused.message, format!("{what} conflict with its namespace whitelist"));
    annotate(&mut world, "tolerationsWhitelist", "[{\"operator\": \"Exists\"}]");
    world.create(&POD, "web", pod("q", json!({}))).expect("everything is allowed");
}

#[test]
fn what_is_limited_is_taken_from_quotas_alone() {
    let mut world = World::new();
    let scope = json!({"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]});
    let config = json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration",
        "limitedResources": [{"resource": "configmaps", "matchContains": ["count/"]},
            {"resource": "pods", "matchScopes": [scope]}]});
    world.settings.limited_resources = LimitedResources::parse(&config).expect("a configuration");
    let map = || json!({"metadata": {"name": "a"}});
    assert_eq!(
        why(world.create(&CONFIG_MAP, "web", map())),
        "configmaps \"a\" is forbidden: insufficient quota to consume: count/configmaps"
    );
    let critical = || pod("p", json!({"priorityClassName": "system-cluster-critical"}));
    let refused = why(world.create(&POD, "web", critical()));
    let scopes = "[{PriorityClass In [system-cluster-critical]}]";
    assert_eq!(refused, format!("insufficient quota to match these scopes: {scopes}"));
    world.create(&POD, "web", pod("q", json!({}))).expect("pods of no class are not limited");
    let mut quota = |name: &str, spec: Value| {
        let status = json!({"status": {"hard": spec["hard"], "used": {"count/configmaps": "0", "pods": "0"}}});
        world.create(&RESOURCE_QUOTA, "web", json!({"metadata": {"name": name}, "spec": spec})).expect("a quota");
        let patch = Operation::Patch(PatchKind::Merge, status.into());
        world.execute(&sub(request(&RESOURCE_QUOTA, "web", name, patch), "status")).expect("counted");
    };
    quota("maps", json!({"hard": {"count/configmaps": "5"}}));
    quota("critical", json!({"hard": {"pods": "5"}, "scopeSelector": {"matchExpressions": [scope]}}));
    world.create(&CONFIG_MAP, "web", map()).expect("there is a quota");
    world.create(&POD, "web", critical()).expect("there is a quota");
}
