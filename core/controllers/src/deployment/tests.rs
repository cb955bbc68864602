use gantry_kinds::NAMESPACE;

use super::*;
use crate::harness::World;
use crate::replicaset::ReplicaSets;

struct Case {
    world: World,
    key: ObjectKey,
}

impl Case {
    fn new(replicas: i64, strategy: Value) -> Self {
        let mut world = World::new();
        world.put(&NAMESPACE, json!({"metadata": {"name": "web"}}));
        let key = world.put(
            &DEPLOYMENT,
            json!({"metadata": {"name": "d", "namespace": "web", "annotations": {"note": "hi"}}, "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "strategy": strategy,
                "progressDeadlineSeconds": 600, "revisionHistoryLimit": 2, "template": template("v1"),
            }}),
        );
        Case { world, key }
    }

    fn rolling(replicas: i64, surge: Value, unavailable: Value) -> Self {
        let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        Self::new(replicas, json!({"type": "RollingUpdate", "rollingUpdate": rolling}))
    }

    fn patch(&mut self, spec: Value) {
        self.world.merge(&self.key, json!({"spec": spec}));
    }

    /// Controllers alone: pods neither become ready nor end.
    fn settle(&mut self) {
        self.world.settle(&mut [&mut Deployments, &mut ReplicaSets::sets()]);
    }

    /// Everything to its end: pods become ready and end as told.
    fn complete(&mut self) {
        for _ in 0..100 {
            self.settle();
            let before = self.world.view.revision();
            self.make_ready();
            self.world.remove_terminating_pods();
            if self.world.view.revision() == before {
                return;
            }
        }
        panic!("this does not come to an end");
    }

    fn make_ready(&mut self) {
        let condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let keys: Vec<ObjectKey> = self.world.view.list(&POD, None).map(|pod| pod.key().clone()).collect();
        for key in keys {
            let status = json!({"phase": "Running", "conditions": [condition]});
            self.world.merge(&key, json!({"spec": {"nodeName": "n1"}, "status": status}));
        }
    }

    fn status(&self) -> Value {
        self.world.view.at(&self.key).unwrap().value()["status"].clone()
    }

    fn condition(&self, kind: &str) -> String {
        let status = self.status();
        let found = tree::list_at(&status, "/conditions").iter().find(|c| c["type"] == kind).cloned();
        found.map_or(String::new(), |c| format!("{} {}", tree::str_at(&c, "/status"), tree::str_at(&c, "/reason")))
    }

    /// Image, replicas and revision of each set, the oldest first.
    fn sets(&self) -> Vec<(String, i64, i64)> {
        let mut sets: Vec<&Arc<Object>> = self.world.view.list(&REPLICA_SET, None).collect();
        sets.sort_by_key(|set| set.uid()[4..].parse::<u64>().unwrap());
        let read = |set: &&Arc<Object>| {
            let set = Set::read(set);
            let image = tree::str_at(&set.value, "/spec/template/spec/containers/0/image").to_owned();
            (image, set.replicas, set.revision())
        };
        sets.iter().map(read).collect()
    }

    fn check(&self, expected: &[(&str, i64, i64)]) {
        let expected: Vec<_> =
            expected.iter().map(|(image, n, revision)| ((*image).to_owned(), *n, *revision)).collect();
        assert_eq!(self.sets(), expected);
    }
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

#[test]
fn a_new_deployment_gets_its_set_and_says_so() {
    let mut case = Case::rolling(3, json!("25%"), json!("25%"));
    case.settle();
    case.check(&[("v1", 3, 1)]);
    assert_eq!(case.condition("Available"), "False MinimumReplicasUnavailable");
    assert_eq!(case.condition("Progressing"), "True ReplicaSetUpdated");
    let set = case.world.view.list(&REPLICA_SET, None).next().unwrap().value();
    assert_eq!(
        set["metadata"]["annotations"],
        json!({"note": "hi", "deployment.kubernetes.io/revision": "1",
               "deployment.kubernetes.io/desired-replicas": "3", "deployment.kubernetes.io/max-replicas": "4"})
    );
    let hash = &set["metadata"]["labels"][revision::HASH];
    assert_eq!(&set["spec"]["selector"]["matchLabels"][revision::HASH], hash);
    assert_eq!(tree::str_at(&set, "/metadata/name"), format!("d-{}", hash.as_str().unwrap()));
    case.complete();
    assert_eq!(case.condition("Available"), "True MinimumReplicasAvailable");
    assert_eq!(case.condition("Progressing"), "True NewReplicaSetAvailable");
    let mut status = case.status();
    tree::remove(&mut status, "conditions");
    let expected = json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3,
                          "availableReplicas": 3, "terminatingReplicas": 0});
    assert_eq!(status, expected);
    let deployment = case.world.view.at(&case.key).unwrap().value();
    assert_eq!(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    let message = format!("Scaled up replica set {} from 0 to 3", tree::str_at(&set, "/metadata/name"));
    assert!(case.world.events.contains(&("ScalingReplicaSet".to_owned(), message)));
}

#[test]
fn a_rolling_update_goes_step_by_step() {
    let mut case = Case::rolling(3, json!(1), json!(0));
    case.complete();
    case.patch(json!({"template": template("v2")}));
    case.settle();
    case.check(&[("v1", 3, 1), ("v2", 1, 2)]);
    case.make_ready();
    case.settle();
    case.check(&[("v1", 2, 1), ("v2", 2, 2)]);
    case.complete();
    case.check(&[("v1", 0, 1), ("v2", 3, 2)]);
    assert_eq!(case.condition("Progressing"), "True NewReplicaSetAvailable");
}

#[test]
fn going_back_takes_the_old_set_again() {
    let mut case = Case::rolling(2, json!(1), json!(0));
    case.complete();
    case.patch(json!({"template": template("v2")}));
    case.complete();
    case.patch(json!({"template": template("v1")}));
    case.complete();
    case.check(&[("v1", 2, 3), ("v2", 0, 2)]);
    let sets: Vec<_> = case.world.view.list(&REPLICA_SET, None).map(|set| set.value()).collect();
    let history = sets
        .iter()
        .find_map(|set| set["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"].as_str());
    assert_eq!(history, Some("1"));
    let deployment = case.world.view.at(&case.key).unwrap().value();
    assert_eq!(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
}

#[test]
fn a_broken_rollout_stops_and_runs_out_of_time() {
    let mut case = Case::rolling(4, json!(1), json!(1));
    case.complete();
    case.patch(json!({"template": template("broken")}));
    case.settle();
    case.check(&[("v1", 3, 1), ("broken", 2, 2)]);
    assert_eq!(case.condition("Available"), "True MinimumReplicasAvailable");
    let key = QueueKey::Object(case.key.clone());
    let outcome = case.world.run_once(&mut Deployments, &key);
    assert!(outcome.intents.is_empty() && outcome.again_in.is_some());
    case.world.pass(601);
    case.settle();
    assert_eq!(case.condition("Progressing"), "False ProgressDeadlineExceeded");
    case.patch(json!({"template": template("v1")}));
    case.complete();
    case.check(&[("v1", 4, 3), ("broken", 0, 2)]);
    assert_eq!(case.condition("Progressing"), "True NewReplicaSetAvailable");
}

#[test]
fn recreation_waits_for_the_last_old_pod() {
    let mut case = Case::new(2, json!({"type": "Recreate"}));
    case.complete();
    case.patch(json!({"template": template("v2")}));
    case.settle();
    case.check(&[("v1", 0, 1)]);
    case.world.remove_terminating_pods();
    case.settle();
    case.check(&[("v1", 0, 1), ("v2", 2, 2)]);
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let mut case = Case::rolling(2, json!(1), json!(0));
    case.complete();
    case.patch(json!({"paused": true, "template": template("v2")}));
    case.settle();
    case.check(&[("v1", 2, 1)]);
    assert_eq!(case.condition("Progressing"), "Unknown DeploymentPaused");
    case.patch(json!({"replicas": 5}));
    case.settle();
    case.check(&[("v1", 5, 1)]);
    case.patch(json!({"paused": null}));
    case.complete();
    case.check(&[("v1", 0, 1), ("v2", 5, 2)]);
}

#[test]
fn scaling_in_the_middle_is_shared_out() {
    let mut case = Case::rolling(10, json!(3), json!(2));
    case.complete();
    case.patch(json!({"template": template("broken")}));
    case.settle();
    case.check(&[("v1", 8, 1), ("broken", 5, 2)]);
    case.patch(json!({"replicas": 15}));
    let key = QueueKey::Object(case.key.clone());
    case.world.run_once(&mut Deployments, &key);
    case.check(&[("v1", 11, 1), ("broken", 7, 2)]);
    case.patch(json!({"replicas": 0}));
    case.settle();
    case.check(&[("v1", 0, 1), ("broken", 0, 2)]);
}

#[test]
fn history_is_kept_up_to_its_limit() {
    let mut case = Case::rolling(1, json!(1), json!(0));
    for image in ["v1", "v2", "v3", "v4", "v5"] {
        case.patch(json!({"template": template(image)}));
        case.complete();
    }
    case.check(&[("v3", 0, 3), ("v4", 0, 4), ("v5", 1, 5)]);
}

#[test]
fn a_taken_name_is_gone_round() {
    let mut case = Case::rolling(1, json!(1), json!(0));
    let hash = Rollout::read(&case.key.clone(), case.world.turn()).unwrap().hash();
    let metadata = json!({"name": format!("d-{hash}"), "namespace": "web"});
    case.world.put(
        &REPLICA_SET,
        json!({"metadata": metadata, "spec": {"replicas": 0, "selector": {"matchLabels": {"x": "y"}}}}),
    );
    case.settle();
    assert_eq!(case.status()["collisionCount"], 1);
    assert_eq!(case.sets().iter().filter(|(image, n, _)| image == "v1" && *n == 1).count(), 1);
}

#[test]
fn sets_are_adopted_and_let_go() {
    let mut case = Case::rolling(1, json!(1), json!(0));
    case.complete();
    let set = case.world.view.list(&REPLICA_SET, None).next().unwrap().key().clone();
    case.world.merge(&set, json!({"metadata": {"ownerReferences": null}}));
    case.settle();
    assert_eq!(case.world.view.at(&set).unwrap().controller().map(|c| c.name.as_str()), Some("d"));
    case.world.merge(&set, json!({"metadata": {"labels": {"app": "other"}}}));
    case.settle();
    assert!(case.world.view.at(&set).unwrap().controller().is_none());
    assert_eq!(case.world.view.count(&REPLICA_SET), 2, "there is another in its place");
}

#[test]
fn failing_pods_are_told_of() {
    let mut case = Case::rolling(1, json!(1), json!(0));
    case.settle();
    let set = case.world.view.list(&REPLICA_SET, None).next().unwrap().key().clone();
    let failure = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "no",
                         "lastTransitionTime": "2026-01-01T00:00:00Z"});
    case.world.merge(&set, json!({"status": {"conditions": [failure]}}));
    let key = QueueKey::Object(case.key.clone());
    case.world.run_once(&mut Deployments, &key);
    assert_eq!(case.condition("ReplicaFailure"), "True FailedCreate");
}
