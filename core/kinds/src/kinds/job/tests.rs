use serde_json::json;

use super::*;

fn job(change: impl FnOnce(&mut Value)) -> Value {
    let mut job = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]},
    }}});
    change(&mut job["spec"]);
    JobStrategy.default(&mut job);
    JobStrategy.prepare_create(&mut job);
    job
}

#[test]
fn a_job_selects_its_own_pods() {
    let job = job(|_| {});
    assert_eq!(job["spec"]["selector"], json!({"matchLabels": {UID: "u"}}));
    let labels = json!({UID: "u", JOB_NAME: "j", LEGACY_UID: "u", LEGACY_NAME: "j"});
    assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(job["metadata"]["labels"], labels);
    assert_eq!(JobStrategy.validate(&job), Vec::new());
}
