//! A container that runs: its hook, its probes, and what it is killed for.

use std::time::Duration;

use k8s_openapi::api::core::v1::Container;

use super::Turn;
use super::run::has_post_start;
use crate::action::{Action, Notice};
use crate::image::spec_hash;
use crate::observed::State;
use crate::pod;
use crate::probe::{Due, Kind};

impl Turn<'_> {
    pub(super) fn watch(&mut self, container: &Container) {
        let name = container.name.as_str();
        let Some(latest) = self.observed.latest(name) else { return };
        if latest.state == State::Unknown {
            self.kill(
                container,
                &latest.id,
                None,
                &format!("Container {name} is in unknown state, try killing it before restart"),
            );
            return;
        }
        let Some(since) = latest.running_since() else { return };
        let known = self.memory.container(name);
        known.trouble = None;
        known.crash_wait = None;
        if known.hook_failed.as_ref() == Some(&latest.id) {
            self.kill(container, &latest.id, None, "FailedPostStartHook");
            return;
        }
        if !latest.hash.is_empty() && latest.hash != spec_hash(container) {
            let words = format!("Container {name} definition changed, will be restarted");
            self.kill(container, &latest.id, None, &words);
            return;
        }
        if let Some(kind) = known.probes.fatal(&latest.id) {
            let grace = kind.of(container).and_then(|probe| probe.termination_grace_period_seconds);
            let kind = kind.title().to_lowercase();
            let words = format!("Container {name} failed {kind} probe, will be restarted");
            self.kill(container, &latest.id, grace.map(pod::seconds), &words);
            return;
        }
        if has_post_start(container) && known.hooked.as_ref() != Some(&latest.id) {
            self.ask(Action::PostStart { container: name.to_owned(), id: latest.id.clone() });
            return;
        }
        known.hooked = Some(latest.id.clone());
        self.probe(container, &latest.id, since, |_| true);
    }

    /// Asks for the probes that are due.
    pub(super) fn probe(
        &mut self,
        container: &Container,
        id: &str,
        since: jiff::Timestamp,
        wanted: impl Fn(Kind) -> bool,
    ) {
        let now = self.now;
        for (kind, due) in self.memory.container(&container.name).probes.due(id, container, since, now) {
            match due {
                _ if !wanted(kind) => {}
                Due::Now => self.ask(Action::Probe { container: container.name.clone(), id: id.to_owned(), kind }),
                Due::At(then) => self.again(then),
            }
        }
    }

    fn kill(&mut self, container: &Container, id: &str, grace: Option<Duration>, words: &str) {
        let stop = Action::StopContainer {
            container: container.name.clone(),
            id: id.to_owned(),
            grace: grace.unwrap_or_else(|| pod::grace(self.pod)),
            hook: true,
            round: 0,
        };
        if stop.flight().is_some_and(|flight| !self.memory.flights.contains(&flight)) {
            self.notify(Notice::normal("Killing", Some(&container.name), words));
        }
        self.ask(stop);
    }
}
