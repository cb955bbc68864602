//! Random walks of Deployments: turns of controllers, changes by users and the lives of pods in any order.

use gantry_kinds::tree::int_at;
use gantry_kinds::{DEPLOYMENT, NAMESPACE, POD, REPLICA_SET};
use gantry_view::{Object, ObjectKey};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::deployment::Deployments;
use crate::harness::World;
use crate::pod_facts::{PodFacts, is_active};
use crate::replicaset::ReplicaSets;
use crate::{Controller, QueueKey};

/// One step of a walk.
#[derive(Clone, Debug)]
enum Step {
    /// A turn of the deployment, of which so many intents come through.
    Deployment(usize),
    /// A turn of one of its sets.
    Set(usize, usize),
    /// A pod becomes ready.
    Ready(usize),
    /// The node ends a pod that it was told to end.
    End(usize),
    /// A user changes the template.
    Image(u8),
    /// A user changes the size.
    Scale(i64),
}

/// Steps of controllers and nodes alone, so that what must hold can be said exactly.
fn quiet() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..20_usize).prop_map(Step::Deployment),
        6 => (0..4_usize, 0..30_usize).prop_map(|(at, through)| Step::Set(at, through)),
        6 => (0..30_usize).prop_map(Step::Ready),
        4 => (0..30_usize).prop_map(Step::End),
        1 => (0..4_u8).prop_map(Step::Image),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![9 => quiet(), 1 => (0..8_i64).prop_map(Step::Scale)]
}

struct Walk {
    world: World,
    key: ObjectKey,
}

impl Walk {
    fn new(replicas: i64, surge: i64, unavailable: i64) -> Self {
        let mut world = World::new();
        world.put(&NAMESPACE, json!({"metadata": {"name": "web"}}));
        let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": rolling});
        let key = world.put(
            &DEPLOYMENT,
            json!({"metadata": {"name": "d", "namespace": "web"}, "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "strategy": strategy,
                "progressDeadlineSeconds": 600, "revisionHistoryLimit": 3, "template": template(0),
            }}),
        );
        Walk { world, key }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Deployment(through) => self.turn(&mut Deployments, self.key.clone(), *through),
            Step::Set(at, through) => {
                if let Some(key) = self.pick(&REPLICA_SET, *at, |_| true) {
                    self.turn(&mut ReplicaSets::sets(), key, *through);
                }
            }
            Step::Ready(at) => {
                if let Some(key) = self.pick(&POD, *at, |pod| !PodFacts::of(pod).ready) {
                    self.make_ready(&key);
                }
            }
            Step::End(at) => {
                if let Some(key) = self.pick(&POD, *at, |pod| pod.header.deleted.is_some()) {
                    self.world.remove(&key);
                }
            }
            Step::Image(image) => self.world.merge(&self.key, json!({"spec": {"template": template(*image)}})),
            Step::Scale(replicas) => self.world.merge(&self.key, json!({"spec": {"replicas": replicas}})),
        }
    }

    fn turn(&mut self, controller: &mut dyn Controller, key: ObjectKey, through: usize) {
        let outcome = controller.reconcile(&QueueKey::Object(key), self.world.turn());
        for intent in outcome.intents.iter().take(through) {
            if self.world.carry_out(intent).is_err() {
                return;
            }
        }
    }

    fn pick(&self, kind: gantry_kinds::KindRef, at: usize, wanted: impl Fn(&Object) -> bool) -> Option<ObjectKey> {
        let all: Vec<&ObjectKey> =
            self.world.view.list(kind, None).filter(|object| wanted(object)).map(|object| object.key()).collect();
        all.get(at % all.len().max(1)).map(|key| (*key).clone())
    }

    fn make_ready(&mut self, key: &ObjectKey) {
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({"phase": "Running", "conditions": [ready]});
        self.world.merge(key, json!({"spec": {"nodeName": "n1"}, "status": status}));
    }

    /// Lets everything come to its end.
    fn complete(&mut self) {
        for _ in 0..60 {
            self.world.settle(&mut [&mut Deployments, &mut ReplicaSets::sets()]);
            let before = self.world.view.revision();
            let unready: Vec<ObjectKey> = self.world.view.list(&POD, None).map(|pod| pod.key().clone()).collect();
            unready.iter().for_each(|key| self.make_ready(key));
            self.world.remove_terminating_pods();
            if self.world.view.revision() == before {
                return;
            }
        }
        panic!("this does not come to an end");
    }

    fn active(&self) -> i64 {
        self.count(is_active)
    }

    fn available(&self) -> i64 {
        self.count(|pod| is_active(pod) && PodFacts::of(pod).ready)
    }

    fn count(&self, wanted: impl Fn(&Object) -> bool) -> i64 {
        i64::try_from(self.world.view.list(&POD, None).filter(|pod| wanted(pod)).count()).unwrap()
    }
}

fn template(image: u8) -> Value {
    let container = json!({"name": "c", "image": format!("v{image}")});
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}})
}

/// A size with a surge and an unavailability that are not both nothing.
fn bounds() -> impl Strategy<Value = (i64, i64, i64)> {
    (1..7_i64, 0..4_i64, 0..4_i64)
        .prop_filter("something has to move", |(_, surge, unavailable)| surge + unavailable > 0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// From a complete state, whatever templates come in whatever order: never more pods than allowed, never fewer
    /// available ones, and in the end all of the last template.
    #[test]
    fn a_rollout_keeps_its_bounds_and_ends(
        (replicas, surge, unavailable) in bounds(), steps in prop::collection::vec(quiet(), 0..160),
    ) {
        let mut walk = Walk::new(replicas, surge, unavailable);
        walk.complete();
        prop_assert_eq!(walk.available(), replicas);
        for step in &steps {
            walk.step(step);
            prop_assert!(walk.active() <= replicas + surge, "{} pods after {:?}", walk.active(), step);
            let floor = replicas - unavailable.min(replicas);
            prop_assert!(walk.available() >= floor, "{} available after {:?}", walk.available(), step);
        }
        walk.complete();
        check_complete(&walk, replicas)?;
    }

    /// From any state, with sizes changing on the way: it ends with what was asked for last.
    #[test]
    fn every_walk_ends_where_it_should(
        (replicas, surge, unavailable) in bounds(), steps in prop::collection::vec(any_step(), 0..120),
    ) {
        let mut walk = Walk::new(replicas, surge, unavailable);
        steps.iter().for_each(|step| walk.step(step));
        walk.complete();
        let wanted = int_at(&walk.world.view.at(&walk.key).unwrap().value(), "/spec/replicas").unwrap();
        check_complete(&walk, wanted)?;
    }
}

fn check_complete(walk: &Walk, replicas: i64) -> Result<(), TestCaseError> {
    let deployment = walk.world.view.at(&walk.key).unwrap().value();
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    let pods: Vec<Value> = walk.world.view.list(&POD, None).map(|pod| pod.value()).collect();
    prop_assert_eq!(i64::try_from(pods.len()).unwrap(), replicas);
    prop_assert!(pods.iter().all(|pod| &pod["spec"]["containers"][0]["image"] == image));
    for field in ["replicas", "updatedReplicas", "availableReplicas"] {
        prop_assert_eq!(int_at(&deployment, &format!("/status/{field}")).unwrap_or(0), replicas, "{}", field);
    }
    let old = walk.world.view.list(&REPLICA_SET, None).filter(|set| set.value()["spec"]["replicas"] == 0).count();
    prop_assert!(old <= 4, "{} sets are kept", old);
    Ok(())
}
