//! What a pod may not be, and the words that say so.

use serde_json::{Value, json};

use crate::kinds::pod::POD;

/// Changes a sound pod's spec, and expects these errors.
fn check(change: impl FnOnce(&mut Value), expected: &[&str]) {
    let mut object = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
    change(&mut object["spec"]);
    POD.strategy.default(&mut object);
    let errors: Vec<_> = POD.strategy.validate(&object).iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected);
}

fn container(change: impl FnOnce(&mut Value), expected: &[&str]) {
    check(|spec| change(&mut spec["containers"][0]), expected);
}

#[test]
fn containers_have_names_and_images() {
    check(|_| {}, &[]);
    check(|spec| spec["containers"] = json!([]), &["spec.containers: Required value"]);
    check(
        |spec| spec["initContainers"] = json!([{"name": "a", "image": "b"}, {"name": "", "image": ""}]),
        &[
            "spec.initContainers[0].name: Duplicate value: \"a\"",
            "spec.initContainers[1].name: Required value",
            "spec.initContainers[1].image: Required value",
        ],
    );
    container(
        |c| c["image"] = json!(" b"),
        &["spec.containers[0].image: Invalid value: \" b\": must not have leading or trailing whitespace"],
    );
}

#[test]
fn ports_are_distinct() {
    container(
        |c| {
            c["ports"] =
                json!([{"containerPort": 0}, {"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}])
        },
        &[
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].ports[2].hostPort: Duplicate value: \"TCP//5\"",
        ],
    );
    check(
        |spec| {
            spec["hostNetwork"] = json!(true);
            spec["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 81}]);
        },
        &[
            "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
        ],
    );
}

#[test]
fn variables_have_one_source() {
    container(
        |c| {
            c["env"] = json!([
                {"name": "A", "valueFrom": {}},
                {"name": "B", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "spec.foo"}}},
                {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['A/b']"}}},
                {"name": "E", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "3"}}},
            ]);
        },
        &[
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, \
             `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            "spec.containers[0].env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            "spec.containers[0].env[2].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.foo\": error converting \
             fieldPath: field label not supported: spec.foo",
            "spec.containers[0].env[4].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only \
             divisor's values 1m and 1 are supported with the cpu resource",
        ],
    );
}

#[test]
fn requests_stay_within_limits() {
    container(
        |c| {
            c["resources"] = json!({"limits": {"cpu": "1", "example.com/g": "2"},
                "requests": {"cpu": "2", "example.com/g": "1", "foo": "1"}});
        },
        &[
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            "spec.containers[0].resources.requests: Invalid value: \"1\": must be equal to example.com/g limit of 2",
            "spec.containers[0].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource type or \
             fully qualified",
            "spec.containers[0].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource for \
             containers",
        ],
    );
}

#[test]
fn probes_and_hooks_have_one_handler() {
    container(
        |c| {
            c["livenessProbe"] = json!({});
            c["readinessProbe"] = json!({"exec": {"command": ["a"]}, "httpGet": {"port": 1}});
            c["startupProbe"] = json!({"tcpSocket": {"port": 1}, "successThreshold": 2});
            c["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 100}}});
        },
        &[
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 100: must be non-negative and less than \
             terminationGracePeriodSeconds (30)",
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            "spec.containers[0].readinessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].startupProbe.successThreshold: Invalid value: 2: must be 1",
        ],
    );
    check(
        |spec| spec["initContainers"] = json!([{"name": "i", "image": "b", "lifecycle": {}}]),
        &["spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without \
           restartPolicy=Always"],
    );
}

#[test]
fn mounts_are_of_volumes() {
    check(
        |spec| {
            spec["volumes"] = json!([{"name": "v"}, {"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]);
            spec["containers"][0]["volumeMounts"] = json!([
                {"name": "x", "mountPath": "/a"},
                {"name": "v", "mountPath": "/b", "subPath": "../c"},
                {"name": "v", "mountPath": "/b"},
            ]);
        },
        &[
            "spec.volumes[1].hostPath: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[1].name: Duplicate value: \"v\"",
            "spec.containers[0].volumeMounts[0].name: Not found: \"x\"",
            "spec.containers[0].volumeMounts.subPath: Invalid value: \"../c\": must not contain '..'",
            "spec.containers[0].volumeMounts[2].mountPath: Invalid value: \"/b\": must be unique",
        ],
    );
    check(
        |spec| {
            spec["volumes"] = json!([{"name": "v", "projected": {"sources": [
                {"serviceAccountToken": {"path": "t", "expirationSeconds": 1}},
                {"secret": {"name": "s", "items": [{"key": "a", "path": "p"}]}},
                {"configMap": {"name": "c", "items": [{"key": "a", "path": "p"}]}}]}}]);
        },
        &[
            "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may not \
             specify a duration less than 10 minutes",
            "spec.volumes[0].projected: Invalid value: \"c\": conflicting duplicate paths",
        ],
    );
}

#[test]
fn placement_is_well_formed() {
    check(
        |spec| {
            spec["tolerations"] = json!([{"operator": "Equal"}, {"key": "a", "operator": "Exists", "value": "x"}]);
            spec["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "a b", "namespaces": ["A"]}]}});
            spec["topologySpreadConstraints"] =
                json!([{"maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 0}]);
        },
        &[
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].namespace: Invalid value: \
             \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
             start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation \
             is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid \
             value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and \
             end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
             validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be greater than zero",
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which \
             means \"match all values and all keys\"",
            "spec.tolerations[1].operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'",
        ],
    );
}

#[test]
fn privileges_agree() {
    container(
        |c| c["securityContext"] = json!({"privileged": true, "allowPrivilegeEscalation": false}),
        &["spec.containers[0].securityContext: Invalid value: {\"Capabilities\":null,\"Privileged\":true,\
           \"SELinuxOptions\":null,\"WindowsOptions\":null,\"RunAsUser\":null,\"RunAsGroup\":null,\
           \"RunAsNonRoot\":null,\"ReadOnlyRootFilesystem\":null,\"AllowPrivilegeEscalation\":false,\
           \"ProcMount\":null,\"SeccompProfile\":null,\"AppArmorProfile\":null}: cannot set \
           `allowPrivilegeEscalation` to false and `privileged` to true"],
    );
    check(
        |spec| spec["securityContext"] = json!({"runAsUser": -1, "sysctls": [{"name": "a b", "value": "1"}]}),
        &[
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "spec.securityContext.sysctls[0].name: Invalid value: \"a b\": must have at most 253 characters and match \
             regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
        ],
    );
}

#[test]
fn names_and_policies_are_known() {
    check(
        |spec| {
            spec["restartPolicy"] = json!("X");
            spec["dnsPolicy"] = json!("None");
            spec["activeDeadlineSeconds"] = json!(0);
            spec["hostname"] = json!("a.b");
        },
        &[
            "spec.restartPolicy: Unsupported value: \"X\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            "spec.hostname: Invalid value: \"a.b\": must not contain dots",
        ],
    );
    check(
        |spec| spec["ephemeralContainers"] = json!([{"name": "e", "image": "b"}]),
        &["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    );
}

#[test]
fn a_fence_says_whole_seconds() {
    let errors = |value: &str| {
        let mut object = json!({
            "metadata": {"name": "a", "annotations": {"gantry.io/stop-after-disconnect": value}},
            "spec": {"containers": [{"name": "a", "image": "b"}]},
        });
        POD.strategy.default(&mut object);
        POD.strategy.validate(&object).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(errors("30").is_empty());
    let expected = "metadata.annotations[gantry.io/stop-after-disconnect]: Invalid value: \"30s\": \
                    must be whole seconds between 20 and 86400";
    assert_eq!(errors("30s"), [expected]);
}
