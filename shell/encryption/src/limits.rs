//! Every bound of this crate, in one place.

use std::time::Duration;

/// Bytes of a key that is made here.
pub const KEY_BYTES: usize = 32;
/// How often a commit is made anew because the ring of keys changed meanwhile.
pub const RING_ATTEMPTS: usize = 8;
/// How long what cannot be decrypted waits until it is tried again.
pub const RECHECK: Duration = Duration::from_secs(5);
/// Keys of the ring that may be kept at a time.
pub const RING_KEYS: usize = 8;
/// Bytes of a configuration file.
pub const CONFIG_BYTES: u64 = 1 << 20;
/// How long a plugin's word about its key holds.
pub const KMS_CHECK: Duration = Duration::from_secs(60);
/// How long is written with a seed whose plugin is silent.
pub const KMS_WRITE: Duration = Duration::from_secs(180);
/// Bytes of a plugin's key id, and of a seed that it encrypted.
pub const KMS_KEY_ID_BYTES: usize = 1024;
/// Decrypted seeds that are kept for each plugin.
pub const KMS_SEEDS: usize = 1000;
