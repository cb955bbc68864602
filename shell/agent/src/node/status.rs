//! The node's object and its status.

use gantry_cri::message::Image;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::machine::{Machine, Pressure};
use crate::archive::architecture;
use crate::config::Config;
use crate::limits::IMAGES;

/// What is found of the node that can change.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) pressure: Pressure,
    /// Why pods cannot run, if they cannot.
    pub(super) unready: Option<String>,
    pub(super) images: Vec<(Vec<String>, u64)>,
    /// Such as `containerd://1.6.20`.
    pub(super) runtime: String,
}

/// The names and sizes of the largest images.
pub(super) fn images(images: Vec<Image>) -> Vec<(Vec<String>, u64)> {
    let named = images.into_iter().map(|image| ([image.repo_digests, image.repo_tags].concat(), image.size));
    let mut named: Vec<_> = named.filter(|(names, _)| !names.is_empty()).collect();
    named.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    named.truncate(IMAGES);
    named
}

/// The node as it is registered.
pub(super) fn object(config: &Config, status: Value) -> Value {
    let labels = json!({
        "kubernetes.io/hostname": config.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture(),
    });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": config.node_name, "labels": labels},
        "spec": {},
        "status": status,
    })
}

/// The node's status; `before` is the last one, from which times are kept.
pub(super) fn status(config: &Config, machine: &Machine, found: &Found, before: &Value, now: Timestamp) -> Value {
    let images: Vec<_> = found.images.iter().map(|(names, size)| json!({"names": names, "sizeBytes": size})).collect();
    json!({
        "addresses": [
            {"type": "InternalIP", "address": machine.ip.to_string()},
            {"type": "Hostname", "address": config.node_name},
        ],
        "capacity": machine.capacity(),
        "allocatable": machine.allocatable(),
        "conditions": conditions(found, before, now),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        "images": images,
        "nodeInfo": machine.info(&found.runtime, &config.version),
    })
}

/// Whether the conditions in a status are those that are found.
pub(super) fn says_the_same(status: &Value, found: &Found) -> bool {
    let told = status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let same = |ours: &Value| told.iter().any(|c| c["type"] == ours["type"] && c["status"] == ours["status"]);
    conditions(found, status, Timestamp::UNIX_EPOCH).iter().all(same)
}

fn conditions(found: &Found, before: &Value, now: Timestamp) -> Vec<Value> {
    let Pressure { memory, disk, pids } = found.pressure;
    let pick = |short, yes, no| if short { yes } else { no };
    let ready = match &found.unready {
        None => ("True", "KubeletReady", "kubelet is posting ready status"),
        Some(why) => ("False", "KubeletNotReady", why.as_str()),
    };
    let rows = [
        (
            "MemoryPressure",
            pick(
                memory,
                ("True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
                ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ),
        ),
        (
            "DiskPressure",
            pick(
                disk,
                ("True", "KubeletHasDiskPressure", "kubelet has disk pressure"),
                ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ),
        ),
        (
            "PIDPressure",
            pick(
                pids,
                ("True", "KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
                ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ),
        ),
        ("Ready", ready),
    ];
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let row = |(kind, (status, reason, message)): (&str, (&str, &str, &str))| {
        let told = before["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == kind);
        let since = told.filter(|told| told["status"] == status).map(|told| told["lastTransitionTime"].clone());
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": since.unwrap_or_else(|| json!(now)),
        })
    };
    rows.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_it_turns() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let unready = Found { unready: Some("no network".to_owned()), ..Found::default() };
        let first = json!({"conditions": conditions(&unready, &Value::Null, at(1))});
        let second = conditions(&Found::default(), &first, at(60));
        let found: Vec<_> = second.iter().map(|c| (c["type"].clone(), c["lastTransitionTime"].clone())).collect();
        let expected = [
            (json!("MemoryPressure"), json!("1970-01-01T00:00:01Z")),
            (json!("DiskPressure"), json!("1970-01-01T00:00:01Z")),
            (json!("PIDPressure"), json!("1970-01-01T00:00:01Z")),
            (json!("Ready"), json!("1970-01-01T00:01:00Z")),
        ];
        assert_eq!(found, expected);
        assert_eq!(first["conditions"][3]["message"], "no network");
    }

    #[test]
    fn f8_a_status_that_others_have_written_is_not_ours() {
        let mut told = json!({"conditions": conditions(&Found::default(), &Value::Null, Timestamp::UNIX_EPOCH)});
        assert!(says_the_same(&told, &Found::default()));
        told["conditions"][3]["status"] = json!("Unknown");
        assert!(!says_the_same(&told, &Found::default()));
        assert!(!says_the_same(&Value::Null, &Found::default()));
    }
}
