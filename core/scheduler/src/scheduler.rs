//! The loop's decisions: from changes to binds, refusals and the time of the next look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::{NAMESPACE, NODE, POD};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Reason, Turn, View};
use serde_json::{Value, json};

use crate::cycle::{Candidate, Cycle};
use crate::diagnosis::Diagnosis;
use crate::filters;
use crate::node::NodeFacts;
use crate::pod::PodFacts;
use crate::queue::Queue;
use crate::scores;
use crate::state::State;

/// Pods that are looked at in one turn; what is left gets the next turn at once.
const PODS_PER_TURN: usize = 1000;
/// How long a bind may take to show before the pod counts as unplaced again.
const ASSUMED_FOR: Duration = Duration::from_secs(30);
/// How often the same refusal is said again.
const REPEAT: Duration = Duration::from_secs(300);
/// With fewer nodes than this, all are looked at.
const ALWAYS_ALL_NODES: usize = 100;

/// The scheduler. `observe` every change in order, then take a `turn`; the first turn reads the view.
#[derive(Default)]
pub struct Scheduler {
    state: State,
    queue: Queue,
    /// Pods that were bound in an earlier turn and are not yet seen on their nodes, with until when that is believed,
    /// by uptime.
    assumed: BTreeMap<ObjectKey, Duration>,
    /// Changes up to this revision are in; `None` before the first turn.
    read_at: Option<u64>,
    /// The slot that the next search begins at.
    next_slot: usize,
}

/// All that a scheduler starts from, at one revision, as far as it is not read yet.
pub struct Start {
    revision: u64,
    objects: std::vec::IntoIter<Arc<Object>>,
}

impl Scheduler {
    /// A scheduler that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a scheduler must know to start, taken out of a view at once: to read it takes far longer, and nobody
    /// should wait for that.
    pub fn start(view: &View) -> Start {
        let kinds = [&NAMESPACE, &NODE, &POD].into_iter();
        let objects: Vec<_> = kinds.flat_map(|kind| view.list(kind, None)).cloned().collect();
        Start { revision: view.revision(), objects: objects.into_iter() }
    }

    /// Starts anew, knowing nothing: `start` is to be read to its end before the next change or turn. To be called
    /// when changes were missed.
    pub fn reset(&mut self, start: &Start) {
        *self = Scheduler { read_at: Some(start.revision), ..Scheduler::default() };
    }

    /// Takes in up to `count` objects of `start`; false when there are no more.
    pub fn read(&mut self, start: &mut Start, count: usize) -> bool {
        for object in start.objects.by_ref().take(count) {
            self.set(object.key(), Some(&object));
        }
        start.objects.len() > 0
    }

    fn start_from(&mut self, view: &View) {
        let mut start = Self::start(view);
        self.reset(&start);
        self.read(&mut start, usize::MAX);
    }

    /// Takes in one change.
    pub fn observe(&mut self, change: &Change) {
        if self.read_at.is_some_and(|read_at| change.revision > read_at) {
            self.set(&change.key, change.after.as_deref());
        }
    }

    /// A bind was refused: after a pause the pod wants a node again.
    pub fn refused(&mut self, key: &ObjectKey, turn: Turn<'_>) {
        if self.assumed.remove(key).is_some() {
            self.state.remove(key);
            self.set(key, turn.view.at(key).map(Arc::as_ref));
            self.queue.postpone(key, turn.uptime, "", REPEAT);
        }
    }

    /// How many pods want a node.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    fn set(&mut self, key: &ObjectKey, object: Option<&Object>) {
        if key.kind == &POD {
            self.set_pod(key, object.and_then(PodFacts::of));
        } else if key.kind == &NODE {
            if self.state.set_node(&key.name, object.and_then(NodeFacts::of)) {
                self.queue.wake_all();
            }
        } else if key.kind == &NAMESPACE {
            self.state.set_namespace(&key.name, object.map(|o| o.header.labels.clone()));
        }
    }

    fn set_pod(&mut self, key: &ObjectKey, pod: Option<Arc<PodFacts>>) {
        let Some(pod) = pod.filter(|pod| !pod.ended) else {
            self.assumed.remove(key);
            self.queue.remove(key);
            if self.state.remove(key) {
                self.queue.wake_all();
            }
            return;
        };
        if let Some(node) = &pod.node {
            self.assumed.remove(key);
            self.queue.remove(key);
            let news = self.state.node_of(key).is_none();
            self.state.place(node, &pod);
            if news {
                self.queue.wake_company();
            }
        } else if let Some(slot) = self.state.node_of(key).filter(|_| self.assumed.contains_key(key) && pod.wanted) {
            if let Some(name) = self.state.nodes[slot].facts.as_ref().map(|facts| facts.name.clone()) {
                self.state.place(&name, &pod);
            }
        } else if pod.wanted {
            self.assumed.remove(key);
            self.state.remove(key);
            self.queue.add(pod);
        } else {
            self.assumed.remove(key);
            self.queue.remove(key);
            self.state.remove(key);
        }
    }

    /// Places what can be placed.
    pub fn turn(&mut self, turn: Turn<'_>) -> Outcome {
        if self.read_at.is_none() {
            self.start_from(turn.view);
        }
        self.expire(turn);
        self.queue.wake_due(turn.uptime);
        let mut outcome = Outcome::nothing();
        let mut hopeless: BTreeMap<String, Diagnosis> = BTreeMap::new();
        for _ in 0..PODS_PER_TURN {
            let Some(pod) = self.queue.first().cloned() else { break };
            let alike = pod.owner.clone().filter(|_| pod.company.with.is_empty());
            let known = alike.as_ref().and_then(|owner| hopeless.get(owner)).cloned();
            match known.map_or_else(|| self.place(&pod, turn.seed), Err) {
                Ok(node) => self.assume(&pod, &node, turn, &mut outcome),
                Err(diagnosis) => {
                    self.refuse(&pod, &diagnosis, turn, &mut outcome);
                    hopeless.extend(alike.map(|owner| (owner, diagnosis)));
                }
            }
        }
        if self.queue.first().is_some() {
            outcome.again_in(Duration::ZERO);
        }
        for time in self.queue.next_time().into_iter().chain(self.assumed.values().min().copied()) {
            outcome.again_in(time.saturating_sub(turn.uptime));
        }
        outcome
    }

    /// Binds that never showed are taken back.
    fn expire(&mut self, turn: Turn<'_>) {
        let late: Vec<_> =
            self.assumed.iter().filter(|(_, until)| **until <= turn.uptime).map(|(key, _)| key.clone()).collect();
        for key in late {
            self.refused(&key, turn);
        }
    }

    /// The best node for the pod, or why there is none.
    fn place(&mut self, pod: &PodFacts, seed: u64) -> Result<String, Diagnosis> {
        let cycle = Cycle::new(&mut self.state, pod);
        let slots = self.state.nodes.len();
        let enough = enough(slots);
        let mut diagnosis = Diagnosis::default();
        let mut misfits = Vec::new();
        let mut feasible = Vec::new();
        for at in 0..slots {
            let slot = (self.next_slot + at) % slots;
            let state = &self.state.nodes[slot];
            let Some(facts) = &state.facts else { continue };
            let node = Candidate { slot, facts, state };
            if filters::fits(&cycle, &node, &mut misfits) {
                feasible.push(node);
                if feasible.len() >= enough {
                    break;
                }
            } else {
                diagnosis.add(&facts.name, &misfits);
            }
        }
        let points = if feasible.len() > 1 { scores::total(&cycle, &feasible) } else { vec![0; feasible.len()] };
        let ranked =
            feasible.iter().zip(points).map(|(node, points)| (points, lot(seed, &pod.uid, &node.facts.name), node));
        let best = ranked.max_by_key(|(points, lot, _)| (*points, *lot)).map(|(_, _, node)| node);
        let Some(best) = best else { return Err(diagnosis) };
        let name = best.facts.name.clone();
        if slots > ALWAYS_ALL_NODES {
            self.next_slot = (best.slot + 1) % slots;
        }
        Ok(name)
    }

    fn assume(&mut self, pod: &Arc<PodFacts>, node: &str, turn: Turn<'_>, outcome: &mut Outcome) {
        self.queue.remove(&pod.key);
        self.state.place(node, pod);
        self.assumed.insert(pod.key.clone(), turn.uptime + ASSUMED_FOR);
        let ObjectKey { namespace, name, .. } = &pod.key;
        let body = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"namespace": &**namespace, "name": &**name, "uid": pod.uid},
            "target": {"kind": "Node", "name": node},
        });
        let message = format!("Successfully assigned {namespace}/{name} to {node}");
        outcome.push(Intent::Post { key: pod.key.clone(), subresource: "binding", body });
        outcome.push(event(pod, "Normal", "Scheduled", message.clone()));
        let causes = vec![ObjectKey::new(&NODE, "", node)];
        outcome.why.push(Reason { code: "Scheduled", subject: pod.key.clone(), message, causes });
    }

    fn refuse(&mut self, pod: &Arc<PodFacts>, diagnosis: &Diagnosis, turn: Turn<'_>, outcome: &mut Outcome) {
        let message = diagnosis.message(pod.never_preempts);
        if !self.queue.postpone(&pod.key, turn.uptime, &message, REPEAT) {
            return;
        }
        if pod.condition.as_ref() != Some(&("Unschedulable".to_owned(), message.clone())) {
            outcome.intents.extend(condition(pod, &message, turn));
        }
        outcome.push(event(pod, "Warning", "FailedScheduling", message));
        outcome.why.extend(diagnosis.named.iter().map(|(node, misfit)| Reason {
            code: misfit.rule,
            subject: pod.key.clone(),
            message: format!("{node}: {}", misfit.text),
            causes: vec![ObjectKey::new(&NODE, "", node)],
        }));
    }
}

fn event(pod: &PodFacts, kind: &'static str, reason: &'static str, message: String) -> Intent {
    Intent::Event { about: pod.key.clone(), kind, reason, message }
}

/// Says in the pod's status that it fits nowhere; other conditions stay.
fn condition(pod: &PodFacts, message: &str, turn: Turn<'_>) -> Option<Intent> {
    let object = turn.view.at(&pod.key).filter(|object| object.uid() == pod.uid)?;
    let value = object.value();
    let mut conditions = value.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let at = conditions.iter().position(|c| c["type"] == "PodScheduled");
    let before = at.map(|at| conditions.remove(at)).filter(|c| c["status"] == "False");
    let since = before.and_then(|c| c.get("lastTransitionTime").cloned());
    let now = || json!(turn.now.round(jiff::Unit::Second).unwrap_or(turn.now));
    conditions.push(json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "observedGeneration": object.header.generation,
        "lastProbeTime": null, "lastTransitionTime": since.unwrap_or_else(now),
    }));
    let patch = json!({"metadata": {"uid": pod.uid}, "status": {"conditions": conditions}});
    Some(Intent::Patch { key: pod.key.clone(), subresource: "status", patch })
}

/// How many fitting nodes are enough to choose from: all of a small cluster, fewer by share of a large one.
fn enough(nodes: usize) -> usize {
    if nodes <= ALWAYS_ALL_NODES {
        return nodes.max(1);
    }
    let percent = 50usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(ALWAYS_ALL_NODES)
}

/// Draws between equals: the same for the same seed, pod and node.
fn lot(seed: u64, uid: &str, node: &str) -> u64 {
    let bytes = uid.bytes().chain(node.bytes());
    let mixed = bytes.fold(seed ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
