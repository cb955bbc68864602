//! containerd's configuration.

use std::path::Path;

use crate::error::AgentError;
use crate::paths::Paths;

/// The image of every pod's first process.
pub(crate) const PAUSE_IMAGE: &str = "gantry.local/pause:1";
/// Where Debian's CNI plugins are, and where others put them.
const PLUGINS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// The folder that holds CNI plugins on this machine.
pub(crate) fn plugins() -> &'static str {
    PLUGINS.into_iter().find(|folder| Path::new(folder).join("ptp").exists()).unwrap_or(PLUGINS[0])
}

/// Writes the configuration file; the path of it.
pub(super) fn write(paths: &Paths, registry_config: &Path) -> Result<(), AgentError> {
    let file = paths.containerd().join("config.toml");
    std::fs::write(&file, text(paths, registry_config)).map_err(AgentError::at("write", &file))
}

fn text(paths: &Paths, registry_config: &Path) -> String {
    let home = paths.containerd();
    let quoted = |path: &Path| format!("{:?}", path.to_string_lossy());
    let below = |name: &str| quoted(&home.join(name));
    format!(
        r#"version = 2
root = {root}
state = {state}
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]

[grpc]
  address = {socket}

[plugins."io.containerd.internal.v1.opt"]
  path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = {no_apparmor}
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = {conf}

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = {runc}

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = {registries}
"#,
        root = below("root"),
        state = below("state"),
        socket = quoted(&paths.socket()),
        opt = below("opt"),
        runc = below("runc"),
        plugins = plugins(),
        conf = quoted(&paths.cni_conf()),
        registries = quoted(registry_config),
        no_apparmor = !Path::new("/sys/module/apparmor").exists(),
    )
}
