//! How the servers of one cluster know of each other: each keeps a Lease, named and labelled as upstream's API servers
//! do it, that says where it is reached. A server whose Lease has not moved for its duration is gone.

/// Namespace of the Leases.
pub const NAMESPACE: &str = "kube-system";
/// The label that marks them.
pub const LABEL: &str = "apiserver.kubernetes.io/identity";
/// What it says.
pub const LABEL_VALUE: &str = "kube-apiserver";
/// The annotation that says where the server is reached: `ADDRESS:PORT`.
pub const ADDRESS: &str = "gantry.io/api-address";
/// The annotation of the server that leads: the epoch of its term.
pub const LEADER_EPOCH: &str = "gantry.io/leader-epoch";
/// Seconds for which a Lease is good.
pub const DURATION_SECONDS: u32 = 10;
