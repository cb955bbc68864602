//! `gantry backup`: create, list, restore, schedule.

mod create;
mod key;
mod list;
mod restore;
mod schedule;

use anyhow::{Context, Result};
use gantry_backup::{Place, S3Access};

use crate::cli::{Backup, S3Flags};

/// Does what the command line says.
pub async fn backup(command: Backup) -> Result<u8> {
    match command {
        Backup::Create(flags) => create::create(flags).await,
        Backup::List(flags) => list::list(flags).await,
        Backup::Restore(flags) => restore::restore(flags).await,
        Backup::Schedule(flags) => schedule::schedule(flags).await,
    }
}

/// How S3 is reached, from flags and environment.
fn access(flags: &S3Flags) -> S3Access {
    let mut access = S3Access::from_variables(|name| std::env::var(name).ok());
    access.endpoint = flags.s3_endpoint.clone().or(access.endpoint);
    access.region = flags.s3_region.clone().or(access.region);
    access
}

fn place(name: &str, flags: &S3Flags) -> Result<Place> {
    Ok(Place::new(&absolute(name)?, &access(flags))?)
}

/// A folder's path as it is called from everywhere.
fn absolute(name: &str) -> Result<String> {
    if name.starts_with("s3://") {
        return Ok(name.to_owned());
    }
    let path = std::path::absolute(name).with_context(|| format!("the folder {name:?}"))?;
    path.into_os_string().into_string().ok().with_context(|| format!("the folder {name:?} has no name in UTF-8"))
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(0), size(1023), size(1536), size(3 << 30)], ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]);
    }

    #[test]
    fn folders_are_called_by_their_whole_path() {
        assert_eq!(absolute("s3://a/b").unwrap(), "s3://a/b");
        assert_eq!(absolute("/a").unwrap(), "/a");
        assert!(absolute("a").unwrap().starts_with('/'));
    }
}
