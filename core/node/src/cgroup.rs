//! Cgroups: where a pod's is, and what CPU and memory it and its containers have.

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::pod;
use crate::qos::{self, Class, Side};

/// The kernel's least shares.
pub const LEAST_SHARES: i64 = 2;
/// The kernel's most shares.
pub const MOST_SHARES: i64 = 262_144;
/// The period that quotas are counted in, in microseconds.
pub const PERIOD: i64 = 100_000;
/// The least quota.
pub const LEAST_QUOTA: i64 = 1000;

/// What a cgroup may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU weight, as cgroup v1 counts it.
    pub cpu_shares: i64,
    /// CPU microseconds in each `PERIOD`; `None` for no limit.
    pub cpu_quota: Option<i64>,
    /// Bytes of memory; `None` for no limit.
    pub memory: Option<i64>,
    /// Processes and threads; `None` for no limit.
    pub pids: Option<u32>,
    /// How soon the kernel kills it for want of memory.
    pub oom_score_adj: i64,
}

fn shares(milli: i64) -> i64 {
    milli.saturating_mul(1024).div_euclid(1000).clamp(LEAST_SHARES, MOST_SHARES)
}

fn quota(milli: i64) -> i64 {
    milli.saturating_mul(PERIOD).div_euclid(1000).max(LEAST_QUOTA)
}

/// Where the pod's cgroup is: below `root`, by class.
pub fn path(root: &str, pod: &Pod) -> String {
    let uid = pod::uid(pod);
    match qos::class(pod) {
        Class::Guaranteed => format!("{root}/pod{uid}"),
        Class::Burstable => format!("{root}/burstable/pod{uid}"),
        Class::BestEffort => format!("{root}/besteffort/pod{uid}"),
    }
}

/// What the pod as a whole may use, with at most `pids` processes.
pub fn of_pod(pod: &Pod, pids: Option<u32>) -> Resources {
    let limit = |resource| qos::total(pod, Side::Limits, resource).filter(|amount| *amount > 0);
    Resources {
        cpu_shares: shares(qos::total(pod, Side::Requests, "cpu").unwrap_or(0)),
        cpu_quota: limit("cpu").map(quota),
        memory: limit("memory"),
        pids,
        oom_score_adj: 0,
    }
}

/// What a container may use on a node with that many bytes of memory.
pub fn of_container(pod: &Pod, container: &Container, node_memory: i64) -> Resources {
    Resources {
        cpu_shares: shares(qos::request(container, "cpu").map_or(0, |cpu| cpu.milli_value())),
        cpu_quota: qos::amount(container, Side::Limits, "cpu").map(|cpu| quota(cpu.milli_value())),
        memory: qos::amount(container, Side::Limits, "memory").map(|memory| memory.value()),
        pids: None,
        oom_score_adj: oom_score(pod, container, node_memory),
    }
}

fn oom_score(pod: &Pod, container: &Container, node_memory: i64) -> i64 {
    match qos::class(pod) {
        Class::Guaranteed => -997,
        Class::BestEffort => 1000,
        Class::Burstable => {
            let asked = qos::request(container, "memory").map_or(0, |memory| memory.value());
            let share = asked.saturating_mul(1000).checked_div(node_memory.max(1)).unwrap_or(0);
            (1000 - share).clamp(3, 999)
        }
    }
}

/// The weight of cgroup v2 for shares of v1.
pub fn weight(shares: i64) -> i64 {
    1 + (shares - LEAST_SHARES) * 9999 / (MOST_SHARES - LEAST_SHARES)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_become_shares_and_limits_quotas() {
        let resources =
            json!({"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"cpu": "500m", "memory": "2Gi"}});
        let pod = crate::pod::tests::pod(json!({"containers": [{"name": "a", "resources": resources}, {"name": "b"}]}));
        let containers = &pod::spec(&pod).containers;
        let expected = Resources {
            cpu_shares: 256,
            cpu_quota: Some(50_000),
            memory: Some(2 << 30),
            pids: None,
            oom_score_adj: 900,
        };
        assert_eq!(of_container(&pod, &containers[0], 10 << 30), expected);
        assert_eq!(of_container(&pod, &containers[1], 10 << 30).cpu_shares, LEAST_SHARES);
        assert_eq!(of_pod(&pod, Some(9)), Resources { cpu_shares: 256, pids: Some(9), ..Resources::default() });
        assert_eq!(path("/gantry", &pod), "/gantry/burstable/podu1");
        assert_eq!([weight(2), weight(1024), weight(MOST_SHARES)], [1, 39, 10_000]);
    }
}
