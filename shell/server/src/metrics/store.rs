//! What is told of the store, and of who leads among the servers that share it.

use gantry_cluster::Cluster;

use super::{family, sample};

/// Writes the families. What a store cannot know is 0.
pub(super) fn write(out: &mut String, cluster: &Cluster) {
    let leadership = cluster.leadership().borrow().clone();
    let leads = u64::from(cluster.leads());
    gauge(out, "gantry_leader", "1 on the server whose controllers and scheduler act.", leads);
    gauge(out, "gantry_leader_epoch", "Revision at which the leader took over.", leadership.epoch);

    let (store, stats) = (cluster.store(), cluster.store().stats());
    gauge(out, "gantry_store_compact_revision", "Revision up to which the log was compacted.", store.compacted());
    gauge(out, "gantry_store_size_bytes", "Bytes that the store takes on disk.", stats.size_bytes);
    gauge(out, "gantry_store_live_bytes", "Bytes of the keys and values that are readable now.", stats.live_bytes);
    gauge(out, "gantry_store_keys", "Keys that are readable now.", stats.keys);
    counter(out, "gantry_store_commits_total", "Commits since the start.", stats.commits);
    counter(out, "gantry_store_syncs_total", "Waits for the disk since the start.", stats.syncs);
    let seconds = stats.sync_nanos as f64 / 1e9;
    counter(out, "gantry_store_sync_seconds_total", "Time spent waiting for the disk since the start.", seconds);
    let failures = stats.compaction_failures;
    counter(out, "gantry_store_compaction_failures_total", "Attempts to compact that failed.", failures);
}

fn gauge(out: &mut String, name: &str, help: &str, value: u64) {
    family(out, name, "gauge", help);
    sample(out, name, "", value);
}

fn counter(out: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    family(out, name, "counter", help);
    sample(out, name, "", value);
}
