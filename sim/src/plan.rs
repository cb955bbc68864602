//! What a seed stands for: how many servers and nodes, which faults how often, which workloads.
//!
//! Each seed turns on a part of the faults only: what happens behind one fault is often hidden by another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::rng::Rng;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Answers of the store take long now and then.
    Lag,
    /// Requests to the store never arrive.
    Loss,
    /// Requests are carried out, and their answers never arrive.
    LostReply,
    /// Requests are carried out twice.
    Duplicate,
    /// Requests arrive long after their senders have given up.
    Late,
    /// Watches of the store are behind.
    WatchLag,
    /// The store forgets its log.
    Compaction,
    /// Servers are killed and started.
    Crash,
    /// Leaders are deposed.
    Leader,
    /// Servers do not reach the store.
    PartitionStore,
    /// Nodes and clients do not reach a server.
    PartitionAgent,
    /// Servers stand still.
    Pause,
    /// Clocks are set.
    ClockJump,
    /// Clocks are too fast or too slow.
    ClockSkew,
    /// The disk is slow.
    SlowDisk,
    /// The disk is full.
    FullDisk,
    /// The disk fails to sync.
    SyncError,
    /// The agent's process ends and starts again.
    AgentCrash,
    /// Nodes lose power and come back.
    Reboot,
    /// Nodes are taken away for good, and new ones come.
    NodeChurn,
    /// Containers end by themselves.
    ContainerCrash,
}

/// All faults.
pub const FAULTS: [Fault; 21] = [
    Fault::Lag,
    Fault::Loss,
    Fault::LostReply,
    Fault::Duplicate,
    Fault::Late,
    Fault::WatchLag,
    Fault::Compaction,
    Fault::Crash,
    Fault::Leader,
    Fault::PartitionStore,
    Fault::PartitionAgent,
    Fault::Pause,
    Fault::ClockJump,
    Fault::ClockSkew,
    Fault::SlowDisk,
    Fault::FullDisk,
    Fault::SyncError,
    Fault::AgentCrash,
    Fault::Reboot,
    Fault::NodeChurn,
    Fault::ContainerCrash,
];

/// What users do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// Deployments are created, scaled, changed, rolled back, paused and deleted.
    Deployments,
    /// Pods without an owner come and go.
    Pods,
    /// Services come and go, and their endpoints follow the pods.
    Services,
    /// ConfigMaps are read and written as registers.
    Registers,
    /// A number is counted up by several at once.
    Counter,
    /// Namespaces are deleted with what is in them.
    Namespaces,
    /// Nodes are cordoned and tainted.
    Nodes,
    /// Several create the same name at once.
    Races,
    /// Deployments are deleted in the three ways.
    Deletions,
    /// One name that is made again whenever it is gone.
    Identities,
}

/// All workloads.
pub const PROGRAMS: [Program; 10] = [
    Program::Deployments,
    Program::Pods,
    Program::Services,
    Program::Registers,
    Program::Counter,
    Program::Namespaces,
    Program::Nodes,
    Program::Races,
    Program::Deletions,
    Program::Identities,
];

/// A guard that is broken on purpose, to see that it is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The store commits whatever is compared.
    Compare,
    /// The store does not compare the leader's epoch.
    Epoch,
    /// Revisions are given out again after a crash.
    Floor,
    /// Writers do not wait until their view shows their write.
    Wait,
}

impl Sabotage {
    /// Whether a plan has what it takes for the guard to matter.
    pub fn matters_in(self, plan: &Plan) -> bool {
        match self {
            Sabotage::Compare => true,
            Sabotage::Epoch => !plan.embedded && plan.servers > 1,
            Sabotage::Floor => plan.embedded && plan.faults.contains_key(&Fault::Crash),
            Sabotage::Wait => !plan.embedded && plan.faults.contains_key(&Fault::WatchLag),
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        [Sabotage::Compare, Sabotage::Epoch, Sabotage::Floor, Sabotage::Wait]
            .into_iter()
            .find(|s| format!("{s:?}").eq_ignore_ascii_case(name))
    }
}

/// What a run consists of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Determines everything.
    pub seed: u64,
    /// Whether there is one server with a store of its own on a disk.
    pub embedded: bool,
    /// How many servers there are.
    pub servers: usize,
    /// How many nodes there are at first.
    pub nodes: usize,
    /// Which faults there are, and how strong, from 0 to 1.
    pub faults: BTreeMap<Fault, f64>,
    /// What users do.
    pub programs: BTreeSet<Program>,
    /// How long there are faults.
    pub turbulence: Duration,
    /// A guard that is broken.
    pub sabotage: Option<Sabotage>,
}

impl Plan {
    /// What the seed stands for.
    pub fn draw(seed: u64) -> Self {
        let rng = Rng::new(seed ^ 0x706c_616e);
        let embedded = rng.chance(0.3);
        let servers = if embedded { 1 } else { rng.between(1, 3) as usize };
        let share = [0.15, 0.35, 0.6][rng.below(3) as usize];
        let mut faults = BTreeMap::new();
        for fault in FAULTS {
            let (on, strength) = (rng.chance(share), 0.1 + 0.9 * (rng.below(1000) as f64 / 1000.0));
            if on && fault.concerns(embedded) {
                faults.insert(fault, strength);
            }
        }
        let mut programs: BTreeSet<Program> = PROGRAMS.into_iter().filter(|_| rng.chance(0.35)).collect();
        if programs.is_empty() {
            programs.insert(Program::Deployments);
        }
        let nodes = rng.between(2, 4) as usize;
        let turbulence = Duration::from_secs(rng.between(40, 150));
        Plan { seed, embedded, servers, nodes, faults, programs, turbulence, sabotage: None }
    }

    /// Whether the store is the production engine on a disk. To break the floor of its revisions on purpose, a model
    /// takes its place.
    pub fn has_engine(&self) -> bool {
        self.embedded && self.sabotage != Some(Sabotage::Floor)
    }

    /// How strong a fault is; 0 when there is none.
    pub fn strength(&self, fault: Fault) -> f64 {
        self.faults.get(&fault).copied().unwrap_or(0.0)
    }

    /// The longest for which a server may act on something old: what checks allow for.
    pub fn slack(&self) -> Duration {
        let late = [Fault::Late, Fault::PartitionStore, Fault::Pause, Fault::Loss, Fault::LostReply, Fault::SlowDisk];
        if late.iter().any(|fault| self.faults.contains_key(fault)) {
            Duration::from_secs(90)
        } else if self.faults.contains_key(&Fault::WatchLag) || self.faults.contains_key(&Fault::Lag) {
            Duration::from_secs(25)
        } else {
            Duration::from_secs(5)
        }
    }
}

impl Fault {
    /// Whether it can happen to such a cluster.
    pub fn concerns(self, embedded: bool) -> bool {
        match self {
            Fault::SlowDisk | Fault::FullDisk | Fault::SyncError => embedded,
            Fault::Lag
            | Fault::Loss
            | Fault::LostReply
            | Fault::Duplicate
            | Fault::Late
            | Fault::WatchLag
            | Fault::Leader
            | Fault::PartitionStore => !embedded,
            _ => true,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = if self.embedded { "embedded" } else { "shared" };
        write!(f, "seed {}: {store} store, {} servers, {} nodes, ", self.seed, self.servers, self.nodes)?;
        let faults: Vec<_> = self.faults.iter().map(|(fault, strength)| format!("{fault:?} {strength:.2}")).collect();
        let programs: Vec<_> = self.programs.iter().map(|program| format!("{program:?}")).collect();
        write!(f, "{} s of faults [{}], ", self.turbulence.as_secs(), faults.join(", "))?;
        write!(f, "workloads [{}]", programs.join(", "))?;
        if let Some(sabotage) = self.sabotage {
            write!(f, ", sabotage {sabotage:?}")?;
        }
        Ok(())
    }
}
