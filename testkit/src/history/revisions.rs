//! Revisions are one line: what is written later has a higher one than everything told before, nothing that is told
//! goes back, and no revision stands for two contents.

use std::collections::BTreeMap;

use super::{Broken, Call, Content, Op, Outcome, Sighting};

const PROMISE: &str = "revisions never go back";

/// Checks the calls and sightings of all clients against each other; `floor` is the highest revision that was told
/// before the first of them. Returns the highest one told.
pub fn check(floor: u64, calls: &[Call], sightings: &[Sighting]) -> Result<u64, Broken> {
    once(calls)?;
    let mut told: Vec<(u64, u64)> = calls
        .iter()
        .filter_map(|call| Some((call.returned, revision(call)?)))
        .chain(sightings.iter().map(|sighting| (sighting.returned, sighting.revision)))
        .collect();
    told.sort_unstable();
    // The highest revision told by each moment.
    let mut highest = floor;
    for (_, revision) in &mut told {
        highest = highest.max(*revision);
        *revision = highest;
    }
    let before = |moment: u64| match told.partition_point(|(returned, _)| *returned < moment) {
        0 => floor,
        at => told[at - 1].1,
    };
    for call in calls {
        if let Outcome::Written(at) = call.outcome
            && at <= before(call.invoked)
        {
            let how = format!("{} was written at {at} after {} had been told", call.key, before(call.invoked));
            return Err(Broken::new(PROMISE, how));
        }
    }
    for sighting in sightings {
        if sighting.revision < before(sighting.invoked) {
            let how = format!("{} was told as the newest after {}", sighting.revision, before(sighting.invoked));
            return Err(Broken::new(PROMISE, how));
        }
    }
    Ok(highest)
}

/// No revision is told of two contents.
fn once(calls: &[Call]) -> Result<(), Broken> {
    let mut contents: BTreeMap<u64, (&str, &Content)> = BTreeMap::new();
    for call in calls {
        let content = match (&call.op, &call.outcome) {
            (Op::Create(content) | Op::Update { content, .. }, Outcome::Written(_)) => content,
            (_, Outcome::Found(_, content)) => content,
            _ => continue,
        };
        let at = revision(call).unwrap_or_default();
        let this = (call.key.as_str(), content);
        let known = contents.entry(at).or_insert(this);
        if *known != this {
            let how = format!("revision {at} is {} {:?} and {} {:?}", known.0, known.1, this.0, this.1);
            return Err(Broken::new("a revision is given once", how));
        }
    }
    Ok(())
}

fn revision(call: &Call) -> Option<u64> {
    match call.outcome {
        Outcome::Written(at) | Outcome::Found(at, _) => Some(at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(key: &str, span: (u64, u64), at: u64) -> Call {
        let op = Op::Create(Content::new(format!("{key}{}", span.0), ""));
        Call { key: key.to_owned(), op, outcome: Outcome::Written(at), invoked: span.0, returned: span.1 }
    }

    #[track_caller]
    fn check_all(floor: u64, calls: &[Call], sightings: &[Sighting], expected: Result<u64, &str>) {
        let outcome = check(floor, calls, sightings).map_err(|broken| broken.promise);
        assert_eq!(outcome, expected);
    }

    #[test]
    fn later_writes_have_higher_revisions() {
        check_all(3, &[written("a", (0, 1), 5), written("b", (2, 3), 6)], &[], Ok(6));
        // At once: in any order.
        check_all(3, &[written("a", (0, 9), 6), written("b", (0, 9), 5)], &[], Ok(6));
        check_all(3, &[written("a", (0, 1), 6), written("b", (2, 3), 5)], &[], Err(PROMISE));
        check_all(6, &[written("a", (0, 1), 5)], &[], Err(PROMISE));
    }

    #[test]
    fn what_is_newest_never_goes_back() {
        let sighting = |revision, span: (u64, u64)| Sighting { revision, invoked: span.0, returned: span.1 };
        check_all(0, &[written("a", (0, 1), 5)], &[sighting(5, (2, 3))], Ok(5));
        check_all(0, &[written("a", (0, 1), 5)], &[sighting(4, (2, 3))], Err(PROMISE));
        check_all(0, &[], &[sighting(9, (0, 1)), sighting(8, (2, 3))], Err(PROMISE));
    }

    #[test]
    fn a_revision_has_one_content() {
        let calls = [written("a", (0, 9), 5), written("b", (0, 9), 5)];
        check_all(0, &calls, &[], Err("a revision is given once"));
    }
}
