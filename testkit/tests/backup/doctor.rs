//! What `gantry doctor` finds, with a server and without.

use std::os::unix::fs::PermissionsExt;

use gantry_testkit::Output;
use serde_json::Value;

use crate::world::{World, gantry};

/// State and words of one check.
fn check(output: &Output, name: &str) -> (String, String) {
    let report: Value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let checks = report["checks"].as_array().expect("checks");
    let found = checks.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no check {name}: {report}"));
    let text = |field: &str| found[field].as_str().expect("text").to_owned();
    (text("state"), format!("{} -> {}", text("message"), text("help")))
}

#[test]
fn the_doctor_names_what_is_wrong_and_what_helps() {
    let mut world = World::start();
    let data = world.data();
    let examine = || gantry(&["doctor", "--data-dir", &data, "-o", "json"]);
    let running = examine();
    for name in ["server", "store", "objects", "certificates", "key files", "disk", "clock", "port"] {
        assert_eq!(check(&running, name).0, "ok", "{:?}", check(&running, name));
    }
    let (state, words) = check(&running, "backups");
    assert!(state == "warn" && words.contains("gantry backup schedule"), "{words}");

    world.server.kill();
    let stopped = examine();
    assert_eq!(check(&stopped, "server").0, "warn");
    for name in ["store", "objects", "port"] {
        assert_eq!(check(&stopped, name).0, "ok", "{:?}", check(&stopped, name));
    }

    let key = world.server.data_dir().join("pki/ca.key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).expect("opening the key");
    let open = examine();
    let (state, words) = check(&open, "key files");
    assert!(!open.ok && state == "fail" && words.contains(&format!("chmod 600 {}", key.display())), "{words}");

    // A bit in the middle of what was written falls over.
    let store = world.server.data_dir().join("store");
    let files = std::fs::read_dir(&store).expect("the store").map(|entry| entry.expect("a file").path());
    let largest = files.max_by_key(|file| std::fs::metadata(file).map_or(0, |about| about.len())).expect("a segment");
    let mut bytes = std::fs::read(&largest).expect("the segment");
    let written = bytes.iter().rposition(|byte| *byte != 0).expect("something");
    bytes[written / 2] ^= 1;
    std::fs::write(&largest, bytes).expect("the damage");
    let damaged = examine();
    let (state, words) = check(&damaged, "store");
    assert!(!damaged.ok && state == "fail" && words.contains("gantry backup restore"), "{words}");
}
