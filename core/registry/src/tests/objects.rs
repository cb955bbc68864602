use gantry_kinds::{CONFIG_MAP, DAEMON_SET, DEPLOYMENT, NAMESPACE};
use serde_json::json;

use super::*;

#[test]
fn what_is_created_is_what_is_answered_and_stored() {
    let mut world = World::new();
    let body = json!({"metadata": {"name": "a", "selfLink": "x", "uid": "mine", "deletionTimestamp": null},
                      "data": {"k": "v"}});
    let (code, reply) = world.create(&CONFIG_MAP, "web", body).expect("created");
    assert_eq!(code, 201);
    assert_eq!(world.get(&CONFIG_MAP, "web", "a"), Some(reply.clone()));
    assert_eq!((reply["kind"].as_str(), reply["apiVersion"].as_str()), (Some("ConfigMap"), Some("v1")));
    let meta = &reply["metadata"];
    assert_eq!(
        (meta["namespace"].as_str(), meta["creationTimestamp"].as_str()),
        (Some("web"), Some("2026-01-01T00:00:00Z"))
    );
    assert!(meta["uid"].as_str().is_some_and(|uid| uid.len() == 36) && meta.get("selfLink").is_none());
}

#[test]
fn every_kind_answers_what_it_stores() {
    let mut world = World::new();
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let workload = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let bodies: [(KindRef, &str, Value); 9] = [
        (&gantry_kinds::NAMESPACE, "", json!({})),
        (&gantry_kinds::NODE, "", json!({})),
        (&gantry_kinds::CLUSTER_ROLE, "", json!({"rules": []})),
        (&gantry_kinds::SECRET, "web", json!({"stringData": {"a": "b"}})),
        (&gantry_kinds::SERVICE, "web", json!({"spec": {"ports": [{"port": 80}]}})),
        (&gantry_kinds::DEPLOYMENT, "web", json!({"spec": workload})),
        (&gantry_kinds::REPLICA_SET, "web", json!({"spec": workload})),
        (&gantry_kinds::LEASE, "web", json!({"spec": {"holderIdentity": "me"}})),
        (&gantry_kinds::POD, "web", json!({"spec": template["spec"]})),
    ];
    for (kind, namespace, mut body) in bodies {
        body["metadata"] = json!({"name": "x"});
        let (code, reply) = world.create(kind, namespace, body).expect("created");
        assert_eq!((code, world.get(kind, namespace, "x")), (201, Some(reply.clone())), "{kind:?}");
        assert_eq!((&reply["kind"], &reply["apiVersion"]), (&json!(kind.kind), &json!(kind.api_version())));
        // What was answered can be sent back, and changes nothing.
        let (_, same) = world.update(kind, namespace, reply.clone()).expect("updated");
        assert_eq!(same, reply, "{kind:?}");
    }
}

#[test]
fn what_a_cluster_has_one_of_drops_the_namespace_that_it_is_said_to_be_in() {
    let mut world = World::new();
    let body = json!({"metadata": {"name": "other", "namespace": "web"}});
    let (code, reply) = world.create(&NAMESPACE, "", body).expect("created");
    assert_eq!((code, reply["metadata"].get("namespace")), (201, None));
}

#[test]
fn who_makes_a_daemon_set_owns_the_count_of_its_templates() {
    let mut world = World::new();
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let body = json!({"metadata": {"name": "a"}, "spec": spec});
    let (_, made) = world.create(&DAEMON_SET, "web", body).expect("created");
    let count = "deprecated.daemonset.template.generation";
    assert_eq!(made["metadata"]["annotations"][count], "1");
    let owned = &made["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:annotations"];
    assert!(owned.get(format!("f:{count}")).is_some(), "{owned}");
}

#[test]
fn creation_is_refused_with_the_known_words() {
    let mut world = World::new();
    let mut check =
        |body: Value, code: u16, message: &str| refused(world.create(&CONFIG_MAP, "web", body), code, message);
    check(
        json!({"metadata": {"name": "a", "namespace": "other"}}),
        400,
        "the namespace of the provided object does not match the namespace sent on the request",
    );
    check(
        json!({"metadata": {"name": "a", "resourceVersion": "5"}}),
        400,
        "resourceVersion should not be set on objects to be created",
    );
    check(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}),
        400,
        "Service in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Service) to (core.ConfigMap): unknown conversion",
    );
    check(
        json!({"apiVersion": "apps/v2", "kind": "Foo", "metadata": {"name": "a"}}),
        400,
        "Foo in version \"v2\" cannot be handled as a ConfigMap: no kind \"Foo\" is registered for version \"apps/v2\" in scheme \"pkg/runtime/scheme.go:111\"",
    );
    check(
        json!([]),
        400,
        "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" } (5b5d)",
    );
    check(json!({}), 422, "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required");
    let absent = world.create(&CONFIG_MAP, "none", json!({"metadata": {"name": "a"}}));
    refused(absent, 404, "namespaces \"none\" not found");
    world.create(&CONFIG_MAP, "web", json!({"metadata": {"name": "a"}})).expect("created");
    let twice = world.create(&CONFIG_MAP, "web", json!({"metadata": {"name": "a"}}));
    refused(twice, 409, "configmaps \"a\" already exists");
}

#[test]
fn names_are_generated_and_differ() {
    let mut world = World::new();
    let body = json!({"metadata": {"generateName": "gen-"}});
    let mut names: Vec<String> = Vec::new();
    for _ in 0..3 {
        let (_, reply) = world.create(&CONFIG_MAP, "web", body.clone()).expect("created");
        names.push(reply["metadata"]["name"].as_str().unwrap_or_default().to_owned());
    }
    assert!(names.iter().all(|name| name.starts_with("gen-") && name.len() == 9), "{names:?}");
    names.dedup();
    assert_eq!(names.len(), 3);
    let (_, reply) = world.create(&NAMESPACE, "", body).expect("created");
    assert_eq!(reply["metadata"]["labels"]["kubernetes.io/metadata.name"], reply["metadata"]["name"]);
}

#[test]
fn updates_keep_identity_and_notice_conflicts() {
    let mut world = World::new();
    let (_, first) =
        world.create(&CONFIG_MAP, "web", json!({"metadata": {"name": "a"}, "data": {"x": "y"}})).expect("created");
    let bare = json!({"metadata": {"name": "a"}, "data": {"x": "z"}});
    let (code, second) = world.update(&CONFIG_MAP, "web", bare.clone()).expect("updated");
    assert_eq!((code, &second["metadata"]["uid"], &second["data"]["x"]), (200, &first["metadata"]["uid"], &json!("z")));
    assert_ne!(first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
    let mut stale = first.clone();
    stale["data"]["x"] = "late".into();
    let why = "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again";
    refused(world.update(&CONFIG_MAP, "web", stale), 409, why);
    let patch = json!({"metadata": {"resourceVersion": "1"}, "data": {"x": "late"}});
    refused(world.patch(&CONFIG_MAP, "web", "a", patch), 409, why);
    let mut bad = bare.clone();
    bad["metadata"]["resourceVersion"] = "foo".into();
    refused(world.update(&CONFIG_MAP, "web", bad), 400, "strconv.ParseUint: parsing \"foo\": invalid syntax");
    let moved = request(&CONFIG_MAP, "web", "b", Operation::Update(bare.clone().into()));
    refused(world.execute(&moved), 400, "the name of the object (a) does not match the name on the URL (b)");
    let absent = json!({"metadata": {"name": "nope"}});
    refused(world.update(&CONFIG_MAP, "web", absent), 404, "configmaps \"nope\" not found");
    // What changes nothing commits nothing.
    let before = world.view.revision();
    let (_, same) = world.update(&CONFIG_MAP, "web", bare).expect("no change");
    let (_, patched) = world.patch(&CONFIG_MAP, "web", "a", json!({"data": {"x": "z"}})).expect("no change");
    assert_eq!(
        (same["metadata"]["resourceVersion"].clone(), &patched, world.view.revision()),
        (second["metadata"]["resourceVersion"].clone(), &same, before)
    );
}

#[test]
fn a_dry_run_answers_and_keeps_nothing() {
    let mut world = World::new();
    let mut ask = request(&CONFIG_MAP, "web", "", Operation::Create(json!({"metadata": {"name": "a"}}).into()));
    ask.options.dry_run = true;
    let before = world.view.revision();
    let (code, reply) = world.execute(&ask).expect("an answer");
    assert_eq!((code, reply["metadata"].get("resourceVersion"), world.view.revision()), (201, None, before));
    assert!(world.get(&CONFIG_MAP, "web", "a").is_none());
}

#[test]
fn an_object_that_is_too_large_is_refused() {
    let mut world = World::new();
    let finalizers: Vec<String> = (0..28_000).map(|i| format!("a.b/f{i:05}{}", "x".repeat(50))).collect();
    let body = json!({"metadata": {"name": "a", "finalizers": finalizers}});
    refused(world.create(&CONFIG_MAP, "web", body), 413, "Request entity too large: limit is 1572864");
}

#[test]
fn scale_reads_and_writes_replicas() {
    let mut world = World::new();
    let deployment = json!({"metadata": {"name": "d"}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let (_, made) = world.create(&DEPLOYMENT, "web", deployment).expect("created");
    assert_eq!(made["metadata"]["generation"], 1);
    let shown = scale::to_scale(&made).expect("a scale");
    assert_eq!((&shown["spec"], &shown["status"]), (&json!({}), &json!({"replicas": 0, "selector": "a=b"})));
    let mut put = |replicas: i64| {
        let body = json!({"metadata": {"name": "d"}, "spec": {"replicas": replicas}});
        let ask = sub(request(&DEPLOYMENT, "web", "d", Operation::Update(body.into())), "scale");
        world.execute(&ask)
    };
    let (_, reply) = put(3).expect("scaled");
    assert_eq!((reply["kind"].as_str(), &reply["spec"]["replicas"]), (Some("Scale"), &json!(3)));
    let why =
        "Scale.autoscaling \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0";
    refused(put(-1), 422, why);
    let now = world.get(&DEPLOYMENT, "web", "d").expect("a deployment");
    assert_eq!((&now["spec"]["replicas"], &now["metadata"]["generation"]), (&json!(3), &json!(2)));
    let ask =
        request(&DEPLOYMENT, "web", "d", Operation::Patch(PatchKind::Merge, json!({"spec": {"replicas": 5}}).into()));
    let (_, reply) = world.execute(&sub(ask, "scale")).expect("scaled");
    assert_eq!(reply["spec"]["replicas"], 5);
}

#[test]
fn a_key_that_comes_twice_in_a_configuration_is_told() {
    let mut world = World::new();
    let told = "yaml: unmarshal errors:\n  line 3: key \"a\" already set in map".to_owned();
    let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "2"}});
    let body = Body { duplicates: vec![told.clone()], ..Body::from(value) };
    let mut asked = request(&gantry_kinds::CONFIG_MAP, "web", "m", Operation::Patch(PatchKind::Apply, body));
    asked.options.field_validation = FieldValidation::Strict;
    let said = format!("error strict decoding YAML: error converting YAML to JSON: {told}");
    refused(world.execute(&asked), 400, &said);
    asked.options.field_validation = FieldValidation::Warn;
    let Decision::Commit { warnings, .. } = world.decide(&asked) else { panic!("it is taken") };
    assert_eq!(warnings, ["line 3: key \"a\" already set in map"]);
}
