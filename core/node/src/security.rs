//! What containers may do: users, groups, capabilities, seccomp.

use k8s_openapi::api::core::v1::{Container, Pod, SeccompProfile};

use crate::pod;
use crate::sources::NodeFacts;
use crate::volume::fs_group;

/// Paths of `/proc` and `/sys` that containers do not see.
const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Paths of `/proc` that containers cannot write.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The security of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// All devices and capabilities.
    pub privileged: bool,
    /// Uid, where it is set.
    pub user: Option<i64>,
    /// Name of the user, where a group is set and the image alone says the user.
    pub user_name: String,
    /// Gid, where it is set.
    pub group: Option<i64>,
    /// Further groups.
    pub groups: Vec<i64>,
    /// Capabilities to add.
    pub add: Vec<String>,
    /// Capabilities to drop.
    pub drop: Vec<String>,
    /// The root file system cannot be written.
    pub read_only_root: bool,
    /// No process can gain more privileges than its parent.
    pub no_new_privileges: bool,
    /// Paths that are hidden.
    pub masked: Vec<String>,
    /// Paths that cannot be written.
    pub read_only: Vec<String>,
    /// Which system calls are allowed.
    pub seccomp: Seccomp,
}

/// Which system calls are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// All.
    #[default]
    Unconfined,
    /// Those of the runtime's own profile.
    RuntimeDefault,
    /// Those of a profile on the node.
    Localhost(String),
}

/// The user that an image runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageUser {
    /// Its uid, where the image names a number.
    pub uid: Option<i64>,
    /// Its name, where the image names a name.
    pub name: String,
}

fn seccomp(profile: Option<&SeccompProfile>, node: &NodeFacts) -> Result<Seccomp, String> {
    let Some(profile) = profile else {
        return Ok(if node.seccomp_default { Seccomp::RuntimeDefault } else { Seccomp::Unconfined });
    };
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("RuntimeDefault", _) => Ok(Seccomp::RuntimeDefault),
        ("Localhost", Some(path)) if !path.is_empty() => Ok(Seccomp::Localhost(format!("{}/{path}", node.seccomp))),
        ("Localhost", _) => Err("localhostProfile must be set if seccompProfile type is Localhost.".to_owned()),
        _ => Ok(Seccomp::Unconfined),
    }
}

/// Whether the user of the image must be known to make the container.
pub fn needs_image_user(pod: &Pod, container: &Container) -> bool {
    let whole = pod::spec(pod).security_context.as_ref();
    let own = container.security_context.as_ref();
    let non_root = own.and_then(|own| own.run_as_non_root).or(whole.and_then(|whole| whole.run_as_non_root));
    let group = own.and_then(|own| own.run_as_group).or(whole.and_then(|whole| whole.run_as_group));
    non_root == Some(true) || group.is_some()
}

/// The security of a container on that node. An error is a configuration error.
pub fn of_container(pod: &Pod, container: &Container, image: &ImageUser, node: &NodeFacts) -> Result<Security, String> {
    let whole = pod::spec(pod).security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let privileged = own.privileged.unwrap_or(false);
    let user = own.run_as_user.or(whole.run_as_user);
    if own.run_as_non_root.or(whole.run_as_non_root) == Some(true) {
        check_user(pod, container, user, image)?;
    }
    let group = own.run_as_group.or(whole.run_as_group);
    // A group is taken only with a user.
    let (user, user_name) = match (user, group, image.name.as_str()) {
        (None, Some(_), "") => (image.uid.or(Some(0)), String::new()),
        (None, Some(_), name) => (None, name.to_owned()),
        (user, _, _) => (user, String::new()),
    };
    let unmasked = privileged || own.proc_mount.as_deref() == Some("Unmasked");
    let listed = |paths: &[&str]| paths.iter().filter(|_| !unmasked).map(|path| (*path).to_owned()).collect();
    let capabilities = own.capabilities.unwrap_or_default();
    let profile = own.seccomp_profile.as_ref().or(whole.seccomp_profile.as_ref());
    let mut groups = whole.supplemental_groups.unwrap_or_default();
    groups.extend(fs_group(pod));
    Ok(Security {
        privileged,
        user,
        user_name,
        group,
        groups,
        add: capabilities.add.unwrap_or_default(),
        drop: capabilities.drop.unwrap_or_default(),
        read_only_root: own.read_only_root_filesystem.unwrap_or(false),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        masked: listed(&MASKED),
        read_only: listed(&READ_ONLY),
        seccomp: if privileged { Seccomp::Unconfined } else { seccomp(profile, node)? },
    })
}

fn check_user(pod: &Pod, container: &Container, user: Option<i64>, image: &ImageUser) -> Result<(), String> {
    let place = format!("(pod: {:?}, container: {})", pod::full_name(pod), container.name);
    match (user, image.uid) {
        (Some(0), _) => Err(format!("container's runAsUser breaks non-root policy {place}")),
        (Some(_), _) => Ok(()),
        (None, Some(0)) => Err(format!("container has runAsNonRoot and image will run as root {place}")),
        (None, Some(_)) => Ok(()),
        (None, None) if image.name.is_empty() => {
            Err(format!("container has runAsNonRoot and image will run as root {place}"))
        }
        (None, None) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root {place}",
            image.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(whole: Value, own: Value, image: &ImageUser) -> Result<Security, String> {
        let container = json!({"name": "a", "securityContext": own});
        let pod = crate::pod::tests::pod(json!({"containers": [container], "securityContext": whole}));
        let node = NodeFacts { seccomp: "/seccomp".to_owned(), seccomp_default: true, ..NodeFacts::default() };
        of_container(&pod, &pod::spec(&pod).containers[0], image, &node)
    }

    #[test]
    fn who_says_nothing_of_system_calls_gets_the_runtimes_profile_where_the_node_has_it_so() {
        let profile = |whole: Value, own: Value| of(whole, own, &ImageUser::default()).map(|found| found.seccomp);
        let of_type = |kind: &str| json!({"seccompProfile": {"type": kind}});
        assert_eq!(profile(json!({}), json!({})), Ok(Seccomp::RuntimeDefault));
        assert_eq!(profile(of_type("Unconfined"), json!({})), Ok(Seccomp::Unconfined));
        assert_eq!(profile(of_type("Unconfined"), of_type("RuntimeDefault")), Ok(Seccomp::RuntimeDefault));
        assert_eq!(profile(json!({}), json!({"privileged": true})), Ok(Seccomp::Unconfined));
        // A profile that is not named is none that anything could run under.
        for missing in [Value::Null, json!("")] {
            let local = json!({"seccompProfile": {"type": "Localhost", "localhostProfile": missing}});
            assert!(profile(local.clone(), json!({})).is_err());
            assert!(profile(json!({}), local).is_err());
        }
        let pod = crate::pod::tests::pod(json!({"containers": [{"name": "a"}]}));
        let stock = NodeFacts::default();
        let found = of_container(&pod, &pod::spec(&pod).containers[0], &ImageUser::default(), &stock).unwrap();
        assert_eq!(found.seccomp, Seccomp::Unconfined);
    }

    #[test]
    fn the_container_overrules_the_pod() {
        let whole = json!({"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4],
            "seccompProfile": {"type": "RuntimeDefault"}});
        let own = json!({"runAsUser": 9, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        let found = of(whole, own, &ImageUser::default()).unwrap();
        assert_eq!((found.user, found.group, found.groups), (Some(9), Some(2), vec![4, 3]));
        assert_eq!((found.seccomp, found.no_new_privileges), (Seccomp::RuntimeDefault, true));
        let grouped =
            of(json!({"runAsGroup": 2}), json!({}), &ImageUser { uid: None, name: "www".to_owned() }).unwrap();
        assert_eq!((grouped.user, grouped.user_name.as_str(), grouped.group), (None, "www", Some(2)));
        assert_eq!((found.drop, found.masked.len()), (vec!["ALL".to_owned()], MASKED.len()));
        let privileged = of(json!({}), json!({"privileged": true}), &ImageUser::default()).unwrap();
        assert!(privileged.masked.is_empty() && privileged.read_only.is_empty());
        let local = json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}});
        let found = of(local, json!({}), &ImageUser::default()).unwrap();
        assert_eq!(found.seccomp, Seccomp::Localhost("/seccomp/a.json".to_owned()));
    }

    #[test]
    fn no_root_means_no_root() {
        let check = |user: Value, image: ImageUser, expected: Option<&str>| {
            let found = of(json!({"runAsNonRoot": true}), json!({"runAsUser": user}), &image).err();
            let place = "(pod: \"web_shop(u1)\", container: a)";
            assert_eq!(found, expected.map(|words| format!("{words} {place}")));
        };
        let image = |uid: Option<i64>, name: &str| ImageUser { uid, name: name.to_owned() };
        check(json!(5), image(Some(0), ""), None);
        check(json!(0), image(Some(7), ""), Some("container's runAsUser breaks non-root policy"));
        check(Value::Null, image(Some(7), ""), None);
        check(Value::Null, image(Some(0), ""), Some("container has runAsNonRoot and image will run as root"));
        let words = "container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root";
        check(Value::Null, image(None, "www"), Some(words));
    }
}
