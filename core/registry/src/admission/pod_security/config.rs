//! What pods are held to where their namespace says nothing, and who is exempt.

use gantry_kinds::tree::{list_at, map_at, str_at};
use serde_json::Value;

use super::policy::{Policy, level, version};
use crate::case::Case;

/// The configuration of the plugin PodSecurity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSecurity {
    pub(super) enforce: Policy,
    pub(super) warn: Policy,
    users: Vec<String>,
    namespaces: Vec<String>,
    runtime_classes: Vec<String>,
}

impl Default for PodSecurity {
    fn default() -> Self {
        let none = Policy::NONE;
        PodSecurity {
            enforce: none,
            warn: none,
            users: Vec::new(),
            namespaces: Vec::new(),
            runtime_classes: Vec::new(),
        }
    }
}

impl PodSecurity {
    /// What holds in all namespaces but these; errors name a level that is none.
    pub fn new(enforce: &str, warn: &str, exempt_namespaces: &[&str]) -> Result<Self, String> {
        let policy = |text: &str| match level(text) {
            Some(level) => Ok(Policy { level, ..Policy::NONE }),
            None => Err(format!("{text:?} must be one of privileged, baseline, restricted")),
        };
        let namespaces = exempt_namespaces.iter().map(|name| (*name).to_owned()).collect();
        Ok(PodSecurity { enforce: policy(enforce)?, warn: policy(warn)?, namespaces, ..PodSecurity::default() })
    }

    /// Reads a `PodSecurityConfiguration` of `pod-security.admission.config.k8s.io`. Errors name the field.
    pub fn parse(config: &Value) -> Result<Self, String> {
        let (version, kind) = (str_at(config, "/apiVersion"), str_at(config, "/kind"));
        let group = version.strip_prefix("pod-security.admission.config.k8s.io/");
        if kind != "PodSecurityConfiguration" || !group.is_some_and(|v| ["v1", "v1beta1", "v1alpha1"].contains(&v)) {
            let wanted = "PodSecurityConfiguration of pod-security.admission.config.k8s.io/v1";
            return Err(format!("expected a {wanted}, found {kind:?} of {version:?}"));
        }
        for (name, _) in map_at(config, "/defaults") {
            let known = ["enforce", "enforce-version", "audit", "audit-version", "warn", "warn-version"];
            if !known.contains(&name.as_str()) {
                return Err(format!("defaults: unknown field {name:?}; there are {}", known.join(", ")));
            }
        }
        let texts = |field: &str| -> Result<Vec<String>, String> {
            let items = list_at(config, &format!("/exemptions/{field}")).iter();
            let text = |(at, item): (usize, &Value)| match item.as_str() {
                Some(text) if !text.is_empty() => Ok(text.to_owned()),
                _ => Err(format!("exemptions.{field}[{at}]: Invalid value: {item}: must be a name")),
            };
            items.enumerate().map(text).collect()
        };
        let policies = PodSecurity {
            enforce: default(config, "enforce")?,
            warn: default(config, "warn")?,
            users: texts("usernames")?,
            namespaces: texts("namespaces")?,
            runtime_classes: texts("runtimeClasses")?,
        };
        // Audit has no effect on a request, and is read so that what is wrong is told.
        default(config, "audit").map(|_| policies)
    }

    /// Whether nothing of the pod is looked at.
    pub(super) fn exempts(&self, case: &Case<'_>, pod: &Value) -> bool {
        let class = str_at(pod, "/spec/runtimeClassName");
        let has = |names: &[String], name: &str| names.iter().any(|exempt| exempt == name);
        has(&self.namespaces, &case.target().namespace)
            || has(&self.users, &case.user().name)
            || !class.is_empty() && has(&self.runtime_classes, class)
    }
}

fn default(config: &Value, mode: &str) -> Result<Policy, String> {
    let of = |name: &str| config["defaults"].get(name);
    let level = match of(mode) {
        None => Policy::NONE.level,
        Some(text) => text.as_str().and_then(level).ok_or_else(|| {
            format!("defaults.{mode}: Invalid value: {text}: must be one of privileged, baseline, restricted")
        })?,
    };
    let dated = format!("{mode}-version");
    let version = match of(&dated) {
        None => Policy::NONE.version,
        Some(text) => text
            .as_str()
            .and_then(version)
            .ok_or_else(|| format!("defaults.{dated}: Invalid value: {text}: must be \"latest\" or \"v1.x\""))?,
    };
    Ok(Policy { level, version })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_configuration_is_read_and_faults_are_named() {
        let config = |defaults: Value, exemptions: Value| {
            PodSecurity::parse(&json!({"apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration", "defaults": defaults, "exemptions": exemptions}))
        };
        let read = config(json!({"enforce": "baseline", "enforce-version": "v1.30"}), json!({"usernames": ["a"]}));
        let read = read.unwrap();
        assert_eq!(
            (read.enforce.to_string(), read.warn.to_string()),
            ("baseline:v1.30".into(), "privileged:latest".into())
        );
        assert_eq!(read.users, ["a"]);
        let wrong = config(json!({"enforce": "high"}), json!({})).unwrap_err();
        assert_eq!(wrong, "defaults.enforce: Invalid value: \"high\": must be one of privileged, baseline, restricted");
        assert!(config(json!({"audit-version": "1"}), json!({})).unwrap_err().starts_with("defaults.audit-version: "));
        assert!(config(json!({"force": "baseline"}), json!({})).unwrap_err().contains("unknown field \"force\""));
        assert!(config(json!({}), json!({"namespaces": [""]})).unwrap_err().starts_with("exemptions.namespaces[0]"));
        assert!(PodSecurity::parse(&json!({"kind": "Pod", "apiVersion": "v1"})).is_err());
    }
}
