//! `gantry backup create`: through the server that has the store open, or from the store itself when none runs.

use std::io;

use anyhow::{Context, Result, bail};
use gantry_backup::{
    About, BackupError, Content, Lock, Manifest, PayloadReader, PipeReader, Place, Sealer, copy, make, pipe,
};
use gantry_client::Client;
use gantry_encryption::EncryptedStore;
use jiff::Timestamp;

use super::{key, place, size};
use crate::cli::{Create, StoreChoice};
use crate::output::say;
use crate::paths::Paths;
use crate::process::{self, Running};
use crate::run::{Storage, backup_files, backup_source};

/// Makes one backup.
pub async fn create(flags: Create) -> Result<u8> {
    let paths = Paths::new(&flags.data.data_dir)?;
    let to = place(&flags.to, &flags.s3)?;
    let lock = match &flags.passphrase_file {
        Some(file) => Lock::passphrase_file(file)?,
        None => Lock::for_recipients(&key::recipients(&flags.recipients, &paths)?)?,
    };
    let manifest = match online(&flags, &paths)? {
        Some(client) => through_server(&client, &to, lock).await?,
        None => offline(&flags, &paths, &to, lock).await?,
    };
    say!("{}", manifest.file_name());
    say!(
        "  revision {}, {} keys, {}, in {}",
        manifest.head.revision,
        manifest.entries,
        size(manifest.size_bytes()),
        to.describe()
    );
    say!("  opens with the key of {}", manifest.encrypted_for.join(", "));
    Ok(0)
}

/// The server to ask; `None` when the data directory is nobody's at the moment.
fn online(flags: &Create, paths: &Paths) -> Result<Option<Client>> {
    let file = match &flags.kubeconfig {
        Some(file) => file.clone(),
        None if Running::find(paths)?.is_some() => paths.admin_kubeconfig(),
        None => return Ok(None),
    };
    let client = Client::from_kubeconfig(&file, None).with_context(|| format!("reading {}", file.display()))?;
    Ok(Some(client))
}

async fn through_server(client: &Client, to: &Place, lock: Lock) -> Result<Manifest> {
    let mut body = client.stream("/gantry/v1/backup").await.context("asking the server for a backup")?;
    let draft = to.draft()?;
    let file = draft.file()?;
    let (pieces, received) = pipe();
    let sealing = tokio::task::spawn_blocking(move || -> Result<Manifest, BackupError> {
        let broken = |source| BackupError::Io { operation: "receiving the backup".to_owned(), source };
        let mut payload = PayloadReader::new(PipeReader::new(received)).map_err(broken)?;
        let mut sealer = Sealer::new(file, payload.head(), &lock)?;
        copy(&mut payload, sealer.payload()).map_err(broken)?;
        Ok(sealer.finish()?.1)
    });
    loop {
        let piece = match body.next().await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => break,
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        if pieces.send(piece).await.is_err() {
            // Whoever writes has failed, and says why.
            break;
        }
    }
    drop(pieces);
    let manifest = sealing.await.context("writing the backup")??;
    to.keep(draft, &manifest).await?;
    Ok(manifest)
}

async fn offline(flags: &Create, paths: &Paths, to: &Place, lock: Lock) -> Result<Manifest> {
    let embedded = flags.store.store == StoreChoice::Embedded;
    if embedded && !paths.store().exists() {
        bail!("there is no cluster in {}: name its data directory with --data-dir", paths.root().display());
    }
    crate::run::refuse_other_formats(paths)?;
    // Nobody may start here meanwhile.
    let _held = process::hold(paths)?;
    let storage = Storage::open(paths, &flags.store).await?;
    let (source, store_format) = backup_source(&storage, &paths.store());
    let encrypted = EncryptedStore::has_ring(&*storage.store()).await.context("reading the store")?;
    let files = backup_files(paths.pki(), &flags.store, encrypted)?();
    let files = files.with_context(|| format!("reading the keys of {}", paths.pki().display()))?;
    let gantry_version = env!("CARGO_PKG_VERSION").to_owned();
    let about = About { now: Timestamp::now(), gantry_version, store_format, scheduled: false };
    let content = Content::of(&*source, files, about).await?;
    let made = make(content, to, lock).await;
    drop(source);
    storage.close().await;
    Ok(made?)
}
