//! The network of pods as CNI plugins make it: a pair of devices for each pod, routed, without a bridge.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::error::AgentError;
use crate::failpoints::failpoint;
use crate::paths::Paths;

/// The network's name.
const NETWORK: &str = "gantry";
/// The file that holds the configuration.
const FILE: &str = "10-gantry.conflist";

/// Writes the configuration for pods in `pod_cidr`, if it is not that already.
pub(crate) fn write(paths: &Paths, pod_cidr: &str, mtu: u32) -> Result<(), AgentError> {
    let file = paths.cni_conf().join(FILE);
    let text = text(&paths.cni_state(), pod_cidr, mtu);
    if fs::read_to_string(&file).is_ok_and(|present| present == text) {
        return Ok(());
    }
    // containerd reads the folder as soon as it changes: it must never see half a file.
    let draft = paths.cni_conf().join(format!(".{FILE}.new"));
    fs::write(&draft, text).map_err(AgentError::at("write", &draft))?;
    failpoint!("agent::network_before_swap");
    fs::rename(&draft, &file).map_err(AgentError::at("write", &file))
}

fn text(state: &Path, pod_cidr: &str, mtu: u32) -> String {
    let ipam = json!({
        "type": "host-local",
        "dataDir": state,
        "ranges": [[{"subnet": pod_cidr}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let ptp = json!({"type": "ptp", "ipMasq": false, "mtu": mtu, "ipam": ipam});
    json!({"cniVersion": "0.4.0", "name": NETWORK, "plugins": [ptp]}).to_string()
}

/// The MTU of the device that leads to the other machines.
pub(crate) fn mtu() -> u32 {
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let default = routes.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let (device, destination) = (words.next()?, words.next()?);
        (destination == "00000000").then(|| device.to_owned())
    });
    let read = |device: String| fs::read_to_string(format!("/sys/class/net/{device}/mtu")).ok();
    default.and_then(read).and_then(|text| text.trim().parse().ok()).unwrap_or(1500)
}

/// Removes what CNI has cached of our pods in its own, shared place.
pub(crate) fn forget(paths: &Paths) {
    let cache = Path::new("/var/lib/cni/results");
    // A result names the network namespace, which is below our directory.
    let home = format!("{}/", paths.root().display());
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(&home)) {
            let _ = fs::remove_file(entry.path());
        }
    }
    // Only where they are empty.
    let _ = fs::remove_dir(cache);
    let _ = fs::remove_dir("/var/lib/cni");
}
