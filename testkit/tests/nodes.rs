//! Nodes that lose their server, for a while or for long: what runs goes on, and what comes back is known again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gantry_testkit::{PATIENCE, Site, fetch, needs_containers, wait_for};
use serde_json::Value;

const IMAGE: &str = "gantry.local/web:1";
/// The machine of the tests may be short of room; that is not what is tested.
const SHORT_OF_ROOM: &str = "{key: node.kubernetes.io/disk-pressure, operator: Exists, effect: NoSchedule}";
/// Within which all is as it should be once a fault is over.
const SOON: Duration = Duration::from_secs(10);

/// A Deployment of web servers with a Service; `tolerated` is how many seconds of silence of its node a pod survives.
fn web(replicas: u32, tolerated: u32) -> String {
    let toleration = |key: &str| {
        format!(
            "{{key: node.kubernetes.io/{key}, operator: Exists, effect: NoExecute, tolerationSeconds: {tolerated}}}"
        )
    };
    format!(
        r#"
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 5
      tolerations: [{SHORT_OF_ROOM}, {}, {}]
      containers:
      - name: web
        image: {IMAGE}
        env: [{{name: POD, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]
        readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
"#,
        toleration("unreachable"),
        toleration("not-ready"),
    )
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Of every web pod: uid, container, restarts and whether it is ready.
fn pods(site: &Site) -> Vec<(String, String, i64, bool)> {
    let listed = site.get("pods -l app=web");
    let mut found: Vec<_> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|pod| {
            let container = &pod["status"]["containerStatuses"][0];
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
            let restarts = container["restartCount"].as_i64().unwrap_or(-1);
            (text(&pod["metadata"]["uid"]), text(&container["containerID"]), restarts, ready)
        })
        .collect();
    found.sort();
    found
}

/// Fails where the same thing was said of the same object in two events.
#[track_caller]
fn no_event_is_there_twice(site: &Site) {
    let mut seen = BTreeMap::new();
    for event in site.get("events")["items"].as_array().expect("items") {
        let about = &event["involvedObject"];
        let key = (text(&about["uid"]), text(&about["fieldPath"]), text(&event["reason"]), text(&event["message"]));
        let at = text(&event["firstTimestamp"]);
        let before = seen.insert((key, at), text(&event["metadata"]["name"]));
        assert_eq!(before, None, "{event}");
    }
}

#[test]
fn f8_a_node_that_is_cut_off_for_less_than_is_tolerated_restarts_nothing() {
    needs_containers!();
    let site = Site::start(2, &["--node-monitor-grace-period", "15"]);
    site.import_web_image(IMAGE);
    site.apply(&web(2, 300));
    site.kubectl("rollout status deployment/web --timeout=60s").expect_ok();
    let before = pods(&site);
    site.cut(1);
    site.node_is(1, "Unknown", Duration::from_secs(40));
    site.heal(1);
    let healed = Instant::now();
    site.node_is(1, "True", SOON);
    wait_for("the pods are as they were", SOON.saturating_sub(healed.elapsed()), || {
        let now = pods(&site);
        if now == before { Ok(()) } else { Err(format!("{now:?} instead of {before:?}")) }
    });
    no_event_is_there_twice(&site);
}

#[test]
fn f9_a_node_that_is_cut_off_for_longer_is_replaced_and_stops_its_pods_when_it_comes_back() {
    needs_containers!();
    let mut site = Site::start(2, &["--node-monitor-grace-period", "15"]);
    site.import_web_image(IMAGE);
    site.apply(&web(2, 3));
    site.kubectl("rollout status deployment/web --timeout=60s").expect_ok();
    let lost: Vec<String> = site.get("pods -l app=web --field-selector spec.nodeName=node1")["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|pod| text(&pod["metadata"]["name"]))
        .collect();
    assert!(!lost.is_empty(), "the pods are spread");
    site.cut(1);
    wait_for("replacements run on the other node", PATIENCE, || {
        let there = site.get("pods -l app=web --field-selector spec.nodeName=node2");
        let ready = there["items"].as_array().expect("items").iter().filter(|pod| {
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
        });
        let ready = ready.count();
        if ready == 2 { Ok(()) } else { Err(format!("{ready} are ready")) }
    });
    for name in &lost {
        let pod = site.get(&format!("pod {name}"));
        assert!(!pod["metadata"]["deletionTimestamp"].is_null(), "{name} is shown as Terminating");
    }
    let slices = site.get("endpointslices -l kubernetes.io/service-name=web");
    for endpoint in slices["items"]
        .as_array()
        .expect("items")
        .iter()
        .flat_map(|s| s["endpoints"].as_array().cloned().unwrap_or_default())
    {
        let serves = endpoint["nodeName"] == "node1" && endpoint["conditions"]["ready"] == true;
        assert!(!serves, "nothing is sent to the lost node: {endpoint}");
    }
    let running = |site: &mut Site| {
        let local = site.agent(1).local();
        local.into_iter().filter(|(pod, state, _)| lost.contains(pod) && state == "Running").count()
    };
    assert_eq!(running(&mut site), lost.len(), "cut off, they still run");
    site.heal(1);
    wait_for("the lost pods are stopped", SOON, || {
        let left = running(&mut site);
        if left == 0 { Ok(()) } else { Err(format!("{left} still run")) }
    });
    for name in &lost {
        wait_for("its object is gone", PATIENCE, || {
            let there = site.kubectl(&format!("get pod {name}"));
            if there.ok { Err(there.out) } else { Ok(()) }
        });
    }
}

#[test]
fn f10_a_fenced_pod_is_stopped_by_its_node() {
    needs_containers!();
    let mut site = Site::start(1, &[]);
    site.import_web_image(IMAGE);
    for (name, annotations) in [("free", "{}"), ("fenced", "{gantry.io/stop-after-disconnect: '20'}")] {
        site.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {annotations}}}\n\
             spec: {{terminationGracePeriodSeconds: 300, tolerations: [{SHORT_OF_ROOM}], containers: [{{name: web, image: '{IMAGE}'}}]}}\n"
        ));
        site.kubectl(&format!("wait pod/{name} --for=condition=Ready --timeout=60s")).expect_ok();
    }
    let state = |site: &mut Site, name: &str| {
        let local = site.agent(1).local();
        local.into_iter().find(|(pod, ..)| pod == name).map(|(_, state, _)| state).unwrap_or_default()
    };
    site.cut(1);
    let cut = Instant::now();
    wait_for("the fenced pod has ended", Duration::from_secs(45), || match state(&mut site, "fenced").as_str() {
        "Running" => Err("it runs".to_owned()),
        _ => Ok(()),
    });
    // The last renewal was at most one period before the cut.
    assert!(cut.elapsed() > Duration::from_secs(9), "not before its time: {:?}", cut.elapsed());
    assert_eq!(state(&mut site, "free"), "Running");
    // It does not come back with the agent, as long as no server says that it may.
    site.agent(1).kill();
    site.agent(1).start();
    wait_for("the agent goes on without a server", PATIENCE, || {
        let log = site.agent(1).log();
        if log.contains("going on with what was last known") { Ok(()) } else { Err(log) }
    });
    assert_ne!(state(&mut site, "fenced"), "Running");
    assert_eq!(state(&mut site, "free"), "Running");
}

/// Manifests of what must go on without a server.
fn lonely() -> String {
    format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: page}}
data: {{index.html: "still here"}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{clusterIP: 10.43.77.77, selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  tolerations: [{SHORT_OF_ROOM}]
  containers:
  - name: web
    image: {IMAGE}
    env: [{{name: ROOT, value: /page}}]
    readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
    volumeMounts: [{{name: page, mountPath: /page}}]
  volumes: [{{name: page, configMap: {{name: page}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: sick}}
spec:
  tolerations: [{SHORT_OF_ROOM}]
  terminationGracePeriodSeconds: 1
  containers:
  - name: sick
    image: {IMAGE}
    command: [sh, -c, "touch /tmp/well; sleep 8; rm /tmp/well; sleep 1000"]
    livenessProbe: {{exec: {{command: [cat, /tmp/well]}}, periodSeconds: 1, failureThreshold: 2}}
---
apiVersion: v1
kind: Pod
metadata: {{name: crashing}}
spec:
  tolerations: [{SHORT_OF_ROOM}]
  containers:
  - {{name: crashing, image: {IMAGE}, command: [sh, -c, "sleep 2; exit 1"]}}
"#
    )
}

#[track_caller]
fn web_answers(site: &mut Site) {
    let address = "10.43.77.77:80".parse().expect("an address");
    wait_for("the service answers", PATIENCE, || match fetch(site.agent(1).machine(), address) {
        Ok(page) if page == "still here" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let asked = ["busybox", "nslookup", "web.default.svc.cluster.local", "10.43.0.10"];
    wait_for("the name is known", PATIENCE, || {
        let told = site.agent(1).machine().run(asked);
        if told.out.contains("10.43.77.77") { Ok(()) } else { Err(told.out + &told.err) }
    });
}

#[test]
fn f11_a_node_goes_on_and_starts_again_while_the_server_is_dead() {
    needs_containers!();
    let mut site = Site::start(1, &[]);
    site.import_web_image(IMAGE);
    site.apply(&lonely());
    site.kubectl("wait pod/web --for=condition=Ready --timeout=60s").expect_ok();
    web_answers(&mut site);
    let uid = text(&site.get("pod web")["metadata"]["uid"]);
    site.server().kill();
    let restarts = |site: &mut Site, name: &str| {
        site.agent(1).local().into_iter().find(|(pod, ..)| pod == name).map_or(0, |(.., restarts)| restarts)
    };
    let before = ["sick", "crashing"].map(|name| (name, restarts(&mut site, name)));
    for (name, before) in before {
        wait_for("probes and crashes restart containers", PATIENCE, || {
            let now = restarts(&mut site, name);
            if now > before { Ok(()) } else { Err(format!("{name} was restarted {now} times")) }
        });
    }
    web_answers(&mut site);
    site.agent(1).lose_power();
    site.agent(1).start();
    web_answers(&mut site);
    let local = site.agent(1).local();
    assert!(local.iter().any(|(pod, state, _)| pod == "web" && state == "Running"), "{local:?}");
    site.server().start();
    site.server_is_ready();
    site.node_is(1, "True", PATIENCE);
    wait_for("the pod is known again", PATIENCE, || {
        let pod = site.get("pod web");
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_i64();
        let same = pod["metadata"]["uid"] == uid.as_str() && pod["status"]["phase"] == "Running";
        if same && restarts == Some(1) { Ok(()) } else { Err(pod["status"].to_string()) }
    });
    web_answers(&mut site);
}
