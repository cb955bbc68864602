//! The loop of one controller.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gantry_cluster::{Cluster, Epoch, Feed, Topic};
use gantry_controllers::{Controller, QueueKey};
use gantry_kinds::Status;
use gantry_view::{Change, Intent, Outcome};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::failpoints::failpoint;
use crate::intents::Actor;
use crate::limits::{KEYS_IN_FLIGHT, KEYS_PER_TURN};
use crate::queue::Queue;

/// The end of a task that carried out intents: the one that was refused, if any.
type Finished = Result<(Id, Option<(Intent, Box<Status>)>), JoinError>;

/// What a task is carrying out.
struct Work {
    key: QueueKey,
    /// The intents are what the controller says to a refusal; the turn has failed already.
    aftermath: bool,
}

struct Loop {
    cluster: Arc<Cluster>,
    controller: Box<dyn Controller>,
    actor: Arc<Actor>,
    queue: Queue<QueueKey>,
    running: JoinSet<Option<(Intent, Box<Status>)>>,
    work: BTreeMap<Id, Work>,
}

/// Runs `controller` for as long as it is polled; every write carries `epoch`.
pub(crate) async fn drive(cluster: Arc<Cluster>, controller: Box<dyn Controller>, epoch: Epoch) {
    let actor = Arc::new(Actor::service_account(controller.name(), controller.component(), epoch));
    let mut state =
        Loop { cluster, controller, actor, queue: Queue::new(), running: JoinSet::new(), work: BTreeMap::new() };
    let mut feed = state.start();
    loop {
        state.turn();
        let wake = state.queue.next_due();
        tokio::select! {
            biased;
            change = feed.next() => match change {
                Ok(change) => state.observe(&change, &mut feed),
                // Too far behind: look at everything.
                Err(_) => feed = state.start(),
            },
            Some(finished) = state.running.join_next_with_id() => state.finish(finished),
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() && state.may_run() => {}
        }
    }
}

impl Loop {
    fn start(&mut self) -> Feed {
        let controller = &self.controller;
        let (keys, feed) = self.cluster.watch_snapshot(Topic::Everything, |view| controller.initial(view));
        let now = Instant::now();
        keys.into_iter().for_each(|key| self.queue.add(key, now));
        feed
    }

    fn observe(&mut self, change: &Change, feed: &mut Feed) {
        let mut keys = Vec::new();
        let cluster = self.cluster.clone();
        let view = cluster.view();
        self.controller.keys(change, &view, &mut keys);
        // What came at once is looked at as one.
        while let Ok(Some(change)) = feed.try_next() {
            self.controller.keys(&change, &view, &mut keys);
        }
        let now = Instant::now();
        keys.into_iter().for_each(|key| self.queue.add(key, now));
    }

    fn may_run(&self) -> bool {
        self.queue.in_flight() < KEYS_IN_FLIGHT
    }

    /// Reconciles what is due, and starts to carry out what comes of it.
    fn turn(&mut self) {
        for _ in 0..KEYS_PER_TURN {
            let now = Instant::now();
            if !self.may_run() {
                return;
            }
            let Some(key) = self.queue.take(now) else { return };
            match self.reconcile(&key) {
                Some(outcome) => self.start_intents(key, outcome, now),
                None => self.queue.done(key, false, now),
            }
        }
    }

    /// `None` when the reconciler panicked: that is a defect, and must not end the others.
    fn reconcile(&mut self, key: &QueueKey) -> Option<Outcome> {
        let cluster = self.cluster.clone();
        let view = cluster.view();
        let turn = cluster.turn(&view);
        let controller = &mut self.controller;
        let outcome = catch_unwind(AssertUnwindSafe(|| controller.reconcile(key, turn)));
        if outcome.is_err() {
            tracing::error!(controller = self.controller.name(), ?key, "a reconciler panicked; it is run again later");
        }
        outcome.ok()
    }

    fn start_intents(&mut self, key: QueueKey, outcome: Outcome, now: Instant) {
        for reason in &outcome.why {
            tracing::debug!(controller = self.controller.name(), code = reason.code, subject = %reason.subject, "{}", reason.message);
        }
        if let Some(delay) = outcome.again_in {
            self.queue.add(key.clone(), now + delay);
        }
        if outcome.intents.is_empty() {
            self.queue.done(key, true, now);
            return;
        }
        self.spawn(Work { key, aftermath: false }, outcome.intents);
    }

    fn spawn(&mut self, work: Work, intents: Vec<Intent>) {
        let task = self.running.spawn(carry_out_all(self.cluster.clone(), self.actor.clone(), intents));
        self.work.insert(task.id(), work);
    }

    fn finish(&mut self, finished: Finished) {
        let (task, refused, panicked) = match finished {
            Ok((task, refused)) => (task, refused, false),
            Err(error) => {
                tracing::error!(controller = self.controller.name(), %error, "carrying out intents panicked");
                (error.id(), None, true)
            }
        };
        let Some(Work { key, aftermath }) = self.work.remove(&task) else { return };
        if let (Some((intent, status)), false) = (&refused, aftermath) {
            let answer = self.refused(&key, intent, status);
            if !answer.is_empty() {
                self.spawn(Work { key, aftermath: true }, answer);
                return;
            }
        }
        let succeeded = refused.is_none() && !panicked && !aftermath;
        self.queue.done(key, succeeded, Instant::now());
    }

    /// What the controller says to a refusal: conditions and events.
    fn refused(&mut self, key: &QueueKey, intent: &Intent, status: &Status) -> Vec<Intent> {
        let cluster = self.cluster.clone();
        let view = cluster.view();
        let turn = cluster.turn(&view);
        self.controller.refused(key, intent, status, turn).intents
    }
}

/// Carries intents out in order; the first that is refused ends it.
async fn carry_out_all(
    cluster: Arc<Cluster>,
    actor: Arc<Actor>,
    intents: Vec<Intent>,
) -> Option<(Intent, Box<Status>)> {
    failpoint!("runner::before_intents");
    for (number, intent) in intents.into_iter().enumerate() {
        if number > 0 {
            failpoint!("runner::between_intents");
        }
        if let Err(status) = actor.carry_out(&cluster, intent.clone()).await {
            // A conflict is the ordinary sign that something moved; everything else is worth a line.
            if status.code == 409 {
                tracing::debug!(%status, "an intent met a change");
            } else {
                tracing::warn!(%status, "an intent was refused");
            }
            return Some((intent, status));
        }
    }
    failpoint!("runner::after_intents");
    None
}
