//! Flags of what is let in: anonymous requests, admission plugins.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use gantry_registry::{Disabled, Plugin};

/// What is let in, and what is done to it.
#[derive(Args, Debug, Clone)]
pub struct AdmissionFlags {
    /// Let requests without a credential in everywhere, or nowhere; by default as the profile says
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub anonymous_auth: Option<bool>,
    /// Admission plugins that act besides those that do anyway
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub enable_admission_plugins: Vec<Plugin>,
    /// Admission plugins that do not act
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub disable_admission_plugins: Vec<Disabled>,
    /// File with an AdmissionConfiguration: what plugins go by
    #[arg(long, value_name = "FILE")]
    pub admission_control_config_file: Option<PathBuf>,
}
