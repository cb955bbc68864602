//! Admission webhooks, from what is written to what their answers do to requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_kinds::CONFIG_MAP;
use gantry_kinds::kinds::admission::webhook::{MUTATING_WEBHOOK_CONFIGURATION, VALIDATING_WEBHOOK_CONFIGURATION};

use super::*;
use crate::AdmissionReview;

/// A webhook about config maps, with what else it says.
fn hook(name: &str, more: Value) -> Value {
    let mut hook = json!({
        "name": format!("{name}.g.io"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"url": format!("https://{name}.example.com/")},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}]});
    for (key, value) in more.as_object().into_iter().flatten() {
        hook[key] = value.clone();
    }
    hook
}

fn configure(world: &mut World, kind: KindRef, hooks: Vec<Value>) {
    world.create(kind, "", json!({"metadata": {"name": "c"}, "webhooks": hooks})).expect("a configuration");
}

fn world(kind: KindRef, hooks: Vec<Value>, reviewer: fn(&AdmissionReview) -> Result<Value, String>) -> World {
    let mut world = World::new();
    configure(&mut world, kind, hooks);
    world.reviewer = reviewer;
    world
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "1"}})
}

fn patching(operations: &Value) -> Value {
    json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(operations.to_string())})
}

/// Notes in the data that the webhook was there, after how many others.
fn sign(review: &AdmissionReview) -> Result<Value, String> {
    let object = &review.request["object"];
    let count = object["data"].as_object().map_or(0, serde_json::Map::len);
    let at = format!("/data/{}-{count}", review.webhook.split('.').next().unwrap_or_default());
    Ok(patching(&json!([{"op": "add", "path": at, "value": "x"}])))
}

fn data(world: &World, name: &str) -> Vec<String> {
    let object = world.get(&CONFIG_MAP, "web", name).expect("it is stored");
    object["data"].as_object().expect("data").keys().cloned().collect()
}

#[test]
fn webhooks_change_an_object_one_after_the_other() {
    let hooks = vec![hook("one", json!({})), hook("two", json!({}))];
    let mut world = world(&MUTATING_WEBHOOK_CONFIGURATION, hooks, sign);
    world.create(&CONFIG_MAP, "web", map("m")).unwrap();
    assert_eq!(data(&world, "m"), ["a", "one-1", "two-2"]);
}

#[test]
fn who_wants_to_know_of_later_changes_is_asked_again() {
    let hooks = vec![hook("one", json!({"reinvocationPolicy": "IfNeeded"})), hook("two", json!({}))];
    let mut world = world(&MUTATING_WEBHOOK_CONFIGURATION, hooks, sign);
    world.create(&CONFIG_MAP, "web", map("m")).unwrap();
    assert_eq!(data(&world, "m"), ["a", "one-1", "one-3", "two-2"]);
}

#[test]
fn a_denial_is_the_webhooks_own_status_in_its_name() {
    let deny = |review: &AdmissionReview| {
        let name = review.request["name"].as_str().unwrap();
        Ok(match name {
            "silent" => json!({"allowed": false}),
            "success" => json!({"allowed": false, "status": {"code": 200, "reason": "Because"}}),
            _ => {
                json!({"allowed": false, "warnings": ["w"], "status": {"code": 409, "reason": "Conflict", "message": "no"}})
            }
        })
    };
    let mut world = world(&VALIDATING_WEBHOOK_CONFIGURATION, vec![hook("v", json!({}))], deny);
    let said = "admission webhook \"v.g.io\" denied the request";
    let mut create = |name: &str| world.create(&CONFIG_MAP, "web", map(name)).unwrap_err();
    assert_eq!((create("silent").code, create("silent").message), (400, format!("{said} without explanation")));
    assert_eq!((create("success").code, create("success").message), (400, format!("{said}: Because")));
    let status = create("plain");
    assert_eq!((status.code, status.reason, status.message), (409, "Conflict", format!("{said}: no")));
    assert_eq!(status.warnings, ["w"]);
    assert!(world.get(&CONFIG_MAP, "web", "plain").is_none());
}

#[test]
fn a_webhook_that_fails_refuses_where_it_says_so_and_never_in_the_systems_own_namespace() {
    let fail = |_: &AdmissionReview| Err("failed to call webhook: gone".to_owned());
    let mut world = world(&VALIDATING_WEBHOOK_CONFIGURATION, vec![hook("v", json!({}))], fail);
    let status = world.create(&CONFIG_MAP, "web", map("m")).unwrap_err();
    let said = "Internal error occurred: failed calling webhook \"v.g.io\": failed to call webhook: gone \
        (ValidatingWebhookConfiguration \"c\" has failurePolicy Fail)";
    assert_eq!((status.code, status.message.as_str()), (500, said));
    world.create(&NAMESPACE, "", json!({"metadata": {"name": "kube-system"}})).unwrap();
    let request = request(&CONFIG_MAP, "kube-system", "", Operation::Create(map("m").into()));
    let Decision::Commit { warnings, .. } = world.decide(&request) else { panic!("it is taken") };
    assert!(warnings[0].contains("was passed over in namespace \"kube-system\""), "{warnings:?}");
    // What locks a cluster can be taken away.
    world.delete(&VALIDATING_WEBHOOK_CONFIGURATION, "", "c", DeleteOptions::default()).unwrap();
    configure(&mut world, &VALIDATING_WEBHOOK_CONFIGURATION, vec![hook("v", json!({"failurePolicy": "Ignore"}))]);
    world.create(&CONFIG_MAP, "web", map("m")).unwrap();
}

#[test]
fn a_webhook_is_asked_about_what_it_is_for() {
    let tell = |review: &AdmissionReview| {
        let request = &review.request;
        let has = |key: &str| if request[key].is_null() { "-" } else { "+" };
        let said = format!("{} {}{}", request["operation"].as_str().unwrap(), has("object"), has("oldObject"));
        Ok(json!({"allowed": true, "warnings": [said]}))
    };
    let condition = json!({"matchConditions": [{"name": "c", "expression": "request.name != 'other'"}]});
    let mut world = world(&VALIDATING_WEBHOOK_CONFIGURATION, vec![hook("v", condition)], tell);
    let mut told = |name: &str, operation: Operation| {
        let at = if matches!(operation, Operation::Create(_)) { "" } else { name };
        match world.decide(&request(&CONFIG_MAP, "web", at, operation)) {
            Decision::Commit { warnings, writes, guards, .. } => {
                world.commit(&writes, &guards);
                warnings
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told("other", Operation::Create(map("other").into())), Vec::<String>::new());
    assert_eq!(told("m", Operation::Create(map("m").into())), ["CREATE +-"]);
    let change = Operation::Patch(PatchKind::Merge, json!({"data": {"b": "2"}}).into());
    assert_eq!(told("m", change), ["UPDATE ++"]);
    assert_eq!(told("m", Operation::Delete(DeleteOptions::default())), ["DELETE -+"]);
}

#[test]
fn a_webhook_with_side_effects_is_not_asked_about_what_will_not_happen() {
    let mut world = world(&MUTATING_WEBHOOK_CONFIGURATION, vec![hook("m", json!({}))], sign);
    let mut request = request(&CONFIG_MAP, "web", "", Operation::Create(map("m").into()));
    request.options.dry_run = true;
    let (_, reply) = world.execute(&request).unwrap();
    assert_eq!(reply["data"]["m-1"], "x");
    assert!(world.get(&CONFIG_MAP, "web", "m").is_none());
}

#[test]
fn what_a_webhook_breaks_is_refused() {
    let odd = |review: &AdmissionReview| {
        let path = review.request["name"].as_str().unwrap();
        Ok(match path {
            "kind" => patching(&json!([{"op": "replace", "path": "/data", "value": 7}])),
            "patch" => patching(&json!([{"op": "remove", "path": "/nowhere"}])),
            _ => patching(&json!([{"op": "add", "path": "/unknown", "value": 1}])),
        })
    };
    let mut world = world(&MUTATING_WEBHOOK_CONFIGURATION, vec![hook("m", json!({}))], odd);
    for name in ["kind", "patch"] {
        assert_eq!(world.create(&CONFIG_MAP, "web", map(name)).unwrap_err().code, 500, "{name}");
    }
    world.create(&CONFIG_MAP, "web", map("plain")).unwrap();
    assert!(world.get(&CONFIG_MAP, "web", "plain").unwrap().get("unknown").is_none());
}

#[test]
fn a_patch_that_cannot_be_read_is_a_call_that_failed() {
    let garbled = |_: &AdmissionReview| {
        Ok(json!({"allowed": true, "patchType": "JSONPatch", "patch": "e30=", "warnings": ["", "a\nb", "said"]}))
    };
    let mut world = world(&MUTATING_WEBHOOK_CONFIGURATION, vec![hook("m", json!({}))], garbled);
    assert_eq!(world.create(&CONFIG_MAP, "web", map("m")).unwrap_err().code, 500);
    world.delete(&MUTATING_WEBHOOK_CONFIGURATION, "", "c", DeleteOptions::default()).unwrap();
    configure(&mut world, &MUTATING_WEBHOOK_CONFIGURATION, vec![hook("m", json!({"failurePolicy": "Ignore"}))]);
    let asked = request(&CONFIG_MAP, "web", "", Operation::Create(map("m").into()));
    let Decision::Commit { warnings, .. } = world.decide(&asked) else { panic!("it is taken") };
    assert_eq!(warnings, ["said"]);
}

#[test]
fn a_connection_is_asked_about_by_its_options() {
    let deny = |review: &AdmissionReview| {
        let request = &review.request;
        let said = format!("{} {} {}", request["operation"], request["kind"]["kind"], request["object"]["command"]);
        Ok(json!({"allowed": false, "status": {"message": said}}))
    };
    let rules =
        json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CONNECT"], "resources": ["pods/exec"]}]);
    let mut world = world(&VALIDATING_WEBHOOK_CONFIGURATION, vec![hook("v", json!({ "rules": rules }))], deny);
    let mut connect = |sub: &str| {
        let connection = Connection { verb: "create", options: json!({"command": ["ls"]}) };
        let asked = request(&gantry_kinds::POD, "web", "p", Operation::Connect(connection));
        world.execute(&super::sub(asked, sub))
    };
    let said = "admission webhook \"v.g.io\" denied the request: \"CONNECT\" \"PodExecOptions\" [\"ls\"]";
    refused(connect("exec"), 400, said);
    assert!(connect("attach").is_ok());
}
