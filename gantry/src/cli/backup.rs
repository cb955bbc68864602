//! Flags of `gantry backup` and `gantry doctor`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{DataDir, StoreFlags};

/// `gantry backup`
#[derive(Subcommand, Debug)]
pub enum Backup {
    /// Write the whole cluster, at one revision, into an encrypted file
    Create(Create),
    /// Show what backups there are, and how the schedule does
    List(List),
    /// Make a new data directory of a backup
    Restore(Restore),
    /// Let the cluster back itself up
    Schedule(SetSchedule),
}

/// Which backups open for whom.
#[derive(Args, Debug, Clone)]
pub struct Recipients {
    /// Encrypt for this public key (age1...), several times for several; DATA_DIR/pki/backup.key by default
    #[arg(long = "recipient", value_name = "AGE1...")]
    pub recipients: Vec<String>,
}

/// How S3 is reached; the keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
#[derive(Args, Debug, Clone)]
pub struct S3Flags {
    /// URL of an S3-compatible storage; Amazon's by default, or AWS_ENDPOINT_URL
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Region of the bucket; us-east-1 by default, or AWS_REGION
    #[arg(long, value_name = "REGION")]
    pub s3_region: Option<String>,
}

/// `gantry backup create`
#[derive(Args, Debug)]
pub struct Create {
    #[command(flatten)]
    pub data: DataDir,
    /// Kubeconfig of an administrator, to back up a cluster that runs elsewhere
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where to: a folder, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE")]
    pub to: String,
    #[command(flatten)]
    pub recipients: Recipients,
    /// Encrypt with the passphrase in the first line of this file instead
    #[arg(long, value_name = "FILE", conflicts_with = "recipients")]
    pub passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub s3: S3Flags,
    #[command(flatten)]
    pub store: StoreFlags,
}

/// `gantry backup list`
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub data: DataDir,
    /// Where they are: a folder, or s3://BUCKET/PREFIX; where the schedule puts them by default
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// Read every byte and check it
    #[arg(long)]
    pub verify: bool,
    /// json
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<String>,
    #[command(flatten)]
    pub s3: S3Flags,
}

/// `gantry backup restore`
#[derive(Args, Debug)]
pub struct Restore {
    #[command(flatten)]
    pub data: DataDir,
    /// Where the backup is: a folder, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE")]
    pub from: String,
    /// Its name; the newest good one by default
    pub name: Option<String>,
    /// Key file that opens it
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// File with the passphrase that opens it
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub passphrase_file: Option<PathBuf>,
    /// Check that it could be restored, and restore nothing
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub s3: S3Flags,
    #[command(flatten)]
    pub store: StoreFlags,
}

/// `gantry backup schedule`
#[derive(Args, Debug)]
pub struct SetSchedule {
    #[command(flatten)]
    pub data: DataDir,
    /// Kubeconfig of an administrator; DATA_DIR/admin.kubeconfig by default
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How often, such as 30m, 1h or 1d
    #[arg(long, value_name = "TIME", required_unless_present_any = ["show", "remove"])]
    pub every: Option<Period>,
    /// How many to keep
    #[arg(long, value_name = "NUMBER", default_value = "24")]
    pub keep: u32,
    /// Where to: a folder of the server's machine, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE", required_unless_present_any = ["show", "remove"])]
    pub to: Option<String>,
    #[command(flatten)]
    pub recipients: Recipients,
    #[command(flatten)]
    pub s3: S3Flags,
    /// Print the schedule and how it does
    #[arg(long, conflicts_with_all = ["every", "to", "remove"])]
    pub show: bool,
    /// Make no more backups; the old ones stay
    #[arg(long, conflicts_with_all = ["every", "to"])]
    pub remove: bool,
}

/// `gantry doctor`
#[derive(Args, Debug)]
pub struct Doctor {
    #[command(flatten)]
    pub data: DataDir,
    /// json
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<String>,
    /// containerd's socket, where it is not the private one
    #[arg(long, value_name = "SOCKET")]
    pub containerd_socket: Option<PathBuf>,
}

/// A time such as `90s`, `30m`, `1h` or `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no time such as 90s, 30m, 1h or 1d");
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(seconds).filter(|all| *all > 0).map(|all| Period(Duration::from_secs(all))).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_strictly() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172_800)] {
            assert_eq!(text.parse(), Ok(Period(Duration::from_secs(seconds))));
        }
        for bad in ["", "h", "1", "0h", "-1h", "1.5h", "1w", "99999999999999999999d", "é"] {
            assert!(bad.parse::<Period>().is_err(), "{bad:?}");
        }
    }
}
