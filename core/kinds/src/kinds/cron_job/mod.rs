//! CronJobs.

mod schedule;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::{Value, json};

use crate::age;
use crate::columns::{AGE, NAME, age_of, name, or_none};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::{job, pod, workload};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, non_negative};
use crate::selector;
use crate::tree::{child, child_or_new, fill, keep, list_at, set_default, str_at, text};
use crate::typed;

/// The row of `CronJob`.
pub static CRON_JOB: Kind = Kind {
    group: "batch",
    version: "v1",
    kind: "CronJob",
    plural: "cronjobs",
    singular: "cronjob",
    version_of: None,
    short_names: &["cj"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "CronJob",
        schema: "io.k8s.api.batch.v1.CronJob",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.batch.v1.CronJob",
    strategy: &CronJobStrategy,
    columns: &[
        NAME,
        Column::field("Schedule", "io.k8s.api.batch.v1.CronJobSpec.schedule"),
        Column::field("Timezone", "io.k8s.api.batch.v1.CronJobSpec.timeZone"),
        Column { kind: "boolean", ..Column::field("Suspend", "io.k8s.api.batch.v1.CronJobSpec.suspend") },
        Column::field("Active", "io.k8s.api.batch.v1.CronJobStatus.active").integer(),
        Column::field("Last Schedule", "io.k8s.api.batch.v1.CronJobStatus.lastScheduleTime"),
        AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        Column::field("Selector", "io.k8s.api.batch.v1.JobSpec.selector").wide(),
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let suspend = match o.pointer("/spec/suspend").and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    let last = match age::moment(o, "/status/lastScheduleTime") {
        Some(then) => age::between(then, now),
        None => "<none>".to_owned(),
    };
    let [containers, images] = workload::container_cells(o, "/spec/jobTemplate/spec/template");
    let selector = o.pointer("/spec/jobTemplate/spec/selector").map_or_else(String::new, selector::describe);
    vec![
        name(o),
        Value::from(str_at(o, "/spec/schedule")),
        or_none(text(o, "/spec/timeZone")),
        Value::from(suspend),
        Value::from(list_at(o, "/status/active").len()),
        Value::from(last),
        age_of(o, now),
        containers,
        images,
        or_none(selector),
    ]
}

struct CronJobStrategy;

impl Strategy for CronJobStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        fill(spec, "concurrencyPolicy", "Allow");
        set_default(spec, "suspend", false);
        set_default(spec, "successfulJobsHistoryLimit", 3);
        set_default(spec, "failedJobsHistoryLimit", 1);
        if let Some(template) = child(spec, "jobTemplate") {
            let job = child_or_new(template, "spec");
            // The scheduling of a whole Job is not served.
            job.remove("scheduling");
            pod::default_template(job);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, _old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") { ErrorList::new() } else { check(new) }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings: Vec<String> = pod::name_warning(new).filter(|_| old.is_none()).into_iter().collect();
        warnings.extend(pod::template_warnings_at(new, old, &["spec", "jobTemplate", "spec", "template"]));
        warnings
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

/// A Job's name is that of its CronJob, a dash and the minute of its start.
const NAME_MAX: usize = 52;

fn check(object: &Value) -> ErrorList {
    let cron = match typed::whole::<CronJob>(object) {
        Ok(cron) => cron,
        Err(error) => return vec![error],
    };
    let spec = cron.spec;
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    if let Some(job) = &spec.job_template.spec {
        let path = path.child("jobTemplate").child("spec");
        job::check_template_spec(job, &path, &mut errors);
        if job.selector.is_some() {
            let shown = rules::show_selector(object.pointer("/spec/jobTemplate/spec/selector").unwrap_or(&Value::Null));
            errors.push(FieldError::invalid_shown(
                &path.child("selector"),
                &shown,
                "`selector` will be auto-generated",
            ));
        }
        if job.manual_selector == Some(true) {
            errors.push(FieldError::not_supported(&path.child("manualSelector"), true, &["nil", "false"]));
        }
    }
    if spec.schedule.is_empty() {
        errors.push(FieldError::required(&path.child("schedule"), ""));
    } else {
        schedule::check(&spec.schedule, &path.child("schedule"), &mut errors);
    }
    if let Some(seconds) = spec.starting_deadline_seconds {
        non_negative(seconds, &path.child("startingDeadlineSeconds"), &mut errors);
    }
    if let Some(zone) = spec.time_zone.as_deref() {
        schedule::check_zone(zone, &path.child("timeZone"), &mut errors);
    }
    let policy = spec.concurrency_policy.as_deref().unwrap_or_default();
    let known = ["Allow", "Forbid", "Replace"];
    rules::required_one_of(policy, &known, &path.child("concurrencyPolicy"), &mut errors);
    let mut limit = |field: &str, value: Option<i32>| {
        non_negative(value.unwrap_or(0), &path.child(field), &mut errors);
    };
    limit("successfulJobsHistoryLimit", spec.successful_jobs_history_limit);
    limit("failedJobsHistoryLimit", spec.failed_jobs_history_limit);
    let name = str_at(object, "/metadata/name");
    if name.len() > NAME_MAX {
        let detail = format!("must be no more than {NAME_MAX} characters");
        errors.push(FieldError::invalid(&Path::new("metadata").child("name"), name, detail));
    }
    errors
}
