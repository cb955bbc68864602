//! Descriptions of types and fields, from the k8s-openapi crate.

use std::collections::BTreeMap;

use k8s_openapi::api::{apps, authentication, authorization, autoscaling, coordination, core, discovery, policy, rbac};
use k8s_openapi::apimachinery::pkg::apis::meta;
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
    ("io.k8s.api.apps.v1.Deployment", describe::<apps::v1::Deployment>),
    ("io.k8s.api.apps.v1.ReplicaSet", describe::<apps::v1::ReplicaSet>),
    ("io.k8s.api.authentication.v1.SelfSubjectReview", describe::<authentication::v1::SelfSubjectReview>),
    ("io.k8s.api.authentication.v1.TokenRequest", describe::<authentication::v1::TokenRequest>),
    ("io.k8s.api.authentication.v1.TokenReview", describe::<authentication::v1::TokenReview>),
    ("io.k8s.api.authorization.v1.LocalSubjectAccessReview", describe::<authorization::v1::LocalSubjectAccessReview>),
    ("io.k8s.api.authorization.v1.SelfSubjectAccessReview", describe::<authorization::v1::SelfSubjectAccessReview>),
    ("io.k8s.api.authorization.v1.SelfSubjectRulesReview", describe::<authorization::v1::SelfSubjectRulesReview>),
    ("io.k8s.api.authorization.v1.SubjectAccessReview", describe::<authorization::v1::SubjectAccessReview>),
    ("io.k8s.api.autoscaling.v1.Scale", describe::<autoscaling::v1::Scale>),
    ("io.k8s.api.coordination.v1.Lease", describe::<coordination::v1::Lease>),
    ("io.k8s.api.core.v1.Binding", describe::<core::v1::Binding>),
    ("io.k8s.api.core.v1.ConfigMap", describe::<core::v1::ConfigMap>),
    ("io.k8s.api.core.v1.Event", describe::<core::v1::Event>),
    ("io.k8s.api.core.v1.Namespace", describe::<core::v1::Namespace>),
    ("io.k8s.api.core.v1.Node", describe::<core::v1::Node>),
    ("io.k8s.api.core.v1.Pod", describe::<core::v1::Pod>),
    ("io.k8s.api.core.v1.Secret", describe::<core::v1::Secret>),
    ("io.k8s.api.core.v1.Service", describe::<core::v1::Service>),
    ("io.k8s.api.core.v1.ServiceAccount", describe::<core::v1::ServiceAccount>),
    ("io.k8s.api.discovery.v1.EndpointSlice", describe::<discovery::v1::EndpointSlice>),
    ("io.k8s.api.policy.v1.Eviction", describe::<policy::v1::Eviction>),
    ("io.k8s.api.rbac.v1.ClusterRole", describe::<rbac::v1::ClusterRole>),
    ("io.k8s.api.rbac.v1.ClusterRoleBinding", describe::<rbac::v1::ClusterRoleBinding>),
    ("io.k8s.api.rbac.v1.Role", describe::<rbac::v1::Role>),
    ("io.k8s.api.rbac.v1.RoleBinding", describe::<rbac::v1::RoleBinding>),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", describe::<meta::v1::DeleteOptions>),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta", describe::<meta::v1::ListMeta>),
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
