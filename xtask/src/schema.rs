//! Writes the table of built-in types from an upstream API description: facts only, no prose.
//!
//! Three sources are joined: the OpenAPI v2 document (fields, list types, patch rules), protobuf facts (numbers) and
//! measured facts (Go types and zero values, which no description says). The format is that of `gantry_schema`'s
//! table module.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Types whose reach is written: the bodies of all served kinds and subresources, and what the API itself speaks.
const ROOTS: &[&str] = &[
    "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy",
    "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
    "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
    "io.k8s.api.apps.v1.ControllerRevision",
    "io.k8s.api.apps.v1.DaemonSet",
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.apps.v1.ReplicaSet",
    "io.k8s.api.apps.v1.StatefulSet",
    "io.k8s.api.authentication.v1.SelfSubjectReview",
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.authentication.v1.TokenReview",
    "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    "io.k8s.api.authorization.v1.SubjectAccessReview",
    "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "io.k8s.api.batch.v1.CronJob",
    "io.k8s.api.batch.v1.Job",
    "io.k8s.api.certificates.v1.CertificateSigningRequest",
    "io.k8s.api.certificates.v1.ClusterTrustBundle",
    "io.k8s.api.certificates.v1.PodCertificateRequest",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.core.v1.Binding",
    "io.k8s.api.core.v1.ComponentStatus",
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Endpoints",
    "io.k8s.api.core.v1.Event",
    "io.k8s.api.core.v1.LimitRange",
    "io.k8s.api.core.v1.Namespace",
    "io.k8s.api.core.v1.Node",
    "io.k8s.api.core.v1.PersistentVolume",
    "io.k8s.api.core.v1.PersistentVolumeClaim",
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.core.v1.PodTemplate",
    "io.k8s.api.core.v1.ReplicationController",
    "io.k8s.api.core.v1.ResourceQuota",
    "io.k8s.api.core.v1.Secret",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.core.v1.ServiceAccount",
    "io.k8s.api.discovery.v1.EndpointSlice",
    "io.k8s.api.events.v1.Event",
    "io.k8s.api.flowcontrol.v1.FlowSchema",
    "io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
    "io.k8s.api.networking.v1.IPAddress",
    "io.k8s.api.networking.v1.Ingress",
    "io.k8s.api.networking.v1.IngressClass",
    "io.k8s.api.networking.v1.NetworkPolicy",
    "io.k8s.api.networking.v1.ServiceCIDR",
    "io.k8s.api.node.v1.RuntimeClass",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
    "io.k8s.api.rbac.v1.ClusterRole",
    "io.k8s.api.rbac.v1.ClusterRoleBinding",
    "io.k8s.api.rbac.v1.Role",
    "io.k8s.api.rbac.v1.RoleBinding",
    "io.k8s.api.resource.v1.DeviceClass",
    "io.k8s.api.resource.v1.DeviceTaintRule",
    "io.k8s.api.resource.v1.ResourceClaim",
    "io.k8s.api.resource.v1.ResourceClaimTemplate",
    "io.k8s.api.resource.v1.ResourceSlice",
    "io.k8s.api.scheduling.v1.PriorityClass",
    "io.k8s.api.storage.v1.CSIDriver",
    "io.k8s.api.storage.v1.CSINode",
    "io.k8s.api.storage.v1.CSIStorageCapacity",
    "io.k8s.api.storage.v1.StorageClass",
    "io.k8s.api.storage.v1.VolumeAttachment",
    "io.k8s.api.storage.v1.VolumeAttributesClass",
    "io.k8s.api.storagemigration.v1.StorageVersionMigration",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList",
    "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList",
    "io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent",
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
];

/// Definitions that are a kind of value, not a struct, with their letter in the table.
const SPECIAL: &[(&str, &str)] = &[
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "t"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "u"),
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", "q"),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "o"),
];

/// Definitions of objects that may hold anything.
const ANY: &[&str] = &["io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "io.k8s.apimachinery.pkg.runtime.RawExtension"];

/// The parsed sources.
pub struct Sources {
    definitions: BTreeMap<String, Value>,
    /// Message name with its package, then field: the number.
    numbers: BTreeMap<(String, String), u32>,
    /// Type and field: the other columns.
    measured: BTreeMap<(String, String), Vec<String>>,
}

impl Sources {
    /// Reads the three files.
    pub fn read(swagger: &Path, protobuf: &Path, measured: &Path) -> Result<Self> {
        let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
        let mut document: Value = serde_json::from_str(&read(swagger)?).context("parsing the OpenAPI document")?;
        let definitions = match document["definitions"].take() {
            Value::Object(map) => map.into_iter().collect(),
            _ => bail!("{} has no definitions", swagger.display()),
        };
        let mut numbers = BTreeMap::new();
        for line in read(protobuf)?.lines().filter(|l| !l.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            if let [package, message, field, number, ..] = columns[..]
                && let Ok(number) = number.parse()
            {
                // One field, `uID`, is cased differently there.
                numbers.insert((format!("{package}.{message}"), field.to_ascii_lowercase()), number);
            }
        }
        let mut facts = BTreeMap::new();
        for line in read(measured)?.lines().filter(|l| !l.starts_with('#')) {
            let mut columns = line.split('\t').map(str::to_owned);
            if let (Some(name), Some(field)) = (columns.next(), columns.next()) {
                facts.insert((name, field), columns.collect());
            }
        }
        Ok(Sources { definitions, numbers, measured: facts })
    }

    /// The table as text.
    pub fn table(&self) -> Result<String> {
        let mut reached = BTreeSet::new();
        for root in ROOTS {
            self.reach(root, &mut reached);
            let list = format!("{root}List");
            if self.definitions.contains_key(&list) {
                self.reach(&list, &mut reached);
            }
        }
        let mut out = String::from("# Written by `cargo run -p xtask -- schema`; do not edit. Facts only.\n");
        for name in &reached {
            self.write_type(&mut out, name)?;
        }
        Ok(out)
    }

    /// Whether a definition is a struct: one without fields is, and what may hold anything is not.
    fn is_struct(&self, name: &str) -> bool {
        let structured = |d: &Value| d["properties"].is_object() || (d["type"] == "object" && !ANY.contains(&name));
        let special = SPECIAL.iter().any(|(special, _)| *special == name);
        !special && self.definitions.get(name).is_some_and(structured)
    }

    fn reach(&self, name: &str, reached: &mut BTreeSet<String>) {
        if !self.is_struct(name) || !reached.insert(name.to_owned()) {
            return;
        }
        for property in self.definitions[name]["properties"].as_object().into_iter().flat_map(|all| all.values()) {
            let mut at = property;
            loop {
                if let Some(target) = reference(at) {
                    self.reach(target, reached);
                }
                at = match (at.get("items"), at.get("additionalProperties")) {
                    (Some(inner), _) | (None, Some(inner)) => inner,
                    (None, None) => break,
                };
            }
        }
    }

    fn write_type(&self, out: &mut String, name: &str) -> Result<()> {
        let definition = &self.definitions[name];
        let atomic = if definition["x-kubernetes-map-type"] == "atomic" { "atomic" } else { "" };
        let text = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
        // A type that is the body of some kind in every group (DeleteOptions) is written without them.
        let kinds: Vec<String> = definition["x-kubernetes-group-version-kind"]
            .as_array()
            .filter(|kinds| kinds.len() == 1)
            .into_iter()
            .flatten()
            .map(|k| format!("{}/{}/{}", text(k, "group"), text(k, "version"), text(k, "kind")))
            .collect();
        writeln!(out, "T\t{name}\t{atomic}\t{}", kinds.join(" "))?;
        let required: Vec<&str> =
            definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (field, property) in definition["properties"].as_object().into_iter().flatten() {
            let measured = self.measured.get(&(name.to_owned(), field.clone())).map_or(&[][..], Vec::as_slice);
            let fact = |at: usize| measured.get(at).map_or("", String::as_str);
            let columns = [
                field.as_str(),
                &self.shape(property).with_context(|| format!("{name}.{field}"))?,
                &self.protobuf_numbers(name, field, fact(2)),
                if required.contains(&field.as_str()) { "required" } else { "" },
                &topology(property),
                &patch_rule(property),
                fact(0),
                fact(1),
                fact(2),
                fact(3),
                fact(4),
                fact(5),
            ];
            writeln!(out, "F\t{}", columns.join("\t").trim_end_matches('\t'))?;
        }
        Ok(())
    }

    fn shape(&self, property: &Value) -> Result<String> {
        if let Some(target) = reference(property) {
            if let Some((_, letter)) = SPECIAL.iter().find(|(name, _)| *name == target) {
                return Ok((*letter).to_owned());
            }
            return Ok(if self.is_struct(target) { format!("@{target}") } else { "*".to_owned() });
        }
        let format = property["format"].as_str().unwrap_or_default();
        Ok(match (property["type"].as_str().unwrap_or_default(), format) {
            ("string", "byte") => "y".to_owned(),
            ("string", _) => "s".to_owned(),
            ("integer", "int64") => "l".to_owned(),
            ("integer", _) => "i".to_owned(),
            ("number", _) => "d".to_owned(),
            ("boolean", _) => "b".to_owned(),
            ("array", _) => format!("[{}", self.shape(&property["items"])?),
            ("object", _) if property["additionalProperties"].is_object() => {
                format!("{{{}", self.shape(&property["additionalProperties"])?)
            }
            ("object", _) | ("", _) => "*".to_owned(),
            (other, _) => bail!("type {other} is not known"),
        })
    }

    /// `number`, or `embedded.number` where the field belongs to an embedded message, and so on inwards.
    fn protobuf_numbers(&self, type_name: &str, field: &str, embedded: &str) -> String {
        let mut message = message(type_name);
        let mut numbers = Vec::new();
        for parent in embedded.split('.').filter(|parent| !parent.is_empty()) {
            let mut name = parent.to_owned();
            if let Some(first) = name.get_mut(0..1) {
                first.make_ascii_lowercase();
            }
            // wire: Probe embeds ProbeHandler under its older name.
            numbers.push(self.number(&message, &name).or_else(|| self.number(&message, "handler")));
            message = message.rsplit_once('.').map(|(package, _)| format!("{package}.{parent}")).unwrap_or_default();
        }
        numbers.push(self.number(&message, field));
        let numbers: Option<Vec<String>> = numbers.into_iter().collect();
        numbers.unwrap_or_default().join(".")
    }

    fn number(&self, message: &str, field: &str) -> Option<String> {
        // wire: `$ref` and `x-kubernetes-list-type` are called `ref` and `xKubernetesListType` there.
        let field = field.replace(['$', '-'], "").to_ascii_lowercase();
        self.numbers.get(&(message.to_owned(), field)).map(ToString::to_string)
    }
}

/// The protobuf message of a type.
fn message(type_name: &str) -> String {
    let rest = type_name.trim_start_matches("io.k8s.");
    match rest.split_once('.') {
        // wire: the packages of the types that live beside the API have underscores where OpenAPI has dashes.
        Some((place @ ("apiextensions-apiserver" | "kube-aggregator"), inner)) => {
            format!("k8s.io.{}.{inner}", place.replace('-', "_"))
        }
        _ => format!("k8s.io.{rest}"),
    }
}

fn reference(property: &Value) -> Option<&str> {
    property["$ref"].as_str()?.strip_prefix("#/definitions/")
}

fn topology(property: &Value) -> String {
    if property["x-kubernetes-map-type"] == "atomic" {
        return "atomic".to_owned();
    }
    match property["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            let keys: Vec<&str> = property["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            format!("map:{}", keys.join(","))
        }
        Some(other) => other.to_owned(),
        None => String::new(),
    }
}

fn patch_rule(property: &Value) -> String {
    let strategy = property["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
    match property["x-kubernetes-patch-merge-key"].as_str() {
        Some(key) => format!("{strategy}:{key}"),
        None => strategy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The directory is named by GANTRY_UPSTREAM_DATA; without it there is nothing to compare with.
    #[test]
    fn committed_table_is_up_to_date() {
        let Some(directory) = std::env::var_os("GANTRY_UPSTREAM_DATA") else {
            eprintln!("skipped: GANTRY_UPSTREAM_DATA names no directory with swagger.json and protobuf-fields.tsv");
            return;
        };
        let directory = Path::new(&directory);
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/schema/data");
        let sources = Sources::read(
            &directory.join("swagger.json"),
            &directory.join("protobuf-fields.tsv"),
            &data.join("measured.tsv"),
        )
        .expect("sources");
        let committed = std::fs::read_to_string(data.join("types.tsv")).expect("types.tsv");
        assert!(sources.table().expect("table") == committed, "types.tsv is out of date: run xtask schema");
    }
}
