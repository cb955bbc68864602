//! What pods are made from beside their own object: ConfigMaps, Secrets, trust bundles, Services, tokens, and the node.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use serde_json::Value;

use crate::certificates::{Credential, Slot};
use crate::pod;

/// The contents of a ConfigMap or Secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Every key with its bytes, as volumes show them.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The keys of `binaryData`: no variable is made of them.
    pub binary: BTreeSet<String>,
}

impl Contents {
    /// What variables can be made of.
    pub fn variables(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.files.iter().filter(|(key, _)| !self.binary.contains(*key))
    }
}

impl<const N: usize> From<[(String, Vec<u8>); N]> for Contents {
    fn from(entries: [(String, Vec<u8>); N]) -> Self {
        Contents { files: entries.into(), binary: BTreeSet::new() }
    }
}

/// What one pod refers to. What is not in here does not exist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// ConfigMaps of the pod's namespace by name.
    pub config_maps: BTreeMap<String, Contents>,
    /// Secrets of the pod's namespace by name.
    pub secrets: BTreeMap<String, Contents>,
    /// Services that its environment speaks of: those of its namespace and the API's own.
    pub services: Vec<Service>,
    /// Entries of all ClusterTrustBundles by name; empty where the pod refers to none.
    pub trust_bundles: Contents,
    /// Tokens by volume and path.
    pub tokens: BTreeMap<(String, String), String>,
    /// Keys with their certificates, by volume and place in it.
    pub certificates: BTreeMap<Slot, Credential>,
}

/// A Service as environments speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Its cluster address.
    pub ip: String,
    /// Name, number and protocol of each port.
    pub ports: Vec<(String, i64, String)>,
}

/// The node as pods see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its addresses, the first one first.
    pub ips: Vec<String>,
    /// What its pods may use in all.
    pub allocatable: BTreeMap<String, String>,
    /// Bytes of memory.
    pub memory: i64,
    /// Addresses of the cluster's DNS.
    pub cluster_dns: Vec<String>,
    /// The cluster's domain.
    pub cluster_domain: String,
    /// The host's own resolver.
    pub resolver: Resolver,
    /// Where cgroups of pods are.
    pub cgroup_root: String,
    /// Where pods' logs are.
    pub logs: String,
    /// The folder with seccomp profiles for `Localhost`.
    pub seccomp: String,
    /// Whether containers that say nothing of seccomp get the runtime's profile.
    pub seccomp_default: bool,
    /// How many processes and threads a pod may have; `None` for as many as the node.
    pub pod_pid_limit: Option<u32>,
}

/// What `resolv.conf` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    /// `nameserver` lines.
    pub servers: Vec<String>,
    /// The last `search` line.
    pub searches: Vec<String>,
    /// `options`.
    pub options: Vec<String>,
}

impl Resolver {
    /// Reads the text of a `resolv.conf`.
    pub fn parse(text: &str) -> Self {
        let mut resolver = Resolver::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let keyword = words.next().unwrap_or_default();
            let words = words.map(str::to_owned);
            match keyword {
                "nameserver" => resolver.servers.extend(words.take(1)),
                "search" => resolver.searches = words.collect(),
                "options" => resolver.options = words.collect(),
                _ => {}
            }
        }
        resolver
    }
}

/// The contents of a ConfigMap object.
pub fn config_map(object: &Value) -> Contents {
    let mut files = decoded(&object["binaryData"]);
    let binary = files.keys().cloned().collect();
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        files.insert(key.clone(), value.as_str().unwrap_or_default().as_bytes().to_vec());
    }
    Contents { files, binary }
}

/// The contents of a Secret object.
pub fn secret(object: &Value) -> Contents {
    Contents { files: decoded(&object["data"]), binary: BTreeSet::new() }
}

fn decoded(data: &Value) -> BTreeMap<String, Vec<u8>> {
    let entries = data.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), STANDARD.decode(value.as_str()?).ok()?))).collect()
}

/// A Service object, if it has an address and ports.
pub fn service(object: &Value) -> Option<Service> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ip = text(&object["spec"]["clusterIP"]);
    let ports = object["spec"]["ports"].as_array()?.iter();
    let ports: Vec<_> = ports
        .map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
            (text(&port["name"]), port["port"].as_i64().unwrap_or(0), protocol)
        })
        .collect();
    let metadata = &object["metadata"];
    let usable = !ip.is_empty() && ip != "None" && !ports.is_empty();
    usable.then(|| Service { namespace: text(&metadata["namespace"]), name: text(&metadata["name"]), ip, ports })
}

/// What a pod refers to, by name, in its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// ConfigMaps.
    pub config_maps: BTreeSet<String>,
    /// Secrets.
    pub secrets: BTreeSet<String>,
    /// Whether any ClusterTrustBundle.
    pub trust_bundles: bool,
}

/// A token that a volume holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The volume.
    pub volume: String,
    /// Where in it.
    pub path: String,
    /// For whom; empty for the API itself.
    pub audience: String,
    /// For how long.
    pub expiration_seconds: i64,
}

/// All that a pod refers to.
pub fn references(pod: &Pod) -> References {
    let mut found = References::default();
    for (_, container) in pod::containers(pod) {
        found.add_container(container);
    }
    for volume in pod::spec(pod).volumes.iter().flatten() {
        found.add_volume(volume);
    }
    for secret in pod::spec(pod).image_pull_secrets.iter().flatten() {
        found.secrets.insert(secret.name.clone());
    }
    found
}

impl References {
    fn add_container(&mut self, container: &Container) {
        for source in container.env_from.iter().flatten() {
            self.config_maps.extend(source.config_map_ref.iter().map(|source| source.name.clone()));
            self.secrets.extend(source.secret_ref.iter().map(|source| source.name.clone()));
        }
        for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            self.config_maps.extend(source.config_map_key_ref.iter().map(|source| source.name.clone()));
            self.secrets.extend(source.secret_key_ref.iter().map(|source| source.name.clone()));
        }
    }

    fn add_volume(&mut self, volume: &Volume) {
        self.config_maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
        self.secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
        let projected = volume.projected.iter().flat_map(|source| source.sources.iter().flatten());
        for source in projected {
            self.config_maps.extend(source.config_map.iter().map(|source| source.name.clone()));
            self.secrets.extend(source.secret.iter().map(|source| source.name.clone()));
            self.trust_bundles |= source.cluster_trust_bundle.is_some();
        }
    }
}

/// The tokens of a pod's projected volumes.
pub fn token_requests(pod: &Pod) -> Vec<TokenRequest> {
    let mut requests = Vec::new();
    for volume in pod::spec(pod).volumes.iter().flatten() {
        let sources = volume.projected.iter().flat_map(|source| source.sources.iter().flatten());
        for token in sources.filter_map(|source| source.service_account_token.as_ref()) {
            requests.push(TokenRequest {
                volume: volume.name.clone(),
                path: token.path.clone(),
                audience: token.audience.clone().unwrap_or_default(),
                expiration_seconds: token.expiration_seconds.unwrap_or(3600),
            });
        }
    }
    requests
}
