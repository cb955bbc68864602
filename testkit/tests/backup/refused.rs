//! What must be refused, untouched and without a trace: other formats, damage, wrong keys, full disks, strangers.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gantry_testkit::{Output, Start};

use crate::world::{World, gantry, path};

/// Everything below a folder: names, modes, times and bytes.
fn fingerprint(folder: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let place = entry.expect("an entry").path();
        let about = std::fs::symlink_metadata(&place).expect("its state");
        let times = (about.mtime(), about.mtime_nsec());
        let bytes = if about.is_file() { std::fs::read(&place).expect("its bytes") } else { Vec::new() };
        found.insert(place.clone(), (about.mode(), times.0, times.1, bytes));
        if about.is_dir() {
            found.extend(fingerprint(&place));
        }
    }
    found
}

#[test]
fn f29_data_of_a_newer_version_is_refused_before_anything_of_it_is_touched() {
    let mut world = World::start();
    world.create();
    world.server.kill();
    let (data, place, key) = (world.data(), world.place(), world.key());
    for format in ["gantry-store 3\n", "gantry-store 1\n", "something else\n"] {
        std::fs::write(world.server.data_dir().join("store/FORMAT"), format).expect("another format");
        let before = fingerprint(world.server.data_dir());
        let Start::Ended(status) = world.server.try_start("") else {
            panic!("it serves a format that it does not know")
        };
        assert!(!status.success());
        let log = world.server.log();
        let said = [format.trim_end(), "gantry-store 2", "nothing was touched", "gantry backup restore"];
        assert!(said.iter().all(|words| log.contains(words)), "{log}");
        let up = gantry(&["up", "--no-merge-kubeconfig", "--data-dir", &data]).expect_err();
        assert!(up.contains(format.trim_end()) || up.contains("run gantry as root"), "{up}");
        let backup = gantry(&["backup", "create", "--data-dir", &data, "--to", &place]).expect_err();
        assert!(backup.contains(format.trim_end()), "{backup}");
        let doctor = gantry(&["doctor", "--data-dir", &data]);
        assert!(!doctor.ok && doctor.out.contains("fail  format"), "{doctor:?}");
        assert!(fingerprint(world.server.data_dir()) == before, "something of the data directory was changed");
    }

    let backup = world.backup();
    let bytes = std::fs::read(&backup).expect("the backup");
    let newer = String::from_utf8_lossy(&bytes[..15]).replace("gantry-backup 1", "gantry-backup 2");
    std::fs::write(&backup, [newer.as_bytes(), &bytes[15..]].concat()).expect("a newer backup");
    let root = world.folder.path().join("new");
    let words = ["backup", "restore", "--from", &path(&backup), "--key", &key, "--data-dir", &path(&root)];
    let error = gantry(&words).expect_err();
    assert!(error.contains("\"gantry-backup 2\"") && error.contains("(gantry 0."), "{error}");
    assert!(!root.exists());
}

#[test]
fn what_cannot_be_restored_is_refused_and_leaves_nothing() {
    let world = World::start();
    world.create();
    let (place, root, backup) = (world.place(), world.folder.path().join("new"), world.backup());
    let nothing = |why: &str, output: Output, words: &[&str]| {
        let error = output.expect_err();
        assert!(words.iter().all(|word| error.contains(word)), "{why}: {error}");
        let left: Vec<_> = std::fs::read_dir(world.folder.path()).expect("the folder").flatten().collect();
        assert_eq!(left.len(), 1, "{why}: {left:?}");
    };
    let bytes = std::fs::read(&backup).expect("the backup");
    // Into a running cluster, and into a directory in use.
    nothing("running", world.restore(&place, world.server.data_dir()), &["gantry runs in", "--data-dir DIR"]);
    nothing("in use", world.restore(&place, &world.server.data_dir().join("pki")), &["is not empty"]);
    // With another cluster's key.
    let other = World::start();
    other.create();
    let words = ["backup", "restore", "--from", &place, "--key", &other.key(), "--data-dir", &path(&root)];
    nothing("the wrong key", gantry(&words), &["cannot be opened with this key", "age1"]);
    let words = ["backup", "restore", "--from", &place, "--data-dir", &path(&root)];
    nothing("no key", gantry(&words), &["--key FILE"]);
    // Cut off, and with bits that fell over.
    for cut in [0, 14, 4095, 4096, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&backup, &bytes[..cut]).expect("a cut");
        nothing("cut", world.restore(&path(&backup), &root), &[]);
        nothing("cut, the only one", world.restore(&place, &root), &["there is no good backup"]);
    }
    for at in [20, 300, 4000, 4096, 4200, bytes.len() / 2, bytes.len() - 1] {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        std::fs::write(&backup, &bad).expect("a flip");
        nothing("flipped", world.restore(&path(&backup), &root), &["damaged"]);
        let listed = gantry(&["backup", "list", "--verify", "--data-dir", &world.data(), "--from", &place]);
        assert!(!listed.ok && listed.out.contains("is damaged"), "{listed:?}");
    }
    std::fs::write(&backup, &bytes).expect("the backup as it was");
    let checked = gantry(&["backup", "restore", "--check", "--from", &place, "--data-dir", &world.data()]).expect_ok();
    assert!(checked.contains("is whole and can be restored"), "{checked}");
}

/// A file system of so many bytes, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, size: &str) -> Self {
        std::fs::create_dir_all(at).expect("the place");
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
        assert!(mounted.expect("mount").success(), "mounting");
        Small(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_no_part_of_a_backup() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED {}: it needs root to mount", module_path!());
        return;
    }
    let world = World::start();
    // So that no compression makes it fit.
    let noise: String =
        (0..60_000_u64).map(|n| char::from(b'!' + ((n * n * 2_654_435_761) >> 16) as u8 % 90)).collect();
    let noise = noise.replace(['\'', '"', '\\', '`'], "x");
    let file = world.folder.path().join("noise");
    std::fs::write(&file, noise).expect("noise");
    for number in 0..4 {
        let words = format!("create configmap noise-{number} --from-file={}", path(&file));
        world.server.kubectl(&words).expect_ok();
    }
    let small = Small::mount(Path::new(&world.place()), "64k");
    let create = || gantry(&["backup", "create", "--data-dir", &world.data(), "--to", &world.place()]);
    let error = create().expect_err();
    assert!(error.contains("No space left"), "{error}");
    assert_eq!(std::fs::read_dir(world.place()).expect("the place").count(), 0, "nothing is left");
    drop(small);
    create().expect_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_get_backups() {
    let world = World::start();
    let token = tokio::task::block_in_place(|| world.server.kubectl("create token default").expect_ok());
    let kubeconfig = std::fs::read_to_string(world.server.kubeconfig()).expect("the kubeconfig");
    let server = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server: ")).expect("the server");
    for (place, method) in
        [("/backup", "GET"), ("/backup/schedule", "GET"), ("/backup/schedule", "DELETE"), ("/doctor", "GET")]
    {
        let url = format!("{}/gantry/v1{place}", server.trim_matches('"'));
        let bearer = format!("Authorization: Bearer {}", token.trim());
        let ask = |words: &[&str]| {
            let output = Command::new("curl")
                .args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, &url])
                .args(words)
                .output();
            String::from_utf8_lossy(&output.expect("curl").stdout).into_owned()
        };
        assert_eq!(ask(&["-H", &bearer]), "403", "{method} {place}");
        assert_eq!(ask(&[]), "401", "{method} {place}");
    }
}
