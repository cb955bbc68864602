//! The data directory: its format, every record of the store, and the objects in it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use gantry_store::{EmbeddedStore, Entry, Store, StoreError, verify};
use gantry_view::{Object, View};

use super::server::Asked;
use super::{Finding, examine_view};
use crate::paths::Paths;
use crate::run::refuse_other_formats;

/// Prefix of all objects in the store.
const OBJECTS: &[u8] = b"/registry/";
/// Violations that are printed one by one.
const SHOWN: usize = 5;

/// Findings about the data.
pub async fn findings(paths: &Paths, server: &Asked) -> Vec<Finding> {
    let store = paths.store();
    if !store.exists() {
        let objects = server.violations().map(|found| objects(&found));
        return objects.into_iter().collect();
    }
    if let Err(error) = refuse_other_formats(paths) {
        return vec![Finding::fail("format", format!("{error:#}"), "gantry version")];
    }
    let mut findings = vec![files(&store).await];
    let violations = match server.violations() {
        Some(violations) => Ok(violations),
        None if server.runs() => return findings,
        None => examine(&store).await,
    };
    findings.push(match violations {
        Ok(violations) => objects(&violations),
        Err(error) => {
            let help = "gantry backup restore --from PLACE --data-dir NEW";
            Finding::fail("objects", format!("they cannot be read: {error:#}"), help)
        }
    });
    findings
}

async fn files(store: &Path) -> Finding {
    const NAME: &str = "store";
    let folder = store.to_owned();
    let checked = tokio::task::spawn_blocking(move || verify(&folder)).await;
    match checked {
        Ok(Ok(found)) => {
            let (keys, revision, mib) = (found.keys, found.revision, found.size_bytes >> 20);
            let torn = match found.torn_bytes {
                0 => String::new(),
                bytes => format!("; {bytes} bytes of an interrupted write, which the next start cuts"),
            };
            Finding::ok(NAME, format!("{keys} keys at revision {revision}, {mib} MiB, every checksum is right{torn}"))
        }
        Ok(Err(error @ StoreError::Damaged { .. })) => {
            let help = "gantry backup restore --from PLACE --data-dir NEW (keep the old directory for inquiry)";
            Finding::fail(NAME, error.to_string(), help)
        }
        Ok(Err(error)) => Finding::fail(NAME, error.to_string(), "look at the disk: dmesg, smartctl -a"),
        Err(error) => Finding::fail(NAME, format!("the check broke off: {error}"), "gantry doctor"),
    }
}

fn objects(violations: &[String]) -> Finding {
    const NAME: &str = "objects";
    if violations.is_empty() {
        return Finding::ok(NAME, "all invariants hold");
    }
    let shown: Vec<&str> = violations.iter().take(SHOWN).map(String::as_str).collect();
    let more = violations.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more (-o json has all)") } else { String::new() };
    let message = format!("{} invariants are broken: {}{more}", violations.len(), shown.join("; "));
    Finding::fail(NAME, message, "report it; gantry backup create --to PLACE keeps the evidence")
}

/// Reads the objects of a store that nobody has open, from a copy, so that not even a torn end is cut.
async fn examine(store: &Path) -> Result<Vec<String>> {
    let copy = tempfile::Builder::new().prefix("gantry-doctor").tempdir().context("making a temporary folder")?;
    copy_folder(store, copy.path()).context("copying the store")?;
    let path = copy.path().to_owned();
    let store = tokio::task::spawn_blocking(move || EmbeddedStore::open(&path)).await??;
    let range = store.range(Bytes::from_static(OBJECTS)).await?;
    let objects: Vec<_> = range.entries.iter().filter_map(|entry| parse(entry).transpose()).collect::<Result<_>>()?;
    Ok(examine_view(&View::load(objects, range.revision)))
}

/// The object that an entry is; `None` for a kind that nobody knows.
fn parse(entry: &Entry) -> Result<Option<Arc<Object>>> {
    let key = String::from_utf8_lossy(&entry.key);
    let mut words = key.split('/').skip(2);
    let (group, plural) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let group = if group == "core" { "" } else { group };
    let Some(kind) = gantry_registry::stored_kinds().find(|kind| kind.group == group && kind.plural == plural) else {
        return Ok(None);
    };
    let object = Object::parse(kind, &entry.value, entry.revision);
    Ok(Some(Arc::new(object.with_context(|| format!("reading {key}"))?)))
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
