//! Profiles: how safe a cluster is where nobody said anything. `Settings` is what a profile comes to, one field for each
//! thing that differs from stock Kubernetes, and `KUBERNETES`, `STANDARD` and `HARDENED` are the columns of that table.
//!
//! Invariants: whatever depends on the profile reads a field of `Settings`, never the profile's name; a flag that sets
//! the same thing wins over the profile; docs/profiles.md shows every field as it is here.

use std::fmt;

use clap::ValueEnum;

/// Which defaults a cluster has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Those of stock Kubernetes: for conformance, and for what relies on them
    Kubernetes,
    /// Safe where it costs nobody anything
    #[default]
    Standard,
    /// Safe also where workloads must be adapted
    Hardened,
}

/// The defaults of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Paths that are answered to whoever does not say who they are; `None` for all that their roles allow.
    pub anonymous_paths: Option<&'static [&'static str]>,
    /// Whether an audit log is kept, at level Metadata, where no policy is given.
    pub audit_default: bool,
    /// Whether Secrets are encrypted at rest where no EncryptionConfiguration is given.
    pub encrypt_secrets: bool,
    /// Whether Services are refused new `externalIPs`.
    pub deny_external_ips: bool,
    /// Whether every pod pulls its images with its own credentials, also where the node has them.
    pub always_pull_images: bool,
    /// What pods of a namespace without labels for pod security are held to.
    pub pod_security_default: PodSecurity,
    /// Whether containers that say nothing of seccomp get the runtime's profile.
    pub seccomp_default: bool,
    /// How many processes and threads a pod may have; `None` for as many as the node.
    pub pod_pid_limit: Option<u32>,
}

/// The levels of pod security where a namespace names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodSecurity {
    /// What pods must keep.
    pub enforce: &'static str,
    /// What their creators are warned of, and the audit log is told.
    pub warn: &'static str,
    /// Namespaces that are not held to anything.
    pub exempt_namespaces: &'static [&'static str],
}

/// What probes and load balancers ask for.
const HEALTH: &[&str] = &["/healthz", "/livez", "/readyz"];

const KUBERNETES: Settings = Settings {
    anonymous_paths: None,
    audit_default: false,
    encrypt_secrets: false,
    deny_external_ips: false,
    always_pull_images: false,
    pod_security_default: PodSecurity { enforce: "privileged", warn: "privileged", exempt_namespaces: &[] },
    seccomp_default: false,
    pod_pid_limit: None,
};

const STANDARD: Settings = Settings {
    anonymous_paths: Some(HEALTH),
    audit_default: true,
    encrypt_secrets: true,
    deny_external_ips: true,
    seccomp_default: true,
    pod_pid_limit: Some(4096),
    ..KUBERNETES
};

const HARDENED: Settings = Settings {
    always_pull_images: true,
    pod_security_default: PodSecurity { enforce: "baseline", warn: "restricted", exempt_namespaces: &["kube-system"] },
    pod_pid_limit: Some(1024),
    ..STANDARD
};

impl Profile {
    /// What the profile comes to.
    pub const fn settings(self) -> &'static Settings {
        match self {
            Profile::Kubernetes => &KUBERNETES,
            Profile::Standard => &STANDARD,
            Profile::Hardened => &HARDENED,
        }
    }
}

impl Settings {
    /// Name and value of every field, as they are documented; one that is missing here does not compile.
    pub fn rows(&self) -> [(&'static str, String); 8] {
        let Settings {
            anonymous_paths,
            audit_default,
            encrypt_secrets,
            deny_external_ips,
            always_pull_images,
            pod_security_default,
            seccomp_default,
            pod_pid_limit,
        } = self;
        let paths = anonymous_paths.map_or("what roles allow".to_owned(), |paths| format!("`{}`", paths.join("` `")));
        [
            ("anonymous_paths", paths),
            ("audit_default", yes(*audit_default)),
            ("encrypt_secrets", yes(*encrypt_secrets)),
            ("deny_external_ips", yes(*deny_external_ips)),
            ("always_pull_images", yes(*always_pull_images)),
            ("pod_security_default", pod_security_default.to_string()),
            ("seccomp_default", yes(*seccomp_default)),
            ("pod_pid_limit", pod_pid_limit.map_or("none".to_owned(), |limit| limit.to_string())),
        ]
    }
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

impl fmt::Display for PodSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enforce {}, warn {}", self.enforce, self.warn)?;
        self.exempt_namespaces.iter().try_for_each(|name| write!(f, ", not in `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last three cells of the documented row of a setting.
    fn documented<'a>(document: &'a str, name: &str) -> Vec<&'a str> {
        let start = format!("| `{name}` |");
        let mut rows = document.lines().filter(|line| line.starts_with(&start));
        let row = rows.next().unwrap_or_else(|| panic!("docs/profiles.md has no row of {name}"));
        assert_eq!(rows.next(), None, "docs/profiles.md has two rows of {name}");
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        cells[cells.len() - 3..].to_vec()
    }

    #[test]
    fn the_documented_table_is_the_one_that_holds() {
        let document = include_str!("../../docs/profiles.md");
        let columns = [Profile::Kubernetes, Profile::Standard, Profile::Hardened].map(|p| p.settings().rows());
        for (at, (name, _)) in columns[0].iter().enumerate() {
            let held = columns.each_ref().map(|column| column[at].1.as_str());
            assert_eq!(documented(document, name), held, "{name}");
        }
        let rows = document.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, columns[0].len(), "rows of docs/profiles.md");
    }
}
