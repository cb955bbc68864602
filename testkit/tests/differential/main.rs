//! What gantry and an upstream API server answer to the same generated requests.
//!
//! `GANTRY_UPSTREAM_KUBECONFIG` names the upstream server; without it the test is skipped, and says so. `GANTRY_SEED`
//! (1 to 5 otherwise) and `GANTRY_CASES` choose the requests, `GANTRY_CASE` one case of them. `GANTRY_KUBECONFIG` names a gantry that runs
//! already; otherwise the test starts one.

use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use gantry_testkit::differential::{Case, Endpoint, Known, Report, Request, Sample, run, samples};
use gantry_testkit::{Alone, PATIENCE, wait_for};
use serde_json::json;

/// How many cases a seed has unless the run is told otherwise.
const CASES: u64 = 400;

/// The seeds of a run that names none.
const SEEDS: RangeInclusive<u64> = 1..=5;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Both servers, and what is asked of them.
struct Sides {
    ours: Endpoint,
    upstream: Endpoint,
    samples: Vec<Sample>,
    known: Vec<Known>,
}

#[test]
fn answers_are_those_of_upstream() {
    let Some(kubeconfig) = std::env::var_os("GANTRY_UPSTREAM_KUBECONFIG") else {
        // Written past the capture of tests, so that whoever runs them sees it.
        let words = b"SKIPPED differential: GANTRY_UPSTREAM_KUBECONFIG names no upstream server\n";
        std::io::stderr().write_all(words).expect("standard error");
        return;
    };
    let mut upstream = Endpoint::from_kubeconfig(Path::new(&kubeconfig)).expect("the upstream server");
    let (_alone, ours) = gantry();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let samples = samples(&folder.join("objects"), &mut upstream).expect("the objects");
    let known = std::fs::read_to_string(folder.join("known.json")).expect("the known differences");
    let known = Known::list(&known).expect("the known differences");
    let mut sides = Sides { ours, upstream, samples, known };
    let (mut report, mut broken) = (Report::default(), Vec::new());
    for seed in number("GANTRY_SEED").map_or(SEEDS, |seed| seed..=seed) {
        broken.extend(compare(seed, &mut sides, &mut report));
    }
    eprintln!("{report}");
    assert!(broken.is_empty(), "no answer: {broken:#?}");
    assert!(report.is_clean(), "answers differ, see above");
}

/// All cases of a seed; the cases without an answer.
fn compare(seed: u64, sides: &mut Sides, report: &mut Report) -> Vec<String> {
    let Sides { ours, upstream, samples, known } = sides;
    let namespace = format!("differential-{seed}-{}", std::process::id());
    make(ours, &namespace);
    make(upstream, &namespace);
    let cases = number("GANTRY_CASE").map_or(0..number("GANTRY_CASES").unwrap_or(CASES), |case| case..case + 1);
    let mut broken = Vec::new();
    for case in cases {
        let case = Case::generate(seed, case, samples, &namespace);
        match run(&case, ours, upstream) {
            Ok(pairs) => pairs.iter().for_each(|pair| report.add(seed, pair, known)),
            Err(error) => broken.push(format!("case {} of seed {seed}: {error}", case.number)),
        }
    }
    for server in [ours, upstream] {
        let gone = server.ask(&Request::bare("DELETE", format!("/api/v1/namespaces/{namespace}")));
        assert!(gone.is_ok_and(|reply| reply.code < 300), "the namespace stays");
    }
    broken
}

fn gantry() -> (Option<Alone>, Endpoint) {
    let (alone, kubeconfig) = match std::env::var_os("GANTRY_KUBECONFIG") {
        Some(kubeconfig) => (None, PathBuf::from(kubeconfig)),
        None => {
            let mut alone = Alone::new().arguments("--profile kubernetes");
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
