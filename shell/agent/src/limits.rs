//! The bounds of the agent.

use std::time::Duration;

/// How many sandboxes and containers are being made at the same time.
pub(crate) const STARTS: usize = 8;
/// How many images are being pulled at the same time.
pub(crate) const PULLS: usize = 5;
/// How often a pod is looked at in the runtime, in case that an event was lost.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(300);
/// Signals that may wait for one pod's worker.
pub(crate) const SIGNALS: usize = 256;
/// Events that may wait to be written; more are dropped.
pub(crate) const EVENTS: usize = 1024;
/// Events that are remembered in order to be counted.
pub(crate) const EVENTS_KNOWN: usize = 4096;
/// The first and the longest wait between attempts to reach the API.
pub(crate) const API_RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(5));
/// How long servers may say nothing, from the start on, before the node goes on with what it was told last.
pub(crate) const AWAY_AFTER: Duration = Duration::from_secs(5);
/// Least time between two writes of the same collection to disk.
pub(crate) const CHECKPOINT_PAUSE: Duration = Duration::from_secs(1);
/// How many times the time that a write took must pass before the next one.
pub(crate) const CHECKPOINT_SHARE: u32 = 50;
/// Bytes of a collection that are kept on disk at the most.
pub(crate) const CHECKPOINT_BYTES: usize = 64 << 20;
/// Events of a collection that wait for a listener.
pub(crate) const FEED_EVENTS: usize = 256;
/// How often a pod that the node itself may have to stop is looked at, at least.
pub(crate) const FENCE_LOOK: Duration = Duration::from_secs(5);
/// How often the lack of contact is looked at by who waits for its end.
pub(crate) const CONTACT_LOOK: Duration = Duration::from_millis(500);
/// How long one renewal of the lease may take before another is sent.
pub(crate) const LEASE_ANSWER: Duration = Duration::from_secs(10);
/// How often an event is tried that may have been written.
pub(crate) const EVENT_TRIES: u32 = 3;
/// The longest wait between attempts to open a tunnel.
pub(crate) const TUNNEL_RETRY: Duration = Duration::from_secs(5);
/// How long a new containerd may take to answer.
pub(crate) const CONTAINERD_START: Duration = Duration::from_secs(30);
/// How often a starting containerd is asked whether it answers.
pub(crate) const CONTAINERD_ASK: Duration = Duration::from_millis(4);
/// How long a starting containerd must be missing to be given up.
pub(crate) const CONTAINERD_GONE: Duration = Duration::from_millis(200);
/// How often an unsuspicious containerd is looked after.
pub(crate) const CONTAINERD_LOOK: Duration = Duration::from_secs(2);
/// How often the lease is renewed.
pub(crate) const LEASE_EVERY: Duration = Duration::from_secs(10);
/// How long a lease lasts.
pub(crate) const LEASE_SECONDS: u64 = 40;
/// How often the node's condition is looked at.
pub(crate) const CONDITIONS_EVERY: Duration = Duration::from_secs(10);
/// How often the node's status is written even if nothing has changed.
pub(crate) const STATUS_EVERY: Duration = Duration::from_secs(300);
/// How many images a node's status names.
pub(crate) const IMAGES: usize = 50;
/// How many pods a node takes.
pub(crate) const PODS: u32 = 110;
/// Size at which a log is rotated.
pub(crate) const LOG_BYTES: u64 = 10 << 20;
/// How many files of a log are kept.
pub(crate) const LOG_FILES: usize = 5;
/// How often logs are looked at.
pub(crate) const LOG_LOOK: Duration = Duration::from_secs(10);
/// How often a followed log is read on.
pub(crate) const LOG_FOLLOW: Duration = Duration::from_millis(50);
/// How much of a log is read at once.
pub(crate) const LOG_CHUNK: usize = 64 << 10;
/// Longest message that a container may leave.
pub(crate) const MESSAGE_BYTES: u64 = 4096;
/// Longest message that is taken from a log instead.
pub(crate) const MESSAGE_LOG_BYTES: usize = 2048;
/// Longest body of a probe's answer that is read.
pub(crate) const PROBE_BYTES: usize = 10 << 10;
/// How many redirections a probe follows.
pub(crate) const PROBE_REDIRECTS: usize = 10;
/// Share of a token's life after which it is renewed, in percent.
pub(crate) const TOKEN_SHARE: i64 = 80;
/// The wait between attempts to renew a token.
pub(crate) const TOKEN_RETRY: Duration = Duration::from_secs(10);
/// Longest time that a token is used, whatever its life.
pub(crate) const TOKEN_LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How long a signer is waited for before the start of a pod is told to have failed, and tried again.
pub(crate) const CERTIFICATE_WAIT: Duration = Duration::from_secs(20);
/// How long a signer is waited for while a pod still has a certificate.
pub(crate) const CERTIFICATE_GLANCE: Duration = Duration::from_secs(2);
/// The wait before a signer that refused to renew a certificate is asked again.
pub(crate) const CERTIFICATE_AGAIN: Duration = Duration::from_secs(600);
/// How long the first contents of ConfigMaps, Secrets and Services are waited for.
pub(crate) const SOURCES_WAIT: Duration = Duration::from_secs(60);
/// How long connecting to a pod's port may take.
pub(crate) const FORWARD_CONNECT: Duration = Duration::from_secs(30);
/// How many pods are taken down at the same time.
pub(crate) const TEARDOWNS: usize = 8;
/// How long a process may take to end before it is killed.
pub(crate) const END_WAIT: Duration = Duration::from_secs(10);
/// How long a pod that is to end may go on getting new connections from services.
pub(crate) const SERVED_WAIT: Duration = Duration::from_secs(1);
/// How long connecting to an address for a server may take.
pub(crate) const DIAL: Duration = Duration::from_secs(30);
