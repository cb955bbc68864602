//! Sets of field paths as a trie, and their `FieldsV1` form.
//!
//! A step is kept as it is written in `FieldsV1`: `f:NAME`, `k:{KEYS}`, `v:VALUE` or `i:INDEX`. No node is empty: it is
//! a member or leads to one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet(BTreeMap<String, Node>);

/// What a set has at the end of a step: whether that is a member itself, and the members below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) member: bool,
    pub(crate) below: FieldSet,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

/// The step to a named field or map entry.
pub(crate) fn field_step(name: &str) -> String {
    format!("f:{name}")
}

impl FieldSet {
    /// The set that a `fieldsV1` value describes; `None` when it is none.
    pub(crate) fn from_value(value: &Value) -> Option<Self> {
        let mut nodes = BTreeMap::new();
        for (step, below) in value.as_object()? {
            if step == "." {
                continue;
            }
            let fields = below.as_object()?;
            let node = Node { member: fields.is_empty() || fields.contains_key("."), below: Self::from_value(below)? };
            nodes.insert(canonical_step(step)?, node);
        }
        Some(FieldSet(nodes))
    }

    /// The `fieldsV1` value.
    pub(crate) fn into_value(self) -> Value {
        let value = |(step, node): (String, Node)| {
            let itself = node.member && !node.below.is_empty();
            let mut below = node.below.into_value();
            if let (true, Value::Object(inner)) = (itself, &mut below) {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            (step, below)
        };
        Value::Object(self.0.into_iter().map(value).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the path of one step is a member.
    pub(crate) fn has(&self, step: &str) -> bool {
        self.0.get(step).is_some_and(|node| node.member)
    }

    /// The members that start with `step`, without it.
    pub(crate) fn below(&self, step: &str) -> Option<&FieldSet> {
        self.0.get(step).map(|node| &node.below).filter(|below| !below.is_empty())
    }

    /// Adds the path `steps`; the empty path is never a member.
    pub(crate) fn insert(&mut self, steps: &[String]) {
        let [first, rest @ ..] = steps else { return };
        let node = self.0.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    /// Puts what there is at the end of a step that the set does not have yet.
    pub(crate) fn put(&mut self, step: String, node: Node) {
        if !node.is_empty() {
            self.0.insert(step, node);
        }
    }

    /// All members of either.
    pub(crate) fn union(mut self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        for (step, node) in other.0 {
            let mine = self.0.entry(step).or_default();
            mine.member |= node.member;
            mine.below = std::mem::take(&mut mine.below).union(node.below);
        }
        self
    }

    /// Takes out the members that `other` has.
    pub(crate) fn subtract(&mut self, other: &Self) {
        for (step, theirs) in &other.0 {
            let Some(mine) = self.0.get_mut(step) else { continue };
            mine.member &= !theirs.member;
            mine.below.subtract(&theirs.below);
            if mine.is_empty() {
                self.0.remove(step);
            }
        }
    }

    /// The members that `other` does not have.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.subtract(other);
        rest
    }

    /// The members that both have.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for (step, mine) in &self.0 {
            if let Some(theirs) = other.0.get(step) {
                let below = mine.below.intersection(&theirs.below);
                both.put(step.clone(), Node { member: mine.member && theirs.member, below });
            }
        }
        both
    }

    /// The set without the members at or below any member of `prefixes`.
    pub(crate) fn without_prefixes(mut self, prefixes: &Self) -> Self {
        for (step, prefix) in &prefixes.0 {
            let Some(mine) = self.0.get_mut(step) else { continue };
            mine.below = std::mem::take(&mut mine.below).without_prefixes(&prefix.below);
            if prefix.member || mine.is_empty() {
                self.0.remove(step);
            }
        }
        self
    }

    /// The set with every node that `named` accepts made a member; `named` also says what lies below a step.
    pub(crate) fn with_named<T: Copy>(&self, at: T, named: &impl Fn(T, &str) -> (bool, T)) -> Self {
        let nodes = self.0.iter().map(|(step, node)| {
            let (declared, next) = named(at, step);
            (step.clone(), Node { member: node.member || declared, below: node.below.with_named(next, named) })
        });
        FieldSet(nodes.collect())
    }

    /// Every member as error texts print it, `.spec.containers[name="c"].image`: those of a level before those below it.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        let printed = |step: &String| format!("{prefix}{}", printed(step));
        paths.extend(self.0.iter().filter(|(_, node)| node.member).map(|(step, _)| printed(step)));
        for (step, node) in &self.0 {
            node.below.collect_paths(&printed(step), paths);
        }
    }
}

fn canonical_step(step: &str) -> Option<String> {
    let (kind, rest) = step.split_once(':')?;
    match kind {
        "f" => Some(step.to_owned()),
        "i" => rest.parse::<u64>().ok().map(|index| format!("i:{index}")),
        "k" | "v" => serde_json::from_str::<Value>(rest).ok().map(|value| format!("{kind}:{value}")),
        _ => None,
    }
}

/// A step as error texts print it.
pub(crate) fn printed(step: &str) -> String {
    let (kind, rest) = step.split_once(':').unwrap_or(("f", step));
    match kind {
        "k" => {
            let keys = serde_json::from_str::<Map<String, Value>>(rest).unwrap_or_default();
            let pairs: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", pairs.join(","))
        }
        "v" => format!("[={rest}]"),
        "i" => format!("[{rest}]"),
        _ => format!(".{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(value: Value) -> FieldSet {
        FieldSet::from_value(&value).expect("fields")
    }

    #[test]
    fn fields_v1_round_trips() {
        let value = json!({"f:spec": {"f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}},
            "f:metadata": {"f:finalizers": {"v:\"a\"": {}}}});
        assert_eq!(set(value.clone()).into_value(), value);
        let expected = [
            ".metadata.finalizers[=\"a\"]",
            ".spec.ports",
            ".spec.ports[port=80,protocol=\"TCP\"]",
            ".spec.ports[port=80,protocol=\"TCP\"].name",
        ];
        assert_eq!(set(value).paths(), expected);
        assert_eq!(set(json!({"k:{\"b\": 1, \"a\" : 2}": {}})).into_value(), json!({"k:{\"a\":2,\"b\":1}": {}}));
        for wrong in [json!({"x:y": {}}), json!({"k:{": {}}), json!({"f:a": 1}), json!([])] {
            assert_eq!(FieldSet::from_value(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn members_and_ways_to_members_differ() {
        let both = set(json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        let child = set(json!({"f:a": {"f:b": {}}}));
        assert_eq!(both.difference(&child).into_value(), json!({"f:a": {}, "f:c": {}}));
        assert_eq!(both.intersection(&child), child);
        assert_eq!(child.clone().union(set(json!({"f:c": {}, "f:a": {}}))), both);
        assert!(both.has("f:a") && !child.has("f:a") && both.below("f:c").is_none());
        assert_eq!(both.clone().without_prefixes(&set(json!({"f:a": {}}))).into_value(), json!({"f:c": {}}));
        assert_eq!(both.without_prefixes(&child).into_value(), json!({"f:a": {}, "f:c": {}}));
    }
}
