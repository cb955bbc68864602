use age::secrecy::SecretString;

use super::*;
use crate::manifest::sample;
use crate::payload::{File, Item};

fn keys() -> (Lock, Opener) {
    let key = age::x25519::Identity::generate();
    (Lock::Recipients(vec![key.to_public()]), Opener::Keys(vec![key]))
}

fn sealed(lock: &Lock) -> (Vec<u8>, Manifest) {
    let mut sealer = Sealer::new(tempfile::tempfile().unwrap(), &sample().head, lock).unwrap();
    sealer.payload().file(&File { name: "pki/ca.key".to_owned(), bytes: "secret".into() }).unwrap();
    for number in 0..200 {
        let value = format!("{{\"number\":{number}}}").repeat(number);
        sealer.payload().entry(format!("/registry/{number:04}").as_bytes(), value.as_bytes()).unwrap();
    }
    let (mut file, manifest) = sealer.finish().unwrap();
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    (bytes, manifest)
}

fn on_disk(bytes: &[u8]) -> Result<BackupFile, BackupError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    BackupFile::new("the backup", file)
}

fn check(bytes: &[u8], opener: &Opener) -> Result<(), BackupError> {
    on_disk(bytes)?.check(opener)
}

#[test]
fn what_was_sealed_comes_back() {
    let (lock, opener) = keys();
    let (bytes, manifest) = sealed(&lock);
    let file = on_disk(&bytes).unwrap();
    assert_eq!((file.manifest(), manifest.entries, manifest.files), (&manifest, 200, 1));
    file.check(&opener).unwrap();
    let mut opened = file.open(&opener).unwrap();
    let first = opened.next_item().unwrap();
    assert_eq!(first, Some(Item::File(File { name: "pki/ca.key".to_owned(), bytes: "secret".into() })));
}

#[test]
fn nothing_of_it_can_be_read_from_outside() {
    let (bytes, _) = sealed(&keys().0);
    for secret in [b"secret".as_slice(), b"/registry/", b"number"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn the_wrong_key_is_refused_with_the_right_ones_name() {
    let (lock, _) = keys();
    let (bytes, _) = sealed(&lock);
    let error = check(&bytes, &keys().1).unwrap_err();
    assert!(matches!(error, BackupError::WrongKey { .. }), "{error}");
    assert!(error.to_string().contains(&lock.names()[0]), "{error}");
    let error = check(&bytes, &Opener::Passphrase(SecretString::from("x".to_owned()))).unwrap_err();
    assert!(matches!(error, BackupError::WrongKey { .. }), "{error}");
}

#[test]
fn a_passphrase_opens_what_it_closed() {
    let secret = |text: &str| SecretString::from(text.to_owned());
    let (bytes, manifest) = sealed(&Lock::Passphrase(secret("right")));
    assert_eq!(manifest.encrypted_for, ["passphrase"]);
    check(&bytes, &Opener::Passphrase(secret("right"))).unwrap();
    let error = check(&bytes, &Opener::Passphrase(secret("wrong"))).unwrap_err();
    assert!(matches!(error, BackupError::WrongKey { .. }), "{error}");
}

#[test]
fn whatever_is_cut_off_is_missed() {
    let (lock, opener) = keys();
    let (bytes, _) = sealed(&lock);
    for cut in 0..bytes.len() {
        assert!(on_disk(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(check(&longer, &opener).is_err());
}

#[test]
fn whatever_is_changed_is_found() {
    let (lock, opener) = keys();
    let (bytes, _) = sealed(&lock);
    for at in (0..bytes.len()).step_by(7) {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        let error = check(&other, &opener).expect_err("a changed byte");
        assert!(!matches!(error, BackupError::WrongKey { .. }), "byte {at}: {error}");
    }
}

/// Whoever has no key can make a header that fits, but not what lies under the seal.
#[test]
fn a_forged_header_is_found() {
    let (lock, opener) = keys();
    let (bytes, mut manifest) = sealed(&lock);
    manifest.head.revision += 1;
    let forged = [&manifest.encode().unwrap()[..], &bytes[HEADER_BYTES..]].concat();
    assert!(matches!(check(&forged, &opener), Err(BackupError::Damaged { .. })));
}

/// The same with a checksum that fits: the seal itself must tell.
#[test]
fn the_seal_alone_finds_what_was_changed_or_cut() {
    let (lock, opener) = keys();
    let (bytes, mut manifest) = sealed(&lock);
    let mut forge = |sealed: &[u8]| {
        manifest.sealed_bytes = sealed.len() as u64;
        manifest.sealed_sha256 = hex(&Sha256::digest(sealed));
        [&manifest.encode().unwrap()[..], sealed].concat()
    };
    let sealed = &bytes[HEADER_BYTES..];
    check(&forge(sealed), &opener).unwrap();
    for cut in (0..sealed.len()).step_by(13) {
        assert!(check(&forge(&sealed[..cut]), &opener).is_err(), "cut at {cut}");
    }
    for at in (0..sealed.len()).step_by(13) {
        let mut other = sealed.to_vec();
        other[at] ^= 4;
        assert!(check(&forge(&other), &opener).is_err(), "changed at {at}");
    }
}
