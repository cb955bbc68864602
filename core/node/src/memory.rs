//! What a node remembers of a pod between steps. All of it may be lost without harm to what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::action::{Action, Done, Failure, Flight, Notice};
use crate::backoff::Backoff;
use crate::observed::Observed;
use crate::pod;
use crate::probe::Probes;

/// The wait after a sandbox, volumes or a container's configuration failed, first and longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// The memory of one pod.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub(crate) flights: BTreeSet<Flight>,
    pub(crate) sandbox: Retry,
    pub(crate) volumes: Retry,
    pub(crate) volumes_ready: bool,
    pub(crate) volumes_stale: bool,
    pub(crate) stopped_sandboxes: BTreeSet<String>,
    pub(crate) containers: BTreeMap<String, ContainerMemory>,
    pub(crate) stop: Option<Stop>,
    pub(crate) verdict: Option<Failure>,
    pub(crate) fenced: bool,
    pub(crate) gone: bool,
    pub(crate) released: bool,
    pub(crate) discarded: bool,
    pub(crate) finished: bool,
    pub(crate) started: Option<Timestamp>,
}

/// Something that is tried again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retry {
    pub(crate) at: Option<Timestamp>,
    delay: Duration,
}

impl Retry {
    pub(crate) fn failed(&mut self, now: Timestamp) {
        self.delay = if self.delay.is_zero() { RETRY.0 } else { (self.delay * 2).min(RETRY.1) };
        self.at = Some(now + self.delay);
    }
    pub(crate) fn clear(&mut self) {
        *self = Retry::default();
    }
}

/// That a pod is being stopped.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) since: Timestamp,
    pub(crate) grace: Duration,
    pub(crate) round: u32,
}

/// What is known of a container's image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Image {
    #[default]
    Unknown,
    Present,
    Failed {
        at: Timestamp,
        failure: Failure,
    },
}

/// The memory of one container.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContainerMemory {
    pub(crate) crashes: Backoff,
    pub(crate) pulls: Backoff,
    pub(crate) image: Image,
    pub(crate) create: Retry,
    /// Why it does not run, for `state.waiting`.
    pub(crate) trouble: Option<Failure>,
    /// The container (by id) whose postStart hook has run.
    pub(crate) hooked: Option<String>,
    /// The container (by id) whose postStart hook has failed.
    pub(crate) hook_failed: Option<String>,
    pub(crate) probes: Probes,
    /// Until when it waits before it runs again.
    pub(crate) crash_wait: Option<Timestamp>,
}

impl Memory {
    /// The memory for a pod that was on this node before: what runs is taken as it was last reported.
    pub fn adopt(pod: &Pod, observed: &Observed) -> Self {
        let mut memory = Memory::default();
        let reported = pod::reported(pod);
        memory.started = reported.start_time.as_ref().map(|time| time.0);
        let statuses = reported.init_container_statuses.iter().chain(reported.container_statuses.iter()).flatten();
        for status in statuses {
            let Some(container) = observed.latest(&status.name).filter(|container| container.alive()) else { continue };
            let known = memory.container(&status.name);
            known.hooked = Some(container.id.clone());
            if status.container_id.as_deref() == Some(&container.full_id()) {
                known.probes.adopt(&container.id, status.ready, status.started.unwrap_or(false));
            }
        }
        for container in observed.containers.iter().filter(|container| container.alive()) {
            memory.container(&container.name).hooked = Some(container.id.clone());
        }
        memory
    }

    /// The pod's object is gone from the API: end the pod, and do not ask the API to remove it.
    pub fn forsake(&mut self) {
        self.gone = true;
    }
    /// The pod's fence has shut: end it for good, within the grace that all such pods have.
    pub fn fence(&mut self) {
        if !self.fenced {
            self.fenced = true;
            let words = "The node lost touch with the cluster for longer than the pod may run without it";
            self.verdict.get_or_insert_with(|| Failure::new("StoppedAfterDisconnect", words));
        }
    }
    /// True once the pod's fence has shut.
    pub fn fenced(&self) -> bool {
        self.fenced
    }
    /// True once everything of the pod is gone: nothing is left to step.
    pub fn finished(&self) -> bool {
        self.finished
    }
    /// Something that volumes or environments are made of has changed: try again at once what failed.
    pub fn refresh(&mut self) {
        self.volumes.clear();
        for container in self.containers.values_mut() {
            container.create.clear();
        }
    }
    /// Volumes are to be brought up to date with the next step; what needs them need not wait for it.
    pub fn refresh_volumes(&mut self) {
        self.volumes_stale = true;
        self.volumes.clear();
    }

    /// Takes note of what became of an action.
    pub fn done(&mut self, pod: &Pod, action: &Action, done: &Done, now: Timestamp) -> Vec<Notice> {
        if let Some(flight) = action.flight() {
            self.flights.remove(&flight);
        }
        match (action, done) {
            (Action::Probe { container, id, kind }, Done::Probed(outcome)) => {
                let Some((_, spec)) = pod::container(pod, container) else { return Vec::new() };
                self.container(container).probes.record(id, *kind, spec, outcome, now).into_iter().collect()
            }
            (_, Done::Failed(failure)) => self.failed(action, failure, now),
            _ => {
                self.succeeded(action);
                Vec::new()
            }
        }
    }

    fn succeeded(&mut self, action: &Action) {
        match action {
            Action::CreateSandbox { .. } => self.sandbox.clear(),
            Action::StopSandbox { id } => drop(self.stopped_sandboxes.insert(id.clone())),
            Action::PrepareVolumes => {
                self.volumes.clear();
                self.volumes_ready = true;
            }
            Action::EnsureImage { container } => {
                let container = self.container(container);
                container.image = Image::Present;
                container.trouble = None;
            }
            Action::StartContainer { container, .. } => {
                let container = self.container(container);
                container.create.clear();
                container.trouble = None;
            }
            Action::PostStart { container, id } => self.container(container).hooked = Some(id.clone()),
            Action::Release => self.released = true,
            Action::Discard => self.discarded = true,
            Action::Finish => self.finished = true,
            _ => {}
        }
    }

    fn failed(&mut self, action: &Action, failure: &Failure, now: Timestamp) -> Vec<Notice> {
        match action {
            Action::CreateSandbox { .. } => {
                self.sandbox.failed(now);
                vec![Notice::warning("FailedCreatePodSandBox", None, &failure.message)]
            }
            Action::PrepareVolumes => {
                self.volumes.failed(now);
                self.volumes_stale = true;
                vec![Notice::warning("FailedMount", None, &failure.message)]
            }
            Action::EnsureImage { container } => {
                let known = self.container(container);
                known.image = Image::Failed { at: now, failure: failure.clone() };
                known.trouble = Some(failure.clone());
                known.pulls.attempt(now, now);
                vec![Notice::warning("Failed", Some(container), format!("Error: {}", failure.reason))]
            }
            Action::StartContainer { container, .. } => {
                let known = self.container(container);
                known.create.failed(now);
                known.trouble = Some(failure.clone());
                vec![Notice::warning("Failed", Some(container), format!("Error: {}", failure.message))]
            }
            Action::PostStart { container, id } => {
                let known = self.container(container);
                known.hook_failed = Some(id.clone());
                vec![Notice::warning("FailedPostStartHook", Some(container), &failure.message)]
            }
            Action::StopSandbox { .. } | Action::Release | Action::Discard | Action::Finish => {
                self.sandbox.failed(now);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn container(&mut self, name: &str) -> &mut ContainerMemory {
        self.containers.entry(name.to_owned()).or_default()
    }
    pub(crate) fn known(&self, name: &str) -> Option<&ContainerMemory> {
        self.containers.get(name)
    }
}
