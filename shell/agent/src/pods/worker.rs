//! One pod: steps it, carries its actions out, and tells the API how it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, pending, select_all};
use gantry_node::{Action, Container, Done, Memory, Observed, Sandbox, downward, pod, step};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::certificates::{Certificates, State};
use super::fence::{Guard, Verdict};
use super::report::Report;
use super::{Seen, Shared, Signal};
use crate::limits::{API_RETRY, LOOK_EVERY, TOKEN_RETRY};
use crate::sources::{Followed, Held};

/// What is now known of the runtime.
#[derive(Debug)]
pub(super) enum News {
    Sandbox(Sandbox),
    Container(Box<Container>),
    /// A container is no more.
    NoContainer(String),
    /// All of it, as it was at some time after this.
    All(Observed, Instant),
}

/// What a task brings back.
pub(super) struct Finished {
    /// The action that it was for; none where the runtime was only looked at.
    pub(super) action: Option<(Action, Done)>,
    pub(super) news: Vec<News>,
}

/// Tokens by volume and path, each with the time to renew it.
pub(super) type Tokens = Arc<Mutex<BTreeMap<(String, String), (String, Timestamp)>>>;

/// What the tasks of one pod work with.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) shared: Arc<Shared>,
    pub(super) pod: Arc<Pod>,
    pub(super) observed: Arc<Observed>,
    pub(super) followed: Arc<Vec<Arc<Followed>>>,
    pub(super) tokens: Tokens,
    pub(super) certificates: Certificates,
}

pub(super) struct Worker {
    scene: Scene,
    inbox: mpsc::Receiver<Signal>,
    seen: watch::Sender<Seen>,
    memory: Memory,
    told: PodStatus,
    report: Report,
    tasks: JoinSet<Finished>,
    changes: Vec<Changes>,
    /// When each container and sandbox was last heard of by itself.
    heard: HashMap<String, Instant>,
    /// Ends of what is not known yet, as exit code and time.
    ends: HashMap<String, (i32, Timestamp)>,
    /// When to look at everything again, even if all seems well.
    look_at: Timestamp,
    /// Tokens and certificates are not renewed before this again.
    renew_after: Timestamp,
    /// The pod's fence, if it has one.
    guard: Option<Guard>,
    /// Others have written the status: it is told again.
    retell: bool,
    gone: bool,
}

/// The changes of something that the pod is made from; the first contents are no change.
struct Changes {
    held: watch::Receiver<Held>,
    filled: bool,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        pod: Arc<Pod>,
        inbox: mpsc::Receiver<Signal>,
        seen: watch::Sender<Seen>,
    ) -> Self {
        let followed = Arc::new(shared.sources.follow(&pod));
        let changes =
            followed.iter().map(|object| Changes { held: object.held(), filled: object.is_filled() }).collect();
        let told = pod::reported(&pod).clone();
        let report = Report::start(shared.client.clone(), &pod);
        let guard = Guard::start(&shared, &pod);
        let (observed, tokens, certificates) = Default::default();
        let scene = Scene { shared, pod, observed, followed, tokens, certificates };
        let renew_after = Timestamp::now();
        let look_at = renew_after + LOOK_EVERY;
        let (memory, tasks, heard, ends) = (Memory::default(), JoinSet::new(), HashMap::new(), HashMap::new());
        Worker {
            scene,
            inbox,
            seen,
            memory,
            told,
            report,
            tasks,
            changes,
            heard,
            ends,
            look_at,
            renew_after,
            guard,
            retell: false,
            gone: false,
        }
    }

    /// Works until nothing is left of the pod. `known`: the runtime already has something of it.
    pub(super) async fn run(mut self, known: bool) {
        if known {
            self.scene.observed = Arc::new(self.look().await);
        }
        self.memory = Memory::adopt(&self.scene.pod, &self.scene.observed);
        loop {
            let again_at = self.drive().await;
            if self.memory.finished() {
                return;
            }
            let wake = [again_at, self.renewal(), Some(self.look_at)].into_iter().flatten().min();
            tokio::select! {
                signal = self.inbox.recv() => match signal {
                    Some(signal) => self.take(signal),
                    None => return,
                },
                Some(finished) = self.tasks.join_next() => {
                    if let Ok(finished) = finished {
                        self.finish(finished);
                    }
                }
                () = changed(&mut self.changes) => {
                    self.memory.refresh();
                    self.memory.refresh_volumes();
                }
                () = confirmed(&mut self.guard) => {}
                () = until(wake) => self.attend(Timestamp::now()),
            }
        }
    }

    /// Does what is to be done now and then.
    fn attend(&mut self, now: Timestamp) {
        if self.renewal().is_some_and(|at| at <= now) {
            self.renew_after = now + TOKEN_RETRY;
            self.memory.refresh_volumes();
        }
        if self.look_at <= now {
            self.look_at = now + LOOK_EVERY;
            self.take(Signal::Look);
        }
    }

    async fn look(&self) -> Observed {
        let mut wait = API_RETRY.0;
        loop {
            match self.scene.shared.runtime.observe(pod::uid(&self.scene.pod)).await {
                Ok(observed) => return self.scene.with_messages(observed),
                Err(error) => tracing::debug!(%error, "cannot look at a pod"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(API_RETRY.1);
        }
    }

    /// Takes the next step; when to look again.
    async fn drive(&mut self) -> Option<Timestamp> {
        let now = Timestamp::now();
        let watch_at = match self.judge() {
            Some(Verdict::Hold(wait)) => return Some(now + wait),
            Some(Verdict::Run(wait)) => Some(now + wait),
            Some(Verdict::End) => {
                self.memory.fence();
                None
            }
            None => None,
        };
        let step = step(&self.scene.pod, &self.scene.observed, &mut self.memory, now);
        let mut finish = None;
        for action in step.actions {
            match action {
                Action::Notify(notice) => self.scene.shared.events.pod(&self.scene.pod, &notice),
                Action::Finish => finish = Some(action),
                action => {
                    let scene = self.scene.clone();
                    self.tasks.spawn(scene.act(action));
                }
            }
        }
        self.tell(now);
        if let Some(action) = finish {
            if !self.gone {
                self.report.finish().await;
            }
            self.memory.done(&self.scene.pod, &action, &Done::Well, now);
        }
        [step.again_at, watch_at].into_iter().flatten().min()
    }

    /// What the pod's fence says, as long as it is not known that the pod must end anyway.
    fn judge(&self) -> Option<Verdict> {
        let ends = self.gone || self.memory.fenced() || self.scene.pod.metadata.deletion_timestamp.is_some();
        let observed = &self.scene.observed;
        let idle = !observed.containers.iter().any(Container::alive) && self.tasks.is_empty();
        self.guard.as_ref().filter(|_| !ends).map(|guard| guard.judge(&self.scene.pod, idle))
    }

    /// Tells the API, and those who ask here, how the pod is.
    fn tell(&mut self, now: Timestamp) {
        let node = self.scene.shared.node.borrow().clone();
        let Scene { pod, observed, .. } = &self.scene;
        let status = gantry_node::status(pod, &self.told, observed, &self.memory, &node, now);
        if status != self.told || std::mem::take(&mut self.retell) {
            self.told = status;
            if !self.gone {
                self.report.tell(&self.told);
            }
        }
        let address = observed.ready_sandbox().and_then(|sandbox| sandbox.ips.iter().find_map(|ip| ip.parse().ok()));
        self.scene.shared.is_at(pod::uid(pod), address);
        let (pod, observed) = (pod.clone(), observed.clone());
        self.seen.send_replace(Seen { pod, observed, status: Arc::new(self.told.clone()) });
    }

    fn take(&mut self, signal: Signal) {
        match signal {
            Signal::Pod(pod) => {
                self.retell |= self.report.heard(&pod);
                keep_foreign_conditions(&mut self.told, &pod);
                if downward::differs(&self.scene.pod, &pod) {
                    self.memory.refresh_volumes();
                }
                self.scene.pod = pod;
            }
            Signal::Gone(pod) => {
                self.scene.pod = pod;
                self.gone = true;
                self.memory.forsake();
            }
            Signal::Exited { id, code, at } => {
                self.ends.insert(id, (code, at));
                self.settle();
            }
            Signal::Look => {
                let scene = self.scene.clone();
                self.tasks.spawn(async move { Finished { action: None, news: scene.all().await } });
            }
        }
    }

    fn finish(&mut self, finished: Finished) {
        if !finished.news.is_empty() {
            finished.news.into_iter().for_each(|news| self.learn(news));
            self.settle();
        }
        if let Some((action, done)) = finished.action {
            for notice in self.memory.done(&self.scene.pod, &action, &done, Timestamp::now()) {
                self.scene.shared.events.pod(&self.scene.pod, &notice);
            }
        }
    }

    /// Looks at what has ended, once it is known: an end may be heard of before that which has ended.
    fn settle(&mut self) {
        let observed = &self.scene.observed;
        let known = |id: &str| observed.container(id).is_some() || observed.sandboxes.iter().any(|s| s.id == id);
        let ends: Vec<_> = self.ends.iter().filter(|(id, _)| known(id)).map(|(id, end)| (id.clone(), *end)).collect();
        for (id, (code, at)) in ends {
            self.ends.remove(&id);
            let scene = self.scene.clone();
            self.tasks.spawn(async move { Finished { action: None, news: scene.ended(&id, code, at).await } });
        }
    }

    fn learn(&mut self, news: News) {
        let now = Instant::now();
        let observed = Arc::make_mut(&mut self.scene.observed);
        match news {
            News::Sandbox(sandbox) => {
                self.heard.insert(sandbox.id.clone(), now);
                observed.put_sandbox(sandbox);
            }
            News::Container(container) => {
                // What was read before the container ended may arrive after it.
                let ended = observed.container(&container.id).is_some_and(|known| known.exit().is_some());
                if !ended || container.exit().is_some() {
                    self.heard.insert(container.id.clone(), now);
                    observed.put_container(*container);
                }
            }
            News::NoContainer(id) => observed.containers.retain(|container| container.id != id),
            News::All(all, begun) => {
                // What was heard of since the look began is newer than what it saw.
                let newer = |id: &str| self.heard.get(id).is_some_and(|heard| *heard > begun);
                let (sandboxes, containers) = (observed.sandboxes.clone(), observed.containers.clone());
                *observed = all;
                sandboxes.into_iter().filter(|s| newer(&s.id)).for_each(|s| observed.put_sandbox(s));
                containers.into_iter().filter(|c| newer(&c.id)).for_each(|c| observed.put_container(c));
            }
        }
    }

    /// When the next token or certificate is to be renewed.
    fn renewal(&self) -> Option<Timestamp> {
        let token = self.scene.tokens.lock().values().map(|(_, at)| *at).min();
        let certificate = self.scene.certificates.lock().values().filter_map(State::due).min();
        let due = token.into_iter().chain(certificate).min();
        due.map(|due| due.max(self.renew_after))
    }
}

/// Conditions that others set arrive with the pod's object.
fn keep_foreign_conditions(told: &mut PodStatus, pod: &Pod) {
    let heard = pod::reported(pod).conditions.iter().flatten();
    let ours = told.conditions.take().unwrap_or_default();
    let known = |name: &str| ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"].contains(&name);
    let foreign = heard.filter(|condition| !known(&condition.type_)).cloned();
    told.conditions = Some(ours.into_iter().filter(|condition| known(&condition.type_)).chain(foreign).collect());
}

/// Waits for a change of anything that the pod is made from.
async fn changed(changes: &mut [Changes]) {
    if changes.is_empty() {
        return pending().await;
    }
    let waits: Vec<BoxFuture<'_, ()>> = changes.iter_mut().map(|one| one.next().boxed()).collect();
    select_all(waits).await;
}

impl Changes {
    async fn next(&mut self) {
        loop {
            if self.held.changed().await.is_err() {
                pending::<()>().await;
            }
            if std::mem::replace(&mut self.filled, true) {
                return;
            }
        }
    }
}

/// Waits until the pod's fence opens, if it has one.
async fn confirmed(guard: &mut Option<Guard>) {
    match guard {
        Some(guard) => guard.changed().await,
        None => pending().await,
    }
}

async fn until(at: Option<Timestamp>) {
    let Some(at) = at else { return pending().await };
    let left = at.duration_since(Timestamp::now());
    tokio::time::sleep(Duration::try_from(left).unwrap_or(Duration::ZERO)).await;
}
