//! What only Windows pods may say, and what they may not.

use k8s_openapi::api::core::v1::{
    Container, PodSecurityContext, PodSpec, SecurityContext, WindowsSecurityContextOptions,
};
use serde_json::{Value, json};

use super::Scope;
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules;

const SPEC_MAX: usize = 64 * 1024;
const DOMAIN_MAX: usize = 256;
const USER_MAX: usize = 104;
const NETBIOS_MAX: usize = 15;

/// Checks the options themselves.
pub fn check_options(options: &WindowsSecurityContextOptions, path: &Path, errors: &mut ErrorList) {
    if let Some(name) = options.gmsa_credential_spec_name.as_deref() {
        rules::each(name, names::dns_subdomain(name), &path.child("gmsaCredentialSpecName"), errors);
    }
    if let Some(spec) = options.gmsa_credential_spec.as_deref() {
        let path = path.child("gmsaCredentialSpec");
        if spec.is_empty() {
            errors.push(FieldError::invalid(&path, spec, "gmsaCredentialSpec cannot be an empty string"));
        } else if spec.len() > SPEC_MAX {
            let detail = format!("gmsaCredentialSpec size must be under {} KiB", SPEC_MAX / 1024);
            errors.push(FieldError::invalid(&path, spec, detail));
        }
    }
    if let Some(user) = options.run_as_user_name.as_deref() {
        let path = path.child("runAsUserName");
        for detail in user_name(user) {
            errors.push(FieldError::invalid(&path, user, format!("runAsUserName{detail}")));
        }
    }
}

/// What is wrong with `DOMAIN\user` or `user`.
fn user_name(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec![" cannot be an empty string".to_owned()];
    }
    if text.chars().any(char::is_control) {
        return vec![" cannot contain control characters".to_owned()];
    }
    let parts: Vec<&str> = text.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return vec![" cannot contain more than one backslash".to_owned()],
    };
    let mut wrong = Vec::new();
    if let Some(domain) = domain {
        if domain.len() >= DOMAIN_MAX {
            wrong.push(format!("'s Domain length must be under {DOMAIN_MAX} characters"));
        }
        if !is_netbios(domain) && !is_dns(domain) {
            wrong.push("'s Domain doesn't match the NetBios nor the DNS format".to_owned());
        }
    }
    if user.is_empty() {
        wrong.push("'s User cannot be empty".to_owned());
    } else if user.chars().all(|c| c == '.' || c == ' ') {
        wrong.push("'s User cannot contain only periods or spaces".to_owned());
    }
    if user.len() > USER_MAX {
        wrong.push(format!("'s User length must not be longer than {USER_MAX} characters"));
    }
    const FORBIDDEN: &str = "\"/\\:;|=,+*?<>@[]";
    if user.contains(|c| FORBIDDEN.contains(c)) {
        wrong.push(format!("'s User cannot contain the following characters: {FORBIDDEN}"));
    }
    wrong
}

fn is_netbios(domain: &str) -> bool {
    let first = domain.chars().next();
    first.is_some_and(|c| !"\\/:*?\"<>|.".contains(c))
        && domain.chars().count() <= NETBIOS_MAX
        && !domain.contains(|c| "\\/:*?\"<>|".contains(c))
}

fn is_dns(domain: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    domain.chars().all(plain) && domain.starts_with(|c: char| c.is_ascii_alphanumeric()) && !domain.ends_with('-')
}

/// All containers of a pod are the host's processes, or none is.
pub fn check_host_process(scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    let spec = scope.spec;
    let of_pod = spec
        .security_context
        .as_ref()
        .and_then(|context| context.windows_options.as_ref())
        .and_then(|options| options.host_process);
    let (mut some, mut others) = (false, false);
    for (at, container) in all(spec) {
        let options = container.security_context.as_ref().and_then(|context| context.windows_options.as_ref());
        let own = options.and_then(|options| options.host_process);
        if let (Some(of_pod), Some(own)) = (of_pod, own)
            && of_pod != own
        {
            let at = at(path).child("securityContext").child("windowsOptions").child("hostProcess");
            let detail = format!("pod hostProcess value must be identical if both are specified, was {of_pod}");
            errors.push(FieldError::invalid(&at, own, detail));
        }
        if own.or(of_pod).unwrap_or(false) {
            some = true;
        } else {
            others = true;
        }
    }
    if !some {
        return;
    }
    if others {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(FieldError::invalid(path, "", detail));
    }
    if !scope.host_network() {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(FieldError::invalid(&path.child("hostNetwork"), false, detail));
    }
}

/// The containers with the paths that lead to them.
fn all(spec: &PodSpec) -> impl Iterator<Item = (impl Fn(&Path) -> Path, &Container)> {
    let lists = [
        ("containers", spec.containers.as_slice()),
        ("initContainers", spec.init_containers.as_deref().unwrap_or_default()),
    ];
    lists.into_iter().flat_map(|(list, containers)| {
        let at = move |at: usize| move |path: &Path| path.child(list).index(at);
        containers.iter().enumerate().map(move |(index, container)| (at(index), container))
    })
}

/// Checks what a pod may not say on its operating system.
pub fn check_os(scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    let spec = scope.spec;
    match spec.os.as_ref().map(|os| os.name.as_str()) {
        Some("windows") => check_windows(spec, path, errors),
        Some("linux") => {
            let mut forbid = |path: Path| {
                let path = path.child("securityContext").child("windowsOptions");
                errors.push(FieldError::forbidden(&path, "windows options cannot be set for a linux pod"));
            };
            if spec.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
                forbid(path.clone());
            }
            for (at, container) in all(spec) {
                if container.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
                    forbid(at(path));
                }
            }
        }
        _ => {}
    }
}

const FORBIDDEN: &str = "cannot be set for a windows pod";
const OF_SPEC: &[&str] = &["hostPID", "hostIPC", "hostUsers"];
const OF_CONTEXT: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "shareProcessNamespace",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
];
const OF_CONTAINER: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

fn check_windows(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let on = [spec.host_pid == Some(true), spec.host_ipc == Some(true), spec.host_users.is_some()];
    for (field, on) in OF_SPEC.iter().zip(on) {
        if on {
            errors.push(FieldError::forbidden(&path.child(field), FORBIDDEN));
        }
    }
    if spec.resources.is_some() {
        errors.push(FieldError::forbidden(&path.child("resources"), "may not be set for a windows pod"));
    }
    let context = spec.security_context.as_ref().map_or(Value::Null, |context: &PodSecurityContext| json!(context));
    for field in OF_CONTEXT {
        if *field == "shareProcessNamespace" {
            if spec.share_process_namespace == Some(true) {
                errors.push(FieldError::forbidden(&path.child(field), FORBIDDEN));
            }
        } else if context.get(*field).is_some_and(|value| !value.is_null()) {
            errors.push(FieldError::forbidden(&path.child("securityContext").child(field), FORBIDDEN));
        }
    }
    for (at, container) in all(spec) {
        let context =
            container.security_context.as_ref().map_or(Value::Null, |context: &SecurityContext| json!(context));
        for field in OF_CONTAINER.iter().filter(|field| context.get(**field).is_some_and(|value| !value.is_null())) {
            errors.push(FieldError::forbidden(&at(path).child("securityContext").child(field), FORBIDDEN));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users() {
        for good in ["a b", "d\\u", "x.\\u", "NT AUTHORITY\\NETWORK SERVICE", "d..e\\u"] {
            assert_eq!(user_name(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(user_name("a\\b\\c"), [" cannot contain more than one backslash"]);
        assert_eq!(user_name(".d\\u"), ["'s Domain doesn't match the NetBios nor the DNS format"]);
        assert_eq!(user_name("d\\"), ["'s User cannot be empty"]);
        assert_eq!(user_name("..."), ["'s User cannot contain only periods or spaces"]);
    }
}
