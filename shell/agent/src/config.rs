//! What an agent is told.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use gantry_client::Client;

/// Hears of each step of the start once it is done.
pub type Progress = Arc<dyn Fn(Step) + Send + Sync>;

/// The steps of the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The container runtime answers.
    Containerd,
    /// The API knows the node.
    Registered,
    /// The node has addresses for pods.
    Network,
    /// The API knows that the node is ready.
    Ready,
}

/// What an agent is told.
#[derive(Clone)]
pub struct Config {
    /// Name of the node.
    pub node_name: String,
    /// The agent's own directory; everything it keeps is below it.
    pub data_dir: PathBuf,
    /// The API, as user `system:node:NAME`.
    pub client: Client,
    /// A containerd to use; a private one is started where there is none.
    pub containerd_socket: Option<PathBuf>,
    /// Registries and mirrors, in containerd's `hosts.toml` layout.
    pub registry_config_dir: PathBuf,
    /// The pause program: a static executable.
    pub pause: Bytes,
    /// Where pods ask for names.
    pub cluster_dns: Ipv4Addr,
    /// The domain of the cluster's names.
    pub cluster_domain: String,
    /// Addresses of all pods.
    pub cluster_cidr: String,
    /// Addresses of all services.
    pub service_cidr: String,
    /// The cgroup, in every hierarchy, that all pods are in.
    pub cgroup_root: String,
    /// The node's address; the first one of the machine that is not loopback where none is given.
    pub node_ip: Option<IpAddr>,
    /// Whether containers that say nothing of seccomp get the runtime's profile.
    pub seccomp_default: bool,
    /// How many processes and threads a pod may have; `None` for as many as the node.
    pub pod_pid_limit: Option<u32>,
    /// What the node says its version is.
    pub version: String,
    /// Hears of the start.
    pub progress: Progress,
}

impl Config {
    pub(crate) const SERVICE_CIDR: &str = "10.43.0.0/16";
    pub(crate) const CLUSTER_DNS: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 10);

    /// The configuration of a node of an ordinary cluster.
    pub fn new(node_name: String, data_dir: PathBuf, client: Client, pause: Bytes) -> Self {
        Config {
            node_name,
            data_dir,
            client,
            containerd_socket: None,
            registry_config_dir: PathBuf::from("/etc/containerd/certs.d"),
            pause,
            cluster_dns: Self::CLUSTER_DNS,
            cluster_domain: "cluster.local".to_owned(),
            cluster_cidr: "10.42.0.0/16".to_owned(),
            service_cidr: Self::SERVICE_CIDR.to_owned(),
            cgroup_root: "/gantry".to_owned(),
            node_ip: None,
            seccomp_default: true,
            pod_pid_limit: None,
            version: format!("v1.37.2+gantry.{}", env!("CARGO_PKG_VERSION")),
            progress: Arc::new(|_| {}),
        }
    }
}
