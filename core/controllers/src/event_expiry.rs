//! Events go an hour after they were last said.

use std::time::Duration;

use gantry_kinds::EVENT;
use gantry_view::{Change, Object, Outcome, Turn, View};
use jiff::Timestamp;

use crate::{Controller, QueueKey, time, write};

/// Seconds for which an event is kept.
const KEPT: i64 = 3600;
/// How often events are looked through.
const PERIOD: Duration = Duration::from_secs(60);
/// Events that one turn deletes at most.
const BURST: usize = 500;

/// The controller of old events.
pub(crate) struct EventExpiry;

impl Controller for EventExpiry {
    // Deleting anything is the right of the garbage collector.
    fn name(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn initial(&self, _view: &View) -> Vec<QueueKey> {
        vec![QueueKey::Sweep]
    }

    fn keys(&self, _change: &Change, _view: &View, _out: &mut Vec<QueueKey>) {}

    fn reconcile(&mut self, _key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let is_over = |since: Option<Timestamp>| since.is_none_or(|s| time::is_over(time::after(s, KEPT), turn.now));
        // An event is said no earlier than it was made, so only old ones need to be read.
        let old = turn.view.list(&EVENT, None).filter(|event| is_over(event.header.created));
        let expired = old.filter(|event| is_over(last_said(event)));
        outcome.intents.extend(expired.take(BURST).map(|event| write::delete(event)));
        outcome.again_in(if outcome.intents.len() < BURST { PERIOD } else { Duration::ZERO });
        outcome
    }
}

fn last_said(event: &Object) -> Option<Timestamp> {
    let value = event.value();
    let times = ["/lastTimestamp", "/series/lastObservedTime", "/eventTime", "/firstTimestamp"];
    times.into_iter().filter_map(|pointer| time::at(&value, pointer)).max().max(event.header.created)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;
    use serde_json::json;

    #[test]
    fn an_event_lives_an_hour_from_when_it_was_last_said() {
        let mut world = World::new();
        let now = time::stamp(world.now);
        world.put(&EVENT, json!({"metadata": {"name": "once", "namespace": "web"}, "lastTimestamp": now}));
        world.put(&EVENT, json!({"metadata": {"name": "again", "namespace": "web"}, "lastTimestamp": now}));
        world.pass(KEPT - 1);
        let later = json!({"lastTimestamp": time::stamp(world.now)});
        world.merge(&gantry_view::ObjectKey::new(&EVENT, "web", "again"), later);
        world.run_once(&mut EventExpiry, &QueueKey::Sweep);
        assert_eq!(world.view.count(&EVENT), 2);
        world.pass(1);
        world.run_once(&mut EventExpiry, &QueueKey::Sweep);
        assert!(world.view.get(&EVENT, "web", "once").is_none());
        assert!(world.view.get(&EVENT, "web", "again").is_some());
    }
}
