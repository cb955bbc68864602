//! Who makes things go wrong, as often and as hard as the plan says.

use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::NODE;
use gantry_registry::DeleteOptions;
use jiff::SignedDuration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::agent::{self, Machine, Power};
use crate::api::Client;
use crate::clock::SimClock;
use crate::plan::Fault;
use crate::world::{World, skew};

/// Makes everything go wrong that the plan has, until the turbulence ends.
pub async fn rage(world: &Arc<World>, agents: &mut JoinSet<()>) {
    let mut evils = JoinSet::new();
    for fault in world.plan.faults.keys() {
        match fault {
            Fault::Crash => drop(evils.spawn(crash(world.clone()))),
            Fault::Leader => drop(evils.spawn(depose(world.clone()))),
            Fault::PartitionStore => drop(evils.spawn(cut(world.clone()))),
            Fault::PartitionAgent => drop(evils.spawn(part(world.clone()))),
            Fault::Pause => drop(evils.spawn(freeze(world.clone()))),
            Fault::ClockJump => drop(evils.spawn(jump(world.clone()))),
            Fault::SlowDisk => drop(evils.spawn(slow(world.clone()))),
            Fault::FullDisk => drop(evils.spawn(fill(world.clone()))),
            Fault::SyncError => drop(evils.spawn(fail_syncs(world.clone()))),
            Fault::Compaction => drop(evils.spawn(compact(world.clone()))),
            Fault::AgentCrash => drop(evils.spawn(power(world.clone(), Fault::AgentCrash, Power::Unattended))),
            Fault::Reboot => drop(evils.spawn(power(world.clone(), Fault::Reboot, Power::Off))),
            _ => {}
        }
    }
    let churn = async {
        if world.plan.strength(Fault::NodeChurn) == 0.0 {
            return std::future::pending().await;
        }
        churn(world, agents).await;
    };
    let _ = timeout(world.plan.turbulence, churn).await;
    evils.shutdown().await;
}

/// Ends all that is wrong.
pub fn relent(world: &World) {
    world.calm_down();
    world.net.heal();
    world.disk.set_capacity(u64::MAX);
    for slot in &world.servers {
        slot.want(true);
        if let Some(engine) = slot.store.lock().as_ref() {
            engine.set_delay(Duration::ZERO);
        }
    }
    world.servers.iter().for_each(|slot| slot.clock.correct());
    for machine in world.machines.all() {
        machine.clock.correct();
        machine.switch(Power::On);
    }
}

/// Waits until the fault strikes again: the stronger, the sooner.
async fn until_next(world: &World, fault: Fault, mean: u64) {
    let mean = (mean as f64 * 1000.0 / world.plan.strength(fault).max(0.05)) as u64;
    world.pause(mean / 10, mean * 2).await;
}

fn any_server(world: &World) -> usize {
    usize::try_from(world.rng.below(world.servers.len() as u64)).unwrap_or(0)
}

fn any_machine(world: &World) -> Option<Arc<Machine>> {
    world.rng.pick(&world.machines.all()).cloned()
}

async fn crash(world: Arc<World>) {
    loop {
        until_next(&world, Fault::Crash, 10).await;
        let slot = &world.servers[any_server(&world)];
        world.say(format_args!("nemesis kills {}", slot.name));
        slot.want(false);
        if world.plan.has_engine() && world.rng.chance(0.5) {
            // Somewhere in the middle of a write.
            world.disk.cut_power_after(world.rng.below(20));
            world.pause(0, 2000).await;
        }
        slot.kill(&world);
        let long = world.rng.chance(0.2);
        world.pause(10, if long { 60_000 } else { 3000 }).await;
        slot.want(true);
    }
}

/// The leader is kept from the store until another leads.
async fn depose(world: Arc<World>) {
    loop {
        until_next(&world, Fault::Leader, 15).await;
        let leader = world.servers.iter().position(|slot| {
            slot.cluster().is_some_and(|cluster| cluster.leadership().borrow().identity == cluster.identity())
        });
        let Some(leader) = leader else { continue };
        world.say(format_args!("nemesis deposes server{leader}"));
        if world.rng.chance(0.5) {
            world.net.freeze(leader, true);
            world.pause(5000, 15_000).await;
            world.net.freeze(leader, false);
        } else {
            world.net.cut(leader, true);
            world.pause(5000, 15_000).await;
            world.net.cut(leader, false);
        }
    }
}

async fn cut(world: Arc<World>) {
    loop {
        until_next(&world, Fault::PartitionStore, 12).await;
        let server = any_server(&world);
        world.say(format_args!("nemesis cuts server{server} off"));
        world.net.cut(server, true);
        world.pause(100, 30_000).await;
        world.net.cut(server, false);
        world.say(format_args!("nemesis lets server{server} be"));
    }
}

async fn part(world: Arc<World>) {
    loop {
        until_next(&world, Fault::PartitionAgent, 10).await;
        let Some(machine) = any_machine(&world) else { continue };
        let from_all = world.rng.chance(0.6);
        let servers: Vec<usize> = if from_all { (0..world.servers.len()).collect() } else { vec![any_server(&world)] };
        world.say(format_args!("nemesis parts {} from {servers:?}", machine.name));
        servers.iter().for_each(|server| world.net.part(&machine.name, *server, true));
        let long = world.rng.chance(0.4);
        world.pause(100, if long { 90_000 } else { 10_000 }).await;
        servers.iter().for_each(|server| world.net.part(&machine.name, *server, false));
        world.say(format_args!("nemesis joins {}", machine.name));
    }
}

async fn freeze(world: Arc<World>) {
    loop {
        until_next(&world, Fault::Pause, 20).await;
        let server = any_server(&world);
        world.say(format_args!("nemesis stops server{server}"));
        world.net.freeze(server, true);
        world.pause(1000, 60_000).await;
        world.net.freeze(server, false);
        world.say(format_args!("nemesis lets server{server} go on"));
    }
}

async fn jump(world: Arc<World>) {
    const HOUR: i64 = 3600;
    loop {
        until_next(&world, Fault::ClockJump, 10).await;
        let by = *world.rng.pick(&[HOUR, -HOUR, 10 * 365 * 24 * HOUR, -10, 90]).unwrap_or(&0);
        let clock: Arc<SimClock> = match any_machine(&world) {
            Some(machine) if world.rng.chance(0.3) => machine.clock.clone(),
            _ => world.servers[any_server(&world)].clock.clone(),
        };
        world.say(format_args!("nemesis sets a clock by {by} s"));
        clock.jump(SignedDuration::from_secs(by));
    }
}

async fn compact(world: Arc<World>) {
    loop {
        until_next(&world, Fault::Compaction, 5).await;
        let behind = world.rng.below(20);
        let to = world.history.revision().saturating_sub(behind);
        world.say(format_args!("nemesis compacts to {to}"));
        match world.servers[0].cluster().filter(|_| world.plan.has_engine()) {
            Some(cluster) => drop(cluster.store().compact(to).await),
            None => world.history.compact(to),
        }
    }
}

async fn slow(world: Arc<World>) {
    loop {
        until_next(&world, Fault::SlowDisk, 10).await;
        let delay = world.rng.millis(10, 4000);
        let engine = world.servers[0].store.lock().clone();
        let Some(engine) = engine else { continue };
        world.say(format_args!("nemesis slows the disk down by {delay:?}"));
        engine.set_delay(delay);
        world.pause(100, 20_000).await;
        engine.set_delay(Duration::ZERO);
    }
}

async fn fill(world: Arc<World>) {
    loop {
        until_next(&world, Fault::FullDisk, 15).await;
        world.say(format_args!("nemesis fills the disk"));
        world.disk.set_capacity(world.disk.used() + world.rng.below(100_000));
        world.pause(100, 20_000).await;
        world.disk.set_capacity(u64::MAX);
        world.say(format_args!("nemesis makes room"));
    }
}

async fn fail_syncs(world: Arc<World>) {
    loop {
        until_next(&world, Fault::SyncError, 20).await;
        world.say(format_args!("nemesis lets a sync fail"));
        world.disk.fail_next_sync();
    }
}

/// Machines lose their agent, or their power, for a while.
async fn power(world: Arc<World>, fault: Fault, to: Power) {
    loop {
        until_next(&world, fault, 15).await;
        let Some(machine) = any_machine(&world) else { continue };
        world.say(format_args!("nemesis: {} is {to:?}", machine.name));
        machine.switch(to);
        // A dead agent is started again by what watches over it, within what `fencing::MARGIN` allows: nobody stops
        // the pods of one that stays dead.
        let long = world.rng.chance(0.3) && matches!(to, Power::Off);
        world.pause(100, if long { 100_000 } else { 10_000 }).await;
        machine.switch(Power::On);
    }
}

/// Machines go for good, with their nodes, and new ones come.
async fn churn(world: &Arc<World>, agents: &mut JoinSet<()>) {
    let admin = Client::admin(world, "churn");
    let mut next = world.plan.nodes;
    loop {
        until_next(world, Fault::NodeChurn, 20).await;
        let machine = world.machines.add(&format!("node{next}"), skew(&world.plan, &world.rng));
        agents.spawn(agent::keep(world.clone(), machine));
        next += 1;
        world.pause(0, 10_000).await;
        let Some(gone) = any_machine(world) else { continue };
        world.say(format_args!("nemesis takes {} away", gone.name));
        world.machines.remove(&gone.name);
        loop {
            let answer = admin.delete(admin.any_server(), &NODE, "", &gone.name, DeleteOptions::default()).await;
            if answer.is_ok_and(|_| true) {
                break;
            }
            if world.history.look(|view| view.get(&NODE, "", &gone.name).is_none()) {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}
