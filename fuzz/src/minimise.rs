//! A smaller input that still shows a finding: parts are left out for as long as that changes nothing.

use serde_json::Value;

use crate::trees;

/// Most attempts to leave something out.
const ATTEMPTS: usize = 2000;

/// The smallest input found for which `fails` holds, beginning with one for which it does.
pub fn minimise(input: &[u8], fails: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut left = ATTEMPTS;
    let mut best = input.to_vec();
    if let Ok(tree) = serde_json::from_slice(&best) {
        let smaller = serde_json::to_vec(&shrink_tree(tree, &mut left, fails)).unwrap_or_default();
        if fails(&smaller) {
            best = smaller;
        }
    }
    let mut chunk = best.len().div_ceil(2);
    while chunk > 0 && left > 0 {
        let mut at = 0;
        while at < best.len() && left > 0 {
            left -= 1;
            let mut shorter = best.clone();
            drop(shorter.drain(at..(at + chunk).min(best.len())));
            if fails(&shorter) {
                best = shorter;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    best
}

fn shrink_tree(mut best: Value, left: &mut usize, fails: &dyn Fn(&[u8]) -> bool) -> Value {
    let fails = |tree: &Value| serde_json::to_vec(tree).is_ok_and(|bytes| fails(&bytes));
    let mut at = 0;
    while at < trees::size(&best) && *left > 0 {
        let smaller = without(&best, at).find(|tree| {
            *left = left.saturating_sub(1);
            fails(tree)
        });
        match smaller {
            Some(tree) => best = tree,
            None => at += 1,
        }
    }
    best
}

/// The tree with one part of the value at that place left out, for each part.
fn without(tree: &Value, at: usize) -> impl Iterator<Item = Value> + '_ {
    let parts = match trees::nth(&mut tree.clone(), at) {
        Some(Value::Object(fields)) => fields.len(),
        Some(Value::Array(items)) => items.len(),
        _ => 0,
    };
    (0..parts).map(move |part| {
        let mut smaller = tree.clone();
        match trees::nth(&mut smaller, at) {
            Some(Value::Object(fields)) => {
                if let Some(name) = fields.keys().nth(part).cloned() {
                    fields.remove(&name);
                }
            }
            Some(Value::Array(items)) => drop(items.remove(part)),
            _ => {}
        }
        smaller
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let fails = |input: &[u8]| String::from_utf8_lossy(input).contains("\"bad\":1");
        let input = br#"{"x":{"y":[1,2,{"bad":1,"fine":2}]},"z":"zzz"}"#;
        assert_eq!(minimise(input, &fails), br#""bad":1"#);
    }
}
