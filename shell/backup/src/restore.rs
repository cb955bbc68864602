//! A backup becomes a new data directory, or the content of an empty etcd.
//!
//! Everything is checked before anything is written; a data directory appears whole under its name, or not at all.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use gantry_store::EtcdStore;

use crate::BackupError;
use crate::key::Opener;
use crate::limits::REVISION_GAP;
use crate::manifest::Manifest;
use crate::payload::{File, Item};
use crate::seal::{BackupFile, Opened};

/// The revision above which a restored cluster begins.
pub fn floor(manifest: &Manifest) -> u64 {
    manifest.head.revision.saturating_add(REVISION_GAP)
}

/// Checks a backup and makes the data directory `root` of it, with the store in its folder `store`. `root` must not
/// be there, or be empty. Returns the revision that the store begins with. Blocks. Errors: all; then nothing is left.
pub fn restore_directory(backup: &BackupFile, opener: &Opener, root: &Path, store: &str) -> Result<u64, BackupError> {
    check_unused(root)?;
    backup.check(opener)?;
    let staged = Staged::beside(root)?;
    write_files(backup, opener, &staged.path)?;
    let entries = Entries { backup, opened: backup.open(opener)? };
    let revision = gantry_store::load(&staged.path.join(store), floor(backup.manifest()), entries)?;
    staged.becomes(root)?;
    Ok(revision)
}

/// Checks a backup, fills an empty prefix of etcd with it, and makes the data directory `root` with what else a
/// server needs. Returns the revision that the store begins with. Must run where blocking is allowed. Errors: all;
/// after one of the store the prefix may be filled in part, and has to be emptied before another attempt.
pub async fn restore_etcd(
    backup: &BackupFile,
    opener: &Opener,
    root: &Path,
    store: &EtcdStore,
) -> Result<u64, BackupError> {
    check_unused(root)?;
    backup.check(opener)?;
    let staged = Staged::beside(root)?;
    write_files(backup, opener, &staged.path)?;
    store.set_revision_floor(floor(backup.manifest())).await?;
    let broken = Arc::new(OnceLock::new());
    let (entries, note) = (Entries { backup, opened: backup.open(opener)? }, broken.clone());
    let entries = entries.map_while(move |entry| entry.map_err(|error| note.set(error)).ok());
    let revision = store.load(entries).await?;
    if let Some(error) = Arc::into_inner(broken).and_then(OnceLock::into_inner) {
        return Err(error);
    }
    staged.becomes(root)?;
    Ok(revision)
}

/// The keys of a backup that has been checked.
struct Entries<'a> {
    backup: &'a BackupFile,
    opened: Opened,
}

impl Iterator for Entries<'_> {
    type Item = Result<(Bytes, Bytes), BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.opened.next_item() {
                Ok(Some(Item::Entry(key, value))) => return Some(Ok((key, value))),
                Ok(Some(Item::File(_))) => {}
                Ok(None) => return None,
                Err(error) => return Some(Err(self.backup.broken(error))),
            }
        }
    }
}

fn write_files(backup: &BackupFile, opener: &Opener, root: &Path) -> Result<(), BackupError> {
    let mut opened = backup.open(opener)?;
    while let Some(Item::File(file)) = opened.next_item().map_err(|error| backup.broken(error))? {
        write_file(&file, root).map_err(BackupError::io(format!("writing {}", file.name)))?;
    }
    Ok(())
}

/// Writes a file below `root` with mode 0600.
fn write_file(file: &File, root: &Path) -> io::Result<()> {
    let name = Path::new(&file.name);
    // Only whoever has the key can have written this, but a name must not lead anywhere else all the same.
    let inside = !file.name.is_empty() && name.components().all(|part| matches!(part, Component::Normal(_)));
    if !inside {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the name leads out of the data directory"));
    }
    let path = root.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    to.write_all(&file.bytes)?;
    to.sync_all()?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

/// Refuses a directory that somebody uses.
fn check_unused(root: &Path) -> Result<(), BackupError> {
    match fs::read_dir(root).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BackupError::Place(format!(
            "{root} is not empty, and a backup is only restored into a new data directory; name another one with \
             --data-dir, or, when nothing in it is needed any more, remove it first: gantry down --wipe --data-dir {root}",
            root = root.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BackupError::io(format!("reading {}", root.display()))(error)),
    }
}

/// A directory that is being made; removed when dropped before it is finished.
struct Staged {
    path: PathBuf,
    finished: bool,
}

impl Staged {
    fn beside(root: &Path) -> Result<Self, BackupError> {
        let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
        let (Some(name), Some(parent)) = (name, root.parent()) else {
            return Err(BackupError::Place(format!("{} cannot be a data directory", root.display())));
        };
        let path = parent.join(format!(".{name}.restoring"));
        let make = || {
            fs::create_dir_all(parent)?;
            // What an attempt that was killed left behind; whoever restores twice at once loses one of them cleanly.
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::DirBuilder::new().mode(0o700).create(&path)
        };
        make().map_err(BackupError::io(format!("making {}", path.display())))?;
        Ok(Staged { path, finished: false })
    }

    fn becomes(mut self, root: &Path) -> Result<(), BackupError> {
        let rename = || {
            fs::File::open(&self.path)?.sync_all()?;
            fs::rename(&self.path, root)?;
            root.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
        };
        match rename() {
            Ok(()) => {
                self.finished = true;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Err(BackupError::Place(format!(
                "{} is a mount point; restore into a folder below it, with --data-dir",
                root.display()
            ))),
            Err(error) => Err(BackupError::io(format!("making {}", root.display()))(error)),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use gantry_store::{EmbeddedStore, Store, StoreError};

    use super::*;
    use crate::key::Lock;
    use crate::manifest::sample;
    use crate::seal::Sealer;

    fn backup(file: &str) -> (BackupFile, Opener) {
        let key = age::x25519::Identity::generate();
        let lock = Lock::Recipients(vec![key.to_public()]);
        let mut sealer = Sealer::new(tempfile::tempfile().unwrap(), &sample().head, &lock).unwrap();
        sealer.payload().file(&File { name: file.to_owned(), bytes: "secret".into() }).unwrap();
        for number in 0..300 {
            sealer.payload().entry(format!("/registry/{number:03}").as_bytes(), b"{}").unwrap();
        }
        (BackupFile::new("it", sealer.finish().unwrap().0).unwrap(), Opener::Keys(vec![key]))
    }

    #[tokio::test]
    async fn a_directory_is_made_whole_and_above_all_revisions() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        let (backup, opener) = backup("pki/ca.key");
        let (made, at) = (root.clone(), floor(backup.manifest()));
        let revision = tokio::task::spawn_blocking(move || restore_directory(&backup, &opener, &made, "store"));
        let revision = revision.await.unwrap().unwrap();
        assert!(revision > at, "{revision} {at}");
        assert_eq!(fs::read_to_string(root.join("pki/ca.key")).unwrap(), "secret");
        let store = EmbeddedStore::open(&root.join("store")).unwrap();
        let range = store.range(Bytes::new()).await.unwrap();
        assert_eq!(range.entries.len(), 300);
        assert!(range.entries.iter().all(|e| e.revision > at));
        let old = store.watch(4711).err();
        assert!(matches!(old, Some(StoreError::Compacted { .. })), "{old:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_directory_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("x"), "y").unwrap();
        let (backup, opener) = backup("pki/ca.key");
        let error = restore_directory(&backup, &opener, &root, "store").unwrap_err().to_string();
        assert!(error.contains("not empty") && error.contains("gantry down --wipe"), "{error}");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    }

    #[test]
    fn no_file_leads_out_of_the_directory() {
        for name in ["../x", "/etc/x", "a/../../x", ""] {
            let folder = tempfile::tempdir().unwrap();
            let (backup, opener) = backup(name);
            assert!(restore_directory(&backup, &opener, &folder.path().join("data"), "store").is_err(), "{name:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of {name:?}");
        }
    }
}
