//! Encryption at rest: what the store below keeps of the values that a configuration names is encrypted, and everybody
//! above sees plain ones.
//!
//! Invariants: one place encrypts and decrypts, for every back end; a key in the clear is never in the store; nothing
//! is written with a key that other servers cannot read.

mod cipher;
mod config;
mod kms;
pub mod limits;
mod metrics;
mod ring;
mod sealing;
mod store;
mod transform;

pub use cipher::{Cipher, CipherKey};
pub use config::{KmsProvider, Provider, Rule, parse};
pub use kms::Kms;
pub use sealing::{SealError, SealingKey};
pub use store::{Coverage, EncryptedStore};

/// Secrets, with the cluster's own ring of keys.
pub fn secrets_by_ring() -> Rule {
    Rule { resources: vec!["secrets".to_owned()], providers: vec![Provider::Ring] }
}

/// Secrets as they are: what was encrypted is read, and written in the clear.
pub fn secrets_in_the_clear() -> Rule {
    Rule { resources: vec!["secrets".to_owned()], providers: vec![Provider::Identity] }
}
