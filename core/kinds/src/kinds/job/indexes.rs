//! Sets of indexes as text: numbers and intervals that only grow, such as `1,3-5`.

use crate::field::quote;

/// The intervals of the text, both ends included, each index below `completions`.
pub fn parse(text: &str, completions: i64) -> Result<Vec<(i64, i64)>, String> {
    let mut intervals = Vec::new();
    let mut last: Option<i64> = None;
    if text.is_empty() {
        return Ok(intervals);
    }
    for part in text.split(',') {
        let ends: Vec<&str> = part.split('-').collect();
        if ends.len() > 2 {
            let rule = "violates the requirement that an index interval can have at most two parts separated by '-'";
            return Err(format!("the fragment {} {rule}", quote(part)));
        }
        let mut numbers = Vec::new();
        for end in ends {
            let number = end
                .parse::<i64>()
                .map_err(|_| format!("cannot convert string to integer for index: {}", quote(end)))?;
            if let Some(previous) = last.filter(|previous| *previous >= number) {
                return Err(format!("non-increasing order, previous: {previous}, current: {number}"));
            }
            if number >= completions {
                return Err(format!("too large index: {}", quote(end)));
            }
            last = Some(number);
            numbers.push(number);
        }
        intervals.push((numbers[0], numbers[numbers.len() - 1]));
    }
    Ok(intervals)
}

/// How many indexes the intervals hold.
pub fn count(intervals: &[(i64, i64)]) -> i64 {
    intervals.iter().map(|(first, last)| last - first + 1).sum()
}

/// The first index that is in both.
pub fn shared(some: &[(i64, i64)], others: &[(i64, i64)]) -> Option<i64> {
    let overlap = |(a, b): &(i64, i64)| {
        let starts = others.iter().filter(|(c, d)| c.max(a) <= d.min(b)).map(|(c, _)| *c.max(a));
        starts.min()
    };
    some.iter().filter_map(overlap).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_only_grow() {
        assert_eq!(parse("0,2-4", 5), Ok(vec![(0, 0), (2, 4)]));
        assert_eq!(count(&[(0, 0), (2, 4)]), 4);
        let check = |text: &str, why: &str| assert_eq!(parse(text, 3).unwrap_err(), why, "{text}");
        check("x", "cannot convert string to integer for index: \"x\"");
        check("3", "too large index: \"3\"");
        check("1,0", "non-increasing order, previous: 1, current: 0");
        check("1-1", "non-increasing order, previous: 1, current: 1");
        check("0-", "cannot convert string to integer for index: \"\"");
        assert!(parse("0-1-2", 9).unwrap_err().starts_with("the fragment \"0-1-2\" violates"));
    }

    #[test]
    fn what_is_in_both() {
        assert_eq!(shared(&[(0, 3), (7, 9)], &[(4, 5), (8, 8)]), Some(8));
        assert_eq!(shared(&[(0, 3)], &[(4, 5)]), None);
    }
}
