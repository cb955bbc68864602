//! The loop of the scheduler: changes in, placements out.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use gantry_cluster::{Cluster, Epoch, Feed, Topic};
use gantry_scheduler::Scheduler;
use gantry_view::{Intent, ObjectKey, Outcome};
use tokio::time::{Instant, sleep_until};

use crate::failpoints::failpoint;
use crate::intents::Actor;
use crate::limits::{BINDS_IN_FLIGHT, OBJECTS_PER_READ};

/// Runs the scheduler for as long as it is polled; every write carries `epoch`. A turn's intents are all carried out before the next turn, so each
/// turn sees what the last one did.
pub(crate) async fn drive(cluster: Arc<Cluster>, mut scheduler: Scheduler, epoch: Epoch) {
    let actor = Arc::new(Actor::scheduler(epoch));
    let mut feed = restart(&cluster, &mut scheduler).await;
    loop {
        let outcome = turn(&cluster, &mut scheduler);
        let wake = outcome.again_in.map(|delay| Instant::now() + delay);
        let refused = carry_out(&cluster, &actor, outcome.intents).await;
        take_back(&cluster, &mut scheduler, &refused);
        if !drain(&mut feed, &mut scheduler) {
            feed = restart(&cluster, &mut scheduler).await;
            continue;
        }
        tokio::select! {
            biased;
            change = feed.next() => match change {
                Ok(change) => scheduler.observe(&change),
                Err(_) => feed = restart(&cluster, &mut scheduler).await,
            },
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
        if !drain(&mut feed, &mut scheduler) {
            feed = restart(&cluster, &mut scheduler).await;
        }
    }
}

/// Reads what there is piece by piece: a hundred thousand pods take a second, and requests wait for the thread.
async fn restart(cluster: &Cluster, scheduler: &mut Scheduler) -> Feed {
    let (mut start, feed) = cluster.watch_snapshot(Topic::Everything, Scheduler::start);
    scheduler.reset(&start);
    while scheduler.read(&mut start, OBJECTS_PER_READ) {
        tokio::task::yield_now().await;
    }
    feed
}

/// Observes what is there already; false when changes were missed.
fn drain(feed: &mut Feed, scheduler: &mut Scheduler) -> bool {
    loop {
        match feed.try_next() {
            Ok(Some(change)) => scheduler.observe(&change),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn turn(cluster: &Cluster, scheduler: &mut Scheduler) -> Outcome {
    let view = cluster.view();
    let turn = cluster.turn(&view);
    match catch_unwind(AssertUnwindSafe(|| scheduler.turn(turn))) {
        Ok(outcome) => outcome,
        Err(_) => {
            tracing::error!("the scheduler panicked; it starts anew from the view");
            *scheduler = Scheduler::new();
            Outcome::nothing()
        }
    }
}

/// Tells the scheduler which of its placements did not come to be.
fn take_back(cluster: &Cluster, scheduler: &mut Scheduler, refused: &[ObjectKey]) {
    let view = cluster.view();
    let turn = cluster.turn(&view);
    refused.iter().for_each(|pod| scheduler.refused(pod, turn));
}

/// Carries intents out, those about different pods side by side, those about one in order: a pod whose binding is
/// refused is not said to be scheduled. Returns the pods that were refused something.
async fn carry_out(cluster: &Cluster, actor: &Actor, intents: Vec<Intent>) -> Vec<ObjectKey> {
    let work = stream::iter(by_pod(intents)).map(|(pod, intents)| async move {
        for intent in intents {
            failpoint!("runner::before_binding");
            if let Err(status) = actor.carry_out(cluster, intent).await {
                tracing::debug!(%pod, %status, "a placement was refused");
                return Some(pod);
            }
            failpoint!("runner::after_binding");
        }
        None
    });
    work.buffer_unordered(BINDS_IN_FLIGHT).filter_map(|pod| async { pod }).collect().await
}

fn by_pod(intents: Vec<Intent>) -> BTreeMap<ObjectKey, Vec<Intent>> {
    let mut pods: BTreeMap<ObjectKey, Vec<Intent>> = BTreeMap::new();
    for intent in intents {
        if let Some(pod) = intent.about() {
            pods.entry(pod.clone()).or_default().push(intent);
        }
    }
    pods
}
