//! What of a failing plan is needed for it to fail: faults and workloads are left out one by one.

use crate::plan::Plan;
use crate::run;

/// The smallest plan, by leaving out one thing at a time, that still fails.
pub fn shrink(plan: &Plan) -> Plan {
    let mut smallest = plan.clone();
    for fault in plan.faults.keys() {
        let mut smaller = smallest.clone();
        smaller.faults.remove(fault);
        keep_if_failing(&mut smallest, smaller);
    }
    for program in &plan.programs {
        let mut smaller = smallest.clone();
        smaller.programs.remove(program);
        keep_if_failing(&mut smallest, smaller);
    }
    smallest
}

fn keep_if_failing(smallest: &mut Plan, smaller: Plan) {
    if run(smaller.clone(), false).failure.is_some() {
        *smallest = smaller;
    }
}
