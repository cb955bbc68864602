//! What users do: small programs that a plan composes. Each goes on until faults have ended, and leaves nothing
//! half done that would keep the cluster from coming to rest.

mod counter;
mod deletions;
mod deployments;
mod identities;
mod manifest;
mod namespaces;
mod nodes;
mod pods;
mod races;
mod registers;
mod services;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::api::{Client, Refusal};
use crate::plan::Program;
use crate::world::World;

/// Namespace in which most of it happens.
const PLACE: &str = "default";
/// Pause before something is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Starts what the plan has.
pub fn start(world: &Arc<World>) -> JoinSet<()> {
    let mut programs = JoinSet::new();
    for program in &world.plan.programs {
        let admin = |name: &str| Client::admin(world, name);
        match program {
            Program::Deployments => {
                programs.spawn(deployments::run(admin("deployer"), "a"));
                programs.spawn(deployments::run(admin("developer"), "a"));
            }
            Program::Pods => drop(programs.spawn(pods::run(admin("podder")))),
            Program::Services => drop(programs.spawn(services::run(admin("server")))),
            Program::Registers => (0..3).for_each(|at| {
                programs.spawn(registers::run(admin(&format!("reader{at}"))));
            }),
            Program::Counter => drop(programs.spawn(counter::run(admin("counter")))),
            Program::Namespaces => drop(programs.spawn(namespaces::run(admin("mover")))),
            Program::Nodes => drop(programs.spawn(nodes::run(admin("operator")))),
            Program::Races => drop(programs.spawn(races::run(admin("racer")))),
            Program::Deletions => drop(programs.spawn(deletions::run(admin("deleter")))),
            Program::Identities => (0..2).for_each(|at| {
                programs.spawn(identities::run(admin(&format!("keeper{at}")), at));
            }),
        }
    }
    programs
}

/// Takes away what keeps the cluster from coming to rest: nodes without a machine, and marks on those with one.
pub async fn tidy(world: &Arc<World>) {
    nodes::tidy(&Client::admin(world, "janitor")).await;
}

/// Tries something until it is answered, well or not; says whether well.
async fn insist<F: Future<Output = Result<T, Refusal>>, T>(mut attempt: impl FnMut() -> F) -> Option<T> {
    loop {
        match attempt().await {
            Ok(reply) => return Some(reply),
            Err(refusal) if [404, 409, 422].contains(&refusal.code()) => return None,
            Err(_) => sleep(RETRY).await,
        }
    }
}
