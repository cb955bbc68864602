//! kill -9: of gantry at any moment, and of its containerd. Containers go on, nothing acknowledged is lost.

use std::net::SocketAddr;
use std::time::Duration;

use gantry_testkit::{Gantry, Load, PATIENCE, needs_containers, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const WEB: &str = include_str!("../../examples/web.yaml");

/// Uid, container and restarts of every web pod, and the address of the service.
fn snapshot(gantry: &Gantry) -> (Vec<(String, String, i64)>, SocketAddr) {
    let pods = gantry.get("pods -n demo -l app=web");
    let mut found: Vec<_> = pods["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|pod| {
            let status = &pod["status"]["containerStatuses"][0];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&pod["metadata"]["uid"]), text(&status["containerID"]), status["restartCount"].as_i64().unwrap_or(-1))
        })
        .collect();
    found.sort();
    let ip = gantry.get("service web -n demo")["spec"]["clusterIP"].as_str().expect("an IP").to_owned();
    (found, format!("{ip}:80").parse().expect("an address"))
}

fn serving() -> Gantry {
    let gantry = Gantry::up();
    gantry.import_web_image("gantry.local/web:1");
    gantry.apply(WEB);
    gantry.kubectl("rollout status deployment/web -n demo --timeout=60s").expect_ok();
    gantry
}

#[test]
fn gantry_may_be_killed_at_any_moment() {
    needs_containers!();
    let mut gantry = serving();
    let (before, address) = snapshot(&gantry);
    let load = Load::start(gantry.machine(), address, 2, Duration::from_millis(10));
    let mut last_revision = 0;
    for round in 0..5 {
        let mut acknowledged = Vec::new();
        for write in 0..=round * 3 {
            let name = format!("kept-{round}-{write}");
            let made = gantry.kubectl(&format!("create configmap {name} --from-literal=a=b -o json")).expect_ok();
            let made: Value = serde_json::from_str(&made).expect("JSON");
            let revision: u64 =
                made["metadata"]["resourceVersion"].as_str().expect("a revision").parse().expect("a number");
            assert!(revision > last_revision, "revisions never go back: {revision} after {last_revision}");
            last_revision = revision;
            acknowledged.push((name, revision));
        }
        gantry.kill();
        gantry.start();
        for (name, revision) in acknowledged {
            let kept = gantry.get(&format!("configmap {name}"));
            assert_eq!(kept["metadata"]["resourceVersion"], revision.to_string(), "{name}");
        }
    }
    let answered = load.answered();
    wait_for("the service still answers", PATIENCE, || {
        if load.answered() > answered + 20 { Ok(()) } else { Err("no new answers".to_owned()) }
    });
    let report = load.stop();
    assert!(report.failures.is_empty(), "the service went on serving: {report:?}");
    assert_eq!(snapshot(&gantry).0, before, "no container was restarted");
}

#[test]
fn containerd_may_be_killed() {
    needs_containers!();
    let gantry = serving();
    let (before, address) = snapshot(&gantry);
    let load = Load::start(gantry.machine(), address, 2, Duration::from_millis(10));
    let pid = containerd_of(&gantry);
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killing containerd");
    wait_for("another containerd runs", PATIENCE, || match find_containerd(&gantry) {
        Some(other) if other != pid => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let pod = gantry.get("pods -n demo -l app=web")["items"][0]["metadata"]["name"].as_str().expect("a pod").to_owned();
    wait_for("exec works again", PATIENCE, || {
        let exec = gantry.kubectl_words(&["exec", "-n", "demo", &pod, "--", "true"]);
        if exec.ok { Ok(()) } else { Err(exec.err) }
    });
    let report = load.stop();
    assert!(report.failures.is_empty(), "the service went on serving: {report:?}");
    assert_eq!(snapshot(&gantry).0, before, "no container was restarted");
}

fn containerd_of(gantry: &Gantry) -> i32 {
    find_containerd(gantry).expect("a private containerd")
}

/// The containerd whose command line names this machine's data directory.
fn find_containerd(gantry: &Gantry) -> Option<i32> {
    let data_dir = gantry.machine().data_dir().display().to_string();
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = line.split('\0');
        let program = words.next()?;
        (program.ends_with("containerd") && line.contains(&data_dir)).then_some(pid)
    })
}

#[test]
fn down_leaves_nothing_behind() {
    needs_containers!();
    let gantry = serving();
    let data_dir = gantry.machine().data_dir();
    gantry.gantry("down --wipe").expect_ok();
    let place = data_dir.display().to_string();
    assert!(!data_dir.exists(), "the data directory is gone");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains(&place), "no mount is left");
    let tables = gantry.machine().run(["nft", "list", "tables"]).expect_ok();
    assert!(!tables.contains("gantry"), "no table is left: {tables}");
    let links = gantry.machine().run(["ip", "-br", "link"]).expect_ok();
    assert!(!links.contains("veth"), "no link is left: {links}");
    let addresses = gantry.machine().run(["ip", "-br", "addr"]).expect_ok();
    assert!(!addresses.contains("10.43."), "no address is left: {addresses}");
    let left = processes_naming(&place);
    assert!(left.is_empty(), "no process is left: {left:?}");
}

fn processes_naming(place: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").expect("processes").flatten();
    entries
        .filter(|e| e.file_name().to_str().is_some_and(|n| n != own))
        .filter_map(|e| std::fs::read_to_string(e.path().join("cmdline")).ok())
        .filter(|line| line.contains(place))
        .collect()
}
