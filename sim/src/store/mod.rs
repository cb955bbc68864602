//! The store of a simulation: one history of commits, and each server's faulty way to it.

mod disk;
mod history;
mod keys;
mod link;
mod watch;

pub use history::{History, Step};
pub use keys::{ALIVE, EPOCH, decode};
pub use link::Link;
