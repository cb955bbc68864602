use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use gantry_node::volume::{File, Files, Plan};

use super::*;

fn files(entries: &[(&str, &str)]) -> Plan {
    let entries: BTreeMap<_, _> = entries
        .iter()
        .map(|(path, text)| ((*path).to_owned(), File { data: text.as_bytes().to_vec(), mode: 0o640 }))
        .collect();
    Plan::Files(Files { entries, memory: false })
}

#[test]
fn files_change_together_and_old_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("v");
    prepare(&volume, &files(&[("a", "1"), ("sub/b", "2")]), None).unwrap();
    let first = fs::read_link(volume.join("..data")).unwrap();
    assert_eq!(fs::read_to_string(volume.join("sub/b")).unwrap(), "2");
    assert_eq!(fs::metadata(volume.join("a")).unwrap().permissions().mode() & 0o777, 0o640);
    prepare(&volume, &files(&[("a", "1"), ("sub/b", "2")]), None).unwrap();
    assert_eq!(fs::read_link(volume.join("..data")).unwrap(), first, "nothing has changed");
    prepare(&volume, &files(&[("a", "3")]), None).unwrap();
    assert_eq!(fs::read_to_string(volume.join("a")).unwrap(), "3");
    let names: Vec<_> = fs::read_dir(&volume).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(!volume.join(first).exists());
}

#[test]
fn a_file_cannot_be_outside_its_volume() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["../x", "/x", "..data"] {
        assert!(prepare(&folder.path().join("v"), &files(&[(path, "1")]), None).is_err(), "{path}");
    }
}

#[test]
fn host_paths_are_what_the_pod_expects() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let check = |path: &Path, kind: &str, fits: bool| {
        let plan = Plan::Host { path: path.display().to_string(), kind: kind.to_owned() };
        assert_eq!(prepare(folder.path(), &plan, None).is_ok(), fits, "{kind} {}", path.display());
    };
    check(&file, "File", true);
    check(&file, "Directory", false);
    check(&file, "Socket", false);
    check(&folder.path().join("none"), "Directory", false);
    check(&folder.path().join("none"), "", true);
    check(&folder.path().join("made/deep"), "DirectoryOrCreate", true);
    assert!(folder.path().join("made/deep").is_dir());
}

#[test]
fn a_path_in_a_volume_never_leads_outside() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (root, target) = (folder.path().join("v"), folder.path().join("t"));
    fs::create_dir_all(root.join("in")).unwrap();
    fs::write(folder.path().join("secret"), "no").unwrap();
    symlink("../secret", root.join("link")).unwrap();
    assert!(bind_sub_path(&root, "link/x", &target).is_err());
    symlink("/", root.join("all")).unwrap();
    bind_sub_path(&root, "all/in/deep", &target).unwrap();
    assert!(root.join("in/deep").is_dir(), "the volume is its own root");
    assert_eq!(mounted_below(folder.path()), [target]);
    remove(folder.path()).unwrap();
    assert!(!folder.path().exists());
}
