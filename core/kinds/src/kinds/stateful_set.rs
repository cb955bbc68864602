//! StatefulSets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume};
use serde_json::{Map, Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path, quote, shown};
use crate::kinds::{persistent_volume_claim, pod, share, workload};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, IMMUTABLE, non_negative};
use crate::tree::{child_or_new, children, fill, int_at, keep, list_at, set_default, str_at};
use crate::typed;

/// The row of `StatefulSet`.
pub static STATEFUL_SET: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "StatefulSet",
    plural: "statefulsets",
    singular: "statefulset",
    version_of: None,
    short_names: &["sts"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[
        Subresource {
            name: "scale",
            group_version: Some(("autoscaling", "v1")),
            kind: "Scale",
            schema: "io.k8s.api.autoscaling.v1.Scale",
            verbs: STATUS_VERBS,
        },
        Subresource {
            name: "status",
            group_version: None,
            kind: "StatefulSet",
            schema: "io.k8s.api.apps.v1.StatefulSet",
            verbs: STATUS_VERBS,
        },
    ],
    schema: "io.k8s.api.apps.v1.StatefulSet",
    strategy: &StatefulSetStrategy,
    columns: &[
        NAME,
        Column::text("Ready", "Number of the pod with ready state"),
        AGE,
        workload::CONTAINERS,
        workload::IMAGES,
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let count = |pointer| int_at(o, pointer).unwrap_or(0);
    let ready = format!("{}/{}", count("/status/readyReplicas"), count("/spec/replicas"));
    let [containers, images] = workload::container_cells(o, "/spec/template");
    vec![name(o), Value::from(ready), age_of(o, now), containers, images]
}

struct StatefulSetStrategy;

impl Strategy for StatefulSetStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        fill(spec, "podManagementPolicy", "OrderedReady");
        let strategy = child_or_new(spec, "updateStrategy");
        if strategy.get("type").and_then(Value::as_str).unwrap_or_default().is_empty() {
            strategy.insert("type".to_owned(), Value::from("RollingUpdate"));
            child_or_new(strategy, "rollingUpdate");
        }
        if strategy["type"] == "RollingUpdate"
            && let Some(rolling) = strategy.get_mut("rollingUpdate").and_then(Value::as_object_mut)
        {
            set_default(rolling, "partition", 0);
            set_default(rolling, "maxUnavailable", 1);
        }
        let retention = child_or_new(spec, "persistentVolumeClaimRetentionPolicy");
        fill(retention, "whenDeleted", "Retain");
        fill(retention, "whenScaled", "Retain");
        set_default(spec, "replicas", 1);
        set_default(spec, "revisionHistoryLimit", 10);
        children(spec, "volumeClaimTemplates").for_each(default_claim);
        pod::default_template(spec);
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({"replicas": 0, "availableReplicas": 0});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") {
            return check_status(new, old);
        }
        let mut errors = check(new);
        // wire: what may not change is not checked again.
        let kept = ["spec.volumeClaimTemplates", "spec.serviceName"];
        errors.retain(|error| !kept.iter().any(|field| error.path.as_str().starts_with(field)));
        check_kept(new, old, &mut errors);
        errors
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = pod::template_warnings_at(new, old, &["spec", "template"]);
        if int_at(new, "/spec/revisionHistoryLimit").is_some_and(|limit| limit < 0) {
            let text = "a negative value retains all historical revisions; a value >= 0 is recommended";
            warnings.push(format!("spec.revisionHistoryLimit: {text}"));
        }
        warnings
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_label(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

// wire: the claims are written as whole objects.
fn default_claim(claim: &mut Map<String, Value>) {
    claim.insert("kind".to_owned(), Value::from("PersistentVolumeClaim"));
    claim.insert("apiVersion".to_owned(), Value::from("v1"));
    persistent_volume_claim::default_claim(claim);
}

fn check(object: &Value) -> ErrorList {
    // The claims are whole objects of a kind that is not looked at: they are checked apart.
    let mut own = object.clone();
    crate::tree::remove(&mut own["spec"], "volumeClaimTemplates");
    let spec = match typed::whole::<StatefulSet>(&own) {
        Ok(set) => set.spec,
        Err(error) => return vec![error],
    };
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    check_policies(&spec, &path, &mut errors);
    let service = spec.service_name.as_deref().unwrap_or_default();
    if !service.is_empty() {
        rules::each(service, names::dns_label(service), &path.child("serviceName"), &mut errors);
    }
    non_negative(spec.replicas.unwrap_or(0), &path.child("replicas"), &mut errors);
    non_negative(spec.min_ready_seconds.unwrap_or(0), &path.child("minReadySeconds"), &mut errors);
    if let Some(start) = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start) {
        non_negative(start, &path.child("ordinals").child("start"), &mut errors);
    }
    let claims = list_at(object, "/spec/volumeClaimTemplates");
    for (at, claim) in claims.iter().enumerate() {
        let path = path.child("volumeClaimTemplates").index(at).child("spec");
        persistent_volume_claim::check_spec(&claim["spec"], &path, &mut errors);
    }
    let selector = object.pointer("/spec/selector").filter(|s| !s.is_null()).map(|_| &spec.selector);
    let template = with_claims(&spec.template, claims);
    workload::check_stateful_template(selector, &template, object, &mut errors);
    errors
}

/// The template with the volumes that its pods get for the claims.
fn with_claims(template: &PodTemplateSpec, claims: &[Value]) -> PodTemplateSpec {
    let mut template = template.clone();
    let Some(pod) = template.spec.as_mut().filter(|_| !claims.is_empty()) else { return template };
    let name = |claim: &Value| str_at(claim, "/metadata/name").to_owned();
    let claimed: BTreeMap<String, Volume> = claims
        .iter()
        .map(|claim| {
            let source = PersistentVolumeClaimVolumeSource { claim_name: name(claim), read_only: None };
            let volume = Volume { name: name(claim), persistent_volume_claim: Some(source), ..Volume::default() };
            (name(claim), volume)
        })
        .collect();
    let own = pod.volumes.take().unwrap_or_default().into_iter().filter(|v| !claimed.contains_key(&v.name));
    let own: Vec<Volume> = own.collect();
    pod.volumes = Some(claimed.into_values().chain(own).collect());
    template
}

fn check_policies(spec: &StatefulSetSpec, path: &Path, errors: &mut ErrorList) {
    let management = path.child("podManagementPolicy");
    match spec.pod_management_policy.as_deref().unwrap_or_default() {
        "" => errors.push(FieldError::required(&management, "")),
        "OrderedReady" | "Parallel" => {}
        other => errors.push(FieldError::invalid(&management, other, "must be 'OrderedReady' or 'Parallel'")),
    }
    let strategy_path = path.child("updateStrategy");
    let strategy = spec.update_strategy.clone().unwrap_or_default();
    let rolling = strategy.rolling_update.as_ref();
    match strategy.type_.as_deref().unwrap_or_default() {
        "" => errors.push(FieldError::required(&strategy_path, "")),
        "OnDelete" => {
            if let Some(rolling) = rolling {
                let (path, value) = (strategy_path.child("rollingUpdate"), show_rolling(rolling));
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(FieldError::invalid_shown(&path, &value, detail));
            }
        }
        "RollingUpdate" => {
            if let Some(rolling) = rolling {
                check_rolling(rolling, &strategy_path.child("rollingUpdate"), errors);
            }
        }
        other => {
            let rolling = rolling.map_or_else(|| "null".to_owned(), show_rolling);
            let value = format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", quote(other));
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            errors.push(FieldError::invalid_shown(&strategy_path, &value, detail));
        }
    }
    let retention_path = path.child("persistentVolumeClaimRetentionPolicy");
    let retention = spec.persistent_volume_claim_retention_policy.clone().unwrap_or_default();
    for (field, policy) in [("whenDeleted", retention.when_deleted), ("whenScaled", retention.when_scaled)] {
        rules::one_of(&policy.unwrap_or_default(), &["Retain", "Delete"], &retention_path.child(field), errors);
    }
}

fn check_rolling(rolling: &RollingUpdateStatefulSetStrategy, path: &Path, errors: &mut ErrorList) {
    non_negative(rolling.partition.unwrap_or(0), &path.child("partition"), errors);
    let path = path.child("maxUnavailable");
    let unavailable = rolling.max_unavailable.as_ref();
    share::check(unavailable, &path, errors);
    share::check_whole(unavailable, &path, errors);
    if let Some(value) = unavailable.filter(|_| share::number(unavailable) == 0) {
        errors.push(FieldError::invalid(&path, json!(value), "cannot be 0"));
    }
}

/// The rolling part of a strategy, as error messages show it.
fn show_rolling(rolling: &RollingUpdateStatefulSetStrategy) -> String {
    let partition = rolling.partition.map_or_else(|| "null".to_owned(), |partition| partition.to_string());
    let unavailable = shown(&json!(rolling.max_unavailable));
    format!("{{\"Partition\":{partition},\"MaxUnavailable\":{unavailable}}}")
}

/// Fields of the spec that stay, besides the selector.
const KEPT: [&str; 3] = ["serviceName", "podManagementPolicy", "volumeClaimTemplates"];

fn check_kept(new: &Value, old: &Value, errors: &mut ErrorList) {
    workload::check_same_selector(new, old, errors);
    for field in KEPT {
        let (now, before) = (new["spec"].get(field), old["spec"].get(field));
        if now != before {
            let text = match now {
                None if field == "serviceName" => "\"\"".to_owned(),
                None => "[]".to_owned(),
                Some(now) => shown(now),
            };
            errors.push(FieldError::invalid_shown(&Path::new("spec").child(field), &text, IMMUTABLE));
        }
    }
}

fn check_status(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let counts =
        ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas", "observedGeneration"];
    let parts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    workload::check_counts(new, &counts, &parts, &mut errors);
    for error in errors.iter_mut().filter(|error| error.message.ends_with("greater than readyReplicas")) {
        error.message = error.message.replace("than readyReplicas", "than status.readyReplicas");
    }
    workload::check_collisions(new, old, &mut errors);
    errors
}
