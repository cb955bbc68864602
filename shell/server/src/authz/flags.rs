//! The flags that say the same as a file, as they stood before there was one.

use std::path::PathBuf;
use std::time::Duration;

use super::Authorization;
use super::configuration::{ALLOWED_FOR, DENIED_FOR, Entry, Settings};
use crate::deadline::duration;

const MODES: [&str; 6] = ["AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook", "RBAC", "Node"];
/// The authorizers where nothing is said.
const USUAL: [&str; 2] = ["Node", "RBAC"];
/// How long an authorizer outside may take where nothing can be said.
const WAIT: Duration = Duration::from_secs(10);

/// What `--authorization-*` flags say; `None` where they say nothing.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--authorization-config`
    pub config: Option<PathBuf>,
    /// `--authorization-mode`
    pub modes: Option<Vec<String>>,
    /// `--authorization-webhook-config-file`
    pub webhook_config_file: Option<PathBuf>,
    /// `--authorization-webhook-version`
    pub webhook_version: Option<String>,
    /// `--authorization-webhook-cache-authorized-ttl`
    pub allowed_for: Option<String>,
    /// `--authorization-webhook-cache-unauthorized-ttl`
    pub denied_for: Option<String>,
}

impl Flags {
    /// The authorizers that they ask for; else what is wrong with them.
    pub fn authorization(self) -> Result<Authorization, String> {
        let old = self.modes.is_some()
            || self.webhook_config_file.is_some()
            || self.webhook_version.is_some()
            || self.allowed_for.is_some()
            || self.denied_for.is_some();
        match self.config {
            Some(_) if old => Err("--authorization-config can not be specified when --authorization-mode or \
                                   --authorization-webhook-* flags are defined"
                .to_owned()),
            Some(file) => Authorization::of_file(file),
            None => self.of_modes(),
        }
    }

    fn of_modes(self) -> Result<Authorization, String> {
        let modes = self.modes.clone().unwrap_or_default();
        let modes: Vec<&str> = modes.iter().map(String::as_str).filter(|mode| !mode.is_empty()).collect();
        let modes = if modes.is_empty() { USUAL.to_vec() } else { modes };
        if let Some(unknown) = modes.iter().find(|mode| !MODES.contains(mode)) {
            return Err(format!("authorization-mode {unknown:?} is not a valid mode"));
        }
        if modes.iter().enumerate().any(|(at, mode)| modes[..at].contains(mode)) {
            let shown: Vec<_> = modes.iter().map(|mode| format!("{mode:?}")).collect();
            return Err(format!("authorization-mode [{}] has mode specified more than once", shown.join(" ")));
        }
        if modes.contains(&"ABAC") {
            return Err("authorization-mode ABAC is not supported: bind roles instead (mode RBAC)".to_owned());
        }
        match (modes.contains(&"Webhook"), &self.webhook_config_file) {
            (true, None) => Err("authorization-mode Webhook's authorization config file not passed".to_owned()),
            (false, Some(_)) => {
                Err("cannot specify --authorization-webhook-config-file without mode Webhook".to_owned())
            }
            _ => Authorization::of_entries(modes.iter().map(|mode| self.entry(mode)).collect::<Result<_, _>>()?),
        }
    }

    fn entry(&self, mode: &str) -> Result<Entry, String> {
        let version = self.webhook_version.clone().unwrap_or_else(|| "v1beta1".to_owned());
        if mode == "Webhook" && !["v1", "v1beta1"].contains(&version.as_str()) {
            let supported = "supported versions are \"v1\", \"v1beta1\"";
            return Err(format!("unsupported webhook authorizer version {version:?}, {supported}"));
        }
        let settings = || -> Result<Settings, String> {
            Ok(Settings {
                allowed_for: Some(time(self.allowed_for.as_deref(), ALLOWED_FOR)?),
                denied_for: Some(time(self.denied_for.as_deref(), DENIED_FOR)?),
                wait: WAIT,
                version: version.clone(),
                closed: false,
                kubeconfig: self.webhook_config_file.clone(),
                conditions: Vec::new(),
            })
        };
        let webhook = if mode == "Webhook" { Some(settings()?) } else { None };
        let name = if mode == "Webhook" { "default".to_owned() } else { mode.to_lowercase() };
        Ok(Entry { kind: mode.to_owned(), name, webhook })
    }
}

fn time(given: Option<&str>, missing: Duration) -> Result<Duration, String> {
    let Some(text) = given else { return Ok(missing) };
    let nanos = duration(text).and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| format!("time: invalid duration {text:?}"))
}
