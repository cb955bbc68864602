//! F1 on a node: the process is killed before and after whatever its agent does to the machine, and goes on where it
//! was: every pod runs in the end, once, and nothing of what was half done is left.

use std::path::{Path, PathBuf};

use gantry_testkit::{Gantry, PATIENCE, failpoints, needs_containers, wait_for, was_killed};

const WEB: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {number: \"NUMBER\"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: NUMBER
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      # The machine may be short of room; that is not what is tested.
      tolerations: [{operator: Exists}]
      containers:
      - {name: web, image: gantry.local/web:1, imagePullPolicy: Never, volumeMounts: [{name: settings, mountPath: /settings}]}
      volumes: [{name: settings, configMap: {name: settings}}]
";

#[test]
fn f1_an_agent_killed_at_any_step_goes_on_where_it_was() {
    needs_containers!();
    let mut gantry = Gantry::with_failpoints();
    // Met where there is no network yet.
    gantry.spawn("agent::network_before_swap=kill@1");
    wait_for_kill(&mut gantry, "agent::network_before_swap");
    gantry.start();
    gantry.import_web_image("gantry.local/web:1");
    let points = failpoints().into_iter().filter(|p| p.starts_with("agent::") && p != "agent::network_before_swap");
    for (number, point) in points.enumerate() {
        let manifest = WEB.replace("NUMBER", &(number + 1).to_string());
        gantry.kill();
        gantry.spawn(&format!("{point}=kill@{}", 1 + number % 2));
        // It may be killed before it is asked, as it finds something to do by itself.
        wait_for("the work is there", PATIENCE, || {
            let applied = gantry.kubectl_with_input("apply -f -", &manifest);
            if applied.ok || was_met(&mut gantry) { Ok(()) } else { Err(applied.err) }
        });
        wait_for_kill(&mut gantry, &point);
        gantry.start();
        gantry.apply(&manifest);
        gantry.kubectl("rollout status deployment/web --timeout=60s").expect_ok();
        let wanted = (number + 1) * 2;
        wait_for("a sandbox and a container for each pod", PATIENCE, || {
            let there = containers(&gantry);
            if there.len() == wanted { Ok(()) } else { Err(format!("{wanted} wanted, there are {there:?}")) }
        });
    }
}

fn wait_for_kill(gantry: &mut Gantry, point: &str) {
    wait_for(point, PATIENCE, || if was_met(gantry) { Ok(()) } else { Err("it was not met".to_owned()) });
}

/// Whether the process has been killed; it may end in no other way.
fn was_met(gantry: &mut Gantry) -> bool {
    match gantry.has_ended() {
        Some(status) => assert!(was_killed(status), "{status}"),
        None => return !gantry.is_running(),
    }
    true
}

/// Everything that the private containerd has.
fn containers(gantry: &Gantry) -> Vec<String> {
    let socket = find(&gantry.machine().data_dir().join("agent")).expect("containerd's socket");
    let words =
        ["ctr", "--address", &socket.display().to_string(), "--namespace", "k8s.io", "containers", "list", "--quiet"];
    gantry.machine().run(words).expect_ok().lines().map(str::to_owned).collect()
}

fn find(folder: &Path) -> Option<PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    let here = entries.iter().find(|path| path.ends_with("containerd.sock"));
    here.cloned().or_else(|| entries.iter().filter(|path| path.is_dir() && !path.is_symlink()).find_map(|p| find(p)))
}
