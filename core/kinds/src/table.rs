//! The table itself: every built-in kind, and how to find one.

use crate::KindRef;
use crate::kinds::{
    admission, api_service, binding, certificate_signing_request, cluster_trust_bundle, component_status, config_map,
    controller_revision, cron_job, csi_driver, csi_node, csi_storage_capacity, custom_resource_definition, daemon_set,
    deployment, endpoint_slice, endpoints, event, flow_schema, horizontal_pod_autoscaler, ingress, ingress_class,
    ip_address, job, lease, limit_range, namespace, network_policy, node, persistent_volume, persistent_volume_claim,
    pod, pod_certificate_request, pod_disruption_budget, pod_template, priority_class, priority_level, rbac,
    replica_set, replication_controller, reported_event, resource, resource_quota, reviews, runtime_class, secret,
    service, service_account, service_cidr, stateful_set, storage_class, storage_version_migration, volume_attachment,
    volume_attributes_class,
};

/// Every kind that is served.
pub static ALL: &[KindRef] = &[
    &binding::BINDING,
    &component_status::COMPONENT_STATUS,
    &config_map::CONFIG_MAP,
    &endpoints::ENDPOINTS,
    &event::EVENT,
    &limit_range::LIMIT_RANGE,
    &namespace::NAMESPACE,
    &node::NODE,
    &persistent_volume_claim::PERSISTENT_VOLUME_CLAIM,
    &persistent_volume::PERSISTENT_VOLUME,
    &pod::POD,
    &pod_template::POD_TEMPLATE,
    &replication_controller::REPLICATION_CONTROLLER,
    &resource_quota::RESOURCE_QUOTA,
    &secret::SECRET,
    &service_account::SERVICE_ACCOUNT,
    &service::SERVICE,
    &controller_revision::CONTROLLER_REVISION,
    &daemon_set::DAEMON_SET,
    &deployment::DEPLOYMENT,
    &replica_set::REPLICA_SET,
    &stateful_set::STATEFUL_SET,
    &custom_resource_definition::CUSTOM_RESOURCE_DEFINITION,
    &reviews::SELF_SUBJECT_REVIEW,
    &reviews::TOKEN_REVIEW,
    &reviews::LOCAL_SUBJECT_ACCESS_REVIEW,
    &reviews::SELF_SUBJECT_ACCESS_REVIEW,
    &reviews::SELF_SUBJECT_RULES_REVIEW,
    &reviews::SUBJECT_ACCESS_REVIEW,
    &cron_job::CRON_JOB,
    &job::JOB,
    &lease::LEASE,
    &network_policy::NETWORK_POLICY,
    &ingress_class::INGRESS_CLASS,
    &ingress::INGRESS,
    &ip_address::IP_ADDRESS,
    &service_cidr::SERVICE_CIDR,
    &pod_disruption_budget::POD_DISRUPTION_BUDGET,
    &endpoint_slice::ENDPOINT_SLICE,
    &rbac::CLUSTER_ROLE_BINDING,
    &rbac::CLUSTER_ROLE,
    &rbac::ROLE_BINDING,
    &rbac::ROLE,
    &admission::webhook::MUTATING_WEBHOOK_CONFIGURATION,
    &admission::webhook::VALIDATING_WEBHOOK_CONFIGURATION,
    &admission::policy::VALIDATING_ADMISSION_POLICY,
    &admission::binding::VALIDATING_ADMISSION_POLICY_BINDING,
    &admission::policy::MUTATING_ADMISSION_POLICY,
    &admission::binding::MUTATING_ADMISSION_POLICY_BINDING,
    &horizontal_pod_autoscaler::HORIZONTAL_POD_AUTOSCALER,
    &horizontal_pod_autoscaler::version::HORIZONTAL_POD_AUTOSCALER_V1,
    &reported_event::REPORTED_EVENT,
    &api_service::API_SERVICE,
    &certificate_signing_request::CERTIFICATE_SIGNING_REQUEST,
    &cluster_trust_bundle::CLUSTER_TRUST_BUNDLE,
    &pod_certificate_request::POD_CERTIFICATE_REQUEST,
    &flow_schema::FLOW_SCHEMA,
    &priority_level::PRIORITY_LEVEL_CONFIGURATION,
    &csi_driver::CSI_DRIVER,
    &csi_node::CSI_NODE,
    &csi_storage_capacity::CSI_STORAGE_CAPACITY,
    &storage_class::STORAGE_CLASS,
    &volume_attachment::VOLUME_ATTACHMENT,
    &volume_attributes_class::VOLUME_ATTRIBUTES_CLASS,
    &priority_class::PRIORITY_CLASS,
    &runtime_class::RUNTIME_CLASS,
    &resource::DEVICE_CLASS,
    &resource::DEVICE_TAINT_RULE,
    &resource::RESOURCE_CLAIM,
    &resource::RESOURCE_CLAIM_TEMPLATE,
    &resource::RESOURCE_SLICE,
    &storage_version_migration::STORAGE_VERSION_MIGRATION,
];

/// Every kind that objects are kept as.
pub fn stored() -> impl Iterator<Item = KindRef> {
    ALL.iter().copied().filter(|kind| kind.stored() && kind.version_of.is_none())
}

/// The kind served under this group, version and plural.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<KindRef> {
    ALL.iter().copied().find(|k| k.plural == plural && k.group == group && k.version == version)
}

/// The kind of that name in this group and version.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<KindRef> {
    ALL.iter().copied().find(|k| k.kind == kind && k.group == group && k.version == version)
}

/// The version of a kind, by the kind that its objects are kept as and the `apiVersion`.
pub fn version(home: KindRef, api_version: &str) -> Option<KindRef> {
    ALL.iter().copied().find(|kind| kind.home() == home && kind.api_version() == api_version)
}

/// Whether some kind of the table is of that group.
pub fn has_group(group: &str) -> bool {
    ALL.iter().any(|kind| kind.group == group)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_row_is_found_by_its_names() {
        for kind in ALL {
            assert_eq!(by_resource(kind.group, kind.version, kind.plural), Some(*kind));
            assert_eq!(by_kind(kind.group, kind.version, kind.kind), Some(*kind));
        }
        assert_eq!(by_resource("", "v1", "deployments"), None);
    }

    #[test]
    fn rows_are_ordered_and_complete() {
        for kind in ALL {
            assert!(kind.verbs.is_sorted(), "{kind:?}");
            assert!(kind.subresources.is_sorted_by_key(|s| s.name), "{kind:?}");
            assert_eq!(kind.stored(), kind.verbs != ["create"], "{kind:?}");
            // wire: an IPAddress has an age without a column.
            let unseen = usize::from(kind.kind == "IPAddress");
            let cells = (kind.cells)(&json!({}), Timestamp::UNIX_EPOCH);
            assert_eq!(cells.len(), kind.columns.len() + unseen, "{kind:?}");
            for column in kind.columns {
                assert_ne!(column.description.is_empty(), column.documents.is_empty(), "{kind:?} {}", column.name);
            }
        }
    }

    #[test]
    fn nothing_panics_on_an_empty_object() {
        for kind in ALL {
            let mut object = json!({"metadata": {}});
            kind.strategy.default(&mut object);
            kind.strategy.prepare_create(&mut object);
            kind.strategy.validate(&object);
            let old = object.clone();
            for update in [crate::Update::Main, crate::Update::Sub("status")] {
                kind.strategy.prepare_update(&mut object, &old, update);
                kind.strategy.validate_update(&object, &old, update);
            }
        }
    }
}
