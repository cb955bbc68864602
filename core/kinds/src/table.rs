//! The table itself: every built-in kind, and how to find one.

use crate::KindRef;
use crate::kinds::{
    config_map, deployment, endpoint_slice, event, lease, namespace, node, pod, rbac, replica_set, reviews, secret,
    service, service_account,
};

/// Every kind that is served.
pub static ALL: &[KindRef] = &[
    &config_map::CONFIG_MAP,
    &event::EVENT,
    &namespace::NAMESPACE,
    &node::NODE,
    &pod::POD,
    &secret::SECRET,
    &service_account::SERVICE_ACCOUNT,
    &service::SERVICE,
    &deployment::DEPLOYMENT,
    &replica_set::REPLICA_SET,
    &reviews::SELF_SUBJECT_REVIEW,
    &reviews::TOKEN_REVIEW,
    &reviews::LOCAL_SUBJECT_ACCESS_REVIEW,
    &reviews::SELF_SUBJECT_ACCESS_REVIEW,
    &reviews::SELF_SUBJECT_RULES_REVIEW,
    &reviews::SUBJECT_ACCESS_REVIEW,
    &lease::LEASE,
    &endpoint_slice::ENDPOINT_SLICE,
    &rbac::CLUSTER_ROLE_BINDING,
    &rbac::CLUSTER_ROLE,
    &rbac::ROLE_BINDING,
    &rbac::ROLE,
];

/// The kind served under this group, version and plural.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<KindRef> {
    ALL.iter().copied().find(|k| k.plural == plural && k.group == group && k.version == version)
}

/// The kind of that name in this group and version.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<KindRef> {
    ALL.iter().copied().find(|k| k.kind == kind && k.group == group && k.version == version)
}
