//! A reader of a server's feed who compares it with the history: every change, once, in order, whole, and from
//! where he left off; what a server shows is a prefix of what happened.

use std::sync::Arc;

use gantry_cluster::{Cluster, Feed, Topic, WatchFrom};
use gantry_view::{Change, View};

use crate::world::World;

/// Follows a server for as long as it runs.
pub async fn tap(world: Arc<World>, server: usize, cluster: Arc<Cluster>) {
    let mut place = Place { world: world.clone(), server, revision: 0, rest: Vec::new() };
    loop {
        let mut feed = place.begin(&cluster);
        // Now and then the reader goes away and comes back to where he was.
        let mut left = world.rng.between(50, 500);
        while let Ok(change) = feed.next().await {
            place.check(&change);
            left -= 1;
            if left == 0 {
                let Some(again) = place.resume(&cluster) else { break };
                feed = again;
                left = world.rng.between(50, 500);
            }
        }
    }
}

struct Place {
    world: Arc<World>,
    server: usize,
    /// What was seen in whole.
    revision: u64,
    /// What is left of the commit that is being seen, last first.
    rest: Vec<Arc<Change>>,
}

impl Place {
    /// Reads everything and starts from there.
    fn begin(&mut self, cluster: &Cluster) -> Feed {
        let ((revision, differs), feed) =
            cluster.watch_snapshot(Topic::Everything, |view| (view.revision(), self.world.history.differs(view)));
        if let Some(key) = differs {
            self.wrong(format!("shows at {revision} another {key} than the history has"));
        }
        if revision < self.revision {
            self.wrong(format!("goes back from {} to {revision}", self.revision));
        }
        self.revision = revision;
        self.rest.clear();
        feed
    }

    /// Starts from what was last seen in whole; `None` when that is too long ago.
    fn resume(&mut self, cluster: &Cluster) -> Option<Feed> {
        self.rest.clear();
        cluster.watch(Topic::Everything, WatchFrom::After(self.revision)).ok()
    }

    fn check(&mut self, change: &Arc<Change>) {
        if self.rest.is_empty() {
            let Some(step) = self.world.history.next_objects(self.revision) else {
                return self.wrong(format!("tells of {} at {}, which never happened", change.key, change.revision));
            };
            self.rest = step.changes.iter().rev().cloned().collect();
        }
        let Some(expected) = self.rest.pop() else { return };
        if !same(&expected, change) {
            let told = format!("{} at {}", change.key, change.revision);
            let next = format!("{} at {}", expected.key, expected.revision);
            self.wrong(format!("tells of {told}, where {next} comes next"));
        }
        if self.rest.is_empty() {
            self.revision = change.revision;
        }
    }

    fn wrong(&self, what: String) {
        self.world.violated(format!("{} {what}", self.world.servers[self.server].name));
    }
}

fn same(a: &Change, b: &Change) -> bool {
    let json = |change: &Change| change.after.as_ref().map(|object| object.json().clone());
    a.key == b.key && a.revision == b.revision && json(a) == json(b)
}

/// The first object that differs between two views; `None` when they show the same.
pub fn difference(a: &View, b: &View) -> Option<String> {
    gantry_registry::stored_kinds().find_map(|kind| {
        let (mut a, mut b) = (a.list(kind, None), b.list(kind, None));
        loop {
            match (a.next(), b.next()) {
                (None, None) => return None,
                (Some(a), Some(b)) if a.key() == b.key() && a.json() == b.json() => {}
                (a, b) => return a.or(b).map(|object| object.key().to_string()),
            }
        }
    })
}
