//! Drives the reconcilers and the scheduler: change -> keys -> turn -> registry.
//!
//! Invariants: a key is not run again while one of its writes is in flight, and then only on a view that shows its
//! last write (the cluster answers a write once the view has it), so no reconciler keeps books of its own; a
//! reconciler that fails or is refused is run again with growing delay, for ever; intents of one turn are carried
//! out in order and stop at the first that is refused.

mod controller;
mod events;
mod intents;
pub mod limits;
mod queue;
mod scheduler;

use std::sync::Arc;

use gantry_cluster::Cluster;
use gantry_controllers::Controller;
use gantry_scheduler::Scheduler;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Runs `controllers` and `scheduler` on `cluster` until `stop` turns true; a task each.
pub async fn run(
    cluster: Arc<Cluster>,
    controllers: Vec<Box<dyn Controller>>,
    scheduler: Scheduler,
    stop: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    for controller in controllers {
        tasks.spawn(controller::drive(cluster.clone(), controller, stop.clone()));
    }
    tasks.spawn(scheduler::drive(cluster, scheduler, stop));
    while tasks.join_next().await.is_some() {}
}
