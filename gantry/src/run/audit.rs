//! The audit log, as flags and profile say.

use anyhow::{Context, Result};
use gantry_server::{AuditConfig, AuditLog, AuditMode, AuditPolicy};

use super::admission;
use crate::cli::{AuditFlags, AuditLogMode};
use crate::paths::Paths;
use crate::profile::Settings;

/// What is written down, and where; `None` where nobody wants a log.
pub fn config(flags: &AuditFlags, defaults: &Settings, paths: &Paths) -> Result<Option<AuditConfig>> {
    let policy = match &flags.audit_policy_file {
        Some(file) => {
            let reading = || format!("--audit-policy-file {}", file.display());
            AuditPolicy::parse(&admission::read(file).with_context(reading)?).with_context(reading)?
        }
        None if defaults.audit_default || flags.audit_log_path.is_some() => AuditPolicy::metadata(),
        None => return Ok(None),
    };
    let log = AuditLog {
        path: flags.audit_log_path.clone().unwrap_or_else(|| paths.audit_log()),
        max_age_days: flags.audit_log_maxage,
        max_backups: flags.audit_log_maxbackup,
        max_megabytes: flags.audit_log_maxsize,
        mode: match flags.audit_log_mode {
            AuditLogMode::Batch => AuditMode::Batch,
            AuditLogMode::Blocking => AuditMode::Blocking,
            AuditLogMode::BlockingStrict => AuditMode::BlockingStrict,
        },
    };
    Ok(Some(AuditConfig { policy, log }))
}
