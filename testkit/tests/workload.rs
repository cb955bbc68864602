//! A real Deployment behind a Service: comes up, serves, rolls without dropping a request, heals.

use std::net::SocketAddr;
use std::time::Duration;

use gantry_testkit::{Gantry, Load, PATIENCE, fetch, needs_containers, wait_for};
use serde_json::Value;

const WEB: &str = include_str!("../../examples/web.yaml");

fn ready(gantry: &Gantry, replicas: i64) {
    wait_for("the Deployment is ready", PATIENCE, || {
        let status = &gantry.get("deployment web -n demo")["status"];
        let done = status["readyReplicas"] == replicas
            && status["updatedReplicas"] == replicas
            && status["replicas"] == replicas;
        if done { Ok(()) } else { Err(status.to_string()) }
    });
}

fn service(gantry: &Gantry) -> SocketAddr {
    let ip = gantry.get("service web -n demo")["spec"]["clusterIP"].as_str().expect("a ClusterIP").to_owned();
    format!("{ip}:80").parse().expect("an address")
}

fn web(gantry: &Gantry) {
    gantry.import_web_image("gantry.local/web:1");
    gantry.apply(WEB);
    ready(gantry, 3);
}

fn pods(gantry: &Gantry) -> Vec<Value> {
    gantry.get("pods -n demo -l app=web")["items"].as_array().expect("items").clone()
}

#[test]
fn the_demo_serves_through_every_door() {
    needs_containers!();
    let gantry = Gantry::up();
    web(&gantry);
    let cluster_ip = service(&gantry);
    let doors = [cluster_ip, "127.0.0.1:30080".parse().unwrap(), "198.18.0.1:30080".parse().unwrap()];
    for door in doors {
        wait_for("the page", PATIENCE, || {
            let page = fetch(gantry.machine(), door).map_err(|e| format!("{door}: {e}"))?;
            if page.contains("Hello from gantry") { Ok(()) } else { Err(page) }
        });
    }
    let pod = pods(&gantry)[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let inside =
        gantry.kubectl_words(&["exec", "-n", "demo", &pod, "--", "wget", "-qO-", "http://web.demo.svc.cluster.local/"]);
    assert!(inside.expect_ok().contains("Hello from gantry"), "a pod finds the service by its name");
}

#[test]
fn a_rolling_update_drops_no_request() {
    needs_containers!();
    let gantry = Gantry::up();
    web(&gantry);
    let load = Load::start(gantry.machine(), service(&gantry), 8, Duration::from_millis(10));
    gantry.kubectl("rollout restart deployment/web -n demo").expect_ok();
    gantry.kubectl("rollout status deployment/web -n demo --timeout=90s").expect_ok();
    wait_for("only new pods are left", PATIENCE, || {
        let count = pods(&gantry).len();
        if count == 3 { Ok(()) } else { Err(format!("{count} pods")) }
    });
    let report = load.stop();
    assert!(report.answered > 500, "{report:?}");
    assert!(report.failures.is_empty(), "{report:?}");
}

#[test]
fn what_dies_is_started_again() {
    needs_containers!();
    let gantry = Gantry::up();
    web(&gantry);
    let victim = pods(&gantry)[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    // The server's own process: the first one ends with it, and often the command that ends it is killed, too.
    let _ended = gantry.kubectl_words(&["exec", "-n", "demo", &victim, "--", "kill", "-TERM", "1"]);
    wait_for("the container is started again", PATIENCE, || {
        let pod = gantry.get(&format!("pod {victim} -n demo"));
        let status = &pod["status"]["containerStatuses"][0];
        if status["restartCount"] == 1 && status["ready"] == true { Ok(()) } else { Err(status.to_string()) }
    });
    gantry.kubectl(&format!("delete pod {victim} -n demo")).expect_ok();
    ready(&gantry, 3);
    assert!(pods(&gantry).iter().all(|p| p["metadata"]["name"] != victim.as_str()));
}

#[test]
fn an_unready_pod_leaves_the_service_within_a_second() {
    needs_containers!();
    let gantry = Gantry::up();
    gantry.import_web_image("gantry.local/web:1");
    gantry.apply(READY_FILE);
    gantry.kubectl("wait --for=condition=Ready pod/flag --timeout=60s").expect_ok();
    let ip = gantry.get("service flag")["spec"]["clusterIP"].as_str().expect("an IP").to_owned();
    let address: SocketAddr = format!("{ip}:80").parse().unwrap();
    wait_for("the pod serves", PATIENCE, || fetch(gantry.machine(), address).map(drop));
    gantry.kubectl("exec flag -- rm /tmp/ready").expect_ok();
    gantry.kubectl("wait --for=condition=Ready=false pod/flag --timeout=30s").expect_ok();
    wait_for("the service refuses", Duration::from_secs(1), || match fetch(gantry.machine(), address) {
        Ok(page) => Err(page),
        Err(_) => Ok(()),
    });
}

const READY_FILE: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: flag, labels: {app: flag}}
spec:
  containers:
  - name: web
    image: gantry.local/web:1
    command: [sh, -c, "touch /tmp/ready; exec /bin/serve"]
    readinessProbe: {exec: {command: [cat, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: flag}
spec: {selector: {app: flag}, ports: [{port: 80, targetPort: 8080}]}
"#;

#[test]
fn an_image_that_is_not_there_is_told_of() {
    needs_containers!();
    let gantry = Gantry::up();
    gantry.kubectl("create deployment ghost --image=gantry.local/ghost:9").expect_ok();
    wait_for("get pods says so", PATIENCE, || {
        let text = gantry.kubectl("get pods").out;
        if text.contains("ImagePullBackOff") || text.contains("ErrImagePull") { Ok(()) } else { Err(text) }
    });
    wait_for("describe says why", PATIENCE, || {
        let text = gantry.kubectl("describe pods -l app=ghost").out;
        if text.contains("Failed to pull image \"gantry.local/ghost:9\"") { Ok(()) } else { Err(text) }
    });
}
