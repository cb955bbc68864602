//! The etcd that other tests rely on.

use gantry_testkit::{EtcdCluster, Machine, needs_containers, needs_etcd};

#[test]
fn members_come_and_go_and_nothing_is_left() {
    needs_etcd!();
    let mut etcd = EtcdCluster::start(3);
    etcd.etcdctl("put before yes").expect_ok();
    let leader = etcd.leader().expect("a leader");
    etcd.kill(leader);
    etcd.wait_until_healthy();
    assert!(etcd.etcdctl("get before").expect_ok().contains("yes"));
    etcd.wipe(leader);
    etcd.add_again(leader);
    etcd.wait_until_healthy();
    let other = etcd.leader().expect("another leader");
    etcd.pause(other);
    etcd.wait_until_healthy();
    etcd.etcdctl("put after yes").expect_ok();
    etcd.resume(other);
    etcd.wait_until_healthy();
    let pids: Vec<_> = (0..etcd.len()).map(|number| etcd.pid(number)).collect();
    drop(etcd);
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} still runs");
    }
}

#[test]
fn a_member_runs_in_a_namespace() {
    needs_etcd!();
    needs_containers!();
    let machine = Machine::new();
    let etcd = EtcdCluster::start_on(&[(&machine, "198.18.0.1".parse().expect("an address"))]);
    assert_eq!(etcd.endpoints(), ["https://198.18.0.1:2379"]);
    etcd.etcdctl("put here yes").expect_ok();
    assert_eq!(etcd.leader(), Some(0));
}
