//! The next actions for a pod.

mod bring_up;
mod run;
mod stop;
mod watch;

use std::time::Duration;

use gantry_kinds::fencing;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::action::{Action, Failure, Notice};
use crate::memory::Memory;
use crate::observed::Observed;
use crate::pod::{self, Role};

/// What to do now, and when to look again at the latest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// To be done, all at the same time.
    pub actions: Vec<Action>,
    /// Look again then, even if nothing happens.
    pub again_at: Option<Timestamp>,
}

/// Decides what comes next for a pod. Call it whenever anything has changed; it asks for nothing twice.
pub fn step(pod: &Pod, observed: &Observed, memory: &mut Memory, now: Timestamp) -> Step {
    memory.started.get_or_insert(now);
    let mut turn = Turn { pod, observed, memory, now, step: Step::default() };
    match turn.end() {
        Some(grace) => turn.stop(grace),
        None => turn.run(),
    }
    turn.step
}

struct Turn<'a> {
    pod: &'a Pod,
    observed: &'a Observed,
    memory: &'a mut Memory,
    now: Timestamp,
    step: Step,
}

impl Turn<'_> {
    /// Why the pod must end, as the grace that it has; `None` as long as it may run.
    fn end(&mut self) -> Option<Duration> {
        let grace = self.end_unfenced()?;
        Some(if self.memory.fenced { grace.min(fencing::GRACE) } else { grace })
    }

    fn end_unfenced(&mut self) -> Option<Duration> {
        if let Some(grace) = pod::deletion_grace(self.pod) {
            return Some(grace);
        }
        if self.memory.gone {
            // Removed without a word: upstream's least grace.
            return Some(Duration::from_secs(1));
        }
        if self.overdue() {
            let words = "Pod was active on the node longer than the specified deadline";
            if self.memory.verdict.is_none() {
                self.memory.verdict = Some(Failure::new("DeadlineExceeded", words));
                self.notify(Notice::normal("DeadlineExceeded", None, words));
            }
        }
        let over = self.memory.verdict.is_some()
            || self.memory.stop.is_some()
            || pod::ended(self.pod)
            || completed(self.pod, self.observed);
        over.then(|| pod::grace(self.pod))
    }

    fn overdue(&mut self) -> bool {
        let (Some(seconds), Some(since)) = (pod::spec(self.pod).active_deadline_seconds, self.memory.started) else {
            return false;
        };
        let deadline = since + pod::seconds(seconds);
        if self.now < deadline {
            self.again(deadline);
        }
        self.now >= deadline
    }

    /// Asks for an action, unless it is under way.
    fn ask(&mut self, action: Action) {
        let fresh = action.flight().is_none_or(|flight| self.memory.flights.insert(flight));
        if fresh {
            self.step.actions.push(action);
        }
    }
    fn notify(&mut self, notice: Notice) {
        self.step.actions.push(Action::Notify(notice));
    }
    fn again(&mut self, at: Timestamp) {
        self.step.again_at = Some(self.step.again_at.map_or(at, |before| before.min(at)));
    }
    /// False while a retry is not yet due; the step is taken again then.
    fn is_due(&mut self, at: Option<Timestamp>) -> bool {
        match at {
            Some(at) if at > self.now => {
                self.again(at);
                false
            }
            _ => true,
        }
    }
}

/// Whether the pod has done its work, or failed for good: no main container runs or will run.
pub(crate) fn completed(pod: &Pod, observed: &Observed) -> bool {
    let over = |role, container: &k8s_openapi::api::core::v1::Container| {
        let exit = observed.latest(&container.name).and_then(|latest| latest.exit());
        exit.is_some_and(|exit| !pod::restarts(pod, role, container, exit.code))
    };
    let failed_init = pod::inits(pod).any(|(role, container)| {
        let exit = observed.latest(&container.name).and_then(|latest| latest.exit());
        role == Role::Init && exit.is_some_and(|exit| exit.code != 0) && over(role, container)
    });
    let mut mains = pod::spec(pod).containers.iter();
    failed_init || (mains.len() > 0 && mains.all(|container| over(Role::Main, container)))
}

#[cfg(test)]
mod tests;
