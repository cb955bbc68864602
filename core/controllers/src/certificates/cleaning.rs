//! Removes requests that have served: those of anybody, and those of nodes for their pods.

use std::time::Duration;

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{CERTIFICATE_SIGNING_REQUEST, POD_CERTIFICATE_REQUEST};
use gantry_view::{Change, Outcome, Turn, View};
use jiff::Timestamp;
use serde_json::Value;

use super::is_issued;
use crate::{Controller, QueueKey, time, write};

/// Seconds for which a request is kept that nobody has decided.
const PENDING: i64 = 24 * 3600;
/// Seconds for which one is kept that was decided.
const DECIDED: i64 = 3600;
/// Seconds for which a request of a node for a pod is kept.
const POD_REQUEST: i64 = 15 * 60;
/// How often requests are looked through.
const PERIOD: Duration = Duration::from_secs(60);
/// Requests that one turn deletes at most.
const BURST: usize = 500;

/// The controller of old CertificateSigningRequests.
pub(crate) struct Requests;

impl Controller for Requests {
    fn name(&self) -> &'static str {
        super::NAME
    }

    fn initial(&self, _view: &View) -> Vec<QueueKey> {
        vec![QueueKey::Sweep]
    }

    fn keys(&self, _change: &Change, _view: &View, _out: &mut Vec<QueueKey>) {}

    fn reconcile(&mut self, _key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let requests = turn.view.list(&CERTIFICATE_SIGNING_REQUEST, None);
        let old = requests.filter(|object| has_served(&object.value(), object.header.created, turn.now));
        outcome.intents.extend(old.take(BURST).map(|object| write::delete(object)));
        outcome.again_in(PERIOD);
        outcome
    }
}

fn has_served(request: &Value, created: Option<Timestamp>, now: Timestamp) -> bool {
    let past = |since: Option<Timestamp>, kept: i64| since.is_some_and(|at| time::is_over(time::after(at, kept), now));
    let conditions = list_at(request, "/status/conditions");
    if conditions.is_empty() && past(created, PENDING) {
        return true;
    }
    conditions.iter().any(|condition| {
        let counts = match str_at(condition, "/type") {
            "Denied" | "Failed" => true,
            "Approved" => is_issued(request),
            _ => false,
        };
        counts && past(time::at(condition, "/lastUpdateTime"), DECIDED)
    })
}

/// The controller of old PodCertificateRequests.
pub(crate) struct PodRequests;

impl Controller for PodRequests {
    fn name(&self) -> &'static str {
        "podcertificaterequestcleaner"
    }

    fn initial(&self, _view: &View) -> Vec<QueueKey> {
        vec![QueueKey::Sweep]
    }

    fn keys(&self, _change: &Change, _view: &View, _out: &mut Vec<QueueKey>) {}

    fn reconcile(&mut self, _key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let is_old = |created: Option<Timestamp>| {
            created.is_some_and(|created| time::is_over(time::after(created, POD_REQUEST), turn.now))
        };
        let old = turn.view.list(&POD_CERTIFICATE_REQUEST, None).filter(|object| is_old(object.header.created));
        outcome.intents.extend(old.take(BURST).map(|object| write::delete(object)));
        outcome.again_in(PERIOD);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::harness::World;

    #[test]
    fn requests_go_when_they_have_served() {
        let mut world = World::new();
        let now = time::stamp(world.now);
        let said = |kind: &str| json!([{"type": kind, "status": "True", "lastUpdateTime": now}]);
        let mut put = |name: &str, status: Value| {
            world.put(&CERTIFICATE_SIGNING_REQUEST, json!({"metadata": {"name": name}, "status": status}));
        };
        put("pending", json!({}));
        put("approved", json!({"conditions": said("Approved")}));
        put("issued", json!({"conditions": said("Approved"), "certificate": "x"}));
        put("denied", json!({"conditions": said("Denied")}));
        let mut left = |seconds: i64| {
            world.pass(seconds);
            world.run_once(&mut Requests, &QueueKey::Sweep);
            let names: Vec<String> =
                world.view.list(&CERTIFICATE_SIGNING_REQUEST, None).map(|o| o.key().name.to_string()).collect();
            names.join(" ")
        };
        assert_eq!(left(DECIDED - 1), "approved denied issued pending");
        assert_eq!(left(2), "approved pending");
        assert_eq!(left(PENDING), "approved");
    }

    #[test]
    fn requests_for_pods_go_after_a_quarter_of_an_hour() {
        let mut world = World::new();
        world.put(&POD_CERTIFICATE_REQUEST, json!({"metadata": {"name": "r", "namespace": "n"}}));
        world.pass(POD_REQUEST - 1);
        world.run_once(&mut PodRequests, &QueueKey::Sweep);
        assert_eq!(world.view.count(&POD_CERTIFICATE_REQUEST), 1);
        world.pass(2);
        world.run_once(&mut PodRequests, &QueueKey::Sweep);
        assert_eq!(world.view.count(&POD_CERTIFICATE_REQUEST), 0);
    }
}
