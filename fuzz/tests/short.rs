//! A short run of every target, the same in every run.

use gantry_fuzz::{all, run};

/// Inputs of each target.
const INPUTS: u64 = 1500;

#[test]
fn what_must_hold_holds_of_some_thousand_inputs() {
    let mut wrong = Vec::new();
    for target in all() {
        let report = run(&target, 1, |inputs| inputs < INPUTS / target.weight).expect("a corpus");
        if let Some(finding) = report.finding {
            wrong.push(format!("{}: {}\n  input {}", target.name, finding.why, finding.input.escape_ascii()));
        }
        let enough = report.inputs / 50;
        if report.accepted < enough {
            wrong.push(format!("{}: {} of {} inputs were accepted", target.name, report.accepted, report.inputs));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
