//! What gantry and an upstream API server answer to the same generated requests.
//!
//! `GANTRY_UPSTREAM_KUBECONFIG` names the upstream server; without it the test is skipped. `GANTRY_SEED` and
//! `GANTRY_CASES` choose the requests, `GANTRY_CASE` one case of them. `GANTRY_KUBECONFIG` names a gantry that runs
//! already; otherwise the test starts one.

use std::path::{Path, PathBuf};

use gantry_testkit::differential::{Case, Endpoint, Known, Report, Request, run, samples};
use gantry_testkit::{Alone, PATIENCE, wait_for};
use serde_json::json;

/// How many cases a run has unless it is told otherwise.
const CASES: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn answers_are_those_of_upstream() {
    let Some(kubeconfig) = std::env::var_os("GANTRY_UPSTREAM_KUBECONFIG") else {
        eprintln!("SKIPPED differential: GANTRY_UPSTREAM_KUBECONFIG names no upstream server");
        return;
    };
    let mut upstream = Endpoint::from_kubeconfig(Path::new(&kubeconfig)).expect("the upstream server");
    let (_alone, mut ours) = gantry();
    let seed = number("GANTRY_SEED").unwrap_or(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let samples = samples(&folder.join("objects"), &mut upstream).expect("the objects");
    let known = std::fs::read_to_string(folder.join("known.json")).expect("the known differences");
    let known = Known::list(&known).expect("the known differences");
    let namespace = format!("differential-{seed}-{}", std::process::id());
    make(&mut ours, &namespace);
    make(&mut upstream, &namespace);
    let mut report = Report::new(seed);
    let cases = number("GANTRY_CASE").map_or(0..number("GANTRY_CASES").unwrap_or(CASES), |case| case..case + 1);
    let mut broken = Vec::new();
    for case in cases {
        let case = Case::generate(seed, case, &samples, &namespace);
        match run(&case, &mut ours, &mut upstream) {
            Ok(pairs) => pairs.iter().for_each(|pair| report.add(pair, &known)),
            Err(error) => broken.push(error),
        }
    }
    for server in [&mut ours, &mut upstream] {
        let gone = server.ask(&Request::bare("DELETE", format!("/api/v1/namespaces/{namespace}")));
        assert!(gone.is_ok_and(|reply| reply.code < 300), "the namespace stays");
    }
    eprintln!("{report}");
    assert!(broken.is_empty(), "no answer: {broken:#?}");
    assert!(report.is_clean(), "answers differ, see above");
}

fn gantry() -> (Option<Alone>, Endpoint) {
    let (alone, kubeconfig) = match std::env::var_os("GANTRY_KUBECONFIG") {
        Some(kubeconfig) => (None, PathBuf::from(kubeconfig)),
        None => {
            let mut alone = Alone::new();
            alone.start("");
            let kubeconfig = alone.kubeconfig();
            (Some(alone), kubeconfig)
        }
    };
    (alone, Endpoint::from_kubeconfig(&kubeconfig).expect("gantry"))
}

/// A namespace whose account is there, so that pods are admitted.
fn make(server: &mut Endpoint, namespace: &str) {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    let made = server.ask(&Request::json("POST", "/api/v1/namespaces", &body)).expect("an answer");
    assert_eq!(made.code, 201, "{}", made.json());
    wait_for("the account of the namespace", PATIENCE, || {
        let account = Request::bare("GET", format!("/api/v1/namespaces/{namespace}/serviceaccounts/default"));
        let reply = server.ask(&account)?;
        if reply.code == 200 { Ok(()) } else { Err(reply.json().to_string()) }
    });
}
