//! The kind table: one static row for each built-in kind, and the rules that every object shares.
//!
//! Routes, discovery, tables, field indexes, RBAC names and documents derive from a row; nothing else in the
//! project lists kinds. Invariants: a row is data and pure functions; no row knows another row; errors carry
//! upstream's field paths, reasons and words.

pub mod age;
pub mod columns;
pub mod custom;
pub mod expressions;
pub mod fencing;
pub mod field;
pub mod groups;
pub mod kinds;
pub mod meta;
pub mod names;
pub mod policies;
pub mod presence;
pub mod quantity;
pub mod quota;
pub mod row;
mod rules;
pub mod selector;
pub mod status;
pub mod table;
pub mod tree;
pub mod typed;
pub mod webhooks;

pub use field::{ErrorList, FieldError, Path};
pub use kinds::admission::binding::{MUTATING_ADMISSION_POLICY_BINDING, VALIDATING_ADMISSION_POLICY_BINDING};
pub use kinds::admission::policy::{MUTATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY};
pub use kinds::binding::BINDING;
pub use kinds::certificate_signing_request::CERTIFICATE_SIGNING_REQUEST;
pub use kinds::cluster_trust_bundle::CLUSTER_TRUST_BUNDLE;
pub use kinds::component_status::COMPONENT_STATUS;
pub use kinds::config_map::CONFIG_MAP;
pub use kinds::controller_revision::CONTROLLER_REVISION;
pub use kinds::cron_job::CRON_JOB;
pub use kinds::csi_driver::CSI_DRIVER;
pub use kinds::csi_node::CSI_NODE;
pub use kinds::csi_storage_capacity::CSI_STORAGE_CAPACITY;
pub use kinds::custom_resource_definition::CUSTOM_RESOURCE_DEFINITION;
pub use kinds::daemon_set::DAEMON_SET;
pub use kinds::deployment::DEPLOYMENT;
pub use kinds::endpoint_slice::ENDPOINT_SLICE;
pub use kinds::endpoints::ENDPOINTS;
pub use kinds::event::EVENT;
pub use kinds::ip_address::IP_ADDRESS;
pub use kinds::job::JOB;
pub use kinds::lease::LEASE;
pub use kinds::limit_range::LIMIT_RANGE;
pub use kinds::namespace::NAMESPACE;
pub use kinds::node::NODE;
pub use kinds::persistent_volume::PERSISTENT_VOLUME;
pub use kinds::persistent_volume_claim::PERSISTENT_VOLUME_CLAIM;
pub use kinds::pod::POD;
pub use kinds::pod_certificate_request::POD_CERTIFICATE_REQUEST;
pub use kinds::pod_disruption_budget::POD_DISRUPTION_BUDGET;
pub use kinds::pod_template::POD_TEMPLATE;
pub use kinds::priority_class::PRIORITY_CLASS;
pub use kinds::rbac::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING};
pub use kinds::replica_set::REPLICA_SET;
pub use kinds::replication_controller::REPLICATION_CONTROLLER;
pub use kinds::resource::{DEVICE_CLASS, DEVICE_TAINT_RULE, RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE, RESOURCE_SLICE};
pub use kinds::resource_quota::RESOURCE_QUOTA;
pub use kinds::reviews::{
    LOCAL_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_REVIEW, SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW, TOKEN_REVIEW,
};
pub use kinds::runtime_class::RUNTIME_CLASS;
pub use kinds::secret::SECRET;
pub use kinds::service::SERVICE;
pub use kinds::service_account::SERVICE_ACCOUNT;
pub use kinds::service_cidr::SERVICE_CIDR;
pub use kinds::stateful_set::STATEFUL_SET;
pub use kinds::storage_class::STORAGE_CLASS;
pub use kinds::storage_version_migration::STORAGE_VERSION_MIGRATION;
pub use kinds::volume_attachment::VOLUME_ATTACHMENT;
pub use kinds::volume_attributes_class::VOLUME_ATTRIBUTES_CLASS;
pub use quantity::Quantity;
pub use row::{Column, Conversion, Kind, NoStrategy, Selectable, Strategy, Subresource, Update};
pub use selector::{FieldSelector, LabelSelector};
pub use status::{Cause, Status};

/// The label and annotation-independent identity of a resource: group, version, plural.
pub type KindRef = &'static Kind;
