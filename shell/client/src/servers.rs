//! The servers of a cluster, and which of them a client uses.
//!
//! Invariants: clients spread over the servers by a hash of their names; a client stays with a server that answers,
//! leaves one that cannot be reached at once, and goes back to the one it prefers after minutes; what was given
//! stays in the list, what is learned takes the place of what was learned before.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection::Transport;
use crate::jitter::part_of;
use crate::limits::{REBALANCE, SERVERS};
use crate::{ClientError, Endpoint};

/// All servers that a client knows.
pub(crate) struct Servers {
    /// Whose spread this is.
    name: String,
    template: Endpoint,
    given: Vec<String>,
    state: Mutex<State>,
    list: watch::Sender<Vec<String>>,
}

struct State {
    /// In the order in which this client prefers them; never empty.
    known: Vec<Arc<Transport>>,
    /// The one in use, by its URL.
    current: String,
    /// When to go back to the preferred one, if another is in use.
    back_at: Option<Instant>,
}

impl Servers {
    /// The servers at `given`, reached as `template` says; `name` decides which one is preferred.
    pub(crate) fn new(name: &str, template: Endpoint, mut given: Vec<String>) -> Result<Self, ClientError> {
        given.dedup();
        given.truncate(SERVERS);
        let known = given.iter().map(|url| Transport::new(Endpoint { server: url.clone(), ..template.clone() }));
        let mut known = known.map(|made| made.map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        rank(name, &mut known);
        let current = known.first().map(|transport| transport.url().to_owned()).unwrap_or_default();
        let (list, _) = watch::channel(urls(&known));
        let state = Mutex::new(State { known, current, back_at: None });
        Ok(Servers { name: name.to_owned(), template, given, state, list })
    }

    /// Only this one.
    pub(crate) fn only(transport: Arc<Transport>) -> Self {
        let current = transport.url().to_owned();
        let (list, _) = watch::channel(vec![current.clone()]);
        let state = Mutex::new(State { known: vec![transport.clone()], current: current.clone(), back_at: None });
        Servers { name: String::new(), template: transport.endpoint.clone(), given: vec![current], state, list }
    }

    /// These are all servers that live now, beside those that were given. What cannot be used is left out.
    pub(crate) fn learn(&self, learned: &[String]) {
        let mut state = self.state.lock();
        let mut wanted = self.given.clone();
        wanted.extend(learned.iter().filter(|url| !self.given.contains(url)).cloned());
        wanted.truncate(SERVERS);
        let mut known = Vec::new();
        for url in wanted {
            let present = state.known.iter().find(|transport| transport.url() == url).cloned();
            let made = || Transport::new(Endpoint { server: url.clone(), ..self.template.clone() }).ok().map(Arc::new);
            known.extend(present.or_else(made));
        }
        rank(&self.name, &mut known);
        let changed = urls(&known) != urls(&state.known);
        state.known = known;
        if changed {
            // Not at once: a new server would get all its clients in one moment.
            state.back_at = Some(Instant::now() + stay());
        }
        let list = urls(&state.known);
        drop(state);
        self.list.send_if_modified(|before| std::mem::replace(before, list.clone()) != list);
    }

    /// The servers that are known, now and whenever that changes.
    pub(crate) fn list(&self) -> watch::Receiver<Vec<String>> {
        self.list.subscribe()
    }

    /// The server of that address, if it is known.
    pub(crate) fn find(&self, url: &str) -> Option<Arc<Transport>> {
        self.state.lock().known.iter().find(|transport| transport.url() == url).cloned()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().known.len()
    }

    /// How servers are reached, and as whom.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.template
    }

    /// The one in use.
    pub(crate) fn current(&self) -> Arc<Transport> {
        let state = self.state.lock();
        let found = state.known.iter().find(|transport| transport.url() == state.current);
        found.unwrap_or(&state.known[0]).clone()
    }

    /// The one to send a request to, and how long to wait before: the one in use unless it rests after a failure,
    /// else the one that rests no more. None of `tried` unless all are.
    pub(crate) fn choose(self: &Arc<Self>, tried: &[String]) -> (Arc<Transport>, Duration) {
        self.go_back();
        let state = self.state.lock();
        let rest = |transport: &Transport| (transport.rests(), transport.url() != state.current);
        let fresh = state.known.iter().filter(|transport| !tried.iter().any(|url| url == transport.url()));
        // The first of several that are equal is the one that is preferred.
        let chosen = fresh.min_by_key(|transport| rest(transport));
        let chosen = chosen.or_else(|| state.known.iter().min_by_key(|transport| rest(transport)));
        let chosen = chosen.unwrap_or(&state.known[0]).clone();
        let wait = chosen.rests();
        (chosen, wait)
    }

    /// It has answered: it is used from now on.
    pub(crate) fn works(&self, transport: &Transport) {
        let mut state = self.state.lock();
        if state.current == transport.url() {
            return;
        }
        tracing::info!(from = state.current, to = transport.url(), "using another server");
        transport.url().clone_into(&mut state.current);
        let preferred = state.known[0].url() == transport.url();
        state.back_at = (!preferred).then(|| Instant::now() + stay());
    }

    /// Goes back to the preferred server when it is time and it can be reached; it is tried beside everything else.
    fn go_back(self: &Arc<Self>) {
        let preferred = {
            let mut state = self.state.lock();
            let due = state.back_at.is_some_and(|at| at <= Instant::now());
            if !due || state.known[0].url() == state.current {
                return;
            }
            state.back_at = Some(Instant::now() + stay());
            state.known[0].clone()
        };
        let servers = self.clone();
        tokio::spawn(async move {
            if preferred.sender().await.is_ok() {
                servers.works(&preferred);
            }
        });
    }
}

fn stay() -> Duration {
    REBALANCE + part_of(REBALANCE)
}

fn urls(known: &[Arc<Transport>]) -> Vec<String> {
    known.iter().map(|transport| transport.url().to_owned()).collect()
}

/// Sorts servers by how much a client of that name prefers them: each client has an order of its own, in which a
/// server that comes or goes moves no other.
fn rank(name: &str, known: &mut [Arc<Transport>]) {
    known.sort_by_key(|transport| (std::cmp::Reverse(weight(name, transport.url())), transport.url().to_owned()));
}

/// Rendezvous hashing: FNV-1a over both, mixed so that all bits count.
fn weight(name: &str, url: &str) -> u64 {
    let bytes = name.bytes().chain([0]).chain(url.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_spread_evenly_and_a_lost_server_moves_only_its_own() {
        let all: Vec<String> = (1..4).map(|n| format!("https://10.0.0.{n}:6443")).collect();
        let best = |name: &str, urls: &[String]| urls.iter().max_by_key(|url| weight(name, url)).cloned().unwrap();
        let names: Vec<String> = (0..3000).map(|n| format!("node-{n}")).collect();
        for url in &all {
            let share = names.iter().filter(|name| best(name, &all) == *url).count();
            assert!((850..1150).contains(&share), "{url} has {share} of 3000");
        }
        let fewer = &all[..2];
        for name in names.iter().filter(|name| best(name, &all) != all[2]) {
            assert_eq!(best(name, &all), best(name, fewer), "{name} need not move");
        }
    }
}
