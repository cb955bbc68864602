//! Admission policies, from what is written to what they do to requests.

use gantry_kinds::{
    CONFIG_MAP, MUTATING_ADMISSION_POLICY, MUTATING_ADMISSION_POLICY_BINDING, POD, SERVICE,
    VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING,
};

use super::*;

fn constraints(resources: &[&str], operations: &[&str]) -> Value {
    json!({"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": operations, "resources": resources}]})
}

/// A policy for config maps, or what the spec says, with one binding.
fn policy(world: &mut World, mutating: bool, name: &str, mut spec: Value, binding: Value) {
    if spec.get("matchConstraints").is_none() {
        let operations: &[&str] = if mutating { &["CREATE", "UPDATE"] } else { &["*"] };
        spec["matchConstraints"] = constraints(&["configmaps"], operations);
    }
    if mutating && spec.get("reinvocationPolicy").is_none() {
        spec["reinvocationPolicy"] = json!("Never");
    }
    let (kind, bound) = if mutating {
        (&MUTATING_ADMISSION_POLICY, &MUTATING_ADMISSION_POLICY_BINDING)
    } else {
        (&VALIDATING_ADMISSION_POLICY, &VALIDATING_ADMISSION_POLICY_BINDING)
    };
    world.create(kind, "", json!({"metadata": {"name": name}, "spec": spec})).expect("a policy");
    let mut to = json!({"policyName": name});
    if !mutating {
        to["validationActions"] = json!(["Deny"]);
    }
    for (key, value) in binding.as_object().into_iter().flatten() {
        to[key] = value.clone();
    }
    world.create(bound, "", json!({"metadata": {"name": format!("{name}-b")}, "spec": to})).expect("a binding");
}

fn map(name: &str, data: Value) -> Value {
    json!({"metadata": {"name": name}, "data": data})
}

fn why(answer: Answer) -> String {
    let message = answer.expect_err("a refusal").message;
    message.rsplit(" denied request: ").next().unwrap_or_default().to_owned()
}

fn apply(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

fn operations(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

#[test]
fn a_failed_check_refuses_in_the_words_of_the_policy() {
    let mut world = World::new();
    let checks = json!([
        {"expression": "object.metadata.name != 'bad'"},
        {"expression": "object.data.x == '1'", "message": "x must be 1", "reason": "Forbidden"},
        {"expression": "false", "messageExpression": "'not ' + object.metadata.name"}]);
    policy(&mut world, false, "p", json!({"validations": checks}), json!({}));
    let said = "ValidatingAdmissionPolicy 'p' with binding 'p-b' denied request: ";
    let mut create = |name: &str, data: Value| world.create(&CONFIG_MAP, "web", map(name, data));
    let status = create("bad", json!({"x": "1"})).unwrap_err();
    let message = format!("configmaps \"bad\" is forbidden: {said}failed expression: object.metadata.name != 'bad'");
    assert_eq!((status.code, status.reason, &status.message), (422, "Invalid", &message));
    assert_eq!(status.causes[0].message, format!("{said}failed expression: object.metadata.name != 'bad'"));
    refused(create("ok", json!({"x": "2"})), 403, &format!("configmaps \"ok\" is forbidden: {said}x must be 1"));
    assert_eq!(why(create("ok", json!({"x": "1"}))), "not ok");
    let error = "expression 'object.data.x == '1'' resulted in error: no such key: x";
    assert_eq!(why(create("ok", json!({"y": "1"}))), error);
}

#[test]
fn warnings_go_with_the_answer_and_with_the_refusal() {
    let mut world = World::new();
    let check = json!({"validations": [{"expression": "object.data.x == '1'", "message": "no"}]});
    policy(&mut world, false, "w", check.clone(), json!({"validationActions": ["Warn", "Audit"]}));
    let asked = request(&CONFIG_MAP, "web", "", Operation::Create(map("a", json!({"x": "2"})).into()));
    let told = ["Validation failed for ValidatingAdmissionPolicy 'w' with binding 'w-b': no".to_owned()];
    let Decision::Commit { warnings, .. } = world.decide(&asked) else { panic!("it is created") };
    assert_eq!(warnings, told);
    policy(&mut world, false, "x", check, json!({}));
    let Decision::Refuse(status) = world.decide(&asked) else { panic!("it is refused") };
    assert_eq!(status.warnings, told);
}

#[test]
fn conditions_variables_and_failures() {
    let mut world = World::new();
    let spec = |failure: &str| {
        json!({"failurePolicy": failure,
            "matchConditions": [{"name": "a", "expression": "object.data.go == 'y'"}],
            "variables": [{"name": "n", "expression": "object.data.n"}, {"name": "bad", "expression": "object.data.bad"}],
            "validations": [{"expression": "variables.n == '1'", "messageExpression": "'n is ' + string(variables.n)"}]})
    };
    policy(&mut world, false, "p", spec("Fail"), json!({}));
    let mut create = |data: Value| world.create(&CONFIG_MAP, "web", map("a", data));
    assert_eq!(why(create(json!({"n": "1"}))), "expression 'object.data.go == 'y'' resulted in error: no such key: go");
    assert_eq!(why(create(json!({"go": "y", "n": "2"}))), "n is 2");
    let error = "composited variable \"n\" fails to evaluate: no such key: n";
    assert_eq!(why(create(json!({"go": "y"}))), format!("expression 'variables.n == '1'' resulted in error: {error}"));
    assert!(create(json!({"go": "n", "n": "2"})).is_ok());
    let mut world = World::new();
    policy(&mut world, false, "p", spec("Ignore"), json!({}));
    assert!(world.create(&CONFIG_MAP, "web", map("a", json!({}))).is_ok());
    assert_eq!(why(world.create(&CONFIG_MAP, "web", map("b", json!({"go": "y", "n": "2"})))), "n is 2");
}

#[test]
fn what_costs_too_much_is_stopped() {
    let mut world = World::new();
    let long = "object.data.l.split(',').all(a, object.data.l.split(',').all(b, a == b || true))";
    policy(&mut world, false, "p", json!({"validations": [{"expression": long}]}), json!({}));
    let data = |count: usize| map("a", json!({"l": vec!["x"; count].join(",")}));
    let error = format!("expression '{long}' resulted in error: operation cancelled: actual cost limit exceeded");
    assert_eq!(why(world.create(&CONFIG_MAP, "web", data(3000))), error);
    assert!(world.create(&CONFIG_MAP, "web", data(200)).is_ok());
    let all = vec![json!({"expression": long}); 60];
    policy(&mut world, false, "q", json!({"validations": all}), json!({}));
    let exhausted = "validation failed due to running out of cost budget, no further validation rules will be run";
    assert_eq!(why(world.patch(&CONFIG_MAP, "web", "a", data(300))), exhausted);
}

#[test]
fn parameters_are_found_by_name_and_by_labels() {
    let mut world = World::new();
    for (name, most) in [("p1", "3"), ("p2", "5")] {
        let map = json!({"metadata": {"name": name, "labels": {"sel": "p"}}, "data": {"max": most}});
        world.create(&CONFIG_MAP, "web", map).unwrap();
    }
    let spec = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": constraints(&["pods"], &["CREATE"]),
        "validations": [{"expression": "int(object.metadata.labels.n) <= int(params.data.max)",
            "messageExpression": "'over ' + string(params.metadata.name)"}]});
    let mut bind = |name: &str, reference: Value| {
        policy(&mut world, false, name, spec.clone(), json!({ "paramRef": reference }));
        let mut answers = ["2", "4", "6"].map(|n| {
            let mut pod = pod("a", json!({}));
            pod["metadata"]["labels"] = json!({"n": n});
            let mut asked = request(&POD, "web", "", Operation::Create(pod.into()));
            asked.options.dry_run = true;
            world.execute(&asked).map(|_| ()).map_err(|status| status.message.rsplit(": ").next().unwrap().to_owned())
        });
        world.delete(&VALIDATING_ADMISSION_POLICY, "", name, DeleteOptions::default()).unwrap();
        answers.iter_mut().map(|answer| answer.clone().err().unwrap_or_default()).collect::<Vec<_>>().join("|")
    };
    let by_name = |name: &str, absent: &str| json!({"name": name, "parameterNotFoundAction": absent});
    assert_eq!(bind("a", by_name("p1", "Deny")), "|over p1|over p1");
    let labels = json!({"selector": {"matchLabels": {"sel": "p"}}, "parameterNotFoundAction": "Deny"});
    assert_eq!(bind("b", labels), "|over p1|over p1");
    assert_eq!(bind("c", by_name("none", "Allow")), "||");
    let absent = "no params found for policy binding with `Deny` parameterNotFoundAction";
    assert_eq!(bind("d", by_name("none", "Deny")), [absent; 3].join("|"));
}

#[test]
fn policies_are_asked_about_deletions_and_never_about_themselves() {
    let mut world = World::new();
    world.create(&CONFIG_MAP, "web", map("a", json!({}))).unwrap();
    let spec = json!({"matchConstraints": constraints(&["*"], &["DELETE"]),
        "validations": [{"expression": "object != null",
            "messageExpression": "request.operation + ' ' + string(oldObject.metadata.name) + ' ' + string(request.options.kind)"}]});
    policy(&mut world, false, "p", spec, json!({}));
    let deleted = world.delete(&CONFIG_MAP, "web", "a", DeleteOptions::default());
    assert_eq!(why(deleted), "DELETE a DeleteOptions");
    let options = DeleteOptions { collection: true, ..DeleteOptions::default() };
    let message = world.delete(&CONFIG_MAP, "web", "a", options).unwrap_err().message;
    assert!(message.starts_with("configmaps \"Unknown\" is forbidden"), "{message}");
    assert!(world.delete(&VALIDATING_ADMISSION_POLICY, "", "p", DeleteOptions::default()).is_ok());
    assert!(world.delete(&CONFIG_MAP, "web", "a", DeleteOptions::default()).is_ok());
}

#[test]
fn expressions_ask_the_authorizer() {
    let mut world = World::new();
    let check = "authorizer.serviceAccount('web', 'default').group('').resource('secrets').check('get').allowed()";
    let spec = json!({"validations": [
        {"expression": "authorizer.requestResource.check('create').allowed()", "message": "not you"},
        {"expression": check, "message": "not the account"}]});
    policy(&mut world, false, "p", spec, json!({}));
    assert_eq!(why(world.create(&CONFIG_MAP, "web", map("a", json!({})))), "not the account");
}

#[test]
fn mutations_are_merged_operated_and_completed() {
    let mut world = World::new();
    let labels = apply("Object{metadata: Object.metadata{labels: {'a': 'b'}}, data: {'k': 'v'}}");
    let copy = operations("[JSONPatch{op: 'add', path: '/data/j', value: string(object.data.k) + '!'}]");
    policy(&mut world, true, "m", json!({"mutations": [labels, copy]}), json!({}));
    let (_, made) = world.create(&CONFIG_MAP, "web", json!({"metadata": {"name": "a"}})).unwrap();
    assert_eq!((&made["data"], &made["metadata"]["labels"]), (&json!({"k": "v", "j": "v!"}), &json!({"a": "b"})));
    let ports = apply("Object{spec: Object.spec{ports: [Object.spec.ports{port: 90, name: 'x'}]}}");
    let services = constraints(&["services"], &["CREATE"]);
    policy(&mut world, true, "s", json!({"matchConstraints": services, "mutations": [ports]}), json!({}));
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"name": "y", "port": 80}]}});
    let (_, service) = world.create(&SERVICE, "web", service).unwrap();
    assert_eq!(service["spec"]["ports"][1], json!({"name": "x", "port": 90, "protocol": "TCP", "targetPort": 90}));
}

#[test]
fn a_mutation_that_fails_refuses_or_is_passed_over() {
    let failing = |mutation: Value, failure: &str| {
        let mut world = World::new();
        let second = operations("[JSONPatch{op: 'add', path: '/data/second', value: 'c'}]");
        let spec = json!({"failurePolicy": failure, "mutations": [mutation, second]});
        policy(&mut world, true, "m", spec, json!({}));
        world.create(&CONFIG_MAP, "web", map("a", json!({"a": "b"}))).map(|(_, made)| made["data"].clone())
    };
    let said = |mutation: Value| {
        let status = failing(mutation, "Fail").unwrap_err();
        (status.code, status.message.replace("policy 'm' with binding 'm-b' denied request: ", ""))
    };
    let misfit = operations("[JSONPatch{op: 'remove', path: '/data/zz'}]");
    let error = "JSON Patch: error in remove for path: '/data/zz': Unable to remove nonexistent key: zz: missing value";
    assert_eq!(said(misfit.clone()), (403, error.to_owned()));
    assert_eq!(failing(misfit, "Ignore").unwrap(), json!({"a": "b", "second": "c"}));
    let stranger = operations("[JSONPatch{op: 'add', path: '/nope', value: 5}]");
    let error = "Internal error occurred: strict decoding error: unknown field \"nope\"";
    assert_eq!(said(stranger), (500, error.to_owned()));
    let error =
        "error applying patch: failed to convert patch object to typed object: .x: field not declared in schema";
    assert_eq!(said(apply("Object{x: 1, y: 2}")), (403, error.to_owned()));
    let untested =
        operations("[JSONPatch{op: 'test', path: '/data/a', value: 'x'}, JSONPatch{op: 'remove', path: '/data'}]");
    assert_eq!(failing(untested, "Fail").unwrap(), json!({"a": "b", "second": "c"}));
}

#[test]
fn lists_with_one_owner_are_not_merged_into() {
    let mut world = World::new();
    let arguments = apply("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'c', args: ['b']}]}}");
    let pods = constraints(&["pods"], &["CREATE"]);
    policy(&mut world, true, "m", json!({"matchConstraints": pods, "mutations": [arguments]}), json!({}));
    let error = "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].args";
    assert_eq!(why(world.create(&POD, "web", pod("p", json!({})))), format!("error applying patch: {error}"));
}

#[test]
fn containers_that_a_policy_adds_are_completed_like_any_other() {
    let mut world = World::new();
    let container = "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'd', image: 'j'}]}}";
    let pods = constraints(&["pods"], &["CREATE"]);
    policy(&mut world, true, "m", json!({"matchConstraints": pods, "mutations": [apply(container)]}), json!({}));
    let (_, pod) = world.create(&POD, "web", pod("p", json!({}))).unwrap();
    let containers = pod["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers[0]["volumeMounts"], containers[1]["volumeMounts"]);
    assert_eq!(containers[1]["volumeMounts"].as_array().map(Vec::len), Some(1));
    assert_eq!(pod["spec"]["volumes"].as_array().map(Vec::len), Some(1));
}

#[test]
fn policies_that_want_to_know_of_changes_are_asked_once_more() {
    let mut world = World::new();
    for (name, again) in [("b", "Never"), ("a", "IfNeeded"), ("c", "IfNeeded")] {
        let log = format!("(has(object.data.log) ? string(object.data.log) : '') + '{name}'");
        let log = operations(&format!("[JSONPatch{{op: 'add', path: '/data/log', value: {log}}}]"));
        policy(&mut world, true, name, json!({"reinvocationPolicy": again, "mutations": [log]}), json!({}));
    }
    let (_, made) = world.create(&CONFIG_MAP, "web", map("a", json!({"x": "y"}))).unwrap();
    assert_eq!(made["data"]["log"], "abcac");
}

#[test]
fn a_scale_is_what_policies_see_of_scaling() {
    let mut world = World::new();
    let spec = json!({"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}});
    let deployment = json!({"metadata": {"name": "d"}, "spec": spec});
    world.create(&gantry_kinds::DEPLOYMENT, "web", deployment).unwrap();
    let scales = constraints(&["deployments/scale"], &["UPDATE"]);
    let less =
        operations("object.spec.replicas > 5 ? [JSONPatch{op: 'replace', path: '/spec/replicas', value: 5}] : []");
    policy(&mut world, true, "m", json!({"matchConstraints": scales, "mutations": [less]}), json!({}));
    let check = json!([{"expression": "object.kind == 'Scale' && request.subResource == 'scale' && object.spec.replicas != 4"}]);
    policy(&mut world, false, "v", json!({"matchConstraints": scales, "validations": check}), json!({}));
    let mut scale = |replicas: i64| {
        let body = json!({"spec": {"replicas": replicas}});
        let patch = Operation::Patch(PatchKind::Merge, body.into());
        world.execute(&sub(request(&gantry_kinds::DEPLOYMENT, "web", "d", patch), "scale"))
    };
    assert_eq!(scale(9).unwrap().1["spec"]["replicas"], 5);
    assert!(scale(4).is_err());
}

#[test]
fn connections_and_tokens_are_asked_about() {
    let mut world = World::new();
    world.create(&POD, "web", pod("p", json!({}))).unwrap();
    let check = "request.operation == 'CREATE' ? object.spec.expirationSeconds < 700 : object.command[0] != 'rm'";
    let resources = constraints(&["pods/exec", "serviceaccounts/token"], &["CONNECT", "CREATE"]);
    policy(
        &mut world,
        false,
        "p",
        json!({"matchConstraints": resources, "validations": [{"expression": check}]}),
        json!({}),
    );
    let mut exec = |word: &str| {
        let options = json!({"command": [word]});
        world.execute(&sub(
            request(&POD, "web", "p", Operation::Connect(Connection { verb: "create", options })),
            "exec",
        ))
    };
    assert!(exec("ls").is_ok());
    assert_eq!(exec("rm").unwrap_err().code, 422);
    let mut token = |seconds: i64| {
        let body = json!({"spec": {"audiences": [], "expirationSeconds": seconds}});
        world.execute(&sub(request(&SERVICE_ACCOUNT, "web", "default", Operation::Create(body.into())), "token"))
    };
    assert!(token(600).is_ok());
    assert_eq!(token(800).unwrap_err().code, 422);
}

#[test]
fn whoever_names_parameters_must_be_allowed_to_read_them() {
    let mut world = World::new();
    let rules = json!([{"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]}]);
    world.create(&gantry_kinds::CLUSTER_ROLE, "", json!({"metadata": {"name": "r"}, "rules": rules})).unwrap();
    let binding = json!({"metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane"}]});
    world.create(&gantry_kinds::CLUSTER_ROLE_BINDING, "", binding).unwrap();
    let spec = json!({"paramKind": {"apiVersion": "v1", "kind": "Secret"}, "validations": [{"expression": "true"}]});
    policy(&mut world, false, "p", spec.clone(), json!({}));
    let mut jane = |kind, body: Value| {
        let mut asked = request(kind, "", "", Operation::Create(body.into()));
        asked.user = user("jane", &["system:authenticated"]);
        world.execute(&asked).map(|_| ()).map_err(|status| status.causes[0].message.clone())
    };
    let mut body = json!({"metadata": {"name": "q"}, "spec": spec});
    body["spec"]["matchConstraints"] = constraints(&["pods"], &["CREATE"]);
    let who = "Forbidden: user &{jane  [system:authenticated] map[]}";
    let of = "permission on all objects of the referenced paramKind (kind=Secret, apiVersion=v1)";
    assert_eq!(jane(&VALIDATING_ADMISSION_POLICY, body), Err(format!("{who} must have \"get\" {of}")));
    let reference = json!({"name": "s", "namespace": "web", "parameterNotFoundAction": "Deny"});
    let mut body = json!({"metadata": {"name": "q"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}});
    assert_eq!(jane(&VALIDATING_ADMISSION_POLICY_BINDING, body.clone()), Ok(()));
    (body["metadata"]["name"], body["spec"]["paramRef"]) = (json!("r"), reference);
    let why = format!("{who} does not have \"get\" permission on the object referenced by paramRef");
    assert_eq!(jane(&VALIDATING_ADMISSION_POLICY_BINDING, body), Err(why));
}
