//! Priority and fairness: which FlowSchema a request is of, and what its priority level may use. Deciding is here;
//! seats and queues are where time is.
//!
//! Invariants: every request matches something: the mandatory schemas stand behind all others, whatever is stored.

mod defaults;
mod matching;

use gantry_kinds::table;
use gantry_view::View;
use serde_json::Value;

pub use defaults::objects;
pub use matching::FlowSchema;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

/// What a priority level may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriorityLevel {
    /// Name of the object.
    pub name: String,
    /// Its uid; empty when it is not stored.
    pub uid: String,
    /// Never waits.
    pub exempt: bool,
    /// Its share of all seats.
    pub shares: u32,
    /// How much of its seats others may use, in percent.
    pub lendable: u32,
    /// How much it may use of others, in percent of its own; `None` for all.
    pub borrowing: Option<u32>,
    /// How requests wait; `None` when they do not.
    pub queuing: Option<Queuing>,
}

/// How requests wait for a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queuing {
    /// How many queues there are.
    pub queues: usize,
    /// How many of them a flow may use.
    pub hand: usize,
    /// How many requests wait in one.
    pub length: usize,
}

/// All schemas, the first that matches first, and all levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fairness {
    /// By precedence and name.
    pub schemas: Vec<FlowSchema>,
    /// By name.
    pub levels: Vec<PriorityLevel>,
}

impl Fairness {
    /// What is stored; where nothing is, upstream's suggestion. The mandatory objects are always there.
    pub fn of(view: &View) -> Self {
        let stored = |plural: &str| {
            let kind = table::by_resource(GROUP, "v1", plural);
            let objects = kind.into_iter().flat_map(|kind| view.list(kind, None)).map(|object| object.value());
            objects.collect::<Vec<Value>>()
        };
        let (schemas, levels) = (stored("flowschemas"), stored("prioritylevelconfigurations"));
        let nothing = schemas.is_empty() && levels.is_empty();
        let suggested = objects().into_iter().filter(|object| nothing || is_mandatory(object));
        let mut fairness = Fairness {
            schemas: schemas.iter().filter_map(FlowSchema::read).collect(),
            levels: levels.iter().filter_map(PriorityLevel::read).collect(),
        };
        for object in suggested {
            if object["kind"] == "FlowSchema" {
                let schema = FlowSchema::read(&object);
                fairness.schemas.extend(schema.filter(|s| !fairness.schemas.iter().any(|known| known.name == s.name)));
            } else {
                let level = PriorityLevel::read(&object);
                fairness.levels.extend(level.filter(|l| !fairness.levels.iter().any(|known| known.name == l.name)));
            }
        }
        fairness.schemas.retain(|schema| fairness.levels.iter().any(|level| level.name == schema.level));
        fairness.schemas.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        fairness.levels.sort_by(|a, b| a.name.cmp(&b.name));
        fairness
    }

    /// Tells this configuration from all others: how many objects are stored, and the newest revision of one. Whatever
    /// is changed or added has a newer one, and whatever is removed is missing.
    pub fn fingerprint(view: &View) -> (usize, u64) {
        let kinds = ["flowschemas", "prioritylevelconfigurations"];
        let kinds = kinds.iter().filter_map(|plural| table::by_resource(GROUP, "v1", plural));
        let objects = kinds.flat_map(|kind| view.list(kind, None));
        objects.fold((0, 0), |(count, newest), object| (count + 1, newest.max(object.header.revision)))
    }
}

fn is_mandatory(object: &Value) -> bool {
    ["exempt", "catch-all"].contains(&object["metadata"]["name"].as_str().unwrap_or_default())
}

impl PriorityLevel {
    /// Reads an object; `None` for one that says nothing of use.
    fn read(object: &Value) -> Option<Self> {
        let name = object["metadata"]["name"].as_str()?.to_owned();
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let exempt = object["spec"]["type"] == "Exempt";
        let of = if exempt { &object["spec"]["exempt"] } else { &object["spec"]["limited"] };
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let queuing = &of["limitResponse"]["queuing"];
        let size = |name: &str, otherwise: usize| {
            queuing[name].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(otherwise).max(1)
        };
        Some(PriorityLevel {
            name,
            uid,
            exempt,
            shares: number(&of["nominalConcurrencyShares"]).unwrap_or(if exempt { 0 } else { 30 }),
            lendable: number(&of["lendablePercent"]).unwrap_or(0).min(100),
            borrowing: number(&of["borrowingLimitPercent"]),
            queuing: (of["limitResponse"]["type"] == "Queue").then(|| Queuing {
                queues: size("queues", 64),
                hand: size("handSize", 8),
                length: size("queueLengthLimit", 50),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attributes, User};

    fn which(user: (&str, &[&str]), verb: &str, group: &str, resource: &str, namespace: &str) -> (String, String) {
        let groups = user.1.iter().chain(&["system:authenticated"]).map(|g| (*g).to_owned()).collect();
        let user = User { name: user.0.to_owned(), groups, ..User::default() };
        let base = Attributes::path(&user, verb, "");
        let attributes = Attributes { group, resource, namespace, ..base };
        let fairness = Fairness::of(&View::new());
        let schema = fairness.schemas.iter().find(|schema| schema.matches(&attributes)).unwrap();
        (schema.name.clone(), schema.level.clone())
    }

    #[test]
    fn requests_are_of_the_first_schema_that_matches() {
        let check = |got: (String, String), schema: &str, level: &str| {
            assert_eq!(got, (schema.to_owned(), level.to_owned()));
        };
        let node: (&str, &[&str]) = ("system:node:n1", &["system:nodes"]);
        check(which(("admin", &["system:masters"]), "get", "", "pods", "a"), "exempt", "exempt");
        check(
            which(node, "update", "coordination.k8s.io", "leases", "kube-node-lease"),
            "system-node-high",
            "node-high",
        );
        check(which(node, "patch", "", "nodes", ""), "system-node-high", "node-high");
        check(which(node, "list", "", "services", ""), "system-nodes", "system");
        let account: (&str, &[&str]) = ("system:serviceaccount:kube-system:x", &["system:serviceaccounts"]);
        check(which(account, "list", "", "pods", ""), "kube-system-service-accounts", "workload-high");
        let account: (&str, &[&str]) = ("system:serviceaccount:a:x", &["system:serviceaccounts"]);
        check(which(account, "list", "", "pods", ""), "service-accounts", "workload-low");
        check(which(("jane", &[]), "list", "", "pods", ""), "global-default", "global-default");
    }

    #[test]
    fn probes_never_wait() {
        let user = User { groups: vec!["system:unauthenticated".to_owned()], ..User::default() };
        let fairness = Fairness::of(&View::new());
        let first = |verb, path| {
            let attributes = Attributes::path(&user, verb, path);
            fairness.schemas.iter().find(|schema| schema.matches(&attributes)).unwrap().name.as_str()
        };
        assert_eq!((first("get", "/readyz"), first("get", "/version")), ("probes", "global-default"));
    }

    #[test]
    fn levels_say_how_requests_wait() {
        let fairness = Fairness::of(&View::new());
        let level = |name: &str| fairness.levels.iter().find(|level| level.name == name).unwrap();
        assert_eq!(level("node-high").queuing, Some(Queuing { queues: 64, hand: 6, length: 50 }));
        assert_eq!((level("catch-all").queuing, level("exempt").exempt), (None, true));
        assert_eq!((level("workload-low").shares, level("workload-low").lendable), (100, 90));
    }
}
