//! Differences grouped by what they look like, each group with its smallest request.

use std::collections::BTreeMap;
use std::fmt;

use super::{Difference, Known, Pair, Request};

/// How much of a value is shown.
const SHOWN: usize = 600;

struct Group {
    count: usize,
    case: u64,
    request: Request,
    difference: Difference,
}

/// What a run found.
#[derive(Default)]
pub struct Report {
    seed: u64,
    groups: BTreeMap<String, Group>,
    known: BTreeMap<String, usize>,
}

impl Report {
    /// Of a run with this seed.
    pub fn new(seed: u64) -> Self {
        Report { seed, ..Report::default() }
    }

    /// Takes in one pair; what is on the list is counted only.
    pub fn add(&mut self, pair: &Pair, known: &[Known]) {
        for difference in &pair.differences {
            if let Some(known) = known.iter().find(|known| known.covers(&pair.request, difference)) {
                *self.known.entry(known.reason.clone()).or_default() += 1;
                continue;
            }
            let resource = pair.request.path.split('?').next().unwrap_or_default();
            let resource = resource.split("/case-").next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            let key = format!("{} {} {resource}", difference.place, pair.request.method);
            let size = pair.request.to_string().len();
            let group = self.groups.entry(key).or_insert_with(|| Group {
                count: 0,
                case: pair.case,
                request: pair.request.clone(),
                difference: difference.clone(),
            });
            group.count += 1;
            if size < group.request.to_string().len() {
                (group.case, group.request) = (pair.case, pair.request.clone());
                group.difference = difference.clone();
            }
        }
    }

    /// Whether nothing differs but what is known.
    pub fn is_clean(&self) -> bool {
        self.groups.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
        for (key, group) in groups {
            let short = |value: &serde_json::Value| value.to_string().chars().take(SHOWN).collect::<String>();
            writeln!(f, "=== {} times: {key}\n  {}", group.count, group.request)?;
            writeln!(f, "  ours:     {}", short(&group.difference.ours))?;
            writeln!(f, "  upstream: {}", short(&group.difference.upstream))?;
            writeln!(
                f,
                "  again: GANTRY_SEED={} GANTRY_CASE={} cargo test -p gantry-testkit --test differential",
                self.seed, group.case
            )?;
        }
        for (reason, count) in &self.known {
            writeln!(f, "known, {count} times: {reason}")?;
        }
        Ok(())
    }
}
