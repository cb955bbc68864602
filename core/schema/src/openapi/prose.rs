//! Descriptions of types and fields, from the k8s-openapi crate.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    admissionregistration, apps, authentication, authorization, autoscaling, batch, certificates, coordination, core,
    discovery, events, flowcontrol, networking, node, policy, rbac, resource, scheduling, storage, storagemigration,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use k8s_openapi::schemars::generate::SchemaSettings;
use k8s_openapi::schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// Adds a type, and all that it refers to, to a generator.
type Describe = fn(&mut SchemaGenerator);

fn describe<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// Types from which all others are reached.
const ROOTS: &[(&str, Describe)] = &[
    (
        "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy",
        describe::<admissionregistration::v1::MutatingAdmissionPolicy>,
    ),
    (
        "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
        describe::<admissionregistration::v1::MutatingAdmissionPolicyBinding>,
    ),
    (
        "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
        describe::<admissionregistration::v1::MutatingWebhookConfiguration>,
    ),
    (
        "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
        describe::<admissionregistration::v1::ValidatingAdmissionPolicy>,
    ),
    (
        "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
        describe::<admissionregistration::v1::ValidatingAdmissionPolicyBinding>,
    ),
    (
        "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
        describe::<admissionregistration::v1::ValidatingWebhookConfiguration>,
    ),
    ("io.k8s.api.apps.v1.ControllerRevision", describe::<apps::v1::ControllerRevision>),
    ("io.k8s.api.apps.v1.DaemonSet", describe::<apps::v1::DaemonSet>),
    ("io.k8s.api.apps.v1.Deployment", describe::<apps::v1::Deployment>),
    ("io.k8s.api.apps.v1.ReplicaSet", describe::<apps::v1::ReplicaSet>),
    ("io.k8s.api.apps.v1.StatefulSet", describe::<apps::v1::StatefulSet>),
    ("io.k8s.api.authentication.v1.SelfSubjectReview", describe::<authentication::v1::SelfSubjectReview>),
    ("io.k8s.api.authentication.v1.TokenRequest", describe::<authentication::v1::TokenRequest>),
    ("io.k8s.api.authentication.v1.TokenReview", describe::<authentication::v1::TokenReview>),
    ("io.k8s.api.authorization.v1.LocalSubjectAccessReview", describe::<authorization::v1::LocalSubjectAccessReview>),
    ("io.k8s.api.authorization.v1.SelfSubjectAccessReview", describe::<authorization::v1::SelfSubjectAccessReview>),
    ("io.k8s.api.authorization.v1.SelfSubjectRulesReview", describe::<authorization::v1::SelfSubjectRulesReview>),
    ("io.k8s.api.authorization.v1.SubjectAccessReview", describe::<authorization::v1::SubjectAccessReview>),
    ("io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler", describe::<autoscaling::v1::HorizontalPodAutoscaler>),
    ("io.k8s.api.autoscaling.v1.Scale", describe::<autoscaling::v1::Scale>),
    ("io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler", describe::<autoscaling::v2::HorizontalPodAutoscaler>),
    ("io.k8s.api.batch.v1.CronJob", describe::<batch::v1::CronJob>),
    ("io.k8s.api.batch.v1.Job", describe::<batch::v1::Job>),
    ("io.k8s.api.certificates.v1.CertificateSigningRequest", describe::<certificates::v1::CertificateSigningRequest>),
    ("io.k8s.api.certificates.v1.ClusterTrustBundle", describe::<certificates::v1::ClusterTrustBundle>),
    ("io.k8s.api.certificates.v1.PodCertificateRequest", describe::<certificates::v1::PodCertificateRequest>),
    ("io.k8s.api.coordination.v1.Lease", describe::<coordination::v1::Lease>),
    ("io.k8s.api.core.v1.Binding", describe::<core::v1::Binding>),
    ("io.k8s.api.core.v1.ComponentStatus", describe::<core::v1::ComponentStatus>),
    ("io.k8s.api.core.v1.ConfigMap", describe::<core::v1::ConfigMap>),
    ("io.k8s.api.core.v1.Endpoints", describe::<core::v1::Endpoints>),
    ("io.k8s.api.core.v1.Event", describe::<core::v1::Event>),
    ("io.k8s.api.core.v1.LimitRange", describe::<core::v1::LimitRange>),
    ("io.k8s.api.core.v1.Namespace", describe::<core::v1::Namespace>),
    ("io.k8s.api.core.v1.Node", describe::<core::v1::Node>),
    ("io.k8s.api.core.v1.PersistentVolume", describe::<core::v1::PersistentVolume>),
    ("io.k8s.api.core.v1.PersistentVolumeClaim", describe::<core::v1::PersistentVolumeClaim>),
    ("io.k8s.api.core.v1.Pod", describe::<core::v1::Pod>),
    ("io.k8s.api.core.v1.PodTemplate", describe::<core::v1::PodTemplate>),
    ("io.k8s.api.core.v1.ReplicationController", describe::<core::v1::ReplicationController>),
    ("io.k8s.api.core.v1.ResourceQuota", describe::<core::v1::ResourceQuota>),
    ("io.k8s.api.core.v1.Secret", describe::<core::v1::Secret>),
    ("io.k8s.api.core.v1.Service", describe::<core::v1::Service>),
    ("io.k8s.api.core.v1.ServiceAccount", describe::<core::v1::ServiceAccount>),
    ("io.k8s.api.discovery.v1.EndpointSlice", describe::<discovery::v1::EndpointSlice>),
    ("io.k8s.api.events.v1.Event", describe::<events::v1::Event>),
    ("io.k8s.api.flowcontrol.v1.FlowSchema", describe::<flowcontrol::v1::FlowSchema>),
    ("io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration", describe::<flowcontrol::v1::PriorityLevelConfiguration>),
    ("io.k8s.api.networking.v1.IPAddress", describe::<networking::v1::IPAddress>),
    ("io.k8s.api.networking.v1.Ingress", describe::<networking::v1::Ingress>),
    ("io.k8s.api.networking.v1.IngressClass", describe::<networking::v1::IngressClass>),
    ("io.k8s.api.networking.v1.NetworkPolicy", describe::<networking::v1::NetworkPolicy>),
    ("io.k8s.api.networking.v1.ServiceCIDR", describe::<networking::v1::ServiceCIDR>),
    ("io.k8s.api.node.v1.RuntimeClass", describe::<node::v1::RuntimeClass>),
    ("io.k8s.api.policy.v1.Eviction", describe::<policy::v1::Eviction>),
    ("io.k8s.api.policy.v1.PodDisruptionBudget", describe::<policy::v1::PodDisruptionBudget>),
    ("io.k8s.api.rbac.v1.ClusterRole", describe::<rbac::v1::ClusterRole>),
    ("io.k8s.api.rbac.v1.ClusterRoleBinding", describe::<rbac::v1::ClusterRoleBinding>),
    ("io.k8s.api.rbac.v1.Role", describe::<rbac::v1::Role>),
    ("io.k8s.api.rbac.v1.RoleBinding", describe::<rbac::v1::RoleBinding>),
    ("io.k8s.api.resource.v1.DeviceClass", describe::<resource::v1::DeviceClass>),
    ("io.k8s.api.resource.v1.DeviceTaintRule", describe::<resource::v1::DeviceTaintRule>),
    ("io.k8s.api.resource.v1.ResourceClaim", describe::<resource::v1::ResourceClaim>),
    ("io.k8s.api.resource.v1.ResourceClaimTemplate", describe::<resource::v1::ResourceClaimTemplate>),
    ("io.k8s.api.resource.v1.ResourceSlice", describe::<resource::v1::ResourceSlice>),
    ("io.k8s.api.scheduling.v1.PriorityClass", describe::<scheduling::v1::PriorityClass>),
    ("io.k8s.api.storage.v1.CSIDriver", describe::<storage::v1::CSIDriver>),
    ("io.k8s.api.storage.v1.CSINode", describe::<storage::v1::CSINode>),
    ("io.k8s.api.storage.v1.CSIStorageCapacity", describe::<storage::v1::CSIStorageCapacity>),
    ("io.k8s.api.storage.v1.StorageClass", describe::<storage::v1::StorageClass>),
    ("io.k8s.api.storage.v1.VolumeAttachment", describe::<storage::v1::VolumeAttachment>),
    ("io.k8s.api.storage.v1.VolumeAttributesClass", describe::<storage::v1::VolumeAttributesClass>),
    (
        "io.k8s.api.storagemigration.v1.StorageVersionMigration",
        describe::<storagemigration::v1::StorageVersionMigration>,
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
        describe::<apiextensions::v1::CustomResourceDefinition>,
    ),
    ("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService", describe::<apiregistration::v1::APIService>),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", describe::<meta::v1::DeleteOptions>),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta", describe::<meta::v1::ListMeta>),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", describe::<meta::v1::ObjectMeta>),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Status", describe::<meta::v1::Status>),
];

/// JSON schemas, with descriptions, of those of the named types that have some and of all that they refer to.
pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, Value> {
    let mut generator = SchemaGenerator::new(SchemaSettings::default());
    for name in names {
        if let Some((_, describe)) = ROOTS.iter().find(|(root, _)| *root == name) {
            describe(&mut generator);
        }
    }
    generator.take_definitions(false).into_iter().collect()
}
