//! `gantry-fuzz TARGET --seconds N --seed S`: tries inputs, and says how to try the one again that failed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use gantry_fuzz::{Target, all, run};

/// Try inputs on what reads them.
#[derive(Parser, Debug)]
#[command(name = "gantry-fuzz", about)]
struct Flags {
    /// What to try; `all` tries one after the other
    target: String,
    /// How long, for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many inputs at most, for each target
    #[arg(long, default_value_t = u64::MAX)]
    inputs: u64,
    /// What decides the inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Try this file alone
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Where the input of a finding goes
    #[arg(long, default_value = "target/fuzz")]
    out: PathBuf,
}

fn main() -> Result<ExitCode> {
    let flags = Flags::parse();
    let wanted: Vec<Target> = all().into_iter().filter(|t| flags.target == "all" || t.name == flags.target).collect();
    if wanted.is_empty() {
        let names: Vec<&str> = all().iter().map(|target| target.name).collect();
        anyhow::bail!("there is no target {:?}; there are {}", flags.target, names.join(", "));
    }
    let mut code = ExitCode::SUCCESS;
    for target in &wanted {
        if !try_one(&flags, target)? {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn try_one(flags: &Flags, target: &Target) -> Result<bool> {
    if let Some(path) = &flags.replay {
        let input = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let verdict = run::check(target, &input);
        println!("{}: {verdict:?}", target.name);
        return Ok(verdict.is_ok());
    }
    let (began, limit) = (Instant::now(), Duration::from_secs(flags.seconds));
    let report = run::run(target, flags.seed, |inputs| inputs < flags.inputs && began.elapsed() < limit)?;
    let seconds = began.elapsed().as_secs();
    println!("{:<18} {:>9} inputs, {:>9} accepted, {seconds} s", target.name, report.inputs, report.accepted);
    let Some(finding) = report.finding else { return Ok(true) };
    std::fs::create_dir_all(&flags.out)?;
    let path = flags.out.join(format!("{}-{}-{}", target.name, flags.seed, finding.number));
    std::fs::write(&path, &finding.input).with_context(|| format!("writing {}", path.display()))?;
    println!("FOUND in input {}: {}", finding.number, finding.why);
    println!("  input   {}", finding.input.escape_ascii());
    println!("  replay  cargo run -p gantry-fuzz -- {} --replay {}", target.name, path.display());
    Ok(false)
}
