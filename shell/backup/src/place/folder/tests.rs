use std::io::Write;

use super::*;
use crate::key::Lock;
use crate::manifest::sample;
use crate::place::{Place, S3Access};
use crate::seal::Sealer;
use crate::{Manifest, Opener};

fn lock() -> (Lock, Opener) {
    let key = age::x25519::Identity::generate();
    (Lock::Recipients(vec![key.to_public()]), Opener::Keys(vec![key]))
}

fn place(folder: &Path) -> Place {
    Place::new(&folder.display().to_string(), &S3Access::default()).unwrap()
}

async fn write(place: &Place, revision: u64, lock: &Lock) -> Manifest {
    let mut head = sample().head;
    head.revision = revision;
    let draft = place.draft().unwrap();
    let mut sealer = Sealer::new(draft.file().unwrap(), &head, lock).unwrap();
    sealer.payload().entry(b"/a", b"1").unwrap();
    let (_, manifest) = sealer.finish().unwrap();
    place.keep(draft, &manifest).await.unwrap();
    manifest
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn backups_are_listed_newest_first_and_bad_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (place, (lock, opener)) = (place(folder.path()), lock());
    let old = write(&place, 7, &lock).await;
    let new = write(&place, 8, &lock).await;
    fs::write(folder.path().join("gantry-x.backup"), "what is this").unwrap();
    fs::write(folder.path().join("notes.txt"), "of somebody").unwrap();
    let whole = fs::read(folder.path().join(old.file_name())).unwrap();
    fs::write(folder.path().join("gantry-cut.backup"), &whole[..whole.len() - 1]).unwrap();
    let all = place.list().await.unwrap();
    let found: Vec<_> = all.iter().map(|l| (l.name.clone(), l.found.is_ok())).collect();
    assert_eq!(found[0], (new.file_name(), true));
    assert_eq!(found[1], (old.file_name(), true));
    assert_eq!(found[2..], [("gantry-x.backup".to_owned(), false), ("gantry-cut.backup".to_owned(), false)]);
    place.fetch(&new.file_name()).await.unwrap().check(&opener).unwrap();
    place.remove(&new.file_name()).await.unwrap();
    assert_eq!(place.list().await.unwrap().len(), 3);
}

#[tokio::test]
async fn an_unfinished_backup_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    let draft = place.draft().unwrap();
    draft.file().unwrap().write_all(b"half of it").unwrap();
    assert_eq!(names(folder.path()).len(), 1);
    // One whose writer was killed.
    fs::write(folder.path().join(".gantry-dead.partial"), "half").unwrap();
    let other = place.draft().unwrap();
    assert!(!names(folder.path()).contains(&".gantry-dead.partial".to_owned()), "the dead one's draft is swept away");
    assert_eq!(names(folder.path()).len(), 2, "the living ones' drafts are left alone");
    drop((draft, other));
    assert_eq!(names(folder.path()), Vec::<String>::new());
    assert!(place.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn no_backup_replaces_another() {
    let folder = tempfile::tempdir().unwrap();
    let (place, (lock, _)) = (place(folder.path()), lock());
    let first = write(&place, 7, &lock).await;
    let draft = place.draft().unwrap();
    assert!(place.keep(draft, &first).await.is_err());
    assert_eq!(names(folder.path()), [first.file_name()]);
}
