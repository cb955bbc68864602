//! Plans in the words of CRI.

use gantry_cri::message::{
    Capability, ContainerConfig, ContainerMetadata, DnsConfig, ImageSpec, Int64Value, KeyValue, LinuxContainerConfig,
    LinuxContainerResources, LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount,
    MountPropagation, NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata, ProfileType,
    SecurityProfile,
};
use gantry_node::cgroup::{PERIOD, Resources};
use gantry_node::mount::Propagation;
use gantry_node::security::{Seccomp, Security};
use gantry_node::{container, pod, sandbox};
use k8s_openapi::api::core::v1::Pod;

/// A sandbox.
pub(super) fn sandbox_config(pod: &Pod, plan: &sandbox::Plan) -> PodSandboxConfig {
    let metadata = PodSandboxMetadata {
        name: pod::name(pod).to_owned(),
        uid: pod::uid(pod).to_owned(),
        namespace: pod::namespace(pod).to_owned(),
        attempt: plan.attempt,
    };
    let security = LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(plan)),
        run_as_user: number(plan.user),
        // A group alone is refused.
        run_as_group: number(plan.user.and(plan.group)),
        supplemental_groups: plan.groups.clone(),
        privileged: plan.privileged,
        // Its one process only waits, whatever the pod's containers may do.
        seccomp: Some(profile(&Seccomp::RuntimeDefault)),
        ..LinuxSandboxSecurityContext::default()
    };
    let linux = LinuxPodSandboxConfig {
        cgroup_parent: plan.cgroup.clone(),
        security_context: Some(security),
        sysctls: plan.sysctls.clone(),
    };
    let dns = DnsConfig {
        servers: plan.dns.servers.clone(),
        searches: plan.dns.searches.clone(),
        options: plan.dns.options.clone(),
    };
    PodSandboxConfig {
        metadata: Some(metadata),
        hostname: plan.hostname.clone(),
        log_directory: plan.log_folder.clone(),
        dns_config: Some(dns),
        labels: plan.labels.clone(),
        annotations: plan.annotations.clone(),
        linux: Some(linux),
    }
}

fn namespaces(plan: &sandbox::Plan) -> NamespaceOption {
    let mode = |host: bool, own: NamespaceMode| if host { NamespaceMode::Node } else { own } as i32;
    let processes = if plan.share_processes { NamespaceMode::Pod } else { NamespaceMode::Container };
    NamespaceOption {
        network: mode(plan.host_network, NamespaceMode::Pod),
        pid: mode(plan.host_pid, processes),
        ipc: mode(plan.host_ipc, NamespaceMode::Pod),
    }
}

fn number(value: Option<i64>) -> Option<Int64Value> {
    value.map(|value| Int64Value { value })
}

fn profile(seccomp: &Seccomp) -> SecurityProfile {
    let (kind, path) = match seccomp {
        Seccomp::Unconfined => (ProfileType::Unconfined, String::new()),
        Seccomp::RuntimeDefault => (ProfileType::RuntimeDefault, String::new()),
        Seccomp::Localhost(path) => (ProfileType::Localhost, path.clone()),
    };
    SecurityProfile { profile_type: kind as i32, localhost_ref: path }
}

/// A container in a sandbox made as `host` says; `places` are those of its mounts on this machine.
pub(super) fn container_config(plan: &container::Plan, places: Vec<String>, host: &sandbox::Plan) -> ContainerConfig {
    let mounts = plan.mounts.iter().zip(places).map(|(mount, place)| Mount {
        container_path: mount.at.clone(),
        host_path: place,
        readonly: mount.read_only,
        propagation: match mount.propagation {
            Propagation::Private => MountPropagation::Private,
            Propagation::HostToContainer => MountPropagation::HostToContainer,
            Propagation::Bidirectional => MountPropagation::Bidirectional,
        } as i32,
    });
    let envs = plan.env.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() });
    let image = ImageSpec { image: plan.image.clone(), ..ImageSpec::default() };
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: plan.name.clone(), attempt: plan.attempt }),
        image: Some(ImageSpec { user_specified_image: plan.image.clone(), ..image }),
        command: plan.command.clone(),
        args: plan.args.clone(),
        working_dir: plan.working_dir.clone(),
        envs: envs.collect(),
        mounts: mounts.collect(),
        labels: plan.labels.clone(),
        annotations: plan.annotations.clone(),
        log_path: plan.log_path.clone(),
        stdin: plan.stdin,
        stdin_once: plan.stdin_once,
        tty: plan.tty,
        linux: Some(LinuxContainerConfig {
            resources: Some(resources(&plan.resources)),
            security_context: Some(security(&plan.security, host)),
        }),
    }
}

fn resources(resources: &Resources) -> LinuxContainerResources {
    LinuxContainerResources {
        cpu_period: PERIOD,
        cpu_quota: resources.cpu_quota.unwrap_or(0),
        cpu_shares: resources.cpu_shares,
        memory_limit_in_bytes: resources.memory.unwrap_or(0),
        oom_score_adj: resources.oom_score_adj,
    }
}

fn security(security: &Security, host: &sandbox::Plan) -> LinuxContainerSecurityContext {
    LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: security.add.clone(),
            drop_capabilities: security.drop.clone(),
        }),
        privileged: security.privileged,
        namespace_options: Some(namespaces(host)),
        run_as_user: number(security.user),
        run_as_username: security.user_name.clone(),
        run_as_group: number(security.group),
        readonly_rootfs: security.read_only_root,
        supplemental_groups: security.groups.clone(),
        no_new_privs: security.no_new_privileges,
        masked_paths: security.masked.clone(),
        readonly_paths: security.read_only.clone(),
        seccomp: Some(profile(&security.seccomp)),
    }
}
