//! What it costs to decide whether a request may be made, with many role bindings, beside a cluster with few.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Args;
use gantry_kinds::{CLUSTER_ROLE, KindRef, POD, ROLE_BINDING, SECRET};
use gantry_policy::{Attributes, Chain, User};
use gantry_view::{Object, View};
use serde_json::{Value, json};

use crate::Flags;
use crate::samples::Samples;

/// How many bindings.
#[derive(Args, Debug)]
pub struct Authz {
    /// Role bindings
    #[arg(long, default_value_t = 10_000)]
    bindings: usize,
    /// Role bindings of the peer
    #[arg(long, default_value_t = 10)]
    few: usize,
    /// Decisions in each round
    #[arg(long, default_value_t = 20_000)]
    decisions: usize,
}

/// Namespaces that the bindings are spread over.
const NAMESPACES: usize = 100;

/// Measures decisions; prints and returns the figures.
pub fn measure(flags: &Flags, row: &Authz) -> Result<Value> {
    let (many, few) = (filled(row.bindings)?, filled(row.few)?);
    let mut figures = serde_json::Map::new();
    for (name, verb) in [("allowed", "get"), ("refused", "delete")] {
        let (mut of_many, mut of_few) = (Samples::new("us"), Samples::new("us"));
        for _ in 0..flags.rounds {
            of_many.push(decide(&many, row.bindings, row.decisions, verb));
            of_few.push(decide(&few, row.few, row.decisions, verb));
        }
        println!("{name:>8}, {:>6} bindings: {of_many}", row.bindings);
        println!("{name:>8}, {:>6} bindings: {of_few}", row.few);
        println!("{name:>8}, ratio: {:.2}", of_many.median() / of_few.median());
        figures.insert(name.to_owned(), json!({"many": of_many.json(), "few": of_few.json()}));
    }
    Ok(Value::Object(figures))
}

fn put(view: &mut View, kind: KindRef, mut value: Value) -> Result<()> {
    let revision = view.revision() + 1;
    value["metadata"]["uid"] = format!("uid-{revision}").into();
    let object = Object::from_value(kind, &value, revision).map_err(|error| anyhow!("{error:?}"))?;
    view.apply(object.key().clone(), Some(Arc::new(object)), revision);
    Ok(())
}

fn filled(bindings: usize) -> Result<View> {
    let mut view = View::new();
    let rules = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]);
    put(&mut view, &CLUSTER_ROLE, json!({"metadata": {"name": "reader"}, "rules": rules}))?;
    for at in 0..bindings {
        let metadata = json!({"name": format!("b-{at}"), "namespace": format!("ns-{}", at % NAMESPACES)});
        let subjects = json!([{"kind": "User", "name": format!("user-{at}")},
            {"kind": "Group", "name": format!("group-{}", at % 1000)}]);
        let role = json!({"kind": "ClusterRole", "name": "reader"});
        put(&mut view, &ROLE_BINDING, json!({"metadata": metadata, "roleRef": role, "subjects": subjects}))?;
    }
    Ok(view)
}

/// Microseconds of one decision, on average.
fn decide(view: &View, bindings: usize, decisions: usize, verb: &str) -> f64 {
    let chain = Chain::default();
    let users: Vec<User> = (0..bindings)
        .map(|at| User {
            name: format!("user-{at}"),
            groups: vec![format!("group-{}", at % 1000), "system:authenticated".to_owned()],
            ..User::default()
        })
        .collect();
    let namespaces: Vec<String> = (0..NAMESPACES).map(|at| format!("ns-{at}")).collect();
    let kind = if verb == "get" { &POD } else { &SECRET };
    let started = Instant::now();
    for at in 0..decisions {
        let at = at % bindings;
        let asked = Attributes::resource(&users[at], verb, kind, &namespaces[at % NAMESPACES], "x");
        let _ = black_box(chain.decide(view, &asked, &|_| None));
    }
    started.elapsed().as_secs_f64() * 1e6 / decisions as f64
}
