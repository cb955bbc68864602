//! Pods that their node stops by itself when it has lost touch with the servers: whether and when.
//!
//! Invariant: what is decided rests on how long the node has been out of touch by its monotonic clock, and on
//! nothing else; where that is not known, the pod may not run.

use std::time::Duration;

use gantry_kinds::fencing;
use k8s_openapi::api::core::v1::Pod;

/// What a fence says of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// The pod has none.
    None,
    /// It may run, for so long from now unless the node is in touch again.
    Open(Duration),
    /// It may not run: others may already run in its place.
    Shut,
}

/// How long a node may be out of touch before it stops the pod, if it does so at all.
pub fn stop_after(pod: &Pod) -> Option<Duration> {
    let value = pod.metadata.annotations.as_ref()?.get(fencing::STOP_AFTER_DISCONNECT)?;
    // One that cannot be read was refused when the pod was made.
    fencing::parse(value).ok()
}

/// Judges a pod. `silent` is how long ago the last renewal of the node's lease that went well was begun; `None`
/// where no such renewal is known.
pub fn judge(pod: &Pod, silent: Option<Duration>) -> Fence {
    let Some(stop_after) = stop_after(pod) else { return Fence::None };
    match silent.and_then(|silent| stop_after.checked_sub(silent)) {
        Some(left) if !left.is_zero() => Fence::Open(left),
        _ => Fence::Shut,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pod(value: Option<&str>) -> Pod {
        let mut pod = Pod::default();
        let entry = value.map(|value| (fencing::STOP_AFTER_DISCONNECT.to_owned(), value.to_owned()));
        pod.metadata.annotations = Some(entry.into_iter().collect::<BTreeMap<_, _>>());
        pod
    }

    #[test]
    fn f10_a_fence_shuts_when_the_node_has_been_silent_for_long_enough() {
        let seconds = Duration::from_secs;
        let check = |value, silent: Option<u64>, expected| {
            assert_eq!(judge(&pod(value), silent.map(seconds)), expected, "{value:?} {silent:?}");
        };
        check(None, Some(1_000_000), Fence::None);
        check(Some("soon"), None, Fence::None);
        check(Some("30"), Some(0), Fence::Open(seconds(30)));
        check(Some("30"), Some(29), Fence::Open(seconds(1)));
        check(Some("30"), Some(30), Fence::Shut);
        check(Some("30"), Some(31), Fence::Shut);
        check(Some("30"), None, Fence::Shut);
    }

    /// A node that renews its lease when the line is up, a server that sees the renewals and releases the pod, both
    /// with clocks of their own speed and pauses; no two containers of the pod ever run at the same time.
    #[test]
    fn f10_containers_of_one_identity_never_overlap() {
        // A multiplicative generator: the same thousand histories in every run.
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut draw = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % (most + 1)
        };
        for history in 0..1000 {
            let seconds = fencing::SECONDS_MIN + draw(300);
            let stop_after = Duration::from_secs(seconds);
            let fenced = pod(Some(&seconds.to_string()));
            let rate = |percent: u64| (90 + percent) as f64 / 100.0;
            let (node_rate, server_rate) = (rate(draw(20)), rate(draw(20)));
            // True times, in seconds: the last renewal is begun, its write arrives up to 10 s later; from then on
            // the line is down or the agent is too slow to renew. The agent looks every 5 s and may pause for 5.
            let begun = draw(100) as f64;
            let seen = begun + draw(10) as f64;
            let mut at = begun;
            let stopped = loop {
                at += 5.0 + draw(5) as f64;
                let silent = Duration::from_secs_f64((at - begun) * node_rate);
                if judge(&fenced, Some(silent)) == Fence::Shut {
                    break at + fencing::GRACE.as_secs_f64() / node_rate;
                }
            };
            let released = seen + fencing::release_after(stop_after).as_secs_f64() / server_rate;
            assert!(stopped <= released, "history {history}: {seconds} s, {stopped} after {released}");
        }
    }
}
