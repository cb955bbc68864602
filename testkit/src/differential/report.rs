//! Differences grouped by what they look like, each group with its smallest request.

use std::collections::BTreeMap;
use std::fmt;

use super::{Difference, Known, Pair, Request};

/// How much of a value is shown.
const SHOWN: usize = 600;

struct Group {
    count: usize,
    seed: u64,
    case: u64,
    request: Request,
    difference: Difference,
}

/// What a run found.
#[derive(Default)]
pub struct Report {
    groups: BTreeMap<String, Group>,
    known: BTreeMap<String, usize>,
}

impl Report {
    /// Takes in one pair of a run with this seed; what is on the list is counted only.
    pub fn add(&mut self, seed: u64, pair: &Pair, known: &[Known]) {
        for difference in &pair.differences {
            if let Some(known) = known.iter().find(|known| known.covers(&pair.request, difference)) {
                *self.known.entry(known.reason.clone()).or_default() += 1;
                continue;
            }
            let resource = pair.request.path.split('?').next().unwrap_or_default();
            let resource = resource_of(resource);
            let key = format!("{} {} {resource}", difference.place, pair.request.method);
            let size = pair.request.to_string().len();
            let group = self.groups.entry(key).or_insert_with(|| Group {
                count: 0,
                seed,
                case: pair.case,
                request: pair.request.clone(),
                difference: difference.clone(),
            });
            group.count += 1;
            if size < group.request.to_string().len() {
                (group.seed, group.case, group.request) = (seed, pair.case, pair.request.clone());
                group.difference = difference.clone();
            }
        }
    }

    /// Whether nothing differs but what is known.
    pub fn is_clean(&self) -> bool {
        self.groups.is_empty()
    }
}

/// The last part of a path that is no name: `pods`, `pods/status`.
fn resource_of(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').skip_while(|part| !part.starts_with('v')).skip(1).collect();
    let parts = if parts.first() == Some(&"namespaces") && parts.len() > 2 { &parts[2..] } else { &parts[..] };
    parts.iter().step_by(2).copied().collect::<Vec<_>>().join("/")
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
                group.seed, group.case
            )?;
        }
        for (reason, count) in &self.known {
            writeln!(f, "known, {count} times: {reason}")?;
        }
        Ok(())
    }
}
