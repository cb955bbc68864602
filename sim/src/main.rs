//! Runs seeds and says what they find.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use gantry_sim::plan::{FAULTS, Fault, PROGRAMS, Program};
use gantry_sim::shrink::shrink;
use gantry_sim::{Plan, Report, Sabotage, run};

/// Simulates clusters in which things go wrong, each determined by its seed.
#[derive(Parser)]
struct Flags {
    /// One seed, reproduced.
    #[arg(long)]
    seed: Option<u64>,
    /// Seeds from A to B, B not included.
    #[arg(long, value_name = "A..B")]
    seeds: Option<String>,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
    /// Break a guard on purpose: compare, epoch, floor or wait.
    #[arg(long)]
    sabotage: Option<String>,
    /// Leave faults or workloads out, by name.
    #[arg(long)]
    without: Vec<String>,
    /// Put faults at full strength and workloads in, by name.
    #[arg(long)]
    with: Vec<String>,
    /// Go on after a seed that fails.
    #[arg(long)]
    keep_going: bool,
    /// Do not look for the smallest plan that still fails.
    #[arg(long)]
    no_shrink: bool,
    /// Print the code's own log, too.
    #[arg(long)]
    log: bool,
}

fn main() -> Result<ExitCode> {
    let flags = Flags::parse();
    if flags.log {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time().init();
    }
    let seeds = seeds(&flags)?;
    let (began, mut failed, mut commits, count) = (Instant::now(), 0, 0, seeds.end - seeds.start);
    for (at, seed) in seeds.enumerate() {
        let plan = plan(&flags, seed)?;
        if plan.sabotage.is_some_and(|sabotage| count > 1 && !sabotage.matters_in(&plan)) {
            continue;
        }
        let report = run(plan, flags.trace);
        commits += report.commits;
        if count == 1 {
            println!("{}", report.plan);
        }
        if report.failure.is_some() {
            failed += 1;
            tell(&flags, &report);
            if !flags.keep_going {
                return Ok(ExitCode::FAILURE);
            }
        }
        if (at + 1) % 100 == 0 || at as u64 + 1 == count {
            let millis = began.elapsed().as_millis() / (at as u128 + 1);
            println!("{} seeds, {failed} failed, {commits} commits, {millis} ms a seed", at + 1);
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn seeds(flags: &Flags) -> Result<Range<u64>> {
    if let Some(seed) = flags.seed {
        return Ok(seed..seed + 1);
    }
    let text = flags.seeds.as_deref().context("give --seed N or --seeds A..B")?;
    let (from, to) = text.split_once("..").context("seeds are given as A..B")?;
    Ok(from.parse()?..to.parse()?)
}

fn plan(flags: &Flags, seed: u64) -> Result<Plan> {
    let mut plan = Plan::draw(seed);
    if let Some(name) = &flags.sabotage {
        plan.sabotage = Some(Sabotage::named(name).with_context(|| format!("there is no sabotage {name:?}"))?);
    }
    for name in &flags.without {
        match named(name)? {
            Part::Fault(fault) => drop(plan.faults.remove(&fault)),
            Part::Program(program) => drop(plan.programs.remove(&program)),
        }
    }
    for name in &flags.with {
        match named(name)? {
            Part::Fault(fault) if fault.concerns(plan.embedded) => drop(plan.faults.insert(fault, 1.0)),
            Part::Fault(_) => {}
            Part::Program(program) => drop(plan.programs.insert(program)),
        }
    }
    Ok(plan)
}

/// What a plan is made of.
enum Part {
    Fault(Fault),
    Program(Program),
}

fn named(name: &str) -> Result<Part> {
    let fault = FAULTS.into_iter().find(|fault| format!("{fault:?}").eq_ignore_ascii_case(name));
    let program = PROGRAMS.into_iter().find(|program| format!("{program:?}").eq_ignore_ascii_case(name));
    match (fault, program) {
        (Some(fault), _) => Ok(Part::Fault(fault)),
        (None, Some(program)) => Ok(Part::Program(program)),
        (None, None) => bail!("there is no fault and no workload {name:?}"),
    }
}

fn tell(flags: &Flags, report: &Report) {
    let Some(failure) = &report.failure else { return };
    if !flags.trace && !flags.keep_going {
        report.last.iter().for_each(|line| println!("{line}"));
    }
    println!("FAILED {}", report.plan);
    println!("at {:.3} s, revision {}: {}", failure.at.as_secs_f64(), failure.revision, failure.text);
    if !flags.no_shrink && !flags.trace && !flags.keep_going {
        println!("smallest that still fails: {}", shrink(&report.plan));
    }
    println!("reproduce with: make sim SEED={}", report.plan.seed);
}
