//! The same requests to gantry and to an upstream API server, and what their answers differ in.
//!
//! Invariants: a case follows from its seed and its number alone; it works in a namespace of the run, and takes away
//! what it made; what no two servers can share (uids, times, revisions, addresses) is normalised before anything is
//! compared, and nothing else is.

mod compare;
mod endpoint;
mod generator;
mod normalise;
mod objects;
mod report;
mod requests;
mod run;

pub use compare::{Difference, Known};
pub use endpoint::{Endpoint, Reply};
pub use generator::{Case, Seeded};
pub use normalise::normalised;
pub use objects::{Sample, samples};
pub use report::Report;
pub use requests::Request;
pub use run::{Pair, run};
