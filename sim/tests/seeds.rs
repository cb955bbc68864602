//! Seeds of the simulator: some hundred, those that once found something, and the same seed twice.

use gantry_sim::plan::{FAULTS, Fault, Program};
use gantry_sim::{Plan, Sabotage, run, seeds};

/// Seeds that each run of the tests looks at.
const SEEDS: u64 = 200;

/// Runs seeds; panics with what the first that fails has to say.
fn must_pass(plans: impl Iterator<Item = Plan>) {
    for plan in plans {
        let report = run(plan, false);
        if let Some(failure) = report.failure {
            let last = report.last.join("\n");
            panic!("{last}\n{}\nat revision {}: {}", report.plan, failure.revision, failure.text);
        }
    }
}

/// Plans of `seeds` with one fault at full strength and one workload, and all else as drawn.
fn with(seeds: std::ops::Range<u64>, faults: &'static [Fault], program: Program) -> impl Iterator<Item = Plan> {
    seeds.map(move |seed| {
        let mut plan = Plan::draw(seed);
        plan.faults.extend(faults.iter().filter(|fault| fault.concerns(plan.embedded)).map(|fault| (*fault, 1.0)));
        plan.programs.insert(program);
        plan
    })
}

#[test]
fn even_seeds_pass() {
    must_pass((0..SEEDS).step_by(2).map(Plan::draw));
}

#[test]
fn odd_seeds_pass() {
    must_pass((1..SEEDS).step_by(2).map(Plan::draw));
}

#[test]
fn what_was_found_stays_found() {
    must_pass(seeds::FOUND.iter().map(|(seed, _)| Plan::draw(*seed)));
}

#[test]
fn a_seed_gives_the_same_trace_again() {
    for seed in 0..20 {
        let [first, second] = [(); 2].map(|()| run(Plan::draw(seed), false));
        assert_eq!((first.hash, first.lines), (second.hash, second.lines), "seed {seed}");
    }
}

#[test]
fn every_fault_is_in_some_seed() {
    let plans: Vec<Plan> = (0..SEEDS).map(Plan::draw).collect();
    for fault in FAULTS {
        assert!(plans.iter().any(|plan| plan.faults.contains_key(&fault)), "{fault:?}");
    }
}

#[test]
fn f6_clocks_that_are_set_move_nothing_else() {
    must_pass(with(1000..1010, &[Fault::ClockJump, Fault::ClockSkew], Program::Deployments));
}

#[test]
fn f7_a_server_that_stood_still_serves_nothing_stale() {
    must_pass(with(1010..1020, &[Fault::Pause, Fault::Leader], Program::Registers));
}

#[test]
fn f9_nodes_that_were_parted_run_nothing_twice() {
    must_pass(with(1020..1030, &[Fault::PartitionAgent, Fault::AgentCrash], Program::Deployments));
}

#[test]
fn f10_identities_never_overlap() {
    must_pass(with(1030..1050, &[Fault::PartitionAgent, Fault::Pause, Fault::ClockSkew], Program::Identities));
}

#[test]
fn f11_nodes_keep_what_runs_while_no_server_does() {
    must_pass(with(1050..1060, &[Fault::Crash, Fault::Reboot], Program::Pods));
}

#[test]
fn f12_a_server_that_restarts_in_a_rollout_breaks_no_bound() {
    must_pass(with(1060..1070, &[Fault::Crash], Program::Deployments));
}

#[test]
fn f13_a_leader_who_is_lost_between_two_writes_leaves_nothing_behind() {
    must_pass(with(1070..1080, &[Fault::Crash, Fault::Leader], Program::Deletions));
}

#[test]
fn f14_watches_that_lose_their_place_miss_nothing() {
    must_pass(with(1080..1090, &[Fault::Compaction, Fault::WatchLag], Program::Deployments));
}

#[test]
fn f15_a_stale_view_makes_and_deletes_nothing() {
    must_pass(with(1090..1100, &[Fault::WatchLag, Fault::Leader, Fault::PartitionStore], Program::Deployments));
}

/// The first seed that misses a guard that is broken on purpose.
fn found_by(sabotage: Sabotage) -> u64 {
    let broken = |seed: u64| Plan { sabotage: Some(sabotage), ..Plan::draw(seed) };
    // Where the guard cannot matter, nothing can be found: those seeds count as looked at.
    let concerned = |seed: &u64| sabotage.matters_in(&Plan::draw(*seed));
    let found = (0..1000).filter(concerned).find(|seed| run(broken(*seed), false).failure.is_some());
    found.unwrap_or_else(|| panic!("nobody misses {sabotage:?} within 1,000 seeds"))
}

#[test]
fn stores_that_do_not_compare_are_found() {
    found_by(Sabotage::Compare);
}

#[test]
fn leaders_who_are_not_fenced_are_found() {
    found_by(Sabotage::Epoch);
}

#[test]
fn revisions_that_are_given_twice_are_found() {
    found_by(Sabotage::Floor);
}

#[test]
fn writers_who_do_not_wait_for_their_write_are_found() {
    found_by(Sabotage::Wait);
}
