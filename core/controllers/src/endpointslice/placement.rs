//! Which endpoint goes into which slice, so that as few slices as possible change.

use std::collections::BTreeMap;

use serde_json::Value;

use super::endpoint::identity;

/// A slice that there is.
pub(super) struct Present {
    /// Its endpoints.
    pub(super) endpoints: Vec<Value>,
    /// Whether it has to be written anyway.
    pub(super) stale: bool,
}

/// What becomes of the slices of one group of ports.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Placement {
    /// The endpoints of each slice that there is, where they change; an empty one is not needed any more.
    pub(super) changed: BTreeMap<usize, Vec<Value>>,
    /// The endpoints of further slices.
    pub(super) added: Vec<Vec<Value>>,
}

/// Places `wanted`, by identity, into the slices that there are and as few further ones as it takes, none with more
/// than `size`. Endpoints stay
/// where they are; new ones go into slices that change anyway, then into the fullest that has room for all of them.
pub(super) fn place(present: &[Present], mut wanted: BTreeMap<String, Value>, size: usize) -> Placement {
    let mut placement = Placement::default();
    for (at, slice) in present.iter().enumerate() {
        let kept: Vec<Value> = slice.endpoints.iter().filter_map(|e| wanted.remove(&identity(e))).collect();
        if slice.stale || kept != slice.endpoints {
            placement.changed.insert(at, kept);
        }
    }
    let mut rest: Vec<Value> = wanted.into_values().collect();
    for endpoints in placement.changed.values_mut() {
        let room = size.saturating_sub(endpoints.len()).min(rest.len());
        endpoints.extend(rest.drain(..room));
    }
    while rest.len() >= size {
        placement.added.push(rest.drain(..size).collect());
    }
    if rest.is_empty() {
        return placement;
    }
    let has_room = |(at, slice): &(usize, &Present)| {
        !placement.changed.contains_key(at) && slice.endpoints.len() + rest.len() <= size
    };
    let fullest = present.iter().enumerate().filter(has_room).max_by_key(|(_, slice)| slice.endpoints.len());
    match fullest {
        Some((at, slice)) => {
            let mut endpoints = slice.endpoints.clone();
            endpoints.append(&mut rest);
            placement.changed.insert(at, endpoints);
        }
        None => placement.added.push(rest),
    }
    placement
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::SLICE_MAX;
    use super::*;

    fn endpoint(at: usize, ready: bool) -> Value {
        json!({"addresses": [format!("10.0.{}.{}", at / 250, at % 250)], "conditions": {"ready": ready}})
    }

    fn slice(range: std::ops::Range<usize>) -> Present {
        Present { endpoints: range.map(|at| endpoint(at, true)).collect(), stale: false }
    }

    fn wanted(range: std::ops::Range<usize>) -> BTreeMap<String, Value> {
        range.map(|at| endpoint(at, true)).map(|e| (identity(&e), e)).collect()
    }

    #[test]
    fn nothing_changes_when_nothing_did() {
        assert_eq!(place(&[slice(0..100), slice(100..130)], wanted(0..130), SLICE_MAX), Placement::default());
    }

    #[test]
    fn one_turned_endpoint_changes_one_slice() {
        let mut all = wanted(0..150);
        let turned = endpoint(120, false);
        all.insert(identity(&turned), turned.clone());
        let placement = place(&[slice(0..100), slice(100..150)], all, SLICE_MAX);
        assert_eq!(placement.changed.keys().collect::<Vec<_>>(), [&1]);
        assert!(placement.changed[&1].contains(&turned) && placement.added.is_empty());
    }

    #[test]
    fn new_endpoints_go_where_a_write_happens_anyway() {
        let placement = place(
            &[slice(0..10), slice(10..20)],
            {
                let mut all = wanted(1..21);
                all.remove("never");
                all
            },
            SLICE_MAX,
        );
        assert_eq!(placement.changed.keys().collect::<Vec<_>>(), [&0]);
        assert_eq!(placement.changed[&0].len(), 10);
    }

    #[test]
    fn new_endpoints_fill_the_fullest_slice_with_room() {
        let placement = place(&[slice(0..10), slice(10..60), slice(60..158)], wanted(0..165), SLICE_MAX);
        assert_eq!(placement.changed.keys().collect::<Vec<_>>(), [&1]);
        assert_eq!(placement.changed[&1].len(), 57);
    }

    #[test]
    fn no_slice_grows_beyond_its_bound() {
        let placement = place(&[slice(0..90)], wanted(0..345), SLICE_MAX);
        let sizes: Vec<usize> = placement.added.iter().map(Vec::len).collect();
        assert_eq!((sizes, placement.changed.len()), (vec![100, 100, 55], 0));
    }

    #[test]
    fn a_slice_without_wanted_endpoints_becomes_empty() {
        let placement = place(&[slice(0..3), slice(3..6)], wanted(0..3), SLICE_MAX);
        assert_eq!(placement.changed, BTreeMap::from([(1, Vec::new())]));
    }
}
