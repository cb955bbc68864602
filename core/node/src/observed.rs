//! What the runtime says of one pod.

use jiff::Timestamp;

/// The pod's sandboxes and containers, dead ones included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Sandboxes, in no order.
    pub sandboxes: Vec<Sandbox>,
    /// Containers of all attempts, in no order.
    pub containers: Vec<Container>,
}

/// A sandbox: what the containers of a pod share.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// The runtime's name for it.
    pub id: String,
    /// Counts the pod's sandboxes from 0.
    pub attempt: u32,
    /// Whether it works.
    pub ready: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Its addresses; empty in the host's network.
    pub ips: Vec<String>,
}

/// A container of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// The runtime's name for it.
    pub id: String,
    /// The sandbox that it is in.
    pub sandbox: String,
    /// Its name in the pod.
    pub name: String,
    /// Counts the containers of this name from 0.
    pub attempt: u32,
    /// When it was made.
    pub created: Timestamp,
    /// What it does.
    pub state: State,
    /// The image's name.
    pub image: String,
    /// The image's digest or id.
    pub image_id: String,
    /// `image::spec_hash` of what it was made from; empty where unknown.
    pub hash: String,
    /// Uid, gid and further groups of its first process, where the runtime says.
    pub user: Option<(i64, i64, Vec<i64>)>,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Made, not started.
    Created,
    /// Runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// Has ended.
    Exited(Exit),
    /// The runtime does not know.
    Unknown,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// When it was started, if it was.
    pub since: Option<Timestamp>,
    /// When it ended.
    pub at: Timestamp,
    /// Exit code.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, ...
    pub reason: String,
    /// What the container left as its message, or why it could not start.
    pub message: String,
}

impl Observed {
    /// The newest sandbox.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.iter().max_by_key(|sandbox| (sandbox.attempt, sandbox.created))
    }
    /// The newest sandbox, if it works.
    pub fn ready_sandbox(&self) -> Option<&Sandbox> {
        self.sandbox().filter(|sandbox| sandbox.ready)
    }
    /// The newest container of that name.
    pub fn latest(&self, name: &str) -> Option<&Container> {
        self.containers.iter().filter(|c| c.name == name).max_by_key(|c| (c.attempt, c.created))
    }
    /// The newest container of that name before the latest.
    pub fn previous(&self, name: &str) -> Option<&Container> {
        let latest = self.latest(name)?;
        let earlier = self.containers.iter().filter(|c| c.name == name && c.id != latest.id);
        earlier.max_by_key(|c| (c.attempt, c.created))
    }
    /// The container with this id.
    pub fn container(&self, id: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.id == id)
    }
    /// A container of that name that may live.
    pub fn alive(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name && container.alive())
    }
    /// Puts in what is now known of a container.
    pub fn put_container(&mut self, container: Container) {
        match self.containers.iter_mut().find(|known| known.id == container.id) {
            Some(known) => *known = container,
            None => self.containers.push(container),
        }
    }
    /// Puts in what is now known of a sandbox.
    pub fn put_sandbox(&mut self, sandbox: Sandbox) {
        match self.sandboxes.iter_mut().find(|known| known.id == sandbox.id) {
            Some(known) => *known = sandbox,
            None => self.sandboxes.push(sandbox),
        }
    }
}

impl Container {
    /// Whether a process of it may live.
    pub fn alive(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Unknown)
    }
    /// Since when it runs.
    pub fn running_since(&self) -> Option<Timestamp> {
        match self.state {
            State::Running { since } => Some(since),
            _ => None,
        }
    }
    /// How it ended, if it did.
    pub fn exit(&self) -> Option<&Exit> {
        match &self.state {
            State::Exited(exit) => Some(exit),
            _ => None,
        }
    }
    /// The id as statuses carry it.
    pub fn full_id(&self) -> String {
        format!("containerd://{}", self.id)
    }
}
