//! Drives the reconcilers and the scheduler: change -> keys -> turn -> registry.
//!
//! Invariants: a key is not run again while one of its writes is in flight, and then only on a view that shows its
//! last write (the cluster answers a write once the view has it), so no reconciler keeps books of its own; a
//! reconciler that fails or is refused is run again with growing delay, for ever; intents of one turn are carried
//! out in order and stop at the first that is refused; all of this runs on the leader only, and every write carries
//! his epoch.

mod controller;
mod events;
mod failpoints;
mod intents;
pub mod limits;
mod queue;
mod scheduler;

use std::sync::Arc;

#[cfg(feature = "failpoints")]
pub use failpoints::FAILPOINTS;
use gantry_cluster::{Cluster, Epoch};
use gantry_controllers::Controller;
use gantry_scheduler::Scheduler;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a leader runs; made anew for each term, as it may have books about the view.
pub struct Parts {
    /// The reconcilers.
    pub controllers: Vec<Box<dyn Controller>>,
    /// The scheduler.
    pub scheduler: Scheduler,
}

/// Runs what `parts` makes on `cluster` whenever this server leads, until `stop` turns true.
pub async fn run(cluster: Arc<Cluster>, parts: impl Fn() -> Parts, mut stop: watch::Receiver<bool>) {
    loop {
        let epoch = tokio::select! {
            biased;
            () = told(&mut stop) => return,
            epoch = cluster.campaign() => epoch,
        };
        failpoints::failpoint!("runner::before_term");
        // Ended with the term: what is under way then is refused by the store.
        let _tasks = start(&cluster, parts(), epoch);
        failpoints::failpoint!("runner::after_term");
        tokio::select! {
            biased;
            () = told(&mut stop) => {
                cluster.resign(epoch).await;
                return;
            }
            () = cluster.lead(epoch) => {}
        }
    }
}

/// Returns once it is told to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn start(cluster: &Arc<Cluster>, parts: Parts, epoch: Epoch) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for controller in parts.controllers {
        tasks.spawn(controller::drive(cluster.clone(), controller, epoch));
    }
    tasks.spawn(scheduler::drive(cluster.clone(), parts.scheduler, epoch));
    tasks
}
