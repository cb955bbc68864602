//! What a container is made of.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::action::Failure;
use crate::cgroup::{self, Resources};
use crate::env::{self, expand};
use crate::image::spec_hash;
use crate::mount::{self, Mount};
use crate::pod;
use crate::security::{self, ImageUser, Security};
use crate::service_env;
use crate::sources::{NodeFacts, Sources};

/// The label that says which container of the pod this is.
pub const NAME_LABEL: &str = "io.kubernetes.container.name";
/// The label that names the pod.
pub const POD_NAME_LABEL: &str = "io.kubernetes.pod.name";
/// The label that names the pod's namespace.
pub const POD_NAMESPACE_LABEL: &str = "io.kubernetes.pod.namespace";
/// The label that identifies the pod.
pub const POD_UID_LABEL: &str = "io.kubernetes.pod.uid";
/// The annotation that holds `image::spec_hash`.
pub const HASH_ANNOTATION: &str = "io.kubernetes.container.hash";

/// A container to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its name in the pod.
    pub name: String,
    /// Its number.
    pub attempt: u32,
    /// The image.
    pub image: String,
    /// Overrules the image's entry point, unless empty.
    pub command: Vec<String>,
    /// Overrules the image's command, unless empty.
    pub args: Vec<String>,
    /// Overrules the image's folder, unless empty.
    pub working_dir: String,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// The mounts.
    pub mounts: Vec<Mount>,
    /// By which it is found again.
    pub labels: BTreeMap<String, String>,
    /// What else is remembered of it.
    pub annotations: BTreeMap<String, String>,
    /// The log file, below the pod's log folder.
    pub log_path: String,
    /// Keeps standard input open.
    pub stdin: bool,
    /// Closes it after the first client.
    pub stdin_once: bool,
    /// Has a terminal.
    pub tty: bool,
    /// CPU and memory.
    pub resources: Resources,
    /// What it may do.
    pub security: Security,
}

/// Plans a container.
pub fn plan(
    pod: &Pod,
    container: &Container,
    attempt: u32,
    ips: &[String],
    image: &ImageUser,
    sources: &Sources,
    node: &NodeFacts,
) -> Result<Plan, Failure> {
    let refuse = |message: String| Failure::new("CreateContainerConfigError", message);
    let env = env::resolve(pod, container, ips, sources, node).map_err(refuse)?;
    let own: BTreeMap<_, _> = env.iter().cloned().collect();
    let services = service_env::variables(pod, &sources.services);
    let expanded = |words: &Option<Vec<String>>| -> Vec<String> {
        words.iter().flatten().map(|word| expand(word, &own, &services)).collect()
    };
    let (command, args) = (expanded(&container.command), expanded(&container.args));
    let mounts = mount::plan(pod, container, &env).map_err(refuse)?;
    let security = security::of_container(pod, container, image, node).map_err(refuse)?;
    let mut labels = pod_labels(pod);
    labels.insert(NAME_LABEL.to_owned(), container.name.clone());
    Ok(Plan {
        name: container.name.clone(),
        attempt,
        image: container.image.clone().unwrap_or_default(),
        command,
        args,
        working_dir: container.working_dir.clone().unwrap_or_default(),
        resources: cgroup::of_container(pod, container, node.memory),
        mounts,
        labels,
        annotations: [(HASH_ANNOTATION.to_owned(), spec_hash(container))].into(),
        log_path: format!("{}/{attempt}.log", container.name),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        env,
        security,
    })
}

/// The labels by which a pod's sandboxes and containers are found again.
pub fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    let pairs =
        [(POD_NAME_LABEL, pod::name(pod)), (POD_NAMESPACE_LABEL, pod::namespace(pod)), (POD_UID_LABEL, pod::uid(pod))];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
