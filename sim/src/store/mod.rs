//! The store of a simulation: one history of commits, and each server's faulty way to it.

mod history;
mod keys;
mod link;
mod local;
mod watch;

pub use history::{History, Step};
pub use keys::{ALIVE, EPOCH, decode};
use std::sync::Arc;

use gantry_store::{Store, StoreError};

use crate::world::World;

/// The store as a server that starts now gets it.
pub async fn open(world: &Arc<World>, server: usize) -> Result<Arc<dyn Store>, StoreError> {
    if world.plan.has_engine() { local::open(world, server).await } else { link::open(world, server).await }
}
