//! The machine's kubectl, command by command, as users run it.

use gantry_testkit::{Gantry, PATIENCE, needs_containers, wait_for};
use serde_json::json;

const WEB: &str = include_str!("../../examples/web.yaml");

#[test]
fn kubectl_does_what_users_do() {
    needs_containers!();
    let gantry = Gantry::up();
    gantry.import_web_image("gantry.local/web:1");
    reads(&gantry);
    gantry.apply(WEB);
    gantry.kubectl("rollout status deployment/web -n demo --timeout=60s").expect_ok();
    shows(&gantry);
    changes(&gantry);
    rolls(&gantry);
    reaches_into_pods(&gantry);
    removes(&gantry);
}

fn reads(gantry: &Gantry) {
    assert!(gantry.kubectl("version").expect_ok().contains("Server Version: v1.37"));
    let resources = gantry.kubectl("api-resources").expect_ok();
    for word in ["deployments", "deploy", "apps/v1", "Lease", "rolebindings"] {
        assert!(resources.contains(word), "{word} in\n{resources}");
    }
    let nodes = gantry.kubectl("get nodes -o wide").expect_ok();
    assert!(nodes.contains("node1") && nodes.contains("Ready") && nodes.contains("containerd://"), "{nodes}");
    let explained = gantry.kubectl("explain deployment.spec").expect_ok();
    assert!(
        explained.contains("FIELD: spec <DeploymentSpec>") && explained.contains("revisionHistoryLimit"),
        "{explained}"
    );
    assert_eq!(gantry.kubectl("auth can-i create pods").expect_ok().trim(), "yes");
    let nobody = gantry.kubectl("auth can-i create pods --as=nobody");
    assert_eq!(nobody.out.trim(), "no");
    let whoami = gantry.kubectl("auth whoami").expect_ok();
    assert!(whoami.contains("system:masters"), "{whoami}");
    let namespaces = gantry.kubectl("get ns -o name").expect_ok();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        assert!(namespaces.contains(&format!("namespace/{name}")), "{namespaces}");
    }
}

fn shows(gantry: &Gantry) {
    let table = gantry.kubectl("get deployment web -n demo").expect_ok();
    let words: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]);
    assert_eq!(words[1][..4], ["web", "3/3", "3", "3"]);
    let wide = gantry.kubectl("get pods -n demo -o wide").expect_ok();
    assert!(wide.contains("NOMINATED NODE") && wide.contains("10.42."), "{wide}");
    let described = gantry.kubectl("describe deployment web -n demo").expect_ok();
    for word in
        ["RollingUpdateStrategy:  25% max unavailable, 25% max surge", "ScalingReplicaSet", "NewReplicaSetAvailable"]
    {
        assert!(described.contains(word), "{word} in\n{described}");
    }
    let pods = gantry.kubectl("describe pods -n demo").expect_ok();
    for word in ["Successfully assigned demo/web-", "Readiness:", "kube-api-access-", "Container started"] {
        assert!(pods.contains(word), "{word} in\n{pods}");
    }
    let path = "{.items[*].status.phase}";
    let phases = gantry.kubectl_words(&["get", "pods", "-n", "demo", "-o", &format!("jsonpath={path}")]).expect_ok();
    assert_eq!(phases, "Running Running Running");
    let columns = gantry.kubectl("get svc web -n demo -o custom-columns=N:.metadata.name,T:.spec.type").expect_ok();
    assert!(columns.contains("web") && columns.contains("NodePort"), "{columns}");
    assert!(gantry.kubectl("get events -n demo").expect_ok().contains("Scaled up replica set"));
    assert!(gantry.kubectl("events -n demo").expect_ok().contains("SuccessfulCreate"));
    assert!(gantry.kubectl("get all -n demo").expect_ok().contains("replicaset.apps/web-"));
}

fn changes(gantry: &Gantry) {
    assert!(gantry.apply(WEB).contains("deployment.apps/web unchanged"), "client-side apply of the same is no change");
    let mine = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\ndata: {a: one, b: two}\n";
    gantry.kubectl_with_input("apply --server-side -f -", mine).expect_ok();
    let conflict =
        gantry.kubectl_with_input("apply --server-side --field-manager=other -f -", &mine.replace("one", "three"));
    assert!(conflict.expect_err().contains("conflict with \"kubectl\": .data.a"));
    let differs = gantry.kubectl_with_input("diff -f -", &mine.replace("two", "four"));
    assert!(!differs.ok && differs.out.contains("+  b: four"), "{differs:?}");
    gantry.kubectl("label configmap mine tier=front").expect_ok();
    gantry.kubectl("annotate configmap mine note=hello").expect_ok();
    gantry
        .kubectl_words(&["patch", "configmap", "mine", "--type=json", "-p", r#"[{"op":"remove","path":"/data/b"}]"#])
        .expect_ok();
    let object = gantry.get("configmap mine");
    assert_eq!(object["data"], json!({"a": "one"}));
    assert_eq!(object["metadata"]["labels"]["tier"], "front");
    let edited = gantry.machine().run([
        "env".to_owned(),
        "EDITOR=sed -i s/one/edited/".to_owned(),
        "kubectl".to_owned(),
        "--kubeconfig".to_owned(),
        gantry.kubeconfig().display().to_string(),
        "edit".to_owned(),
        "configmap".to_owned(),
        "mine".to_owned(),
    ]);
    edited.expect_ok();
    assert_eq!(gantry.get("configmap mine")["data"]["a"], "edited");
}

fn rolls(gantry: &Gantry) {
    gantry.kubectl("scale deployment web -n demo --replicas=2").expect_ok();
    gantry.kubectl("rollout status deployment/web -n demo --timeout=60s").expect_ok();
    gantry.kubectl("set env deployment/web -n demo VERSION=2").expect_ok();
    gantry.kubectl("rollout status deployment/web -n demo --timeout=60s").expect_ok();
    let history = gantry.kubectl("rollout history deployment/web -n demo").expect_ok();
    assert!(history.contains('1') && history.contains('2'), "{history}");
    gantry.kubectl("rollout undo deployment/web -n demo").expect_ok();
    gantry.kubectl("rollout status deployment/web -n demo --timeout=60s").expect_ok();
    let env = gantry.get("deployment web -n demo")["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
    assert!(!env.contains("VERSION"), "{env}");
    gantry.kubectl("set image deployment/web -n demo web=gantry.local/web:2").expect_ok();
    wait_for("the missing image is told of", PATIENCE, || {
        let text = gantry.kubectl("get pods -n demo").out;
        if text.contains("ImagePull") { Ok(()) } else { Err(text) }
    });
    gantry.kubectl("rollout undo deployment/web -n demo").expect_ok();
    gantry.kubectl("rollout status deployment/web -n demo --timeout=60s").expect_ok();
}

fn reaches_into_pods(gantry: &Gantry) {
    gantry
        .kubectl_words(&[
            "run",
            "talk",
            "--image=gantry.local/web:1",
            "--restart=Never",
            "--",
            "sh",
            "-c",
            "echo line one; echo line two; sleep 1; echo line three",
        ])
        .expect_ok();
    gantry.kubectl("wait --for=jsonpath={.status.phase}=Running pod/talk --timeout=60s").expect_ok();
    assert_eq!(gantry.kubectl("logs -f talk").expect_ok(), "line one\nline two\nline three\n");
    assert_eq!(gantry.kubectl("logs talk --tail=1").expect_ok(), "line three\n");
    wait_for("it has succeeded", PATIENCE, || {
        let table = gantry.kubectl("get pod talk").out;
        if table.contains("Completed") { Ok(()) } else { Err(table) }
    });
    let pod = gantry.get("pods -n demo -l app=web")["items"][0]["metadata"]["name"].as_str().expect("a pod").to_owned();
    let exec = |words: &[&str]| gantry.kubectl_words(&[&["exec", "-n", "demo", pod.as_str(), "--"], words].concat());
    assert_eq!(exec(&["echo", "hello"]).expect_ok(), "hello\n");
    let failed = exec(&["sh", "-c", "exit 7"]);
    assert!(failed.expect_err().contains("exit code 7"));
    let piped = gantry.kubectl_with_input(&format!("exec -i -n demo {pod} -- cat"), "through and back\n");
    assert_eq!(piped.expect_ok(), "through and back\n");
    let terminal = gantry.machine().run([
        "script".to_owned(),
        "-qec".to_owned(),
        format!(
            "kubectl --kubeconfig {} exec -it -n demo {pod} -- sh -c 'test -t 0 && echo a terminal'",
            gantry.kubeconfig().display()
        ),
        "/dev/null".to_owned(),
    ]);
    assert!(terminal.out.contains("a terminal"), "{terminal:?}");
    let file = gantry.machine().folder().join("copied");
    std::fs::write(&file, "copied bytes").expect("a file");
    gantry.kubectl(&format!("cp {} demo/{pod}:/tmp/copied", file.display())).expect_ok();
    assert_eq!(exec(&["cat", "/tmp/copied"]).expect_ok(), "copied bytes");
    forwards_a_port(gantry, &pod);
}

fn forwards_a_port(gantry: &Gantry, pod: &str) {
    let mut forward = gantry.machine().command("kubectl");
    forward.arg("--kubeconfig").arg(gantry.kubeconfig()).args(["port-forward", "-n", "demo", pod, "18080:8080"]);
    let mut forward =
        forward.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("kubectl");
    let address = "127.0.0.1:18080".parse().unwrap();
    let fetched = std::panic::catch_unwind(|| {
        for _ in 0..3 {
            wait_for("the page through the forwarded port", PATIENCE, || {
                gantry_testkit::fetch(gantry.machine(), address).map(drop)
            });
        }
    });
    forward.kill().expect("ending kubectl");
    forward.wait().expect("kubectl's end");
    fetched.expect("the page through the forwarded port");
}

fn removes(gantry: &Gantry) {
    gantry.kubectl("delete pod talk").expect_ok();
    gantry.kubectl("delete namespace demo --timeout=60s").expect_ok();
    let left = gantry.kubectl("get pods -n demo");
    assert!(left.err.contains("No resources found"), "{left:?}");
}
