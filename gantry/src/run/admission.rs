//! What is let in, as flags, profile and configuration file say.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use gantry_registry::{LimitedResources, Placement, Plugin, Plugins, PodSecurity};
use gantry_server::{Anonymous, EventLimit};
use serde_json::Value;

use crate::cli::AdmissionFlags;
use crate::profile::Settings;

/// Bytes of a configuration file at the most.
const FILE_BYTES: u64 = 1 << 20;

/// What admission goes by.
#[derive(Debug)]
pub struct Admission {
    pub anonymous: Anonymous,
    pub plugins: Plugins,
    pub pod_security: PodSecurity,
    pub placement: Placement,
    pub limited_resources: LimitedResources,
    pub event_limits: Vec<EventLimit>,
}

impl Admission {
    /// By what was said, and where nothing was, by the profile. Errors name the flag, or the file and its field.
    pub fn new(flags: &AdmissionFlags, defaults: &Settings) -> Result<Self> {
        let anonymous = match flags.anonymous_auth {
            Some(true) => Anonymous::Everywhere,
            Some(false) => Anonymous::Nowhere,
            None => defaults.anonymous_paths.map_or(Anonymous::Everywhere, |paths| {
                Anonymous::At(paths.iter().map(|path| (*path).to_owned()).collect())
            }),
        };
        let disabled: Vec<Plugin> = flags.disable_admission_plugins.iter().filter_map(|disabled| disabled.0).collect();
        if let Some(both) = flags.enable_admission_plugins.iter().find(|plugin| disabled.contains(plugin)) {
            let name = both.name();
            bail!("--enable-admission-plugins and --disable-admission-plugins both name {name}: it can be one only");
        }
        let by_profile = [
            (Plugin::DenyServiceExternalIPs, defaults.deny_external_ips),
            (Plugin::AlwaysPullImages, defaults.always_pull_images),
        ];
        let usual =
            by_profile.iter().filter(|(_, on)| *on).fold(Plugins::default(), |all, (plugin, _)| all.with(*plugin));
        let with = flags.enable_admission_plugins.iter().fold(usual, |all, plugin| all.with(*plugin));
        let plugins = disabled.iter().fold(with, |all, plugin| all.without(*plugin));
        let pods = defaults.pod_security_default;
        let pod_security = PodSecurity::new(pods.enforce, pods.warn, pods.exempt_namespaces);
        let pod_security = pod_security.map_err(|why| anyhow!(why)).context("the profile's pod security")?;
        let mut admission = Admission {
            anonymous,
            plugins,
            pod_security,
            placement: Placement::default(),
            limited_resources: LimitedResources::default(),
            event_limits: Vec::new(),
        };
        if let Some(file) = &flags.admission_control_config_file {
            admission.configure(file).with_context(|| format!("--admission-control-config-file {}", file.display()))?;
        }
        if admission.plugins.has(Plugin::EventRateLimit) && admission.event_limits.is_empty() {
            bail!("EventRateLimit is enabled and has no limits: --admission-control-config-file must configure it");
        }
        Ok(admission)
    }

    fn configure(&mut self, file: &Path) -> Result<()> {
        let config = read(file)?;
        let (version, kind) = (text(&config, "apiVersion"), text(&config, "kind"));
        if kind != "AdmissionConfiguration"
            || !["apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"].contains(&version)
        {
            bail!("expected an AdmissionConfiguration of apiserver.config.k8s.io/v1, found {kind:?} of {version:?}");
        }
        let plugins = config["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (at, plugin) in plugins.iter().enumerate() {
            self.configure_plugin(file, plugin).with_context(|| format!("plugins[{at}] ({})", text(plugin, "name")))?;
        }
        Ok(())
    }

    fn configure_plugin(&mut self, file: &Path, plugin: &Value) -> Result<()> {
        let name: Plugin = text(plugin, "name").parse()?;
        let beside = |path: &str| file.parent().map_or_else(|| PathBuf::from(path), |folder| folder.join(path));
        let config = match (text(plugin, "path"), &plugin["configuration"]) {
            ("", Value::Null) => return Ok(()),
            ("", inline) => inline.clone(),
            (path, Value::Null) => read(&beside(path))?,
            _ => bail!("path and configuration are both set: it can be one only"),
        };
        match name {
            Plugin::PodSecurity => self.pod_security = PodSecurity::parse(&config).map_err(|why| anyhow!(why))?,
            Plugin::EventRateLimit => self.event_limits = EventLimit::parse(&config).map_err(|why| anyhow!(why))?,
            Plugin::ResourceQuota => {
                self.limited_resources = LimitedResources::parse(&config).map_err(|why| anyhow!(why))?;
            }
            Plugin::PodNodeSelector => self.placement.select_nodes(&config).map_err(|why| anyhow!(why))?,
            Plugin::PodTolerationRestriction => {
                self.placement.restrict_tolerations(&config).map_err(|why| anyhow!(why))?;
            }
            _ => bail!("this plugin takes no configuration"),
        }
        Ok(())
    }
}

fn text<'a>(config: &'a Value, field: &str) -> &'a str {
    config[field].as_str().unwrap_or_default()
}

/// Reads a file of YAML or JSON.
pub fn read(file: &Path) -> Result<Value> {
    let reading = || format!("reading {}", file.display());
    if std::fs::metadata(file).with_context(reading)?.len() > FILE_BYTES {
        bail!("{} is larger than {FILE_BYTES} bytes", file.display());
    }
    let text = std::fs::read_to_string(file).with_context(reading)?;
    serde_saphyr::from_str(&text).with_context(reading)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn admission(line: &str) -> Result<Admission> {
        let cli = Cli::try_parse_from(format!("gantry server {line}").split_whitespace())?;
        let Command::Server(server) = cli.command else { panic!("another command") };
        Admission::new(&server.server.admission, server.defaults.profile.settings())
    }

    #[test]
    fn flags_have_the_last_word() {
        let usual = admission("").unwrap();
        assert_eq!(usual.anonymous, Anonymous::At(["/healthz", "/livez", "/readyz"].map(str::to_owned).to_vec()));
        assert!(usual.plugins.has(Plugin::DenyServiceExternalIPs) && !usual.plugins.has(Plugin::AlwaysPullImages));
        let stock = admission("--profile kubernetes").unwrap();
        assert_eq!((stock.anonymous, stock.plugins), (Anonymous::Everywhere, Plugins::default()));
        let hardened = admission("--profile hardened --disable-admission-plugins AlwaysPullImages").unwrap();
        assert!(!hardened.plugins.has(Plugin::AlwaysPullImages));
        assert_eq!(hardened.pod_security, PodSecurity::new("baseline", "restricted", &["kube-system"]).unwrap());
        assert_eq!(admission("--anonymous-auth=false").unwrap().anonymous, Anonymous::Nowhere);
        assert_eq!(admission("--anonymous-auth").unwrap().anonymous, Anonymous::Everywhere);
        let both = admission("--enable-admission-plugins Priority --disable-admission-plugins Priority").unwrap_err();
        assert!(both.to_string().contains("both name Priority"), "{both}");
        let unknown = admission("--enable-admission-plugins Nonsense").unwrap_err().to_string();
        assert!(unknown.contains("\"Nonsense\" is no admission plugin; there are AlwaysAdmit"), "{unknown}");
        assert!(admission("--enable-admission-plugins EventRateLimit").unwrap_err().to_string().contains("no limits"));
    }

    #[test]
    fn a_file_configures_plugins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admission.yaml");
        let with = |plugins: &str| {
            let head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n";
            std::fs::write(&file, format!("{head}{plugins}")).unwrap();
            let flags =
                format!("--enable-admission-plugins EventRateLimit --admission-control-config-file {}", file.display());
            admission(&flags).map_err(|error| format!("{error:#}"))
        };
        let limits = "{apiVersion: eventratelimit.admission.k8s.io/v1alpha1, kind: Configuration, \
                      limits: [{type: Server, qps: 1, burst: 2}]}";
        std::fs::write(folder.path().join("limits.yaml"), limits).unwrap();
        assert_eq!(with("- {name: EventRateLimit, path: limits.yaml}").unwrap().event_limits.len(), 1);
        assert_eq!(
            with(&format!("- {{name: EventRateLimit, configuration: {limits}}}")).unwrap().event_limits.len(),
            1
        );
        let wrong = with("- {name: EventRateLimit, configuration: {kind: Pod}}").unwrap_err();
        assert!(wrong.contains("plugins[0] (EventRateLimit): expected a Configuration"), "{wrong}");
        let none = with("- {name: Priority, configuration: {kind: Pod}}").unwrap_err();
        assert!(none.ends_with("plugins[0] (Priority): this plugin takes no configuration"), "{none}");
        let absent = with("- {name: EventRateLimit, path: nothing.yaml}").unwrap_err();
        assert!(absent.contains("nothing.yaml"), "{absent}");
    }
}
