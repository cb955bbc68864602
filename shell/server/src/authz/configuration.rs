//! `AuthorizationConfiguration`: read, checked, and made into authorizers.
//!
//! Invariant: a configuration is taken whole or not at all, and what is wrong with it is said in upstream's words.

use std::collections::BTreeSet;
use std::path::{Path as File, PathBuf};
use std::time::Duration;

use gantry_kinds::policies::Expression;
use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{FieldError, Path, names};
use gantry_policy::compile_condition;
use serde_json::Value;

use crate::deadline::duration;

const GROUP: &str = "apiserver.config.k8s.io";
const KIND: &str = "AuthorizationConfiguration";
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];
const TYPES: [&str; 6] = ["ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"];
/// An authorizer outside may take so long at most.
const LONGEST: Duration = Duration::from_secs(30);
/// How long a yes is good for where nothing is said.
pub(super) const ALLOWED_FOR: Duration = Duration::from_secs(300);
/// How long a no is good for where nothing is said.
pub(super) const DENIED_FOR: Duration = Duration::from_secs(30);

/// One authorizer as it was configured.
#[derive(Debug)]
pub(super) struct Entry {
    /// `Node`, `RBAC`, `Webhook`...
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) webhook: Option<Settings>,
}

/// How an authorizer outside is asked.
#[derive(Debug)]
pub(super) struct Settings {
    /// How long a yes is kept; `None` for not at all.
    pub(super) allowed_for: Option<Duration>,
    /// How long a no is kept; `None` for not at all.
    pub(super) denied_for: Option<Duration>,
    pub(super) wait: Duration,
    /// Version of the review that it is sent.
    pub(super) version: String,
    /// Whether what it cannot be asked about is refused.
    pub(super) closed: bool,
    /// The kubeconfig file; `None` for the cluster that this server runs in.
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) conditions: Vec<Expression>,
}

/// Reads a configuration; else all that is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let unreadable = |why: String| format!("failed to load AuthorizationConfiguration from file: {why}");
    let document: Value = match text.trim() {
        "" => Value::Object(serde_json::Map::new()),
        text => serde_saphyr::from_str(text).map_err(|error| unreadable(error.to_string()))?,
    };
    if !text.trim().is_empty() {
        check_version(&document).map_err(unreadable)?;
    }
    let mut unknown = Vec::new();
    known(&document, "", &["apiVersion", "kind", "authorizers"], &mut unknown);
    for (at, entry) in list_at(&document, "/authorizers").iter().enumerate() {
        check_fields(entry, &format!("authorizers[{at}]"), &mut unknown);
    }
    if !unknown.is_empty() {
        return Err(unreadable(format!("strict decoding error: {}", unknown.join(", "))));
    }
    let mut errors = Vec::new();
    let root = Path::new("authorizers");
    let listed = list_at(&document, "/authorizers");
    if listed.is_empty() {
        errors.push(FieldError::required(&root, "at least one authorization mode must be defined"));
    }
    let (mut types, mut names_taken, mut entries) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (at, entry) in listed.iter().enumerate() {
        let path = root.index(at);
        let kind = str_at(entry, "/type");
        if !check_type(kind, &mut types, &path, &mut errors) {
            continue;
        }
        let name = str_at(entry, "/name");
        check_name(name, &mut names_taken, &path, &mut errors);
        let given = entry.get("webhook").filter(|webhook| !webhook.is_null());
        let webhook = match (kind, given) {
            ("Webhook", Some(given)) => settings(given, &path, &mut errors).map_err(unreadable)?,
            ("Webhook", None) => {
                errors.push(FieldError::required(&path.child("webhook"), "required when type=Webhook"));
                None
            }
            (_, Some(_)) => {
                let why = "may only be specified when type=Webhook";
                errors.push(FieldError::invalid(&path.child("webhook"), "non-null", why));
                None
            }
            _ => None,
        };
        entries.push(Entry { kind: kind.to_owned(), name: name.to_owned(), webhook });
    }
    said(&errors)?;
    named(&entries)?;
    Ok(entries)
}

/// All errors in one line.
fn said(errors: &[FieldError]) -> Result<(), String> {
    joined(errors.iter().map(ToString::to_string).collect())
}

fn joined(errors: Vec<String>) -> Result<(), String> {
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

fn check_version(document: &Value) -> Result<(), String> {
    let (version, kind) = (str_at(document, "/apiVersion"), str_at(document, "/kind"));
    if kind.is_empty() {
        return Err("Object 'Kind' is missing in the file".to_owned());
    }
    let known = version.split_once('/').is_some_and(|(group, version)| group == GROUP && VERSIONS.contains(&version));
    if known && kind == KIND {
        return Ok(());
    }
    Err(format!("no kind {kind:?} is registered for version {version:?}"))
}

fn known(value: &Value, path: &str, names: &[&str], unknown: &mut Vec<String>) {
    for key in value.as_object().into_iter().flat_map(|fields| fields.keys()) {
        if !names.contains(&key.as_str()) {
            let dot = if path.is_empty() { "" } else { "." };
            unknown.push(format!("unknown field \"{path}{dot}{key}\""));
        }
    }
}

fn check_fields(entry: &Value, path: &str, unknown: &mut Vec<String>) {
    known(entry, path, &["type", "name", "webhook"], unknown);
    let webhook = &entry["webhook"];
    let fields = [
        "authorizedTTL",
        "cacheAuthorizedRequests",
        "unauthorizedTTL",
        "cacheUnauthorizedRequests",
        "timeout",
        "subjectAccessReviewVersion",
        "matchConditionSubjectAccessReviewVersion",
        "failurePolicy",
        "connectionInfo",
        "matchConditions",
    ];
    known(webhook, &format!("{path}.webhook"), &fields, unknown);
    let connection = &webhook["connectionInfo"];
    known(connection, &format!("{path}.webhook.connectionInfo"), &["type", "kubeConfigFile"], unknown);
    for (at, condition) in list_at(webhook, "/matchConditions").iter().enumerate() {
        known(condition, &format!("{path}.webhook.matchConditions[{at}]"), &["expression"], unknown);
    }
}

/// Whether the type is one that there is, once.
fn check_type<'v>(kind: &'v str, seen: &mut BTreeSet<&'v str>, path: &Path, errors: &mut Vec<FieldError>) -> bool {
    let path = path.child("type");
    if kind.is_empty() {
        errors.push(FieldError::required(&path, ""));
        return false;
    }
    if !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(&path, kind, &TYPES));
        return false;
    }
    if kind != "Webhook" && !seen.insert(kind) {
        errors.push(FieldError::duplicate(&path, kind));
        return false;
    }
    true
}

fn check_name<'v>(name: &'v str, seen: &mut BTreeSet<&'v str>, path: &Path, errors: &mut Vec<FieldError>) {
    let path = path.child("name");
    if name.is_empty() {
        errors.push(FieldError::required(&path, ""));
        return;
    }
    if !seen.insert(name) {
        errors.push(FieldError::duplicate(&path, name));
    }
    let wrong = names::dns_subdomain(name);
    if !wrong.is_empty() {
        errors.push(FieldError::invalid(&path, name, format!("authorizer name is invalid: {}", wrong.join(", "))));
    }
}

/// What is not a webhook goes by its own name, and there is none that reads policy files.
fn named(entries: &[Entry]) -> Result<(), String> {
    let wrong = entries.iter().filter(|entry| entry.kind != "Webhook").filter_map(|entry| {
        let expected = entry.kind.to_lowercase();
        let why = format!("expected name {expected} for authorizer {} instead of {}", entry.kind, entry.name);
        (entry.name != expected).then_some(why)
    });
    joined(wrong.collect())?;
    match entries.iter().any(|entry| entry.kind == "ABAC") {
        true => Err("authorizer ABAC is not supported: bind roles instead (type RBAC)".to_owned()),
        false => Ok(()),
    }
}

/// A time, or `missing` where none is given.
fn time(webhook: &Value, key: &str, missing: Duration) -> Result<Result<Duration, String>, String> {
    let text = match &webhook[key] {
        Value::Null => return Ok(Ok(missing)),
        Value::String(text) => text,
        other => return Err(format!("json: cannot unmarshal {other} into Go struct field .{key} of type string")),
    };
    let nanos = duration(text).ok_or_else(|| format!("time: invalid duration {text:?}"))?;
    Ok(u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| text.clone()))
}

/// Reads `webhook`; an error of its own where the file cannot be read at all.
fn settings(webhook: &Value, path: &Path, errors: &mut Vec<FieldError>) -> Result<Option<Settings>, String> {
    let before = errors.len();
    let wait = time(webhook, "timeout", Duration::ZERO)?;
    match &wait {
        Ok(wait) if wait.is_zero() => errors.push(FieldError::required(&path.child("timeout"), "")),
        Ok(wait) if *wait <= LONGEST => {}
        _ => {
            let shown = str_at(webhook, "/timeout");
            errors.push(FieldError::invalid(&path.child("timeout"), shown, "must be > 0s and <= 30s"));
        }
    }
    let mut kept = Vec::new();
    for (key, flag, missing) in [
        ("authorizedTTL", "cacheAuthorizedRequests", ALLOWED_FOR),
        ("unauthorizedTTL", "cacheUnauthorizedRequests", DENIED_FOR),
    ] {
        let time = time(webhook, key, missing)?;
        if let Err(shown) = &time {
            errors.push(FieldError::invalid(&path.child(key), shown.as_str(), "must be > 0s"));
        }
        let cached = webhook[flag] != Value::Bool(false);
        // A time of nothing is as good as none.
        kept.push(time.ok().map(|time| if time.is_zero() { missing } else { time }).filter(|_| cached));
    }
    one_of(webhook, "subjectAccessReviewVersion", &["v1", "v1beta1"], path, errors);
    let conditions = list_at(webhook, "/matchConditions");
    let key = "matchConditionSubjectAccessReviewVersion";
    match str_at(webhook, &format!("/{key}")) {
        "" if conditions.is_empty() => {}
        "" => errors.push(FieldError::required(&path.child(key), "required if match conditions are specified")),
        "v1" => {}
        other => errors.push(FieldError::not_supported(&path.child(key), other, &["v1"])),
    }
    one_of(webhook, "failurePolicy", &["NoOpinion", "Deny"], path, errors);
    let kubeconfig = connection(&webhook["connectionInfo"], &path.child("connectionInfo"), errors);
    let conditions = compiled(conditions, &path.child("matchConditions"), errors);
    if errors.len() > before {
        return Ok(None);
    }
    Ok(Some(Settings {
        allowed_for: kept[0],
        denied_for: kept[1],
        wait: wait.unwrap_or(LONGEST),
        version: str_at(webhook, "/subjectAccessReviewVersion").to_owned(),
        closed: str_at(webhook, "/failurePolicy") == "Deny",
        kubeconfig,
        conditions,
    }))
}

fn one_of(webhook: &Value, key: &str, wanted: &[&str], path: &Path, errors: &mut Vec<FieldError>) {
    match str_at(webhook, &format!("/{key}")) {
        "" => errors.push(FieldError::required(&path.child(key), "")),
        given if wanted.contains(&given) => {}
        given => errors.push(FieldError::not_supported(&path.child(key), given, wanted)),
    }
}

fn connection(info: &Value, path: &Path, errors: &mut Vec<FieldError>) -> Option<PathBuf> {
    let (file, below) = (str_at(info, "/kubeConfigFile"), path.child("kubeConfigFile"));
    match str_at(info, "/type") {
        "" => errors.push(FieldError::required(&path.child("type"), "")),
        "KubeConfigFile" => match file {
            "" => errors.push(FieldError::required(&below, "")),
            file => {
                if let Err(why) = check_file(File::new(file)) {
                    errors.push(FieldError::invalid(&below, file, why));
                }
                return Some(PathBuf::from(file));
            }
        },
        "InClusterConfig" if !file.is_empty() => {
            errors.push(FieldError::invalid(&below, file, "can only be set when type=KubeConfigFile"));
        }
        "InClusterConfig" => {}
        other => {
            let file = if file.is_empty() { "null".to_owned() } else { format!("{file:?}") };
            let shown = format!("{{\"Type\":{other:?},\"KubeConfigFile\":{file}}}");
            let supported = ["InClusterConfig", "KubeConfigFile"];
            errors.push(FieldError::not_supported_shown(&path.child("type"), &shown, &supported));
        }
    }
    None
}

fn check_file(file: &File) -> Result<(), String> {
    if !file.is_absolute() {
        return Err("must be an absolute path".to_owned());
    }
    match std::fs::metadata(file) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err("must be a regular file".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("error loading file: stat {}: no such file or directory", file.display()))
        }
        Err(error) => Err(format!("error loading file: stat {}: {error}", file.display())),
    }
}

fn compiled(conditions: &[Value], path: &Path, errors: &mut Vec<FieldError>) -> Vec<Expression> {
    let (mut ready, mut seen) = (Vec::new(), BTreeSet::new());
    for (at, condition) in conditions.iter().enumerate() {
        let (source, path) = (str_at(condition, "/expression"), path.index(at).child("expression"));
        if source.trim().is_empty() {
            errors.push(FieldError::required(&path, ""));
        } else if !seen.insert(source) {
            errors.push(FieldError::duplicate(&path, source));
        } else {
            match compile_condition(source) {
                Ok(expression) => ready.push(expression),
                Err(why) => errors.push(FieldError::invalid(&path, source, why)),
            }
        }
    }
    ready
}
