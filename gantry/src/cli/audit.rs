//! Flags of the audit log.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What is written down of requests, and where.
#[derive(Args, Debug, Clone)]
pub struct AuditFlags {
    /// Policy of audit.k8s.io that says what is written down; everything at Metadata where the profile keeps a log
    #[arg(long, value_name = "FILE")]
    pub audit_policy_file: Option<PathBuf>,
    /// The audit log, `-` for the standard output; DATA_DIR/log/audit.log by default
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub audit_log_path: Option<PathBuf>,
    /// Days that rotated files are kept, 0 for ever
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub audit_log_maxage: u64,
    /// Rotated files that are kept, 0 for all
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub audit_log_maxbackup: usize,
    /// Megabytes at which the file is rotated, 0 for never
    #[arg(long, value_name = "MEGABYTES", default_value_t = 100)]
    pub audit_log_maxsize: u64,
    /// When events are written
    #[arg(long, value_enum, default_value_t)]
    pub audit_log_mode: AuditLogMode,
}

/// When events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AuditLogMode {
    /// Soon after the answer
    #[default]
    Batch,
    /// Before the answer
    Blocking,
    /// Before the answer, and requests are refused that cannot be written down
    BlockingStrict,
}
