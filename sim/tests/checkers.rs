//! The checks find what they are there for: each is shown a history that is wrong.

use std::sync::Arc;

use bytes::Bytes;
use gantry_sim::agent::Power;
use gantry_sim::store::{EPOCH, History};
use gantry_sim::world::World;
use gantry_sim::{Plan, Sabotage};
use gantry_store::{Commit, FaultyDisk, Range, Txn};
use serde_json::{Value, json};

fn world(sabotage: Option<Sabotage>) -> Arc<World> {
    let plan = Plan { sabotage, nodes: 2, ..Plan::draw(0) };
    World::new(plan, false, History::starting_with(&Range::default()), FaultyDisk::new(0))
}

fn write(world: &World, key: &str, value: Option<Value>) -> u64 {
    let value = value.map(|value| Bytes::from(value.to_string()));
    let txn = Txn { writes: vec![(Bytes::from(key.to_owned()), value)], durable: true, ..Txn::default() };
    match world.history.commit(world, 0, txn) {
        Commit::Done(revision) => revision,
        conflict => panic!("{conflict:?}"),
    }
}

fn object(kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "uid": uid}})
}

#[tokio::test]
async fn two_containers_of_one_pod_are_found() {
    let world = world(None);
    let [one, two] = &world.machines.all()[..] else { panic!("two machines") };
    one.start(&world, "uid-1", "default/id", "10.42.0.0/24", None);
    one.stop(&world, "uid-1");
    two.start(&world, "uid-2", "default/id", "10.42.1.0/24", None);
    assert!(world.failure().is_none(), "one after the other");
    one.start(&world, "uid-3", "default/id", "10.42.0.0/24", None);
    assert!(world.failure().is_some_and(|failure| failure.text.contains("two containers of default/id")));
}

#[tokio::test]
async fn an_address_that_two_have_is_found() {
    let world = world(None);
    let [one, two] = &world.machines.all()[..] else { panic!("two machines") };
    one.start(&world, "uid-1", "default/a", "10.42.0.0/24", None);
    two.start(&world, "uid-2", "default/b", "10.42.0.0/24", None);
    assert!(world.failure().is_some_and(|failure| failure.text.contains("gets the address")));
}

#[tokio::test]
async fn what_has_no_power_runs_nothing() {
    let world = world(None);
    let [one, two] = &world.machines.all()[..] else { panic!("two machines") };
    one.start(&world, "uid-1", "default/id", "10.42.0.0/24", None);
    one.switch(Power::Off);
    two.start(&world, "uid-2", "default/id", "10.42.1.0/24", None);
    assert!(world.failure().is_none());
}

#[tokio::test]
async fn an_object_that_becomes_another_is_found() {
    let world = world(None);
    write(&world, "/registry/core/nodes//a", Some(object("Node", "a", "uid-1")));
    assert!(world.failure().is_none());
    write(&world, "/registry/core/nodes//a", Some(object("Node", "a", "uid-2")));
    assert!(world.failure().is_some_and(|failure| failure.text.contains("becomes another object")));
}

#[tokio::test]
async fn an_object_in_no_namespace_is_found() {
    let world = world(None);
    let mut map = object("ConfigMap", "a", "uid-1");
    map["metadata"]["namespace"] = json!("gone");
    write(&world, "/registry/core/configmaps/gone/a", Some(map));
    assert!(world.failure().is_some_and(|failure| failure.text.contains("in a namespace that is not there")));
}

#[tokio::test]
async fn a_write_of_a_deposed_leader_is_found() {
    let world = world(Some(Sabotage::Epoch));
    let lead = || Txn { writes: vec![(Bytes::from_static(EPOCH), Some(Bytes::new()))], ..Txn::default() };
    let Commit::Done(old) = world.history.commit(&world, 0, lead()) else { panic!("it is done") };
    world.history.commit(&world, 1, lead());
    let writes = vec![(Bytes::from_static(b"/gantry/x"), Some(Bytes::new()))];
    let txn = Txn { compare: vec![(Bytes::from_static(EPOCH), old)], writes, durable: true };
    world.history.commit(&world, 0, txn);
    assert!(world.failure().is_some_and(|failure| failure.text.contains("the leader of epoch 1 writes")));
}

#[tokio::test]
async fn a_commit_that_a_crash_took_is_found() {
    let world = world(None);
    write(&world, "/gantry/a", Some(json!(1)));
    let before = world.history.range(&Bytes::new());
    write(&world, "/gantry/b", Some(json!(2)));
    let all = world.history.range(&Bytes::new());
    assert!(world.history.recover(&world, 0, &all, Vec::new()).is_empty());
    assert_eq!(world.history.recover(&world, 0, &before, Vec::new()).len(), 1);
}

#[tokio::test]
async fn a_commit_that_nobody_was_promised_may_be_lost_and_its_revision_is_not_given_again() {
    let world = world(None);
    write(&world, "/gantry/a", Some(json!(1)));
    let before = world.history.range(&Bytes::new());
    let writes = vec![(Bytes::from_static(b"/gantry/b"), Some(Bytes::new()))];
    world.history.commit(&world, 0, Txn { writes, ..Txn::default() });
    assert!(world.history.recover(&world, 0, &before, Vec::new()).is_empty());
    assert!(world.failure().is_none());
    write(&world, "/gantry/c", Some(json!(3)));
    assert!(world.failure().is_some_and(|failure| failure.text.contains("is given to a commit")));
}

#[tokio::test]
async fn a_view_that_shows_something_else_is_found() {
    let world = world(None);
    write(&world, "/registry/core/nodes//a", Some(object("Node", "a", "uid-1")));
    let other = self::world(None);
    write(&other, "/registry/core/nodes//a", Some(object("Node", "a", "uid-2")));
    let differs = other.history.look(|view| world.history.differs(view));
    assert_eq!(differs.as_deref(), Some("nodes/a"));
}

#[tokio::test]
async fn a_network_that_two_nodes_have_is_found() {
    let world = world(None);
    for name in ["a", "b"] {
        let mut node = object("Node", name, name);
        node["spec"] = json!({"podCIDR": "10.42.0.0/24"});
        write(&world, &format!("/registry/core/nodes//{name}"), Some(node));
    }
    assert!(world.failure().is_some_and(|failure| failure.text.contains("both have 10.42.0.0/24")));
}
