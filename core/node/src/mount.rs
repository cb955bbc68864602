//! What is mounted into a container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};

use crate::env::expand;
use crate::pod;

/// The file that a container may leave a last message in, where it does not name another.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where in the container.
    pub at: String,
    /// What.
    pub source: Source,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// How mounts made below it spread.
    pub propagation: Propagation,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A volume of the pod, or a path in it.
    Volume {
        /// Its name.
        name: String,
        /// The path in it; empty for the whole.
        sub_path: String,
    },
    /// The pod's hosts file.
    Hosts,
    /// The file for the container's last message.
    TerminationLog,
}

/// How mounts made below a mount spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the host.
    HostToContainer,
    /// Both ways.
    Bidirectional,
}

/// The mounts of a container whose environment is `env`. An error is a configuration error.
pub fn plan(pod: &Pod, container: &Container, env: &[(String, String)]) -> Result<Vec<Mount>, String> {
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        mounts.push(volume(pod, mount, env)?);
    }
    if !mounts.iter().any(|mount| mount.at == "/etc/hosts") {
        mounts.push(own("/etc/hosts", Source::Hosts));
    }
    mounts.push(own(termination_log(container), Source::TerminationLog));
    Ok(mounts)
}

/// Where a container leaves its last message.
pub fn termination_log(container: &Container) -> &str {
    container.termination_message_path.as_deref().filter(|path| !path.is_empty()).unwrap_or(TERMINATION_LOG)
}

fn own(at: &str, source: Source) -> Mount {
    Mount { at: at.to_owned(), source, read_only: false, propagation: Propagation::Private }
}

fn volume(pod: &Pod, mount: &VolumeMount, env: &[(String, String)]) -> Result<Mount, String> {
    let name = &mount.name;
    let volume = pod::spec(pod).volumes.iter().flatten().find(|volume| volume.name == *name);
    let volume = volume.ok_or_else(|| format!("cannot find volume {name:?} to mount into container"))?;
    // What follows a source is written by the node alone.
    let follows = volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some();
    let sub_path = match (&mount.sub_path, &mount.sub_path_expr) {
        (_, Some(expression)) if !expression.is_empty() => {
            let values: BTreeMap<_, _> = env.iter().cloned().collect();
            let expanded = expand(expression, &values, &BTreeMap::new());
            if expanded.contains("$(") {
                return Err(format!("missing value for {expression:?}"));
            }
            expanded
        }
        (path, _) => path.clone().unwrap_or_default(),
    };
    if sub_path.starts_with('/') || sub_path.split('/').any(|part| part == "..") {
        return Err(format!("error SubPath `{sub_path}` must not be an absolute path or contain \"..\""));
    }
    let propagation = match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => Propagation::HostToContainer,
        Some("Bidirectional") => Propagation::Bidirectional,
        _ => Propagation::Private,
    };
    let at =
        if mount.mount_path.starts_with('/') { mount.mount_path.clone() } else { format!("/{}", mount.mount_path) };
    let source = Source::Volume { name: name.clone(), sub_path };
    Ok(Mount { at, source, read_only: follows || mount.read_only.unwrap_or(false), propagation })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(mount: Value, expected: Result<(&str, &str), &str>) {
        let container = json!({"name": "a", "volumeMounts": [mount]});
        let pod = crate::pod::tests::pod(json!({"containers": [container], "volumes": [{"name": "v"}]}));
        let env = [("ID".to_owned(), "7".to_owned())];
        let found = plan(&pod, &pod::spec(&pod).containers[0], &env);
        let first = found.as_ref().map(|mounts| match &mounts[0].source {
            Source::Volume { sub_path, .. } => (mounts[0].at.as_str(), sub_path.as_str()),
            other => panic!("{other:?}"),
        });
        assert_eq!(first.map_err(String::as_str), expected);
    }

    #[test]
    fn only_the_node_writes_what_follows_a_source() {
        let check = |volume: Value, asked: bool, expected: bool| {
            let container = json!({"name": "a", "volumeMounts": [{"name": "v", "mountPath": "/d", "readOnly": asked}]});
            let mut spec = json!({"containers": [container], "volumes": [volume]});
            spec["volumes"][0]["name"] = json!("v");
            let pod = crate::pod::tests::pod(spec);
            let mounts = plan(&pod, &pod::spec(&pod).containers[0], &[]).unwrap();
            assert_eq!(mounts[0].read_only, expected);
        };
        check(json!({"emptyDir": {}}), false, false);
        check(json!({"emptyDir": {}}), true, true);
        check(json!({"secret": {"secretName": "s"}}), false, true);
        check(json!({"projected": {"sources": []}}), false, true);
    }

    #[test]
    fn volumes_and_paths_in_them() {
        check(json!({"name": "v", "mountPath": "/data"}), Ok(("/data", "")));
        check(json!({"name": "v", "mountPath": "data", "subPath": "x/y"}), Ok(("/data", "x/y")));
        check(json!({"name": "v", "mountPath": "/d", "subPathExpr": "p$(ID)"}), Ok(("/d", "p7")));
        check(json!({"name": "v", "mountPath": "/d", "subPathExpr": "$(NO)"}), Err("missing value for \"$(NO)\""));
        let words = "error SubPath `../x` must not be an absolute path or contain \"..\"";
        check(json!({"name": "v", "mountPath": "/d", "subPath": "../x"}), Err(words));
        let words = "cannot find volume \"w\" to mount into container";
        check(json!({"name": "w", "mountPath": "/d"}), Err(words));
    }
}
