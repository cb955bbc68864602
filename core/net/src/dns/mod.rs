//! Cluster names and their answers, by the Kubernetes DNS specification 1.1.0.
//!
//! Invariants: an answer is made from the records of one service alone, in microseconds; a name of the cluster's
//! domain is never forwarded; what is not ready has no name unless its service publishes it.

mod records;
mod zone;

pub use records::Records;
pub(crate) use records::records;
pub use zone::{Answer, Data, Record, TTL_SECONDS, Type, Zone};
