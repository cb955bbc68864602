//! What keeps a pod from known ways out of its containers.

use gantry_kinds::tree::{int_at, list_at, map_at, str_at};
use serde_json::Value;

use super::pod::{Pod, containers, context, plural, quoted, setters, sorted};
use super::{Minor, Violation, violation};

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Parameters of the kernel that a pod has for itself, with the version since which they may be set.
const SYSCTLS: [(&str, Minor); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];
const SELINUX_TYPES: [(&str, Minor); 5] =
    [("", 0), ("container_t", 0), ("container_init_t", 0), ("container_kvm_t", 0), ("container_engine_t", 31)];
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn app_armor(pod: &Pod<'_>, _: Minor) -> Option<Violation> {
    let bad = |profile: &&Value| !["RuntimeDefault", "Localhost"].contains(&str_at(profile, "/type"));
    let own = pod.own("/appArmorProfile").filter(bad);
    let named = pod.named(|container| context(container, "/appArmorProfile").filter(bad).is_some());
    let all = own.into_iter().chain(pod.containers.iter().filter_map(|c| context(c, "/appArmorProfile").filter(bad)));
    let mut values = sorted(all.map(|profile| str_at(profile, "/type").to_owned()).collect());
    let mut who = setters(own.is_some(), &named);
    let annotations = map_at(pod.metadata, "/annotations").filter(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        key.starts_with(APPARMOR_ANNOTATION)
            && !matches!(value, "" | "runtime/default")
            && !value.starts_with("localhost/")
    });
    let annotations: Vec<String> =
        annotations.map(|(key, value)| format!("{key}=\"{}\"", value.as_str().unwrap_or_default())).collect();
    if !annotations.is_empty() {
        who.push(plural(annotations.len(), "annotation", "annotations").to_owned());
        values.extend(annotations);
    }
    let reason = plural(values.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles");
    let detail = format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(&values));
    (!who.is_empty()).then(|| violation(reason, detail))
}

/// Capabilities that containers add beyond those allowed.
pub(super) fn added(pod: &Pod<'_>, allowed: &[&str]) -> Option<String> {
    let bad = |container: &Value| -> Vec<String> {
        let added = context(container, "/capabilities/add").and_then(Value::as_array).into_iter().flatten();
        added.filter_map(Value::as_str).filter(|name| !allowed.contains(name)).map(str::to_owned).collect()
    };
    let named = pod.named(|container| !bad(container).is_empty());
    let values = sorted(pod.containers.iter().flat_map(|container| bad(container)).collect());
    let text =
        || format!("{} must not include {} in securityContext.capabilities.add", containers(&named), quoted(&values));
    (!named.is_empty()).then(text)
}

pub(super) fn capabilities(pod: &Pod<'_>, _: Minor) -> Option<Violation> {
    added(pod, &CAPABILITIES).map(|detail| violation("non-default capabilities", detail))
}

pub(super) fn host_namespaces(pod: &Pod<'_>, _: Minor) -> Option<Violation> {
    let set =
        ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|f| pod.spec.get(*f) == Some(&Value::Bool(true)));
    let set: Vec<String> = set.map(|field| format!("{field}=true")).collect();
    (!set.is_empty()).then(|| violation("host namespaces", set.join(", ")))
}

pub(super) fn host_paths(pod: &Pod<'_>, _: Minor) -> Option<Violation> {
    let volumes = list_at(pod.spec, "/volumes").iter().filter(|volume| volume.get("hostPath").is_some());
    let names: Vec<&str> = volumes.map(|volume| str_at(volume, "/name")).collect();
    let detail = || format!("{} {}", plural(names.len(), "volume", "volumes"), quoted(&names));
    (!names.is_empty()).then(|| violation("hostPath volumes", detail()))
}

pub(super) fn host_ports(pod: &Pod<'_>, _: Minor) -> Option<Violation> {
    let taken = |container: &Value| -> Vec<String> {
        let ports = list_at(container, "/ports").iter().filter_map(|port| int_at(port, "/hostPort"));
        ports.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    };
    let named = pod.named(|container| !taken(container).is_empty());
    let ports = sorted(pod.containers.iter().flat_map(|container| taken(container)).collect());
    let detail = || {
        let (uses, what) = (plural(named.len(), "uses", "use"), plural(ports.len(), "hostPort", "hostPorts"));
        format!("{} {uses} {what} {}", containers(&named), ports.join(", "))
    };
    (!named.is_empty()).then(|| violation("hostPort", detail()))
}

pub(super) fn probe_hosts(pod: &Pod<'_>, _: Minor) -> Option<Violation> {
    const HANDLERS: [&str; 5] =
        ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"];
    let hosts = |container: &Value| -> Vec<String> {
        let handlers = HANDLERS.iter().filter_map(|handler| container.pointer(handler));
        let hosts = handlers.flat_map(|h| ["/httpGet/host", "/tcpSocket/host"].map(|host| str_at(h, host).to_owned()));
        hosts.filter(|host| !host.is_empty()).collect()
    };
    let named = pod.named(|container| !hosts(container).is_empty());
    let values = sorted(pod.containers.iter().flat_map(|container| hosts(container)).collect());
    let detail = || {
        let (uses, host) = (plural(named.len(), "uses", "use"), plural(values.len(), "host", "hosts"));
        format!("{} {uses} probe or lifecycle {host} {}", containers(&named), quoted(&values))
    };
    (!named.is_empty()).then(|| violation("probe or lifecycle host", detail()))
}

pub(super) fn privileged(pod: &Pod<'_>, _: Minor) -> Option<Violation> {
    let named = pod.named(|container| context(container, "/privileged") == Some(&Value::Bool(true)));
    let detail = || format!("{} must not set securityContext.privileged=true", containers(&named));
    (!named.is_empty()).then(|| violation("privileged", detail()))
}

pub(super) fn proc_mount(pod: &Pod<'_>, version: Minor) -> Option<Violation> {
    if version >= super::USERS_MAPPED && pod.maps_users() {
        return None;
    }
    let other = |container: &&Value| {
        context(container, "/procMount").and_then(Value::as_str).filter(|mount| *mount != "Default").map(str::to_owned)
    };
    let named = pod.named(|container| other(&container).is_some());
    let values = sorted(pod.containers.iter().filter_map(other).collect());
    let detail = || format!("{} must not set securityContext.procMount to {}", containers(&named), quoted(&values));
    (!named.is_empty()).then(|| violation("procMount", detail()))
}

pub(super) fn se_linux(pod: &Pod<'_>, version: Minor) -> Option<Violation> {
    let allowed = |kind: &str| SELINUX_TYPES.iter().any(|(name, since)| *name == kind && version >= *since);
    let bad = |options: &&Value| {
        !allowed(str_at(options, "/type")) || ["/user", "/role"].iter().any(|field| !str_at(options, field).is_empty())
    };
    let own = pod.own("/seLinuxOptions");
    let named = pod.named(|container| context(container, "/seLinuxOptions").filter(bad).is_some());
    let all: Vec<&Value> =
        own.into_iter().chain(pod.containers.iter().filter_map(|c| context(c, "/seLinuxOptions"))).collect();
    let types = all.iter().map(|options| str_at(options, "/type")).filter(|kind| !allowed(kind));
    let types = sorted(types.map(str::to_owned).collect());
    let mut wrong = Vec::new();
    if !types.is_empty() {
        wrong.push(format!("{} {}", plural(types.len(), "type", "types"), quoted(&types)));
    }
    for field in ["user", "role"] {
        if all.iter().any(|options| !str_at(options, &format!("/{field}")).is_empty()) {
            wrong.push(format!("{field} may not be set"));
        }
    }
    let who = setters(own.filter(bad).is_some(), &named).join(" and ");
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {}", wrong.join("; "));
    (!wrong.is_empty()).then(|| violation("seLinuxOptions", detail))
}

/// Whoever names a profile that filters nothing.
pub(super) fn unfiltered(pod: &Pod<'_>) -> Option<String> {
    let bad = |profile: &&Value| !["RuntimeDefault", "Localhost"].contains(&str_at(profile, "/type"));
    let own = pod.own("/seccompProfile").filter(bad);
    let named = pod.named(|container| context(container, "/seccompProfile").filter(bad).is_some());
    let all = own.into_iter().chain(pod.containers.iter().filter_map(|c| context(c, "/seccompProfile").filter(bad)));
    let types = sorted(all.map(|profile| str_at(profile, "/type").to_owned()).collect());
    let who = setters(own.is_some(), &named).join(" and ");
    (!who.is_empty()).then(|| format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&types)))
}

pub(super) fn seccomp(pod: &Pod<'_>, _: Minor) -> Option<Violation> {
    unfiltered(pod).map(|detail| violation("seccompProfile", detail))
}

pub(super) fn sysctls(pod: &Pod<'_>, version: Minor) -> Option<Violation> {
    let allowed = |name: &str| SYSCTLS.iter().any(|(known, since)| *known == name && version >= *since);
    let set = list_at(pod.spec, "/securityContext/sysctls").iter().map(|sysctl| str_at(sysctl, "/name"));
    let bad: Vec<&str> = set.filter(|name| !allowed(name)).collect();
    (!bad.is_empty()).then(|| violation("forbidden sysctls", bad.join(", ")))
}

pub(super) fn host_process(pod: &Pod<'_>, _: Minor) -> Option<Violation> {
    let set = Some(&Value::Bool(true));
    let named = pod.named(|container| context(container, "/windowsOptions/hostProcess") == set);
    let who = setters(pod.own("/windowsOptions/hostProcess") == set, &named).join(" and ");
    let detail = format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
    (!who.is_empty()).then(|| violation("hostProcess", detail))
}
