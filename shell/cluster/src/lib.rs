//! The one path for every change: a request is decided on the view, committed to the store, and answered once the
//! view shows it. Everybody who reads follows the same feed.
//!
//! Invariants: the view changes only from the store's watch, in revision order; a reply is given only after the
//! store has acknowledged and the view has reached that revision, so everyone reads his own writes; a feed starts
//! at exactly the revision its reader has seen and either yields every change after it or says that it lagged.

mod clock;
mod cluster;
mod compact;
mod contention;
mod election;
mod failpoints;
mod feed;
mod follow;
mod keys;
pub mod limits;
mod metrics;
mod oracle;
mod reached;
mod rewrite;
mod topics;

pub use clock::{Clock, SystemClock};
pub use cluster::{Cluster, OpenError, Reply, Setup};
pub use election::{Epoch, Leadership};
#[cfg(feature = "failpoints")]
pub use failpoints::FAILPOINTS;
pub use feed::{Feed, Lagged, WatchFrom};
pub use metrics::Metrics;
pub use oracle::Oracle;
pub use topics::Topic;
