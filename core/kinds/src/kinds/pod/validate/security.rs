//! Security contexts, and what a pod shares with its host.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    AppArmorProfile, PodSecurityContext, SELinuxOptions, SeccompProfile, SecurityContext, Sysctl,
    WindowsSecurityContextOptions,
};
use serde_json::{Value, json};

use super::volumes::check_local_path;
use super::{Scope, windows};
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::rules;

const ID_MAX: i64 = i32::MAX as i64;
const SYSCTL_MAX: usize = 253;
const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

fn check_id(id: Option<i64>, path: &Path, errors: &mut ErrorList) {
    if let Some(id) = id {
        rules::within(id, 0, ID_MAX, path, errors);
    }
}

/// Checks a container's context.
pub fn check_container(context: &SecurityContext, host_users: Option<bool>, path: &Path, errors: &mut ErrorList) {
    check_id(context.run_as_user, &path.child("runAsUser"), errors);
    check_id(context.run_as_group, &path.child("runAsGroup"), errors);
    if let Some(mount) = context.proc_mount.as_deref() {
        rules::one_of(mount, &["Default", "Unmasked"], &path.child("procMount"), errors);
        if mount == "Unmasked" && host_users.unwrap_or(true) {
            let detail = "`hostUsers` must be false to use `Unmasked`";
            errors.push(FieldError::invalid(&path.child("procMount"), mount, detail));
        }
    }
    check_seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), errors);
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(FieldError::invalid_shown(path, &show(context), detail));
        }
        let added = context.capabilities.as_ref().and_then(|c| c.add.as_deref()).unwrap_or_default();
        if added.iter().any(|c| c == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(FieldError::invalid_shown(path, &show(context), detail));
        }
    }
    if let Some(options) = &context.windows_options {
        windows::check_options(options, &path.child("windowsOptions"), errors);
    }
    check_app_armor(context.app_armor_profile.as_ref(), &path.child("appArmorProfile"), errors);
}

/// A context as error messages show it: all fields in the order of their declaration, named in capitals.
fn show(context: &SecurityContext) -> String {
    let capabilities = context.capabilities.as_ref().map_or_else(
        || "null".to_owned(),
        |c| format!("{{\"Add\":{},\"Drop\":{}}}", shown(&json!(c.add)), shown(&json!(c.drop))),
    );
    let seccomp = context.seccomp_profile.as_ref().map(|p| show_profile(&p.type_, &p.localhost_profile));
    let armor = context.app_armor_profile.as_ref().map(|p| show_profile(&p.type_, &p.localhost_profile));
    let null = || "null".to_owned();
    let fields = [
        ("Capabilities", capabilities),
        ("Privileged", shown(&json!(context.privileged))),
        ("SELinuxOptions", context.se_linux_options.as_ref().map_or_else(null, show_labels)),
        ("WindowsOptions", context.windows_options.as_ref().map_or_else(null, show_windows)),
        ("RunAsUser", shown(&json!(context.run_as_user))),
        ("RunAsGroup", shown(&json!(context.run_as_group))),
        ("RunAsNonRoot", shown(&json!(context.run_as_non_root))),
        ("ReadOnlyRootFilesystem", shown(&json!(context.read_only_root_filesystem))),
        ("AllowPrivilegeEscalation", shown(&json!(context.allow_privilege_escalation))),
        ("ProcMount", shown(&json!(context.proc_mount))),
        ("SeccompProfile", seccomp.unwrap_or_else(null)),
        ("AppArmorProfile", armor.unwrap_or_else(null)),
    ];
    let parts: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", parts.join(","))
}

fn show_labels(options: &SELinuxOptions) -> String {
    let text = |part: &Option<String>| shown(&Value::from(part.as_deref().unwrap_or_default()));
    let (user, role) = (text(&options.user), text(&options.role));
    let (kind, level) = (text(&options.type_), text(&options.level));
    format!("{{\"User\":{user},\"Role\":{role},\"Type\":{kind},\"Level\":{level}}}")
}

fn show_windows(options: &WindowsSecurityContextOptions) -> String {
    let fields = [
        ("GMSACredentialSpecName", json!(options.gmsa_credential_spec_name)),
        ("GMSACredentialSpec", json!(options.gmsa_credential_spec)),
        ("RunAsUserName", json!(options.run_as_user_name)),
        ("HostProcess", json!(options.host_process)),
    ];
    let parts = fields.map(|(name, value)| format!("\"{name}\":{}", shown(&value)));
    format!("{{{}}}", parts.join(","))
}

fn check_seccomp(profile: Option<&SeccompProfile>, path: &Path, errors: &mut ErrorList) {
    let Some(profile) = profile else { return };
    if profile.type_.is_empty() {
        let detail = "type is required when seccompProfile is set";
        errors.push(FieldError::required(&path.child("type"), detail));
    } else {
        rules::one_of(&profile.type_, PROFILES, &path.child("type"), errors);
    }
    let local_path = path.child("localhostProfile");
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        // A profile without a name is none: the runtime must not be asked to make do without.
        ("Localhost", None | Some("")) => {
            errors.push(FieldError::required(&local_path, "must be set when seccomp type is Localhost"));
        }
        ("Localhost", Some(local)) => check_local_path(local, &local_path, errors),
        (_, None) => {}
        (kind, Some(_)) => {
            let shown = show_profile(kind, &profile.localhost_profile);
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(FieldError::invalid_shown(&local_path, &shown, detail));
        }
    }
}

fn check_app_armor(profile: Option<&AppArmorProfile>, path: &Path, errors: &mut ErrorList) {
    let Some(profile) = profile else { return };
    if profile.type_.is_empty() {
        let detail = "type is required when appArmorProfile is set";
        errors.push(FieldError::required(&path.child("type"), detail));
    } else {
        rules::one_of(&profile.type_, PROFILES, &path.child("type"), errors);
    }
    let local_path = path.child("localhostProfile");
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("Localhost", None | Some("")) => {
            errors.push(FieldError::required(&local_path, "must be set when AppArmor type is Localhost"));
        }
        ("Localhost", Some(local)) if local != local.trim() => {
            errors.push(FieldError::invalid(&local_path, local, "must not be padded with whitespace"));
        }
        ("Localhost", Some(_)) | (_, None) => {}
        ("RuntimeDefault" | "Unconfined", Some(local)) => {
            let detail = "can only be set when AppArmor type is Localhost";
            errors.push(FieldError::invalid(&local_path, local, detail));
        }
        (_, Some(_)) => {}
    }
}

fn show_profile(kind: &str, local: &Option<String>) -> String {
    format!("{{\"Type\":{},\"LocalhostProfile\":{}}}", shown(&Value::from(kind)), shown(&json!(local)))
}

/// Checks a pod's context, and what it shares with its host and within itself; `path` is that of the spec.
pub fn check_pod(scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    let spec = scope.spec;
    if scope.host_network() {
        check_same_ports(scope, path, errors);
    }
    // wire: two of the fields print with a capital.
    let shared = [("hostNetwork", spec.host_network), ("HostPID", spec.host_pid), ("HostIPC", spec.host_ipc)];
    for (field, _) in shared.iter().filter(|(_, on)| *on == Some(true) && spec.host_users == Some(false)) {
        errors.push(FieldError::forbidden(&path.child(field), "when `hostUsers` is false"));
    }
    if spec.host_users == Some(false) {
        for (at, container) in spec.containers.iter().enumerate() {
            if container.volume_devices.as_ref().is_some_and(|devices| !devices.is_empty()) {
                let path = path.child("containers").index(at).child("volumeDevices");
                errors.push(FieldError::forbidden(&path, "when `hostUsers` is false"));
            }
        }
    }
    let context_path = path.child("securityContext");
    if let Some(context) = &spec.security_context {
        check_pod_context(context, scope, &context_path, errors);
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(&path.child("shareProcessNamespace"), true, detail));
    }
}

/// On the host's network a container's port is the host's port.
fn check_same_ports(scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    let lists = [("containers", Some(&scope.spec.containers)), ("initContainers", scope.spec.init_containers.as_ref())];
    for (list, containers) in lists {
        for (at, container) in containers.into_iter().flatten().enumerate() {
            for (port_at, port) in container.ports.iter().flatten().enumerate() {
                let Some(host) = port.host_port.filter(|p| *p != 0 && *p != port.container_port) else { continue };
                let path = path.child(list).index(at).child("ports").index(port_at).child("hostPort");
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.push(FieldError::invalid(&path, host, detail));
            }
        }
    }
}

fn check_pod_context(context: &PodSecurityContext, scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    check_id(context.fs_group, &path.child("fsGroup"), errors);
    check_id(context.run_as_user, &path.child("runAsUser"), errors);
    check_id(context.run_as_group, &path.child("runAsGroup"), errors);
    for (at, group) in context.supplemental_groups.iter().flatten().enumerate() {
        check_id(Some(*group), &path.child("supplementalGroups").index(at), errors);
    }
    let sysctls = context.sysctls.as_deref().unwrap_or_default();
    check_sysctls(sysctls, scope, &path.child("sysctls"), errors);
    if let Some(policy) = context.fs_group_change_policy.as_deref() {
        rules::one_of(policy, &["Always", "OnRootMismatch"], &path.child("fsGroupChangePolicy"), errors);
    }
    check_seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), errors);
    if let Some(options) = &context.windows_options {
        windows::check_options(options, &path.child("windowsOptions"), errors);
    }
    check_app_armor(context.app_armor_profile.as_ref(), &path.child("appArmorProfile"), errors);
    if let Some(policy) = context.se_linux_change_policy.as_deref() {
        rules::one_of(policy, &["MountOption", "Recursive"], &path.child("seLinuxChangePolicy"), errors);
    }
    if let Some(policy) = context.supplemental_groups_policy.as_deref() {
        rules::one_of(policy, &["Merge", "Strict"], &path.child("supplementalGroupsPolicy"), errors);
    }
}

fn check_sysctls(sysctls: &[Sysctl], scope: &Scope<'_>, list: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (at, sysctl) in sysctls.iter().enumerate() {
        let path = list.index(at).child("name");
        let name = sysctl.name.as_str();
        if name.is_empty() {
            errors.push(FieldError::required(&path, ""));
        } else if !is_sysctl(name) {
            let detail = "must have at most 253 characters and match regex \
                ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.push(FieldError::invalid(&path, name, detail));
        } else if !seen.insert(name) {
            errors.push(FieldError::duplicate(&path, name));
        }
        let shares = |prefix: &str| name.replace('/', ".").starts_with(prefix);
        if scope.host_network() && shares("net.") {
            let detail = "may not be specified when 'hostNetwork' is true";
            errors.push(FieldError::invalid(&path, name, detail));
        }
        if scope.spec.host_ipc == Some(true) && (shares("kernel.shm") || shares("kernel.msg") || shares("fs.mqueue.")) {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostIPC' is true"));
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let segment = |s: &str| {
        let bytes = s.as_bytes();
        bytes.first().is_some_and(|c| edge(*c))
            && bytes.last().is_some_and(|c| edge(*c))
            && bytes.iter().all(|c| edge(*c) || matches!(c, b'-' | b'_'))
    };
    name.len() <= SYSCTL_MAX && name.split(['.', '/']).all(segment)
}
