//! Who reaches whom: servers the store, nodes and clients the servers.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::signal::Signal;

/// The connections.
pub struct Net {
    /// Servers that do not reach the store, by number.
    cut: Vec<Signal<bool>>,
    /// Servers that stand still.
    frozen: Vec<Signal<bool>>,
    /// Pairs of a client and a server that do not reach each other.
    parted: Mutex<BTreeSet<(String, usize)>>,
}

impl Net {
    /// Everybody reaches everybody.
    pub fn new(servers: usize) -> Self {
        let switches = || (0..servers).map(|_| Signal::new(false)).collect();
        Net { cut: switches(), frozen: switches(), parted: Mutex::default() }
    }

    /// Cuts a server off the store, or lets it reach the store again.
    pub fn cut(&self, server: usize, off: bool) {
        self.cut[server].set(off);
    }

    /// Whether the server is cut off the store.
    pub fn is_cut(&self, server: usize) -> bool {
        self.cut[server].get()
    }

    /// Returns once the server reaches the store.
    pub async fn joined(&self, server: usize) {
        self.cut[server].wait(|cut| !cut).await;
    }

    /// Stops a server's messages, or lets all of them go.
    pub fn freeze(&self, server: usize, frozen: bool) {
        self.frozen[server].set(frozen);
    }

    /// Returns once the server does not stand still.
    pub async fn awake(&self, server: usize) {
        self.frozen[server].wait(|frozen| !frozen).await;
    }

    /// Parts a client from a server, or lets them reach each other again.
    pub fn part(&self, client: &str, server: usize, parted: bool) {
        let mut set = self.parted.lock();
        let pair = (client.to_owned(), server);
        if parted {
            set.insert(pair)
        } else {
            set.remove(&pair)
        };
    }

    /// Whether a client does not reach a server.
    pub fn is_parted(&self, client: &str, server: usize) -> bool {
        // Looked up without making a pair: this is asked for every message.
        self.parted.lock().iter().any(|(c, s)| *s == server && c == client)
    }

    /// Heals everything.
    pub fn heal(&self) {
        self.cut.iter().chain(&self.frozen).for_each(|switch| switch.set(false));
        self.parted.lock().clear();
    }
}
