//! Sizes of etcd's database: asked for in the background, so that whoever wants them never waits.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Shared;
use super::message::RangeRequest;
use super::range;
use crate::limits::etcd::STATS_AGE;
use crate::{Stats, StoreError};

/// What is known.
#[derive(Default)]
pub(super) struct Sizes {
    known: Mutex<(Option<Instant>, Stats)>,
}

/// What is known; when it is old, newer ones are asked for. They are known to a later caller.
pub(super) fn known(shared: &Arc<Shared>) -> Stats {
    let mut known = shared.sizes.known.lock();
    let old = known.0.is_none_or(|at| at.elapsed() >= STATS_AGE);
    if let (true, Ok(runtime)) = (old, tokio::runtime::Handle::try_current()) {
        known.0 = Some(Instant::now());
        let shared = shared.clone();
        runtime.spawn(async move {
            match ask(&shared).await {
                Ok(stats) => shared.sizes.known.lock().1 = stats,
                Err(error) => tracing::debug!(%error, "etcd's sizes are not known"),
            }
        });
    }
    known.1
}

async fn ask(shared: &Shared) -> Result<Stats, StoreError> {
    let status = shared.members.connection().await?.status().await?;
    let (key, range_end) = shared.boundary.range(b"");
    let count = RangeRequest { key, range_end, count_only: true, ..RangeRequest::default() };
    let count = range::ask(shared, &count).await.map_err(|failure| failure.of_read("stats"))?;
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    Ok(Stats {
        size_bytes: number(status.db_size),
        live_bytes: number(status.db_size_in_use),
        keys: number(count.count),
        ..Stats::default()
    })
}
