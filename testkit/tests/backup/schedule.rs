//! Scheduled backups, through crashes and failures.

use std::collections::BTreeSet;

use gantry_testkit::{PATIENCE, wait_for};
use nix::sys::signal::Signal;

use crate::world::{World, gantry};

/// Names of the good backups, newest first.
fn good(world: &World) -> Vec<String> {
    let listed = world.list();
    let items = listed["items"].as_array().expect("items").iter();
    items.filter(|i| i["usable"] == true).map(|i| i["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn the_schedule_makes_backups_keeps_the_newest_and_says_when_it_fails() {
    let mut world = World::start();
    world.create();
    let by_hand = good(&world);
    let (data, place) = (world.data(), world.place());
    let schedule = |words: &[&str]| gantry(&[&["backup", "schedule", "--data-dir", &data], words].concat());
    schedule(&["--every", "1s", "--keep", "2", "--to", &place]).expect_ok();
    // Four were made, two of them are left, and that which the schedule has not made.
    let mut seen = BTreeSet::new();
    wait_for("the fourth scheduled backup", PATIENCE, || {
        seen.extend(good(&world));
        if seen.len() >= 5 { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    wait_for("the old ones are gone", PATIENCE, || {
        let now = good(&world);
        if now.len() <= 4 && now.contains(&by_hand[0]) { Ok(()) } else { Err(format!("{now:?}")) }
    });

    // The schedule survives the server, whatever ends it.
    world.server.signal(Signal::SIGKILL);
    world.server.wait_for_end();
    let newest = good(&world)[0].clone();
    world.server.start("");
    wait_for("the missed one is made up for", PATIENCE, || {
        let now = good(&world)[0].clone();
        if now > newest { Ok(()) } else { Err(now) }
    });

    // No folder can be where a file is.
    let aside = world.folder.path().join("aside");
    std::fs::rename(&place, &aside).expect("moving the backups");
    std::fs::write(&place, "in the way").expect("a file");
    wait_for("the failure is seen", PATIENCE, || {
        let shown = schedule(&["--show"]);
        if !shown.ok && shown.out.contains("!! the last") { Ok(()) } else { Err(shown.out) }
    });
    let events = world.server.kubectl("get events -n default").expect_ok();
    assert!(events.contains("BackupFailed"), "{events}");
    let metrics = world.server.kubectl("get --raw /metrics").expect_ok();
    let failures =
        metrics.lines().find_map(|line| line.strip_prefix("gantry_backup_failures_total ")).expect("a metric");
    assert!(failures.parse::<u64>().expect("a number") > 0);
    let doctor = gantry(&["doctor", "--data-dir", &data]);
    assert!(!doctor.ok && doctor.out.contains("fail  backups"), "{doctor:?}");

    std::fs::remove_file(&place).expect("the file");
    std::fs::rename(&aside, &place).expect("moving the backups back");
    wait_for("it works again", PATIENCE, || {
        let shown = schedule(&["--show"]);
        if shown.ok { Ok(()) } else { Err(shown.out) }
    });
    let removed = schedule(&["--remove"]).expect_ok();
    assert!(removed.contains("no backups are scheduled"), "{removed}");
}
