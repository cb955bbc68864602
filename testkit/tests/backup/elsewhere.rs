//! Restored on another machine: the same cluster, for its clients, its nodes and its pods.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use gantry_testkit::{
    Alone, EtcdCluster, Gantry, PATIENCE, Place, Site, failpoints_binary, needs_containers, wait_for, why_no_etcd,
};

use crate::world::{GAP, World, gantry, path, revision};

#[test]
fn a_backup_of_a_cluster_that_does_not_run_is_as_good() {
    let mut world = World::start();
    world.server.kubectl("create configmap kept --from-literal=a=b").expect_ok();
    world.server.kill();
    let (data, place) = (world.data(), world.place());
    let elsewhere = ["--encryption-key-file", "/nonexistent/key"];
    let keyless = gantry(&[&["backup", "create", "--data-dir", &data, "--to", &place], &elsewhere[..]].concat());
    let error = keyless.expect_err();
    assert!(error.contains("/nonexistent/key") && error.contains("--encryption-key-file"), "{error}");
    world.create();
    let elsewhere = world.folder.path().join("elsewhere");
    world.restore(&world.place(), &elsewhere).expect_ok();
    let mut restored = Alone::in_folder(&elsewhere);
    restored.start("");
    let kept = restored.kubectl("get configmap kept -o jsonpath={.data.a}").expect_ok();
    assert_eq!(kept, "b");
    // The same authority: whoever knew the old cluster is known to the new one.
    let authority = |of: &Path| std::fs::read(of.join("pki/ca.crt")).expect("the authority");
    assert_eq!(authority(world.server.data_dir()), authority(&elsewhere));
}

#[test]
fn a_passphrase_works_as_well() {
    let world = World::start();
    let file = |name: &str, text: &str| {
        let place = world.folder.path().join(name);
        std::fs::write(&place, text).expect("a passphrase");
        path(&place)
    };
    let (right, wrong) = (file("right", "correct horse\n"), file("wrong", "battery staple\n"));
    let (data, place) = (world.data(), world.place());
    gantry(&["backup", "create", "--data-dir", &data, "--to", &place, "--passphrase-file", &right]).expect_ok();
    let root = path(&world.folder.path().join("new"));
    let restore =
        |file: &str| gantry(&["backup", "restore", "--from", &place, "--passphrase-file", file, "--data-dir", &root]);
    let error = restore(&wrong).expect_err();
    assert!(error.contains("encrypted for passphrase"), "{error}");
    restore(&right).expect_ok();
}

const IMAGE: &str = "gantry.local/web:1";
const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: IMAGE
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
"#;

#[test]
fn f30_pods_are_matched_and_not_started_anew_after_a_restore_on_a_new_machine() {
    needs_containers!();
    let mut site = Site::start(1, &[]);
    site.import_web_image(IMAGE);
    site.apply(&WEB.replace("IMAGE", IMAGE));
    site.kubectl("rollout status deployment/web --timeout=60s").expect_ok();
    let pods = |site: &Site| {
        let listed = site.get("pods -l app=web");
        let mut found: Vec<String> = listed["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|pod| {
                let container = &pod["status"]["containerStatuses"][0];
                let parts = [
                    &pod["metadata"]["uid"],
                    &container["containerID"],
                    &container["restartCount"],
                    &container["state"],
                ];
                parts.map(ToString::to_string).join(" ")
            })
            .collect();
        found.sort();
        found
    };
    let (before, local) = (pods(&site), site.agent(1).local());
    let folder = tempfile::tempdir().expect("a folder");
    let (place, key) = (path(&folder.path().join("backups")), path(&folder.path().join("backup.key")));
    site.server().gantry(&format!("backup create --to {place}")).expect_ok();
    let data = site.server().machine().data_dir();
    std::fs::copy(data.join("pki/backup.key"), &key).expect("the copy of the key");
    let old = site.get("deployment web");

    // The server's machine is lost, with all that was on it; the agent's stays up.
    site.server().kill();
    std::fs::remove_dir_all(&data).expect("losing the data");
    site.server().gantry(&format!("backup restore --from {place} --key {key}")).expect_ok();
    site.server().start();
    site.server_is_ready();
    site.node_is(1, "True", PATIENCE);
    let now = site.get("deployment web");
    assert_eq!(now["metadata"]["uid"], old["metadata"]["uid"]);
    assert!(revision(&now) > revision(&old) + GAP, "{now}");

    // The agent follows the new server, and has started nothing anew.
    site.kubectl("scale deployment web --replicas=3").expect_ok();
    site.kubectl("rollout status deployment/web --timeout=60s").expect_ok();
    let (after, local_now) = (pods(&site), site.agent(1).local());
    assert_eq!(after.len(), 3, "{after:?}");
    assert!(before.iter().all(|pod| after.contains(pod)), "{before:?} is not in {after:?}");
    assert!(local.iter().all(|one| local_now.contains(one)), "{local:?} is not in {local_now:?}");
}

#[test]
fn f30_a_machine_that_keeps_its_node_takes_back_store_and_keys() {
    needs_containers!();
    let mut gantry = Gantry::up();
    gantry.import_web_image(IMAGE);
    gantry.apply(&WEB.replace("IMAGE", IMAGE));
    gantry.kubectl("rollout status deployment/web --timeout=60s").expect_ok();
    let pods = |gantry: &Gantry| {
        let listed = gantry.get("pods -l app=web");
        let items = listed["items"].as_array().expect("items").iter();
        let state = |pod: &serde_json::Value| {
            let container = &pod["status"]["containerStatuses"][0];
            [&pod["metadata"]["uid"], &container["containerID"], &container["state"]].map(ToString::to_string)
        };
        let mut found: Vec<_> = items.map(state).collect();
        found.sort();
        found
    };
    let before = pods(&gantry);
    let (data, folder) = (gantry.machine().data_dir(), gantry.machine().folder().to_owned());
    let place = path(&folder.join("backups"));
    gantry.gantry(&format!("backup create --to {place}")).expect_ok();
    gantry.kill();

    let (fresh, key) = (folder.join("fresh"), path(&data.join("pki/backup.key")));
    let words = ["backup", "restore", "--from", &place, "--key", &key, "--data-dir", &path(&fresh)];
    crate::world::gantry(&words).expect_ok();
    for part in ["store", "pki"] {
        std::fs::rename(data.join(part), folder.join(format!("damaged-{part}"))).expect("moving the old one aside");
        std::fs::rename(fresh.join(part), data.join(part)).expect("moving the new one there");
    }
    gantry.start();
    gantry.kubectl("rollout status deployment/web --timeout=60s").expect_ok();
    assert_eq!(pods(&gantry), before);
}

/// A server on an etcd, ended when dropped.
struct OnEtcd {
    process: Child,
    log: PathBuf,
}

impl Drop for OnEtcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- gantry's log\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

fn store_flags(etcd: &EtcdCluster, cluster_key: &Path) -> Vec<String> {
    let files = etcd.certificates();
    let mut flags = vec!["--store".to_owned(), format!("etcd={}", etcd.endpoints().join(","))];
    let named = [
        ("--store-ca-file", &files.ca_file),
        ("--store-cert-file", &files.cert_file),
        ("--store-key-file", &files.key_file),
    ];
    for (flag, file) in
        named.into_iter().map(|(flag, file)| (flag, file.as_path())).chain([("--cluster-key-file", cluster_key)])
    {
        flags.extend([flag.to_owned(), path(file)]);
    }
    flags
}

fn start(folder: &Path, data: &Path, flags: &[String]) -> OnEtcd {
    let log = folder.join("gantry.log");
    let file = std::fs::File::create(&log).expect("the log");
    let mut command = Command::new(failpoints_binary());
    let address = Place::on_loopback().address;
    command.args(["server", "--no-merge-kubeconfig", "--node-name", "node1", "--listen", &format!("{address}:6443")]);
    command.args(["--advertise-address", &address.to_string()]).arg("--data-dir").arg(data).args(flags);
    command.stdin(Stdio::null()).stdout(file.try_clone().expect("the log")).stderr(file);
    let process = command.spawn().expect("starting gantry");
    let mut server = OnEtcd { process, log };
    wait_for("gantry is ready", PATIENCE, || {
        let text = std::fs::read_to_string(&server.log).unwrap_or_default();
        if let Ok(Some(status)) = server.process.try_wait() {
            panic!("gantry ended with {status}:\n{text}");
        }
        if text.contains("gantry is ready") { Ok(()) } else { Err(text) }
    });
    server
}

fn kubectl(data: &Path, words: &str) -> String {
    let mut command = Command::new("kubectl");
    command.arg("--kubeconfig").arg(data.join("admin.kubeconfig")).args(words.split_whitespace());
    let output = command.output().expect("kubectl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn f30_what_lies_in_etcd_is_backed_up_and_restored_as_well() {
    if let Some(why) = why_no_etcd() {
        eprintln!("SKIPPED {}: {why}", module_path!());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (old_data, new_data) = (folder.path().join("old"), folder.path().join("new"));
    let (place, key) = (path(&folder.path().join("backups")), path(&old_data.join("pki/backup.key")));
    let etcd = EtcdCluster::start(1);
    let flags = store_flags(&etcd, &folder.path().join("cluster.key"));
    let create = |more: &[String]| {
        let words = ["backup", "create", "--data-dir", &path(&old_data), "--to", &place].map(str::to_owned);
        gantry(&[&words[..], more].concat().iter().map(String::as_str).collect::<Vec<_>>()).expect_ok();
    };
    let server = start(folder.path(), &old_data, &flags);
    kubectl(&old_data, "create configmap kept --from-literal=a=online");
    create(&[]);
    kubectl(&old_data, "delete configmap kept");
    kubectl(&old_data, "create configmap kept --from-literal=a=offline");
    drop(server);
    // And without a server, straight from etcd.
    create(&flags);
    drop(etcd);

    let etcd = EtcdCluster::start(1);
    let flags = store_flags(&etcd, &new_data.join("pki/cluster.key"));
    let restore = |more: &[String]| {
        let words = ["backup", "restore", "--from", &place, "--key", &key, "--data-dir", &path(&new_data)];
        let words = [&words.map(str::to_owned)[..], more].concat();
        gantry(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    restore(&flags).expect_ok();
    std::fs::remove_dir_all(&new_data).expect("trying once more");
    let error = restore(&flags).expect_err();
    assert!(error.contains("must be empty") && !new_data.exists(), "{error}");
    restore(&[&flags[..], &["--store-prefix".to_owned(), "/another".to_owned()]].concat()).expect_ok();

    let _server = start(folder.path(), &new_data, &flags);
    assert_eq!(kubectl(&new_data, "get configmap kept -o jsonpath={.data.a}"), "offline");
    let at: u64 =
        kubectl(&new_data, "get configmap kept -o jsonpath={.metadata.resourceVersion}").parse().expect("a number");
    assert!(at > GAP, "{at}");
}
