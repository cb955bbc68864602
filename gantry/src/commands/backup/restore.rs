//! `gantry backup restore`: a new data directory out of a backup, or the proof that it could be made.

use std::path::Path;

use anyhow::{Context, Result, bail};
use gantry_backup::{BackupFile, Opener, Place, floor, restore_directory, restore_etcd};

use super::place;
use crate::cli::{Restore, StoreChoice};
use crate::output::say;
use crate::paths::Paths;
use crate::process::Running;
use crate::run::{CLUSTER_KEY, Storage};

/// Restores one backup, or checks it.
pub async fn restore(flags: Restore) -> Result<u8> {
    let paths = Paths::new(&flags.data.data_dir)?;
    if !flags.check
        && let Some(running) = Running::find(&paths)?
    {
        bail!(
            "gantry runs in {} (pid {}): end it with gantry down, and restore into a new data directory: --data-dir DIR",
            paths.root().display(),
            running.pid
        );
    }
    let opener = opener(&flags, &paths)?;
    let backup = find(&flags).await?;
    let (entries, revision) = (backup.manifest().entries, backup.manifest().head.revision);
    let name = backup.manifest().file_name();
    if flags.check {
        tokio::task::spawn_blocking(move || backup.check(&opener)).await.context("checking the backup")??;
        say!("{name} is whole and can be restored: {entries} keys at revision {revision}");
        return Ok(0);
    }
    let above = floor(backup.manifest());
    let etcd = flags.store.store != StoreChoice::Embedded;
    if etcd {
        into_etcd(&flags, &paths, &backup, &opener).await?
    } else {
        into_directory(&paths, backup, opener).await?
    }
    say!("{name} was restored into {}", paths.root().display());
    say!("  {entries} keys of revision {revision}; new revisions begin above {above}, so every client reads anew");
    say!("  the old server must not run any more; start the new one with:");
    let store = if etcd { store_flags(&flags, &paths) } else { String::new() };
    say!("  gantry up --data-dir {}{store}", paths.root().display());
    Ok(0)
}

fn opener(flags: &Restore, paths: &Paths) -> Result<Opener> {
    if let Some(file) = &flags.passphrase_file {
        return Ok(Opener::passphrase_file(file)?);
    }
    let own = paths.backup_key();
    let file = match &flags.key {
        Some(file) => file,
        None if own.exists() => &own,
        None => bail!(
            "a backup opens only with its key: --key FILE (a copy of DATA_DIR/pki/backup.key), or --passphrase-file FILE"
        ),
    };
    Ok(Opener::key_file(file)?)
}

/// The backup that is named, or the newest that is good.
async fn find(flags: &Restore) -> Result<BackupFile> {
    let as_file = Path::new(&flags.from);
    if flags.name.is_none() && as_file.is_file() {
        let file = std::fs::File::open(as_file).with_context(|| format!("opening {}", flags.from))?;
        return Ok(BackupFile::new(&flags.from, file)?);
    }
    let from = place(&flags.from, &flags.s3)?;
    let name = match &flags.name {
        Some(name) => name.clone(),
        None => newest(&from).await?,
    };
    Ok(from.fetch(&name).await?)
}

async fn newest(from: &Place) -> Result<String> {
    let all = from.list().await?;
    for bad in all.iter().take_while(|one| one.found.is_err()) {
        eprintln!("warning: {} is passed over: it cannot be used", bad.name);
    }
    let good = all.into_iter().find(|one| one.found.is_ok());
    good.map(|one| one.name).with_context(|| format!("there is no good backup in {}", from.describe()))
}

async fn into_directory(paths: &Paths, backup: BackupFile, opener: Opener) -> Result<()> {
    let (root, store) = (paths.root().to_owned(), paths.store());
    let store = store.strip_prefix(&root).context("the store's folder")?.display().to_string();
    let work = move || restore_directory(&backup, &opener, &root, &store);
    tokio::task::spawn_blocking(work).await.context("restoring")??;
    Ok(())
}

async fn into_etcd(flags: &Restore, paths: &Paths, backup: &BackupFile, opener: &Opener) -> Result<()> {
    let mut store = flags.store.clone();
    // Nothing of the cluster is shared yet; the key of what will be comes out of the backup.
    store.cluster_key_file.get_or_insert_with(|| paths.pki().join(CLUSTER_KEY));
    let Storage::Etcd(etcd) = Storage::open(paths, &store).await? else { bail!("--store does not name an etcd") };
    restore_etcd(backup, opener, paths.root(), &etcd).await.with_context(|| {
        format!(
            "the prefix {} of etcd must be empty, and is so again after: etcdctl del --prefix {0}",
            store.store_prefix
        )
    })?;
    Ok(())
}

fn store_flags(flags: &Restore, paths: &Paths) -> String {
    let mut store = flags.store.clone();
    let key = paths.pki().join(CLUSTER_KEY);
    if key.exists() {
        store.cluster_key_file = Some(key);
    }
    store.to_string()
}
