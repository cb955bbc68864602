//! Webhooks: somebody outside who is asked in the middle of a request.
//!
//! Invariants: an answer comes within the time that the caller allows, and is of a bounded size; one webhook that hangs
//! holds a bounded number of calls and of requests that wait for one, and nobody who does not need it; nothing is
//! followed that a webhook says but its answer.

mod admission;
mod call;
mod conversion;
mod place;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use gantry_cluster::{Cluster, Oracle};
use gantry_registry::{Answer, Ask};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::authz::Authorizers;
use crate::event_rates::EventRates;
use crate::limits::{WEBHOOK_CALLS, WEBHOOK_WAITING};
use crate::tunnel::Tunnels;

/// Asks webhooks.
pub(crate) struct Webhooks {
    /// The cluster asks through us, so we do not keep it alive.
    cluster: Weak<Cluster>,
    tunnels: Arc<Tunnels>,
    gates: Mutex<BTreeMap<String, Arc<Gate>>>,
    event_rates: EventRates,
    authorizers: Arc<Authorizers>,
}

/// How many may be at one webhook at a time.
struct Gate {
    /// Calls under way.
    calls: Arc<Semaphore>,
    /// Calls under way and those that wait for one.
    room: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Gate {
            calls: Arc::new(Semaphore::new(WEBHOOK_CALLS)),
            room: Arc::new(Semaphore::new(WEBHOOK_CALLS + WEBHOOK_WAITING)),
        }
    }

    fn is_idle(&self) -> bool {
        self.room.available_permits() == WEBHOOK_CALLS + WEBHOOK_WAITING
    }
}

impl Webhooks {
    pub(crate) fn new(
        cluster: &Arc<Cluster>,
        tunnels: Arc<Tunnels>,
        event_rates: EventRates,
        authorizers: Arc<Authorizers>,
    ) -> Self {
        Webhooks { cluster: Arc::downgrade(cluster), tunnels, gates: Mutex::default(), event_rates, authorizers }
    }

    /// Waits for a place at the webhook of that name; held until the call ends. Too many who wait are sent away at once.
    async fn enter(&self, name: &str) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), String> {
        let (room, gate) = {
            let mut gates = self.gates.lock();
            gates.retain(|other, gate| other == name || !gate.is_idle());
            let gate = gates.entry(name.to_owned()).or_insert_with(|| Arc::new(Gate::new())).clone();
            (gate.room.clone().try_acquire_owned(), gate)
        };
        let room = room.map_err(|_| "too many requests wait for the webhook".to_owned())?;
        let call = gate.calls.clone().acquire_owned().await.map_err(|error| error.to_string())?;
        Ok((room, call))
    }
}

#[async_trait]
impl Oracle for Webhooks {
    async fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Convert(conversion) => conversion.spread(self.convert(conversion).await),
            Ask::Admit(reviews) => self.admit(reviews).await,
            Ask::EventRate(write) => vec![self.event_rates.admit(write)],
            Ask::Authorize(question) => vec![self.authorizers.ask(question).await],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_webhook_that_hangs_holds_its_own_callers_alone() {
        let webhooks = Webhooks {
            cluster: Weak::new(),
            tunnels: Arc::default(),
            gates: Mutex::default(),
            event_rates: EventRates::new(Vec::new()),
            authorizers: Arc::default(),
        };
        let mut inside = Vec::new();
        for _ in 0..WEBHOOK_CALLS {
            inside.push(webhooks.enter("a").await.unwrap());
        }
        // Each goes at once when it is let in, so that the next may come.
        let webhooks = &webhooks;
        let waiting: Vec<_> = (0..WEBHOOK_WAITING).map(|_| async move { webhooks.enter("a").await.is_ok() }).collect();
        let mut waiting = futures_util::future::join_all(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(webhooks.enter("a").await.unwrap_err(), "too many requests wait for the webhook");
        assert!(webhooks.enter("b").await.is_ok());
        drop(inside);
        assert!(waiting.await.into_iter().all(|entered| entered));
    }
}
