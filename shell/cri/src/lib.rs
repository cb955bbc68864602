//! A client of container runtimes: CRI v1 over a Unix socket, and containerd's own stream of events.
//!
//! The messages are written out by hand, only those that are used; names and numbers are CRI's. Invariants: no call
//! waits for ever; a runtime that goes away and comes back is found again without anybody's help.

mod channel;
mod error;
mod events;
mod image;
pub mod limits;
pub mod message;
mod runtime;

pub use error::CriError;
pub use events::{Event, Events};
pub use runtime::Runtime;
