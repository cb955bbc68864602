//! What a sandbox is made of: names, DNS, namespaces; and the pod's hosts file.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use crate::action::Failure;
use crate::cgroup;
use crate::container::pod_labels;
use crate::pod;
use crate::sources::{NodeFacts, Resolver};

/// The longest host name that Linux takes.
const HOSTNAME_BYTES: usize = 63;

/// A sandbox to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its number.
    pub attempt: u32,
    /// Host name; empty in the host's network.
    pub hostname: String,
    /// The folder for logs.
    pub log_folder: String,
    /// What `resolv.conf` is to say.
    pub dns: Resolver,
    /// By which it is found again.
    pub labels: BTreeMap<String, String>,
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The pod's cgroup.
    pub cgroup: String,
    /// Kernel settings of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Lives in the host's network.
    pub host_network: bool,
    /// Sees the host's processes.
    pub host_pid: bool,
    /// Shares the host's System V objects.
    pub host_ipc: bool,
    /// Containers see each other's processes.
    pub share_processes: bool,
    /// Some container is privileged.
    pub privileged: bool,
    /// Uid of its own process.
    pub user: Option<i64>,
    /// Gid of its own process.
    pub group: Option<i64>,
    /// Further groups of its own process.
    pub groups: Vec<i64>,
}

/// Plans a sandbox.
pub fn plan(pod: &Pod, attempt: u32, node: &NodeFacts) -> Result<Plan, Failure> {
    let refuse = |message: String| Failure::new("CreatePodSandboxError", message);
    let spec = pod::spec(pod);
    if spec.host_users == Some(false) {
        let words = "hostUsers: false is not supported: the container runtime of this node would ignore it";
        return Err(refuse(format!("Failed to create pod sandbox: {words}")));
    }
    if spec.runtime_class_name.as_deref().is_some_and(|name| !name.is_empty()) {
        return Err(refuse("Failed to create pod sandbox: runtimeClassName is not supported".to_owned()));
    }
    let context = spec.security_context.clone().unwrap_or_default();
    let privileged = pod::containers(pod)
        .any(|(_, container)| container.security_context.as_ref().and_then(|own| own.privileged).unwrap_or(false));
    let sysctls = context.sysctls.iter().flatten().map(|sysctl| (sysctl.name.clone(), sysctl.value.clone()));
    Ok(Plan {
        attempt,
        // The host's own name stays in the host's network: it has no UTS namespace of its own.
        hostname: if pod::host_network(pod) { String::new() } else { hostname(pod, &node.cluster_domain) },
        log_folder: log_folder(pod, &node.logs),
        dns: dns(pod, node),
        labels: pod_labels(pod),
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
        cgroup: cgroup::path(&node.cgroup_root, pod),
        sysctls: sysctls.collect(),
        host_network: pod::host_network(pod),
        host_pid: spec.host_pid.unwrap_or(false),
        host_ipc: spec.host_ipc.unwrap_or(false),
        share_processes: spec.share_process_namespace.unwrap_or(false),
        privileged,
        user: context.run_as_user,
        group: context.run_as_group,
        groups: context.fs_group.into_iter().chain(context.supplemental_groups.into_iter().flatten()).collect(),
    })
}

/// The folder for a pod's logs below `logs`.
pub fn log_folder(pod: &Pod, logs: &str) -> String {
    format!("{logs}/{}_{}_{}", pod::namespace(pod), pod::name(pod), pod::uid(pod))
}

fn short_hostname(pod: &Pod) -> String {
    let spec = pod::spec(pod);
    let chosen = spec.hostname_override.as_deref().or(spec.hostname.as_deref()).filter(|name| !name.is_empty());
    let name = chosen.unwrap_or_else(|| pod::name(pod));
    let cut: String = name.chars().take(HOSTNAME_BYTES).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

fn full_hostname(pod: &Pod, domain: &str) -> Option<String> {
    let subdomain = pod::spec(pod).subdomain.as_deref().filter(|name| !name.is_empty())?;
    Some(format!("{}.{subdomain}.{}.svc.{domain}", short_hostname(pod), pod::namespace(pod)))
}

/// The pod's host name.
pub fn hostname(pod: &Pod, domain: &str) -> String {
    let wants_full = pod::spec(pod).set_hostname_as_fqdn.unwrap_or(false);
    let full = full_hostname(pod, domain).filter(|name| wants_full && name.len() <= 64);
    full.unwrap_or_else(|| short_hostname(pod))
}

/// What a pod's `resolv.conf` is to say.
pub fn dns(pod: &Pod, node: &NodeFacts) -> Resolver {
    let policy = pod::spec(pod).dns_policy.as_deref().unwrap_or("ClusterFirst");
    let policy = if policy == "ClusterFirst" && pod::host_network(pod) { "Default" } else { policy };
    let mut dns = match policy {
        "None" => Resolver::default(),
        "Default" => node.resolver.clone(),
        _ => {
            let domain = &node.cluster_domain;
            let mut searches =
                vec![format!("{}.svc.{domain}", pod::namespace(pod)), format!("svc.{domain}"), domain.clone()];
            searches.extend(node.resolver.searches.iter().cloned());
            Resolver { servers: node.cluster_dns.clone(), searches, options: vec!["ndots:5".to_owned()] }
        }
    };
    if let Some(config) = &pod::spec(pod).dns_config {
        dns.servers.extend(config.nameservers.iter().flatten().cloned());
        dns.searches.extend(config.searches.iter().flatten().cloned());
        for option in config.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            dns.options.retain(|known| known.split(':').next() != Some(name));
            dns.options.push(option.value.as_ref().map_or(name.clone(), |value| format!("{name}:{value}")));
        }
    }
    for list in [&mut dns.servers, &mut dns.searches] {
        let mut seen = std::collections::BTreeSet::new();
        list.retain(|item| seen.insert(item.clone()));
    }
    dns
}

/// The pod's `/etc/hosts`; `host` is the host's own one.
pub fn hosts_file(pod: &Pod, ips: &[String], domain: &str, host: &str) -> String {
    let mut text = if pod::host_network(pod) {
        format!("# Kubernetes-managed hosts file (host network).\n{host}")
    } else {
        let mut text = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n\
            ::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n\
            fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
            .to_owned();
        let short = short_hostname(pod);
        let names = full_hostname(pod, domain).map_or(short.clone(), |full| format!("{full}\t{short}"));
        for ip in ips {
            text.push_str(&format!("{ip}\t{names}\n"));
        }
        text
    };
    let aliases = pod::spec(pod).host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        text.push_str(&format!("{}\t{}\n", alias.ip, alias.hostnames.clone().unwrap_or_default().join("\t")));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node() -> NodeFacts {
        NodeFacts {
            cluster_dns: vec!["10.43.0.10".to_owned()],
            cluster_domain: "cluster.local".to_owned(),
            resolver: Resolver::parse("nameserver 1.1.1.1\nsearch corp.example\noptions timeout:1\n"),
            ..NodeFacts::default()
        }
    }

    #[test]
    fn dns_follows_the_policy() {
        let check = |spec: Value, servers: &[&str], searches: &[&str], options: &[&str]| {
            let mut spec = spec;
            spec["containers"] = json!([]);
            let dns = dns(&crate::pod::tests::pod(spec), &node());
            assert_eq!((dns.servers, dns.searches, dns.options), (own(servers), own(searches), own(options)));
        };
        let own_searches = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"];
        check(json!({}), &["10.43.0.10"], &own_searches, &["ndots:5"]);
        check(json!({"hostNetwork": true}), &["1.1.1.1"], &["corp.example"], &["timeout:1"]);
        let config =
            json!({"nameservers": ["9.9.9.9"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]});
        check(json!({"dnsPolicy": "None", "dnsConfig": config}), &["9.9.9.9"], &[], &["ndots:2", "edns0"]);
        let servers = ["10.43.0.10", "9.9.9.9"];
        check(json!({"dnsConfig": config}), &servers, &own_searches, &["ndots:2", "edns0"]);
    }

    fn own(list: &[&str]) -> Vec<String> {
        list.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn names_and_hosts() {
        let spec = json!({"containers": [], "hostname": "h", "subdomain": "sub",
            "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]});
        let pod = crate::pod::tests::pod(spec);
        let text = hosts_file(&pod, &["10.42.0.2".to_owned()], "cluster.local", "");
        assert!(text.contains("\n10.42.0.2\th.sub.shop.svc.cluster.local\th\n"), "{text}");
        assert!(text.ends_with("# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"), "{text}");
        assert_eq!(hostname(&pod, "cluster.local"), "h");
        let host = crate::pod::tests::pod(json!({"containers": [], "hostNetwork": true}));
        assert!(hosts_file(&host, &[], "", "HOST").contains("(host network).\nHOST"));
        assert_eq!(plan(&host, 0, &node()).unwrap().hostname, "");
        let users = crate::pod::tests::pod(json!({"containers": [], "hostUsers": false}));
        assert!(plan(&users, 0, &node()).unwrap_err().message.contains("hostUsers"));
    }
}
