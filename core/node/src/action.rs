//! What a step asks for, and what became of it.

use std::time::Duration;

use crate::probe::{Kind, Outcome};

/// One thing to do for a pod. All that one step asks for may be done at the same time.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make and start a sandbox.
    CreateSandbox {
        /// Its number.
        attempt: u32,
    },
    /// Stop a sandbox and what is in it, and release its address.
    StopSandbox {
        /// Which.
        id: String,
    },
    /// Make the pod's volumes, or bring them up to date.
    PrepareVolumes,
    /// See that a container's image is here, as its pull policy says.
    EnsureImage {
        /// For which container.
        container: String,
    },
    /// Make and start a container.
    StartContainer {
        /// Which.
        container: String,
        /// Its number.
        attempt: u32,
        /// In which sandbox.
        sandbox: String,
    },
    /// Run a container's postStart hook.
    PostStart {
        /// Which.
        container: String,
        /// The runtime's name for it.
        id: String,
    },
    /// Stop a container, with its preStop hook if there is time.
    StopContainer {
        /// Which.
        container: String,
        /// The runtime's name for it.
        id: String,
        /// How long it has.
        grace: Duration,
        /// Whether its preStop hook is to run.
        hook: bool,
        /// Counts the stops of this pod that gave it less and less time.
        round: u32,
    },
    /// Remove a dead container.
    RemoveContainer {
        /// The runtime's name for it.
        id: String,
    },
    /// Ask a container how it is.
    Probe {
        /// Which.
        container: String,
        /// The runtime's name for it.
        id: String,
        /// What is asked.
        kind: Kind,
    },
    /// The pod has ended but its object stays: unmount its volumes, remove its cgroup. Logs and dead containers stay.
    Release,
    /// The pod's object is to go: remove sandboxes, containers, volumes, cgroup and directories.
    Discard,
    /// All is gone: tell the API so, which removes the object.
    Finish,
    /// Tell people something.
    Notify(Notice),
}

/// An Event about the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `Warning` rather than `Normal`.
    pub warning: bool,
    /// One CamelCase word.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
    /// The container that it is about.
    pub container: Option<String>,
}

impl Notice {
    /// Something that is as it should be.
    pub fn normal(reason: &'static str, container: Option<&str>, message: impl Into<String>) -> Self {
        Notice { warning: false, reason, message: message.into(), container: container.map(str::to_owned) }
    }
    /// Something that is not.
    pub fn warning(reason: &'static str, container: Option<&str>, message: impl Into<String>) -> Self {
        Notice { warning: true, reason, message: message.into(), container: container.map(str::to_owned) }
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One word for `state.waiting.reason`, such as `CreateContainerConfigError`.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Failure { reason, message: message.into() }
    }
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// It is done.
    Well,
    /// It is not done.
    Failed(Failure),
    /// What a probe found.
    Probed(Outcome),
}

/// An action under way, as far as it bars another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flight {
    Sandbox,
    StopSandbox(String),
    Volumes,
    Image(String),
    Start(String),
    PostStart(String),
    Stop(String, u32),
    Remove(String),
    Probe(String, Kind),
    Release,
    Discard,
    Finish,
}

impl Action {
    pub(crate) fn flight(&self) -> Option<Flight> {
        Some(match self {
            Action::CreateSandbox { .. } => Flight::Sandbox,
            Action::StopSandbox { id } => Flight::StopSandbox(id.clone()),
            Action::PrepareVolumes => Flight::Volumes,
            Action::EnsureImage { container } => Flight::Image(container.clone()),
            Action::StartContainer { container, .. } => Flight::Start(container.clone()),
            Action::PostStart { id, .. } => Flight::PostStart(id.clone()),
            Action::StopContainer { id, round, .. } => Flight::Stop(id.clone(), *round),
            Action::RemoveContainer { id } => Flight::Remove(id.clone()),
            Action::Probe { id, kind, .. } => Flight::Probe(id.clone(), *kind),
            Action::Release => Flight::Release,
            Action::Discard => Flight::Discard,
            Action::Finish => Flight::Finish,
            Action::Notify(_) => return None,
        })
    }
}
