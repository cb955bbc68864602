//! When the leader makes a backup, and which old ones go: pure decisions.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::BackupError;
use crate::key::Lock;
use crate::limits::{EVERY_MIN, RETRY_PAUSE};
use crate::place::{Listed, Place, S3Access};

/// Backups to be made for ever.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Seconds from one to the next.
    pub every_seconds: u64,
    /// How many good ones are kept.
    pub keep: u32,
    /// A folder of the leader's machine, or `s3://BUCKET/PREFIX`.
    pub to: String,
    /// How S3 is reached.
    pub access: Option<S3Access>,
    /// Whom they are encrypted for.
    pub recipients: Vec<String>,
}

/// What became of the backups so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// The last one that was made.
    pub last_success: Option<Success>,
    /// The last attempt that failed.
    pub last_failure: Option<Failure>,
    /// Attempts that failed since the last success.
    pub failures_in_a_row: u32,
    /// Attempts that failed since the schedule was set.
    pub failures: u64,
    /// The last failure to remove old ones, when it is newer than the last success at that.
    pub retention_failure: Option<Failure>,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Success {
    /// When it was begun.
    pub at: Timestamp,
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: u64,
    /// Its bytes.
    pub size_bytes: u64,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// When it was begun.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

impl Schedule {
    /// Refuses what could never work. Errors: `Place`, `Key`.
    pub fn check(&self) -> Result<(), BackupError> {
        let wrong = |why: &str| Err(BackupError::Place(why.to_owned()));
        if self.every() < EVERY_MIN {
            return wrong("--every must be a second or more");
        }
        if self.keep == 0 {
            return wrong("--keep must be 1 or more");
        }
        if !self.to.starts_with("s3://") && !self.to.starts_with('/') {
            return wrong("--to must be an absolute path, or s3://BUCKET/PREFIX");
        }
        Lock::for_recipients(&self.recipients)?;
        self.place().map(drop)
    }

    /// Seconds from one to the next.
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.every_seconds)
    }

    /// Where the backups go.
    pub fn place(&self) -> Result<Place, BackupError> {
        Place::new(&self.to, &self.access.clone().unwrap_or_default())
    }

    /// The same without its secrets.
    pub fn redacted(&self) -> Self {
        let hide = |access: &S3Access| S3Access {
            secret_key: "(hidden)".to_owned(),
            session_token: access.session_token.as_ref().map(|_| "(hidden)".to_owned()),
            ..access.clone()
        };
        Schedule { access: self.access.as_ref().map(hide), ..self.clone() }
    }

    /// Whether a backup is due: at once when there is none yet, or the time for one has passed, however often. A
    /// clock that was set back does not hold it up: `waited` is how long this process has waited since its last
    /// attempt, by a clock that nobody sets.
    pub fn is_due(&self, record: &Record, now: Timestamp, waited: Option<Duration>) -> bool {
        let passed = |since: Timestamp, pause: Duration| {
            let pause_signed = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
            now.duration_since(since) >= pause_signed || waited.is_some_and(|waited| waited >= pause)
        };
        match (&record.last_failure, &record.last_success) {
            (Some(failed), _) if record.failures_in_a_row > 0 => {
                let pause = RETRY_PAUSE.saturating_mul(1 << (record.failures_in_a_row - 1).min(16));
                passed(failed.at, pause.min(self.every()))
            }
            (_, Some(success)) => passed(success.at, self.every()),
            (_, None) => true,
        }
    }

    /// Which of the listed backups may go, after one of `cluster` has been made: those of the schedule and of this
    /// cluster that are good, but for the newest ones. What is damaged is left for a person to see, and counts for
    /// nothing, so that the last good one stays whatever happens.
    pub fn surplus(&self, listed: &[Listed], cluster: &str) -> Vec<String> {
        let ours = |l: &&Listed| l.found.as_ref().is_ok_and(|m| m.head.scheduled && m.head.cluster_id == cluster);
        let mut good: Vec<&Listed> = listed.iter().filter(ours).collect();
        let when = |l: &Listed| l.found.as_ref().ok().map(|m| (m.head.revision, m.head.created));
        good.sort_by_key(|l| std::cmp::Reverse(when(l)));
        good.into_iter().skip(self.keep.max(1) as usize).map(|l| l.name.clone()).collect()
    }
}

impl Record {
    /// A backup was made.
    pub fn succeeded(&mut self, success: Success, retention: Result<(), String>) {
        let at = success.at;
        self.retention_failure = retention.err().map(|why| Failure { at, why });
        self.last_success = Some(success);
        self.failures_in_a_row = 0;
    }

    /// An attempt failed.
    pub fn failed(&mut self, failure: Failure) {
        self.last_failure = Some(failure);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.failures += 1;
    }
}

#[cfg(test)]
mod tests;
