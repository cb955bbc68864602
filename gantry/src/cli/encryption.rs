//! Flags of what is encrypted at rest.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};

use super::Target;

/// What is encrypted in the store.
#[derive(Args, Debug, Clone)]
pub struct EncryptionFlags {
    /// File with an EncryptionConfiguration: which resources are encrypted in the store, with which keys
    #[arg(long, value_name = "FILE")]
    pub encryption_provider_config: Option<PathBuf>,
    /// Take changes of that file without a restart
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, default_value_t = false,
        default_missing_value = "true", requires = "encryption_provider_config")]
    pub encryption_provider_config_automatic_reload: bool,
}

/// `gantry secrets-encryption`
#[derive(Subcommand, Debug)]
pub enum SecretsEncryption {
    /// Say which keys are in use, and how much is still to be encrypted anew
    Status(Target),
    /// Make a new key, encrypt everything with it, then forget the old one
    Rotate(Target),
}
