//! `gantry backup schedule`: sets, shows or removes what the leader does by itself.

use anyhow::{Context, Result};
use gantry_backup::Schedule;
use gantry_client::Client;
use gantry_kinds::age;
use jiff::Timestamp;
use serde_json::Value;

use super::{absolute, access, key, size};
use crate::cli::{Period, SetSchedule};
use crate::commands::target;
use crate::output::say;
use crate::paths::Paths;

const PATH: &str = "/gantry/v1/backup/schedule";

/// Sets, shows or removes the schedule.
pub async fn schedule(flags: SetSchedule) -> Result<u8> {
    let paths = Paths::new(&flags.data.data_dir)?;
    let client = client(&flags)?;
    let answer = match (&flags.every, &flags.to) {
        _ if flags.show => client.get(PATH).await?,
        _ if flags.remove => client.delete(PATH, None).await?,
        (Some(Period(every)), Some(to)) => {
            let to = absolute(to)?;
            let access = to.starts_with("s3://").then(|| access(&flags.s3));
            let recipients = key::recipients(&flags.recipients, &paths)?;
            let schedule = Schedule { every_seconds: every.as_secs(), keep: flags.keep, to, access, recipients };
            schedule.check()?;
            client.update(PATH, &serde_json::to_value(&schedule)?).await?
        }
        _ => Value::Null,
    };
    for line in describe(&answer, Timestamp::now()) {
        say!("{line}");
    }
    if answer["schedule"].is_null() {
        say!("no backups are scheduled");
    }
    Ok(u8::from(flags.show && answer["record"]["failuresInARow"].as_u64().unwrap_or(0) > 0))
}

fn client(flags: &SetSchedule) -> Result<Client> {
    let file = match &flags.kubeconfig {
        Some(file) => file.clone(),
        None => target::default_file(&flags.data)?,
    };
    Client::from_kubeconfig(&file, None).with_context(|| format!("reading {}", file.display()))
}

/// How the schedule does, in lines; none without one.
pub fn describe(answer: &Value, now: Timestamp) -> Vec<String> {
    let (schedule, record) = (&answer["schedule"], &answer["record"]);
    let Some(to) = schedule["to"].as_str() else { return Vec::new() };
    let every = schedule["everySeconds"].as_u64().unwrap_or_default();
    let mut lines = vec![format!("every {} to {to}, {} are kept", period(every), schedule["keep"])];
    let ago =
        |at: &Value| at.as_str().and_then(|at| at.parse().ok()).map_or_else(String::new, |at| age::between(at, now));
    let success = &record["lastSuccess"];
    lines.push(match success["name"].as_str() {
        Some(name) => {
            let bytes = size(success["sizeBytes"].as_u64().unwrap_or_default());
            format!("last one {} ago: {name}, revision {}, {bytes}", ago(&success["at"]), success["revision"])
        }
        None => "none was made yet".to_owned(),
    });
    let why = |failure: &Value| failure["why"].as_str().unwrap_or("?").to_owned();
    let failures = record["failuresInARow"].as_u64().unwrap_or(0);
    if failures > 0 {
        let failure = &record["lastFailure"];
        lines.push(format!(
            "!! the last {failures} failed, most recently {} ago: {}",
            ago(&failure["at"]),
            why(failure)
        ));
    }
    if !record["retentionFailure"].is_null() {
        lines.push(format!("!! old ones could not be removed: {}", why(&record["retentionFailure"])));
    }
    lines
}

fn period(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(length, _)| seconds >= *length && seconds.is_multiple_of(*length));
    unit.map_or_else(|| format!("{seconds}s"), |(length, name)| format!("{}{name}", seconds / length))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failures_are_said_first_thing() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let answer = json!({
            "schedule": {"everySeconds": 3600, "keep": 24, "to": "/b"},
            "record": {
                "lastSuccess": {"at": "2026-11-22T10:00:00Z", "name": "x", "revision": 5, "sizeBytes": 2048},
                "lastFailure": {"at": "2026-11-22T11:59:00Z", "why": "disk full"}, "failuresInARow": 2,
            },
        });
        let lines = describe(&answer, now);
        assert_eq!(lines[0], "every 1h to /b, 24 are kept");
        assert_eq!(lines[1], "last one 120m ago: x, revision 5, 2.0 KiB");
        assert_eq!(lines[2], "!! the last 2 failed, most recently 60s ago: disk full");
        assert!(describe(&Value::Null, now).is_empty());
    }
}
