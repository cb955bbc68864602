//! The weather of a server's own disk: slow, full, or failing.

use std::path::PathBuf;
use std::sync::Arc;

use gantry_store::StoreError;

use crate::plan::Fault;
use crate::world::World;

/// What a commit meets before it is written.
pub(super) async fn weather(world: &Arc<World>, server: usize) -> Result<(), StoreError> {
    if world.strikes(Fault::SlowDisk, 0.1) {
        world.pause(100, 3000).await;
    }
    if world.strikes(Fault::FullDisk, 0.05) {
        world.say(format_args!("the disk of server{server} is full"));
        return Err(StoreError::Full { path: PathBuf::from("/data"), available: 0 });
    }
    if world.strikes(Fault::SyncError, 0.002) {
        world.say(format_args!("the disk of server{server} fails"));
        world.servers[server].kill();
        return std::future::pending().await;
    }
    Ok(())
}
