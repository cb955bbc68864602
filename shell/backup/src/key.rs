//! Whom a backup is encrypted for, and what opens it: age's keys and passphrases.
//!
//! Key files are as age-keygen writes them, so the standard tool opens what gantry sealed.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use age::secrecy::{ExposeSecret, SecretString};
use age::{scrypt, x25519};

use crate::BackupError;
use crate::limits::RECIPIENTS_MAX;

/// Whom a backup is encrypted for.
pub enum Lock {
    /// Everybody who has the key of one of these public keys (`age1...`).
    Recipients(Vec<x25519::Recipient>),
    /// Everybody who knows it.
    Passphrase(SecretString),
}

impl Lock {
    /// Reads public keys. Errors: `Key`.
    pub fn for_recipients<S: AsRef<str>>(recipients: &[S]) -> Result<Self, BackupError> {
        if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
            return Err(BackupError::Key(format!("give 1 to {RECIPIENTS_MAX} recipients")));
        }
        let read = |text: &S| {
            let text = text.as_ref().trim();
            x25519::Recipient::from_str(text)
                .map_err(|why| BackupError::Key(format!("{text:?} is no recipient: {why}")))
        };
        Ok(Lock::Recipients(recipients.iter().map(read).collect::<Result<_, _>>()?))
    }

    /// Reads a passphrase: the first line of a file. Errors: `Io`, `Key`.
    pub fn passphrase_file(path: &Path) -> Result<Self, BackupError> {
        Ok(Lock::Passphrase(passphrase(path)?))
    }

    /// What the header says of it.
    pub fn names(&self) -> Vec<String> {
        match self {
            Lock::Recipients(list) => list.iter().map(ToString::to_string).collect(),
            Lock::Passphrase(_) => vec!["passphrase".to_owned()],
        }
    }

    pub(crate) fn encryptor(&self) -> Result<age::Encryptor, BackupError> {
        let refused = |why: age::EncryptError| BackupError::Key(why.to_string());
        match self {
            Lock::Recipients(list) => {
                age::Encryptor::with_recipients(list.iter().map(|r| r as &dyn age::Recipient)).map_err(refused)
            }
            Lock::Passphrase(secret) => Ok(age::Encryptor::with_user_passphrase(secret.clone())),
        }
    }
}

/// What opens a backup.
pub enum Opener {
    /// The private keys of a key file.
    Keys(Vec<x25519::Identity>),
    /// A passphrase.
    Passphrase(SecretString),
}

impl Opener {
    /// Reads a key file: a line `AGE-SECRET-KEY-1...` each, others empty or beginning with `#`. Errors: `Io`, `Key`.
    pub fn key_file(path: &Path) -> Result<Self, BackupError> {
        let text = read_text(path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = |line: &str| {
            x25519::Identity::from_str(line)
                .map_err(|why| BackupError::Key(format!("{} holds a line that is no key: {why}", path.display())))
        };
        let keys: Vec<_> = lines.map(read).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(BackupError::Key(format!("{} holds no key", path.display())));
        }
        Ok(Opener::Keys(keys))
    }

    /// Reads a passphrase: the first line of a file. Errors: `Io`, `Key`.
    pub fn passphrase_file(path: &Path) -> Result<Self, BackupError> {
        Ok(Opener::Passphrase(passphrase(path)?))
    }

    /// The public halves of the keys.
    pub fn recipients(&self) -> Vec<String> {
        match self {
            Opener::Keys(keys) => keys.iter().map(|key| key.to_public().to_string()).collect(),
            Opener::Passphrase(_) => Vec::new(),
        }
    }

    pub(crate) fn identities(&self) -> Vec<Box<dyn age::Identity>> {
        match self {
            Opener::Keys(keys) => keys.iter().map(|key| Box::new(key.clone()) as Box<dyn age::Identity>).collect(),
            Opener::Passphrase(secret) => vec![Box::new(scrypt::Identity::new(secret.clone()))],
        }
    }
}

/// Makes a key file with mode 0600 that must not be there yet; returns the public key. Errors: `Io`.
pub fn create_key_file(path: &Path, now: jiff::Timestamp) -> Result<String, BackupError> {
    let key = x25519::Identity::generate();
    let public = key.to_public().to_string();
    let text = format!("# created: {now}\n# public key: {public}\n{}\n", key.to_string().expose_secret());
    let beside = path.with_extension("new");
    let write = || {
        // What an attempt that was killed left behind was never used.
        let _ = std::fs::remove_file(&beside);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // Unlike a rename, a link never replaces the key of somebody who was faster.
        let linked = std::fs::hard_link(&beside, path);
        std::fs::remove_file(&beside)?;
        linked?;
        path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
    };
    write().map_err(BackupError::io(format!("making the key {}", path.display())))?;
    Ok(public)
}

fn passphrase(path: &Path) -> Result<SecretString, BackupError> {
    let text = read_text(path)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(BackupError::Key(format!("{} holds no passphrase in its first line", path.display())));
    }
    Ok(SecretString::from(line.to_owned()))
}

fn read_text(path: &Path) -> Result<String, BackupError> {
    std::fs::read_to_string(path).map_err(BackupError::io(format!("reading {}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_private_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.key");
        let public = create_key_file(&path, jiff::Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Opener::key_file(&path).unwrap().recipients(), std::slice::from_ref(&public));
        assert_eq!(Lock::for_recipients(&[&public]).unwrap().names(), [public]);
        assert!(create_key_file(&path, jiff::Timestamp::UNIX_EPOCH).is_err(), "no key is replaced");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(Lock::for_recipients(&["age1nonsense"]).is_err());
        assert!(Lock::for_recipients::<&str>(&[]).is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(Opener::key_file(&path).is_err());
        std::fs::write(&path, "\n").unwrap();
        assert!(Opener::passphrase_file(&path).is_err());
    }
}
