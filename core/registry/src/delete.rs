//! DELETE: preconditions, grace, finalizers; the object is removed once nothing holds it any more.

use gantry_kinds::{CUSTOM_RESOURCE_DEFINITION, JOB, KindRef, NAMESPACE, REPLICATION_CONTROLLER, SERVICE, Status};
use gantry_view::Object;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::case::{Case, Refusal, seconds};
use crate::commit::Draft;
use crate::request::{Decision, DeleteOptions};
use crate::{admission, definition, meta, refuse, service};

/// Holds an owner until its dependents have been let go.
const ORPHAN: &str = "orphan";
/// Holds an owner until its dependents are gone.
const FOREGROUND: &str = "foregroundDeletion";

/// Kinds of the core group whose deletions answer with the object.
const SHOWN: [&str; 7] = [
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "resourcequotas",
    "serviceaccounts",
    "services",
];
/// wire: said to whoever does not say what is to become of a job's pods.
const PODS_ARE_LEFT: &str = "child pods are preserved by default when jobs are deleted; set \
    propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

pub(crate) fn decide(case: &Case<'_>, options: &DeleteOptions) -> Result<Decision, Refusal> {
    let old = case.existing()?;
    check_options(options)?;
    preconditions(case, old, options)?;
    admission::delete(case, old)?;
    let value = case.value(old)?;
    let warnings = admission::check_delete(case, &value)?;
    Ok(delete(case, old, value, options)?.warning(warnings))
}

/// Deletes `old`, of which `object` is the value, perhaps with changes that are to be stored along.
pub(crate) fn delete(
    case: &Case<'_>,
    old: &Object,
    mut object: Value,
    options: &DeleteOptions,
) -> Result<Decision, Refusal> {
    collect_finalizers(old.key().kind, &mut object, options);
    if old.key().kind == &NAMESPACE {
        return delete_namespace(case, old, object);
    }
    if old.key().kind == &CUSTOM_RESOURCE_DEFINITION && old.header.deleted.is_none() {
        return delete_definition(case, old, object);
    }
    let graceful = grace(case, old, &mut object, options);
    let held = !meta::texts(&object, "finalizers").is_empty();
    if !graceful && held && old.header.deleted.is_none() {
        let generation = old.header.generation;
        let meta = meta::of(&mut object);
        if generation > 0 {
            meta.insert("generation".to_owned(), (generation + 1).into());
        }
        meta.insert("deletionTimestamp".to_owned(), case.now().into());
        meta.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
        if generation > 0 {
            meta.insert("generation".to_owned(), (generation + 1).into());
        }
    }
    let left = object["metadata"].get("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or_default();
    let mut draft = Draft::default();
    if old.key().kind == &JOB && options.propagation.is_none() {
        draft.warnings.push(PODS_ARE_LEFT.to_owned());
    }
    if held || left > 0 {
        return draft.save(case, Some(old), object);
    }
    Ok(removed(case, old, object, draft))
}

fn removed(case: &Case<'_>, old: &Object, object: Value, mut draft: Draft) -> Decision {
    let kind = old.key().kind;
    if kind == &SERVICE {
        service::release(case, &object, &mut draft);
    }
    let reply = if is_shown(kind) { object } else { gone(case.kind(), old) };
    draft.remove(case, old, reply)
}

/// wire: some kinds answer with the object that is gone, all others with a Status.
fn is_shown(kind: KindRef) -> bool {
    match kind.group {
        "" => SHOWN.contains(&kind.plural),
        "storage.k8s.io" => kind.plural != "csistoragecapacities",
        group => group == "resource.k8s.io" && kind.plural != "devicetaintrules",
    }
}

fn gone(kind: KindRef, old: &Object) -> Value {
    let mut details = json!({"name": old.name(), "kind": kind.plural, "uid": old.uid()});
    if !kind.group.is_empty() {
        details["group"] = kind.group.into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

fn check_options(options: &DeleteOptions) -> Result<(), Refusal> {
    let Some(policy) = options.propagation.as_deref() else { return Ok(()) };
    if matches!(policy, "Orphan" | "Background" | "Foreground") {
        return Ok(());
    }
    let path = gantry_kinds::Path::new("propagationPolicy");
    let supported = ["Foreground", "Background", "Orphan", "nil"];
    let error = gantry_kinds::FieldError::not_supported(&path, policy, &supported);
    Err(refuse::invalid("meta.k8s.io", "DeleteOptions", "", &error))
}

fn preconditions(case: &Case<'_>, old: &Object, options: &DeleteOptions) -> Result<(), Refusal> {
    let revision = old.header.revision.to_string();
    let why = match (&options.uid, &options.revision) {
        (Some(uid), _) if uid != old.uid() => format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            old.uid()
        ),
        (_, Some(given)) if *given != revision => format!(
            "the ResourceVersion in the precondition ({given}) does not match the ResourceVersion in record \
             ({revision}). The object might have been modified"
        ),
        _ => return Ok(()),
    };
    // wire: this refusal names the kind where all others name the resource.
    let kind = case.kind();
    let subject = if kind.group.is_empty() { kind.kind.to_owned() } else { format!("{}.{}", kind.kind, kind.group) };
    let message = format!("Operation cannot be fulfilled on {subject} {:?}: {why}", old.name());
    let mut status = Status::new(409, "Conflict", message).about(kind, old.name());
    status.kind = kind.kind.to_owned();
    Err(status.into())
}

/// Sets or clears the finalizers of the garbage collector as the propagation policy says.
fn collect_finalizers(kind: KindRef, object: &mut Value, options: &DeleteOptions) {
    let now: Vec<String> = meta::texts(object, "finalizers").into_iter().map(str::to_owned).collect();
    let has = |finalizer: &str| now.iter().any(|f| f == finalizer);
    let (orphan, foreground) = match options.propagation.as_deref() {
        Some("Orphan") => (true, false),
        Some("Foreground") => (false, true),
        Some(_) => (false, false),
        // wire: these two are older than the garbage collector, and let go what is theirs.
        None if [&JOB, &REPLICATION_CONTROLLER].contains(&kind) && !has(FOREGROUND) => (true, false),
        None => (has(ORPHAN), has(FOREGROUND)),
    };
    if orphan == has(ORPHAN) && foreground == has(FOREGROUND) {
        return;
    }
    let mut finalizers: Vec<String> = now.iter().filter(|f| *f != ORPHAN && *f != FOREGROUND).cloned().collect();
    finalizers.extend(orphan.then(|| ORPHAN.to_owned()));
    finalizers.extend(foreground.then(|| FOREGROUND.to_owned()));
    if finalizers.is_empty() {
        meta::of(object).remove("finalizers");
    } else {
        meta::of(object).insert("finalizers".to_owned(), finalizers.into());
    }
}

/// Starts or shortens a graceful deletion; says whether the kind has such a thing.
fn grace(case: &Case<'_>, old: &Object, object: &mut Value, options: &DeleteOptions) -> bool {
    let kind = old.key().kind;
    let now = case.context.now;
    let Some(deleted) = old.header.deleted else {
        let Some(period) = kind.strategy.grace_seconds(object, options.grace_seconds) else { return false };
        let generation = old.header.generation;
        let meta = meta::of(object);
        meta.insert("deletionTimestamp".to_owned(), after(now, period).into());
        meta.insert("deletionGracePeriodSeconds".to_owned(), period.into());
        if generation > 0 {
            meta.insert("generation".to_owned(), (generation + 1).into());
        }
        return true;
    };
    let Some(before) = object["metadata"].get("deletionGracePeriodSeconds").and_then(Value::as_i64) else {
        return false;
    };
    let asked = options.grace_seconds.map(|asked| if asked < 0 { 1 } else { asked });
    if let Some(period) = asked.filter(|period| *period < before) {
        let meta = meta::of(object);
        meta.insert("deletionTimestamp".to_owned(), after(deleted, period - before).into());
        meta.insert("deletionGracePeriodSeconds".to_owned(), period.into());
    }
    true
}

fn after(time: Timestamp, seconds_later: i64) -> String {
    seconds(time.checked_add(SignedDuration::from_secs(seconds_later)).unwrap_or(Timestamp::MAX))
}

/// A definition is held until its objects are gone.
fn delete_definition(case: &Case<'_>, old: &Object, mut object: Value) -> Result<Decision, Refusal> {
    definition::hold(case, &mut object);
    meta::of(&mut object).insert("deletionTimestamp".to_owned(), case.now().into());
    Draft::default().save(case, Some(old), object)
}

/// A namespace goes in two steps: first it is marked, then, when its finalizers are gone, removed.
fn delete_namespace(case: &Case<'_>, old: &Object, mut object: Value) -> Result<Decision, Refusal> {
    let held = !gantry_kinds::tree::list_at(&object, "/spec/finalizers").is_empty()
        || !meta::texts(&object, "finalizers").is_empty();
    let draft = Draft::default();
    if !held {
        return Ok(removed(case, old, object, draft));
    }
    if old.header.deleted.is_none() {
        meta::of(&mut object).insert("deletionTimestamp".to_owned(), case.now().into());
        meta::map(&mut object, "status").insert("phase".to_owned(), "Terminating".into());
    }
    draft.save(case, Some(old), object)
}
