//! A pod that is to run: sandbox, volumes, and which containers come next.

use k8s_openapi::api::core::v1::Container;

use super::Turn;
use crate::action::{Action, Flight, Notice};
use crate::observed::{Sandbox, State};
use crate::pod::{self, Role};

impl<'a> Turn<'a> {
    pub(super) fn run(&mut self) {
        match self.observed.sandbox() {
            None => self.create_sandbox(0),
            Some(sandbox) if !sandbox.ready => self.replace_sandbox(sandbox),
            Some(_) => {}
        }
        self.prepare_volumes();
        let pod = self.pod;
        for container in self.wanted() {
            self.bring_up(container);
        }
        for (_, container) in pod::containers(pod) {
            self.watch(container);
        }
    }

    fn prepare_volumes(&mut self) {
        let wanted = !self.memory.volumes_ready || self.memory.volumes_stale;
        let under_way = self.memory.flights.contains(&Flight::Volumes);
        if wanted && !under_way && self.is_due(self.memory.volumes.at) {
            self.memory.volumes_stale = false;
            self.ask(Action::PrepareVolumes);
        }
    }

    fn create_sandbox(&mut self, attempt: u32) {
        if self.is_due(self.memory.sandbox.at) {
            self.ask(Action::CreateSandbox { attempt });
        }
    }

    /// The sandbox's own process has ended: what is in it goes with it, and all begins again in a new one.
    fn replace_sandbox(&mut self, broken: &Sandbox) {
        if self.memory.flights.contains(&Flight::Sandbox) {
            return;
        }
        if self.memory.stopped_sandboxes.contains(&broken.id) {
            let lives = self.observed.containers.iter().any(|c| c.sandbox == broken.id && c.alive());
            if !lives {
                self.create_sandbox(broken.attempt + 1);
            }
            return;
        }
        if self.is_due(self.memory.sandbox.at) {
            let words = "Pod sandbox changed, it will be killed and re-created.";
            let stop = Action::StopSandbox { id: broken.id.clone() };
            if stop.flight().is_some_and(|flight| !self.memory.flights.contains(&flight)) {
                self.notify(Notice::normal("SandboxChanged", None, words));
            }
            self.ask(stop);
        }
    }

    /// The containers that are to run now and do not: the next init container, or all main ones and the sidecars.
    fn wanted(&self) -> Vec<&'a Container> {
        let pod = self.pod;
        let mut wanted = Vec::new();
        let begun = pod::spec(pod).containers.iter().any(|container| self.here(container).is_some());
        for (role, container) in pod::inits(pod) {
            let latest = self.here(container);
            match (role, latest.map(|latest| &latest.state)) {
                (Role::Init, _) if begun => {}
                (Role::Init, Some(State::Exited(exit))) if exit.code == 0 => {}
                (Role::Init, Some(State::Running { .. } | State::Unknown)) => return wanted,
                (Role::Sidecar, Some(State::Running { .. })) if begun || self.is_started(container) => {}
                (Role::Sidecar, Some(State::Running { .. } | State::Unknown)) => return wanted,
                _ => {
                    wanted.push(container);
                    if !begun {
                        return wanted;
                    }
                }
            }
        }
        for container in &pod::spec(pod).containers {
            let restarts = |code| pod::restarts(pod, Role::Main, container, code);
            // One that ended for good in an earlier sandbox does not run again in a new one.
            let done = self.observed.latest(&container.name).and_then(|latest| latest.exit());
            if done.is_some_and(|exit| !restarts(exit.code)) {
                continue;
            }
            if self.here(container).is_none_or(|latest| !latest.alive()) {
                wanted.push(container);
            }
        }
        wanted
    }

    /// The newest container of that name in the present sandbox.
    fn here(&self, container: &Container) -> Option<&crate::Container> {
        let sandbox = self.observed.ready_sandbox()?;
        self.observed.latest(&container.name).filter(|latest| latest.sandbox == sandbox.id)
    }

    /// Whether a sidecar is up, so that what comes after it may start.
    fn is_started(&self, container: &Container) -> bool {
        let (Some(latest), Some(known)) = (self.here(container), self.memory.known(&container.name)) else {
            return false;
        };
        let hooked = !has_post_start(container) || known.hooked.as_ref() == Some(&latest.id);
        hooked && known.probes.started(&latest.id, container)
    }
}

pub(crate) fn has_post_start(container: &Container) -> bool {
    container.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.post_start.is_some())
}
