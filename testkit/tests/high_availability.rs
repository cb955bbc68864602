//! Three servers on a three-member etcd, each pair on a machine of its own: whatever one machine suffers, writes go on
//! in the majority, nothing stale is served as fresh, and no two leaders act.

#[path = "high_availability/writers.rs"]
mod writers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gantry_testkit::{Caller, PATIENCE, Servers, needs_containers, needs_etcd, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use writers::{MAPS, SOON, Writers};

/// How long a new leader takes at the most: the old one's term, and what electing takes on a busy machine.
const NEW_LEADER: Duration = Duration::from_secs(12);
/// What is given to those who come back.
const CATCH_UP: Duration = Duration::from_secs(20);
/// What a refusal may take.
const REFUSAL: Duration = Duration::from_secs(30);
const PODS: &str = "/api/v1/namespaces/default/pods";
const REPLICAS: usize = 20;

fn others(of: usize) -> Vec<usize> {
    (0..3).filter(|number| *number != of).collect()
}

#[test]
fn f28_whatever_one_machine_suffers_writes_go_on_in_the_majority() {
    needs_containers!();
    needs_etcd!();
    let mut servers = Servers::start(3);
    published(&servers, 1, &[0, 1, 2]);
    leader(&servers, &[0, 1, 2]);
    let status = servers.gantry(0, "status").out;
    assert_eq!((status.matches("\nserver ").count(), status.matches(": leads since").count()), (3, 1), "{status}");
    let writers = Writers::start(&servers);
    // A node that was told of one server alone; the others it learns of.
    let _agent = servers.agent("worker", 0);
    let mut last = renewed(&mut servers.caller(1), |renewed| !renewed.is_empty());
    any_server_may_be_killed(&mut servers, &writers);
    for _ in 0..2 {
        // The first of these renewals may have come before its server was killed.
        last = renewed(&mut servers.caller(1), |renewed| renewed != last);
    }
    any_member_may_be_killed(&mut servers, &writers);
    a_slow_member_is_left_behind(&mut servers, &writers);
    the_leader_may_be_cut_off(&mut servers, &writers);
    a_disk_may_be_full(&mut servers, &writers);
    a_wiped_member_is_added_again(&mut servers, &writers);
    writers.stop_and_check();
}

fn any_server_may_be_killed(servers: &mut Servers, writers: &Writers) {
    for number in 0..3 {
        writers.begin(&[0, 1, 2]);
        servers.signal(number, Signal::SIGKILL);
        let took = writers.go_on(&others(number), "without a server", SOON);
        eprintln!("server {number} killed: writes go on after {took:?}");
        servers.restart(number);
        writers.go_on(&[number], "through the server that is back", CATCH_UP);
    }
}

fn any_member_may_be_killed(servers: &mut Servers, writers: &Writers) {
    // The leader last, and wherever it is by then.
    for round in 0..3 {
        writers.begin(&[0, 1, 2]);
        let leader = servers.etcd.leader().expect("a leader of etcd");
        let number = if round == 2 { leader } else { (leader + 1 + round) % 3 };
        servers.etcd.kill(number);
        let took = writers.go_on(&[0, 1, 2], "without a member of etcd", SOON);
        eprintln!("etcd {number} (of leader {leader}) killed: writes go on after {took:?}");
        servers.etcd.restart(number);
        servers.etcd.wait_until_healthy();
    }
}

/// A disk that stalls, as the others see it: a member that does nothing but now and then a little.
fn a_slow_member_is_left_behind(servers: &mut Servers, writers: &Writers) {
    writers.begin(&[0, 1, 2]);
    let number = servers.etcd.leader().expect("a leader of etcd");
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(6) {
        servers.etcd.pause(number);
        longest = longest.max(writers.go_on(&[0, 1, 2], "with a slow member", SOON));
        servers.etcd.resume(number);
        longest = longest.max(writers.go_on(&[0, 1, 2], "with a member that awakes", SOON));
    }
    eprintln!("etcd {number} slow: writes go on after {longest:?}");
    servers.etcd.wait_until_healthy();
}

fn the_leader_may_be_cut_off(servers: &mut Servers, writers: &Writers) {
    writers.begin(&[0, 1, 2]);
    let alone = leader(servers, &[0, 1, 2]);
    let mut witness = servers.neighbour(alone).patient_for(REFUSAL);
    assert_eq!(witness.ask("GET", "/readyz", None).code(), 200);
    create(&mut witness, "seen").expect("a write before the cut");
    let cut = Instant::now();
    servers.network.cut(alone);
    let took = writers.go_on(&others(alone), "without the leader", SOON);
    let next = leader(servers, &others(alone));
    eprintln!("leader {alone} cut off: writes go on after {took:?}, server {next} leads after {:?}", cut.elapsed());

    let mut free = servers.caller(next);
    free.ask("DELETE", &format!("{MAPS}/seen"), None).good().expect("a write of the majority");
    let refused = create(&mut witness, "alone").expect_err("a minority writes nothing");
    assert!([503, 504].contains(&refused), "{refused}");
    let stale = witness.ask("GET", &format!("{MAPS}/seen"), None);
    assert_eq!(stale.code(), 503, "nothing is served as fresh: {stale:?}");
    let old = witness.ask("GET", &format!("{MAPS}/seen?resourceVersion=0"), None);
    assert_eq!(old.code(), 200, "who takes any age is served: {old:?}");
    assert_eq!(witness.ask("GET", "/readyz", None).code(), 500);
    assert_eq!(witness.ask("GET", "/livez", None).code(), 200);

    servers.network.heal(alone);
    let healed = Instant::now();
    writers.go_on(&[0, 1, 2], "after the cut is healed", CATCH_UP);
    wait_for("the server that was alone is ready again", CATCH_UP, || {
        match witness.ask("GET", "/readyz", None).code() {
            200 => Ok(()),
            other => Err(other.to_string()),
        }
    });
    assert_eq!(witness.ask("GET", &format!("{MAPS}/seen"), None).code(), 404, "it knows what happened meanwhile");
    eprintln!("healed: caught up after {:?}", healed.elapsed());
}

fn a_disk_may_be_full(servers: &mut Servers, writers: &Writers) {
    writers.begin(&[0, 1, 2]);
    let number = 0;
    servers.etcd.kill(number);
    let disk = SmallDisk::under(&servers.etcd.data_dir(number));
    servers.etcd.restart(number);
    servers.etcd.wait_until_healthy();
    disk.fill();
    let took = writers.go_on(&[0, 1, 2], "with a full disk", SOON);
    eprintln!("disk of etcd {number} full: writes go on after {took:?}");
    // Whether the member has ended for want of space or not: with space it comes back.
    servers.etcd.kill(number);
    disk.remove();
    servers.etcd.restart(number);
    servers.etcd.wait_until_healthy();
    writers.go_on(&[0, 1, 2], "with space again", CATCH_UP);
}

fn a_wiped_member_is_added_again(servers: &mut Servers, writers: &Writers) {
    writers.begin(&[0, 1, 2]);
    let number = 1;
    servers.etcd.wipe(number);
    writers.go_on(&[0, 1, 2], "without a member's data", SOON);
    servers.etcd.restart(number);
    wait_for("the wiped member refuses to be who it was", PATIENCE, || {
        let log = std::fs::read_to_string(servers.etcd.log(number)).unwrap_or_default();
        if log.contains("has already been bootstrapped") { Ok(()) } else { Err(log) }
    });
    servers.etcd.wipe(number);
    servers.etcd.add_again(number);
    servers.etcd.wait_until_healthy();
    writers.go_on(&[0, 1, 2], "with the member added again", CATCH_UP);
}

#[test]
fn f7_a_stopped_server_serves_nothing_stale_and_leads_no_more() {
    needs_containers!();
    needs_etcd!();
    let mut servers = Servers::start(3);
    let stopped = leader(&servers, &[0, 1, 2]);
    let awake = others(stopped);
    published(&servers, stopped, &[0, 1, 2]);
    let writers = Writers::start(&servers);
    writers.begin(&[0, 1, 2]);
    let began = begin_replacing(&mut servers.caller(awake[0]));
    let replacing = Replacing::start(servers.caller(awake[0]));
    // Connections that are there before the stop: their requests wait in the server's sockets.
    let mut waiting: Vec<Caller> = (0..4).map(|_| servers.caller(stopped).patient_for(REFUSAL)).collect();
    for caller in &mut waiting {
        assert_eq!(caller.ask("GET", "/readyz", None).code(), 200);
    }

    servers.signal(stopped, Signal::SIGSTOP);
    let at = Instant::now();
    writers.go_on(&awake, "with the leader stopped", SOON);
    let next = leader(&servers, &awake);
    eprintln!("leader {stopped} stopped: server {next} leads after {:?}", at.elapsed());
    replacing.go_on();
    published(&servers, next, &awake);
    eprintln!("the stopped server left the endpoints of the API after {:?}", at.elapsed());
    std::thread::sleep(stop_time().saturating_sub(at.elapsed()));
    create(&mut servers.caller(next), "fresh").expect("a write elsewhere");
    let reads: Vec<JoinHandle<u16>> = waiting
        .into_iter()
        .map(|mut caller| std::thread::spawn(move || caller.ask("GET", &format!("{MAPS}/fresh"), None).code()))
        .collect();
    servers.signal(stopped, Signal::SIGCONT);
    for read in reads {
        let code = read.join().expect("a read");
        // After a long stop the server takes the connection itself for dead, and ends it without a word.
        let cut = code == 0 && stop_time() >= LONG_STOP;
        assert!(
            cut || [200, 503].contains(&code),
            "a read that was asked for after the write shows it, or is refused: {code}"
        );
    }

    writers.go_on(&[0, 1, 2], "with the server awake again", CATCH_UP);
    assert!(!servers.leads(stopped), "its term is over");
    published(&servers, next, &[0, 1, 2]);
    assert_eq!(leader(&servers, &awake), next, "and it has not taken the lead back");
    replacing.go_on();
    replacing.stop();
    never_too_many(&mut servers.caller(next), began);
    writers.stop_and_check();
}

/// How long a server stands still in the long form.
const LONG_STOP: Duration = Duration::from_secs(60);

/// `LONG_STOP` with `GANTRY_LONG_STOP` in the environment; otherwise just longer than a term.
fn stop_time() -> Duration {
    if std::env::var_os("GANTRY_LONG_STOP").is_some() { LONG_STOP } else { Duration::from_secs(9) }
}

/// Waits until the lease of the node was renewed at a time that is `wanted`.
fn renewed(caller: &mut Caller, wanted: impl Fn(&str) -> bool) -> String {
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker";
    let mut time = String::new();
    wait_for("the node renews its lease", CATCH_UP, || {
        let lease = caller.ask("GET", lease, None).good().map_err(|answer| format!("{answer:?}"))?;
        lease["spec"]["renewTime"].as_str().unwrap_or_default().clone_into(&mut time);
        if wanted(&time) { Ok(()) } else { Err(time.clone()) }
    });
    time
}

/// Waits until these servers, and no others, are published as endpoints of the API; `asked` is the server to ask.
fn published(servers: &Servers, asked: usize, wanted: &[usize]) {
    let wanted: BTreeSet<String> = wanted.iter().map(|number| servers.address(*number).ip().to_string()).collect();
    let mut caller = servers.caller(asked);
    let slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    wait_for("the endpoints of the API are the servers that live", CATCH_UP, || {
        let slice = caller.ask("GET", slice, None).good().map_err(|answer| format!("{answer:?}"))?;
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        let now: BTreeSet<String> =
            endpoints.filter_map(|endpoint| Some(endpoint["addresses"][0].as_str()?.to_owned())).collect();
        if now == wanted { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

/// A ReplicaSet with all its pods, which nobody runs; the revision of the list.
fn begin_replacing(caller: &mut Caller) -> String {
    let template = json!({"metadata": {"labels": {"app": "held"}}, "spec": {"containers": [{"name": "c", "image": "i"}], "nodeSelector": {"nobody": "has"}}});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "held"},
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": {"app": "held"}}, "template": template},
    });
    let sets = "/apis/apps/v1/namespaces/default/replicasets";
    caller.ask("POST", sets, Some(&set)).good().expect("a ReplicaSet");
    let mut revision = String::new();
    wait_for("all replicas are there", CATCH_UP, || {
        let list = caller.ask("GET", PODS, None).good().map_err(|answer| format!("{answer:?}"))?;
        list["metadata"]["resourceVersion"].as_str().unwrap_or_default().clone_into(&mut revision);
        let count = list["items"].as_array().map_or(0, Vec::len);
        if count == REPLICAS { Ok(()) } else { Err(format!("{count} of {REPLICAS}")) }
    });
    revision
}

/// Somebody who deletes pods all the time, so that the ReplicaSet's controller is never done.
struct Replacing {
    stop: Arc<AtomicBool>,
    newest: Caller,
    thread: JoinHandle<()>,
}

impl Replacing {
    fn start(mut caller: Caller) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let newest = caller.another();
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::Relaxed) {
                    for name in oldest(&mut caller).iter().take(3) {
                        caller.ask("DELETE", &format!("{PODS}/{name}?gracePeriodSeconds=0"), None);
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        });
        Replacing { stop, newest, thread }
    }

    /// Waits until all pods that are there now have been replaced.
    fn go_on(&self) {
        let mut caller = self.newest.another();
        let before = names(&mut caller).expect("pods");
        wait_for("pods are replaced", CATCH_UP, || {
            let now = names(&mut caller).ok_or("no list")?;
            let left = now.intersection(&before).count();
            if left == 0 && !now.is_empty() { Ok(()) } else { Err(format!("{left} are left")) }
        });
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the deletions");
    }
}

/// Names of the pods, the oldest first; none when nobody answers.
fn oldest(caller: &mut Caller) -> Vec<String> {
    let list = caller.ask("GET", PODS, None).good().unwrap_or_default();
    let revision = |pod: &Value| pod["metadata"]["resourceVersion"].as_str().and_then(|r| r.parse::<u64>().ok());
    let mut pods = list["items"].as_array().cloned().unwrap_or_default();
    pods.sort_by_key(revision);
    pods.iter().filter_map(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned())).collect()
}

fn names(caller: &mut Caller) -> Option<BTreeSet<String>> {
    let list = caller.ask("GET", PODS, None).good().ok()?;
    let items = list["items"].as_array()?.iter();
    Some(items.filter_map(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned())).collect())
}

/// Goes through everything that ever happened to pods since `began`: at no moment were there more than wanted.
fn never_too_many(caller: &mut Caller, began: String) {
    wait_for("all replicas are there again", CATCH_UP, || match names(caller).ok_or("no list")?.len() {
        REPLICAS => Ok(()),
        other => Err(other.to_string()),
    });
    let told = caller.text(&format!("{PODS}?watch=1&timeoutSeconds=2&resourceVersion={began}")).expect("all events");
    let (mut count, mut most, mut created) = (REPLICAS, REPLICAS, 0);
    for event in told.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event")) {
        match event["type"].as_str() {
            Some("ADDED") => (count, created) = (count + 1, created + 1),
            Some("DELETED") => count -= 1,
            Some("MODIFIED") => {}
            _ => panic!("{event}"),
        }
        most = most.max(count);
    }
    eprintln!("{created} pods were created; {most} at a time at the most");
    assert!(created > REPLICAS, "the controllers had something to do");
    assert_eq!(most, REPLICAS, "nobody creates what another has created");
}

/// Waits until one of these servers leads.
fn leader(servers: &Servers, among: &[usize]) -> usize {
    let mut found = None;
    wait_for("a server leads", NEW_LEADER, || {
        found = among.iter().copied().find(|number| servers.leads(*number));
        found.map(drop).ok_or_else(|| "none".to_owned())
    });
    found.expect("a leader")
}

/// Creates a ConfigMap; the code of a refusal.
fn create(caller: &mut Caller, name: &str) -> Result<(), u16> {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    caller.ask("POST", MAPS, Some(&body)).good().map(drop).map_err(|answer| answer.code())
}

/// A disk of memory with little room, to which a folder was moved.
struct SmallDisk {
    folder: PathBuf,
    mount: tempfile::TempDir,
    mounted: bool,
}

impl SmallDisk {
    /// Moves `folder` to a disk that has little room beside it.
    fn under(folder: &Path) -> Self {
        let mount = tempfile::Builder::new().prefix("gantry-disk").tempdir().expect("a temporary folder");
        let used = run("du", &["-sk", &folder.display().to_string()]);
        let used: u64 = used.split_whitespace().next().and_then(|kb| kb.parse().ok()).expect("a size");
        let size = format!("size={}k", used + 80 * 1024);
        run("mount", &["-t", "tmpfs", "-o", &size, "gantry-test", &mount.path().display().to_string()]);
        let disk = SmallDisk { folder: folder.to_owned(), mount, mounted: true };
        run("cp", &["-a", &folder.display().to_string(), &disk.place()]);
        std::fs::remove_dir_all(folder).expect("removing what was copied");
        std::os::unix::fs::symlink(disk.place(), folder).expect("a link");
        disk
    }

    fn place(&self) -> String {
        self.mount.path().join("data").display().to_string()
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let file = self.mount.path().join("filling");
        let mut filling = std::fs::File::create(file).expect("a file");
        // The end of the room is the end of this.
        let _ = std::io::copy(&mut std::io::repeat(0), &mut filling);
    }

    /// Moves the folder back, and takes the disk away.
    fn remove(mut self) {
        std::fs::remove_file(&self.folder).expect("removing the link");
        run("cp", &["-a", &self.place(), &self.folder.display().to_string()]);
        self.unmount();
    }

    fn unmount(&mut self) {
        if std::mem::take(&mut self.mounted) {
            let _ = Command::new("umount").arg("-l").arg(self.mount.path()).status();
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().expect("a program");
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
