//! How far a rollout may stray from the wanted number of pods.

use gantry_kinds::tree::{int_at, str_at};
use serde_json::Value;

use crate::share;

/// The numbers that a rollout keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// `spec.replicas`.
    pub(super) replicas: i64,
    /// Pods that there may be beyond that; 0 unless the strategy rolls.
    pub(super) surge: i64,
    /// Pods of it that may be unavailable.
    pub(super) unavailable: i64,
    /// Whether the strategy is a rolling update.
    pub(super) rolling: bool,
}

impl Bounds {
    pub(super) fn read(deployment: &Value) -> Self {
        let replicas = int_at(deployment, "/spec/replicas").unwrap_or(1);
        let rolling = str_at(deployment, "/spec/strategy/type") != "Recreate";
        if !rolling {
            return Bounds { replicas, surge: 0, unavailable: 0, rolling };
        }
        let field = |name: &str| deployment.pointer(&format!("/spec/strategy/rollingUpdate/{name}"));
        let surge = share::of(field("maxSurge"), replicas, true);
        let mut unavailable = share::of(field("maxUnavailable"), replicas, false);
        if surge == 0 && unavailable == 0 {
            // A small percentage rounds to nothing on both sides; something has to move.
            unavailable = 1;
        }
        Bounds { replicas, surge, unavailable: unavailable.min(replicas), rolling }
    }

    /// The most pods that there may be.
    pub(super) fn max(self) -> i64 {
        self.replicas + self.surge
    }

    /// The least pods that must be available.
    pub(super) fn min_available(self) -> i64 {
        self.replicas - self.unavailable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(replicas: i64, surge: Value, unavailable: Value, expected: (i64, i64)) {
        let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        let bounds = Bounds::read(&json!({"spec": {"replicas": replicas, "strategy": {"rollingUpdate": rolling}}}));
        assert_eq!((bounds.max(), bounds.min_available()), expected);
    }

    #[test]
    fn percentages_round_in_favour_of_availability() {
        check(10, json!("25%"), json!("25%"), (13, 8));
        check(3, json!("25%"), json!("25%"), (4, 3));
        check(1, json!("25%"), json!("25%"), (2, 1));
        check(4, json!(0), json!(1), (4, 3));
        check(4, json!(2), json!(9), (6, 0));
        check(3, json!("0%"), json!("10%"), (3, 2));
        check(0, json!("25%"), json!("25%"), (0, 0));
    }
}
