//! The server is killed again and again while a deployment is rolled out.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_testkit::{Alone, Api};
use http::Method;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};

use super::auditor::{Objects, audit};
use super::objects::{DEPLOYMENTS, REQUEST, deploy, deployment, node};

const REPLICAS: u64 = 50;
/// What the deployment allows.
const UNAVAILABLE_MAX: usize = 2;
const SURGE_MAX: usize = 3;
/// Revisions that are rolled out.
const ROLLOUTS: u64 = 2;
/// Kills in each of them.
const KILLS: u64 = 6;

#[test]
fn f12_a_rollout_keeps_its_bounds_over_kills() {
    let mut server = Alone::new();
    let api = server.start("");
    let runtime = Runtime::new().expect("a runtime");
    let inside = runtime.enter();
    let node = node(&server);
    runtime.block_on(deploy(&mut api.client(), REPLICAS));
    let (complaints, auditor) = audit(&server, "/api/v1/namespaces/default/pods", within_bounds);
    drop(inside);
    let mut seed: u64 = 12;
    for rollout in 2..2 + ROLLOUTS {
        let mut client = server.api().client();
        let path = format!("{DEPLOYMENTS}/web");
        let body = deployment(REPLICAS, rollout);
        let changed = runtime
            .block_on(async { client.ask(Method::PATCH, &path, Some(&body), REQUEST).await })
            .expect("an answer");
        assert_eq!(changed.code, 200, "{}", changed.body);
        for _ in 0..KILLS {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let moment = Duration::from_millis(20 + (seed >> 33) % 250);
            runtime.block_on(async { sleep(moment).await });
            server.kill();
            server.start("");
        }
        let api = server.api();
        let took = runtime.block_on(complete(&api, rollout));
        println!("revision {rollout} is there {took:?} after the last kill");
        complaints.must_be_none();
    }
    node.abort();
    auditor.abort();
    runtime.block_on(one_set_for_each_revision(&server.api()));
}

/// What a rolling update promises at every moment.
fn within_bounds(pods: &Objects) -> Result<(), String> {
    let active = || pods.values().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let is_ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
    };
    let (there, ready) = (active().count(), active().filter(is_ready).count());
    let replicas = usize::try_from(REPLICAS).expect("a small number");
    if there > replicas + SURGE_MAX || ready + UNAVAILABLE_MAX < replicas {
        return Err(format!("{there} pods, {ready} of them ready"));
    }
    Ok(())
}

async fn complete(api: &Api, revision: u64) -> Duration {
    let (mut client, begun) = (api.client(), Instant::now());
    loop {
        let web = client.get(&format!("{DEPLOYMENTS}/web"), REQUEST).await.expect("an answer").body;
        let counts = ["replicas", "updatedReplicas", "availableReplicas"].map(|name| web["status"][name].as_u64());
        if counts == [Some(REPLICAS); 3] && web["status"]["observedGeneration"] == web["metadata"]["generation"] {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "revision {revision} is rolled out: {}", web["status"]);
        sleep(Duration::from_millis(50)).await;
    }
}

async fn one_set_for_each_revision(api: &Api) {
    let sets = api.client().get("/apis/apps/v1/namespaces/default/replicasets", REQUEST).await.expect("an answer").body;
    let mut images: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for set in sets["items"].as_array().into_iter().flatten() {
        let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
        images.entry(image.to_owned()).or_default().push(set["metadata"]["name"].to_string());
    }
    assert_eq!(images.len() as u64, 1 + ROLLOUTS, "{images:?}");
    assert!(images.values().all(|sets| sets.len() == 1), "one set for each revision: {images:?}");
}
