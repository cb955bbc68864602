//! Levels and versions, and which of them the labels of a namespace ask for.

use gantry_kinds::{ErrorList, FieldError, Path};
use serde_json::Value;

use super::{Minor, PodSecurity};

/// Start of the labels.
const PREFIX: &str = "pod-security.kubernetes.io/";
/// The version of a policy that goes with the cluster.
const LATEST: Minor = Minor::MAX;

/// How much is forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Nothing.
    Privileged,
    /// Known ways to gain rights.
    Baseline,
    /// Whatever is not needed.
    Restricted,
}

/// A level as some version of the project understood it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) level: Level,
    pub(super) version: Minor,
}

impl Policy {
    /// Nothing is forbidden.
    pub(super) const NONE: Policy = Policy { level: Level::Privileged, version: LATEST };
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        })?;
        if self.version == LATEST { f.write_str(":latest") } else { write!(f, ":v1.{}", self.version) }
    }
}

/// What a namespace asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policies {
    pub(super) enforce: Policy,
    pub(super) warn: Policy,
}

impl Policies {
    /// Of the namespace's labels, and where it has none of what all are held to. A level that cannot be understood is
    /// enforced as the strictest.
    pub(super) fn of(namespace: &Value, all: &PodSecurity) -> Self {
        let enforce = policy(namespace, "enforce", all.enforce, Level::Restricted);
        let mut warn = policy(namespace, "warn", all.warn, Level::Privileged);
        // Whoever says only what is enforced is warned of it too, before it is too late.
        if label(namespace, "warn").is_none() && enforce.level > warn.level {
            warn = enforce;
        }
        Policies { enforce, warn }
    }
}

fn label<'a>(namespace: &'a Value, name: &str) -> Option<&'a str> {
    namespace["metadata"]["labels"].get(format!("{PREFIX}{name}"))?.as_str()
}

fn policy(namespace: &Value, mode: &str, unsaid: Policy, otherwise: Level) -> Policy {
    let dated = label(namespace, &format!("{mode}-version"));
    let Some(text) = label(namespace, mode) else {
        return Policy { version: dated.and_then(version).unwrap_or(unsaid.version), ..unsaid };
    };
    let level = level(text).unwrap_or(otherwise);
    let version = dated.and_then(version).unwrap_or(unsaid.version);
    Policy { level, version }
}

pub(super) fn level(text: &str) -> Option<Level> {
    match text {
        "privileged" => Some(Level::Privileged),
        "baseline" => Some(Level::Baseline),
        "restricted" => Some(Level::Restricted),
        _ => None,
    }
}

pub(super) fn version(text: &str) -> Option<Minor> {
    if text == "latest" {
        return Some(LATEST);
    }
    let minor = text.strip_prefix("v1.")?;
    let plain = minor.bytes().all(|byte| byte.is_ascii_digit()) && (minor == "0" || !minor.starts_with('0'));
    if plain { minor.parse().ok() } else { None }
}

/// What the labels say that no level or version is.
pub(super) fn errors(namespace: &Value) -> ErrorList {
    let labels = Path::new("metadata").child("labels");
    let mut errors = ErrorList::new();
    for mode in ["enforce", "audit", "warn"] {
        if let Some(text) = label(namespace, mode).filter(|text| level(text).is_none()) {
            let path = labels.key(&format!("{PREFIX}{mode}"));
            errors.push(FieldError::invalid(&path, text, "must be one of privileged, baseline, restricted"));
        }
        let dated = format!("{mode}-version");
        if let Some(text) = label(namespace, &dated).filter(|text| version(text).is_none()) {
            let path = labels.key(&format!("{PREFIX}{dated}"));
            errors.push(FieldError::invalid(&path, text, "must be \"latest\" or \"v1.x\""));
        }
    }
    errors
}
