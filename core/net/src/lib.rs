//! What a node's network should do, compiled from the cluster's objects: a packet ruleset and DNS answers.
//!
//! Invariants: services are elements of a few flat maps, never a chain each, so that one change costs a few
//! elements however many services there are; a ruleset text is one transaction; a change never touches flows that
//! are established. Pure: nothing here runs `nft` or answers a socket.

mod base;
mod choose;
mod cidr;
mod claims;
mod compile;
pub mod dns;
mod element;
mod facts;
mod net;
mod table;

pub use cidr::Cidr;
pub use facts::Protocol;
pub use net::{Changes, Net, Params};
pub use table::Flow;

#[cfg(test)]
mod tests;
