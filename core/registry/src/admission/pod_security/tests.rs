use serde_json::json;

use super::policy::{Level, Policy};
use super::*;

const LATEST: Minor = Minor::MAX;

fn found(level: Level, version: Minor, spec: Value) -> String {
    let texts = violations(Policy { level, version }, &json!({"metadata": {"name": "x"}, "spec": spec}));
    texts.iter().map(|found| format!("{} ({})", found.reason, found.detail)).collect::<Vec<_>>().join(", ")
}

fn two(first: Value, second: Value) -> Value {
    json!([{"name": "c", "securityContext": first}, {"name": "d", "securityContext": second}])
}

#[test]
fn the_baseline_names_who_does_what() {
    let check = |spec: Value, expected: &str| assert_eq!(found(Level::Baseline, LATEST, spec), expected);
    check(json!({"containers": two(json!({}), json!({}))}), "");
    check(
        json!({"hostPID": true, "hostNetwork": true, "containers": []}),
        "host namespaces (hostNetwork=true, hostPID=true)",
    );
    let added = |names: &[&str]| json!({"capabilities": {"add": names}});
    check(
        json!({"containers": two(added(&["SYS_ADMIN", "CHOWN"]), added(&["FOO"]))}),
        "non-default capabilities (containers \"c\", \"d\" must not include \"FOO\", \"SYS_ADMIN\" in \
         securityContext.capabilities.add)",
    );
    check(
        json!({"initContainers": [{"name": "z", "ports": [{"hostPort": 90}]}],
            "containers": [{"name": "c", "ports": [{"hostPort": 80}, {"containerPort": 1}]}]}),
        "hostPort (containers \"z\", \"c\" use hostPorts 80, 90)",
    );
    let options = json!({"seLinuxOptions": {"type": "b", "user": "u"}});
    check(
        json!({"securityContext": {"seLinuxOptions": {"type": "a", "role": "r"}}, "containers": two(options, json!({}))}),
        "seLinuxOptions (pod and container \"c\" set forbidden securityContext.seLinuxOptions: types \"a\", \"b\"; \
         user may not be set; role may not be set)",
    );
    check(
        json!({"securityContext": {"sysctls": [{"name": "kernel.foo"}, {"name": "net.ipv4.tcp_rmem"}]}}),
        "forbidden sysctls (kernel.foo)",
    );
    check(
        json!({"ephemeralContainers": two(json!({"privileged": true}), json!({}))}),
        "privileged (container \"c\" must not set securityContext.privileged=true)",
    );
    let probe = json!({"httpGet": {"host": "1.2.3.4", "port": 80}});
    check(
        json!({"containers": [{"name": "c", "livenessProbe": probe}]}),
        "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"1.2.3.4\")",
    );
}

#[test]
fn the_restricted_level_takes_the_place_of_what_it_says_more_strictly() {
    let good = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let own = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    let check = |spec: Value, expected: &str| assert_eq!(found(Level::Restricted, LATEST, spec), expected);
    check(json!({"securityContext": own, "containers": two(good.clone(), good.clone())}), "");
    check(
        json!({"containers": two(json!({}), good.clone())}),
        "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or containers \"c\", \"d\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or containers \"c\", \"d\" must set securityContext.seccompProfile.type to \
         \"RuntimeDefault\" or \"Localhost\")",
    );
    check(
        json!({"securityContext": own, "containers": two(good.clone(), good.clone()),
            "volumes": [{"name": "a", "hostPath": {}}, {"name": "b", "image": {}}]}),
        "restricted volume types (volume \"a\" uses restricted volume type \"hostPath\")",
    );
    let mapped = json!({"hostUsers": false, "securityContext": {"seccompProfile": {"type": "RuntimeDefault"},
        "runAsUser": 0}, "containers": two(good.clone(), good)});
    check(mapped.clone(), "");
    assert!(found(Level::Restricted, 34, mapped).contains("runAsUser=0 (pod must not set runAsUser=0)"));
}

#[test]
fn versions_know_what_was_checked_then() {
    let spec = json!({"containers": two(json!({}), json!({}))});
    let reasons = |version| {
        let found = violations(Policy { level: Level::Restricted, version }, &json!({ "spec": spec }));
        found.into_iter().map(|found| found.reason).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(reasons(7), "runAsNonRoot != true");
    assert_eq!(reasons(8), "allowPrivilegeEscalation != false, runAsNonRoot != true");
    assert_eq!(reasons(21), "allowPrivilegeEscalation != false, runAsNonRoot != true, seccompProfile");
    let windows =
        json!({"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true}, "containers": [{"name": "c"}]});
    assert_eq!(found(Level::Restricted, LATEST, windows.clone()), "");
    assert_ne!(found(Level::Restricted, 24, windows), "");
}
