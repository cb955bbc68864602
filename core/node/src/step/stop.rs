//! A pod that is to end: main containers, then sidecars from the last to the first, then the sandbox, then the rest.

use std::time::Duration;

use k8s_openapi::api::core::v1::Container;

use super::Turn;
use crate::action::{Action, Flight, Notice};
use crate::memory::Stop;
use crate::observed::State;
use crate::pod::{self, Role};
use crate::probe::Kind;

impl Turn<'_> {
    pub(super) fn stop(&mut self, grace: Duration) {
        self.note_grace(grace);
        if self.stop_containers() {
            return;
        }
        let making = |flight: &Flight| matches!(flight, Flight::Sandbox | Flight::Start(_));
        if self.memory.flights.iter().any(making) {
            return;
        }
        if !self.is_due(self.memory.sandbox.at) {
            return;
        }
        let mut stopped = true;
        for sandbox in &self.observed.sandboxes {
            if !self.memory.stopped_sandboxes.contains(&sandbox.id) {
                stopped = false;
                self.ask(Action::StopSandbox { id: sandbox.id.clone() });
            }
        }
        if !stopped {
            return;
        }
        let leaves = self.memory.gone || self.pod.metadata.deletion_timestamp.is_some();
        if !leaves {
            if !self.memory.released {
                self.ask(Action::Release);
            }
        } else if !self.memory.discarded {
            self.ask(Action::Discard);
        } else if !self.memory.finished {
            self.ask(Action::Finish);
        }
    }

    /// A later, shorter grace overrules an earlier one.
    fn note_grace(&mut self, grace: Duration) {
        let now = self.now;
        match &mut self.memory.stop {
            None => self.memory.stop = Some(Stop { since: now, grace, round: 0 }),
            Some(stop) if grace < stop.grace => {
                *stop = Stop { since: now, grace, round: stop.round + 1 };
            }
            Some(_) => {}
        }
    }

    /// Stops what runs, in order; false when nothing runs any more.
    fn stop_containers(&mut self) -> bool {
        let pod = self.pod;
        let observed = self.observed;
        let mut busy = false;
        for (_, container) in pod::containers(pod).filter(|(role, _)| *role != Role::Sidecar) {
            if let Some(running) = observed.alive(&container.name) {
                busy = true;
                self.stop_container(container, running);
            }
        }
        let starting = |flight: &Flight| matches!(flight, Flight::Start(_));
        if busy || self.memory.flights.iter().any(starting) {
            return busy;
        }
        for (_, container) in pod::inits(pod).rev().filter(|(role, _)| *role == Role::Sidecar) {
            if let Some(running) = observed.alive(&container.name) {
                self.stop_container(container, running);
                return true;
            }
        }
        false
    }

    fn stop_container(&mut self, container: &Container, running: &crate::Container) {
        let Some(stop) = self.memory.stop.clone() else { return };
        let spent = self.now.duration_since(stop.since).unsigned_abs();
        let grace = if stop.grace.is_zero() { stop.grace } else { stop.grace.saturating_sub(spent) };
        let action = Action::StopContainer {
            container: container.name.clone(),
            id: running.id.clone(),
            grace,
            hook: stop.round == 0 && !stop.grace.is_zero(),
            round: stop.round + 1,
        };
        if let State::Running { since } = running.state {
            self.probe(container, &running.id, since, |kind| kind == Kind::Readiness);
        }
        let fresh = action.flight().is_some_and(|flight| !self.memory.flights.contains(&flight));
        if fresh && stop.round == 0 {
            let words = format!("Stopping container {}", container.name);
            self.notify(Notice::normal("Killing", Some(&container.name), words));
        }
        self.ask(action);
    }
}
