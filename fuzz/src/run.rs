//! Runs a target over inputs that a seed decides, and catches what it says and where it panics.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::targets::{Syntax, Target};
use crate::{Random, minimise, mutate, trees};

/// Inputs that were accepted and are built upon.
const POOL: usize = 512;

/// An input for which what must hold does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its number in the run.
    pub number: u64,
    /// What does not hold.
    pub why: String,
    /// The smallest input that shows it.
    pub input: Vec<u8>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Inputs that were tried.
    pub inputs: u64,
    /// Those of them that the target took for what it reads.
    pub accepted: u64,
    /// The first finding, which ends the run.
    pub finding: Option<Finding>,
}

/// The inputs of the target's file in the corpus: one in each line, `\n` standing for the end of a line within it.
pub fn corpus(target: &Target) -> Result<Vec<Vec<u8>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.corpus);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    let unfolded =
        |line: &str| if target.syntax == Syntax::Bytes { line.replace("\\n", "\n") } else { line.to_owned() };
    Ok(lines.map(|line| unfolded(line).into_bytes()).collect())
}

/// Tries inputs for as long as `more` wants, given how many there were.
pub fn run(target: &Target, seed: u64, mut more: impl FnMut(u64) -> bool) -> Result<Report> {
    let mut random = Random::new(seed);
    let mut pool = corpus(target)?;
    let kept = pool.len();
    let mut report = Report::default();
    for input in &pool {
        report.inputs += 1;
        match check(target, input) {
            Ok(accepted) => report.accepted += u64::from(accepted),
            Err(why) => return Ok(found(target, report, why, input)),
        }
    }
    while more(report.inputs) {
        let input = next(target, &mut random, &pool);
        report.inputs += 1;
        match check(target, &input) {
            Ok(true) => {
                report.accepted += 1;
                if input.len() > mutate::INPUT_BYTES / 8 {
                    continue;
                }
                if pool.len() < kept + POOL {
                    pool.push(input);
                } else {
                    let at = kept + random.below(POOL);
                    pool[at] = input;
                }
            }
            Ok(false) => {}
            Err(why) => return Ok(found(target, report, why, &input)),
        }
    }
    Ok(report)
}

fn found(target: &Target, mut report: Report, why: String, input: &[u8]) -> Report {
    let input = minimise::minimise(input, &|input| check(target, input).is_err());
    report.finding = Some(Finding { number: report.inputs, why, input });
    report
}

fn next(target: &Target, random: &mut Random, pool: &[Vec<u8>]) -> Vec<u8> {
    if let Some(make) = target.make
        && (pool.is_empty() || random.once_in(2))
    {
        return make(random);
    }
    if pool.is_empty() {
        let length = random.below(64);
        return random.bytes(length);
    }
    let (base, other) = (random.pick(pool).clone(), random.pick(pool).clone());
    if target.syntax == Syntax::Tree
        && !random.once_in(50)
        && let (Ok(base), Ok(other)) = (serde_json::from_slice::<Value>(&base), serde_json::from_slice::<Value>(&other))
    {
        return serde_json::to_vec(&trees::tree(random, &base, &other)).unwrap_or_default();
    }
    mutate::bytes(random, &base, &other)
}

thread_local! {
    /// Where the last panic of this thread was, while an input is tried.
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether the input was accepted, or what does not hold of it; a panic is told with its place.
pub fn check(target: &Target, input: &[u8]) -> Result<bool, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let told = PANICKED.with(|told| told.borrow_mut().as_mut().map(|told| *told = panic.to_string()));
            if told.is_none() {
                loud(panic);
            }
        }));
    });
    PANICKED.with(|told| *told.borrow_mut() = Some(String::new()));
    let verdict = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    let told = PANICKED.with(RefCell::take);
    verdict.unwrap_or_else(|_| Err(told.unwrap_or_default()))
}
