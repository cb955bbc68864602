//! Collections that the node follows: each one watched once, kept on disk, and handed to all who listen.
//!
//! Invariants: the first event is the whole collection, from a server or, where none answers in time, as it was last
//! known; what a server says later replaces that as a whole. A listener that is slow holds up its own collection and
//! nothing else.

use std::sync::Arc;

use gantry_client::{Client, Event, Watch};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{Checkpoint, Collection};
use crate::limits::FEED_EVENTS;

/// A collection that is watched and kept.
pub(crate) struct Kept {
    watch: Watch,
    collection: Collection,
    checkpoint: Checkpoint,
    /// When to begin with what was last known; `None` once something was said.
    away_at: Option<Instant>,
}

impl Kept {
    /// Follows a collection from now on; `name` is that of its file.
    pub(crate) fn start(client: &Client, path: &str, query: &str, checkpoint: &Checkpoint, name: &str) -> Self {
        let collection = checkpoint.collection(name);
        let away_at = Some(checkpoint.away_at());
        Kept { watch: client.watch(path, query), collection, checkpoint: checkpoint.clone(), away_at }
    }

    /// The next event. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            let due = self.collection.due();
            tokio::select! {
                biased;
                event = self.watch.next() => {
                    self.away_at = None;
                    self.checkpoint.hear();
                    self.collection.take(&event);
                    return event;
                }
                () = at(due) => self.collection.save().await,
                () = at(self.away_at) => {
                    self.away_at = None;
                    if let Some(known) = self.collection.load() {
                        tracing::warn!(objects = known.len(), "no server answers; going on with what was last known");
                        return Event::Restarted(known);
                    }
                }
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What a listener hears of.
pub(crate) type Wanted = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

/// Hands a collection to so many listeners; each hears all of it, or what it wants.
pub(crate) fn share<const N: usize>(
    mut kept: Kept,
    wanted: [Option<Wanted>; N],
    shutdown: CancellationToken,
) -> [mpsc::Receiver<Event>; N] {
    let (senders, receivers): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .map(|wanted| {
            let (sender, receiver) = mpsc::channel(FEED_EVENTS);
            ((wanted, sender), receiver)
        })
        .unzip();
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => return,
                event = kept.next() => event,
            };
            for (wanted, sender) in &senders {
                if let Some(event) = fitting(&event, wanted.as_ref()) {
                    // A listener that has gone needs to hear nothing.
                    let _ = sender.send(event).await;
                }
            }
        }
    });
    let mut receivers = receivers.into_iter();
    std::array::from_fn(|_| receivers.next().unwrap_or_else(|| mpsc::channel(1).1))
}

fn fitting(event: &Event, wanted: Option<&Wanted>) -> Option<Event> {
    let Some(wanted) = wanted else { return Some(event.clone()) };
    match event {
        Event::Restarted(objects) => {
            Some(Event::Restarted(objects.iter().filter(|one| wanted(one)).cloned().collect()))
        }
        Event::Applied(object) | Event::Deleted(object) => wanted(object).then(|| event.clone()),
    }
}
