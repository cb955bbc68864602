//! The sealed file: header, then the stream, compressed and encrypted.
//!
//! age encrypts in chunks of 64 KiB, each authenticated with its place and whether it is the last, so nothing can be
//! changed, moved or cut off unseen; gzip lies inside, and the standard tools open both.

use std::fs::File as Disk;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::BackupError;
use crate::key::{Lock, Opener};
use crate::limits::HEADER_BYTES;
use crate::manifest::{Head, Manifest, hex};
use crate::payload::{PayloadReader, PayloadWriter};

/// What stands where the header will be as long as the file is not whole.
const UNFINISHED: [u8; HEADER_BYTES] = [0; HEADER_BYTES];

/// Writes a sealed file.
pub struct Sealer {
    payload: PayloadWriter<Sealed>,
    head: Head,
    names: Vec<String>,
}

/// The way of the bytes to the disk.
type Sealed = GzEncoder<age::stream::StreamWriter<Summing>>;

impl Sealer {
    /// Begins in an empty file. Errors: `Io`, `Key`.
    pub fn new(file: Disk, head: &Head, lock: &Lock) -> Result<Self, BackupError> {
        let encryptor = lock.encryptor()?;
        let start = || {
            let mut file = BufWriter::new(file);
            file.write_all(&UNFINISHED)?;
            let sealed = encryptor.wrap_output(Summing { file, sum: Sha256::new(), bytes: 0 })?;
            PayloadWriter::new(GzEncoder::new(sealed, Compression::fast()), head)
        };
        let payload = start().map_err(BackupError::io(WRITING))?;
        Ok(Sealer { payload, head: head.clone(), names: lock.names() })
    }

    /// Where files and keys are written.
    pub fn payload(&mut self) -> &mut PayloadWriter<impl Write + use<>> {
        &mut self.payload
    }

    /// Writes the end and the header, and waits for the disk. Errors: `Io`, `Key`.
    pub fn finish(self) -> Result<(Disk, Manifest), BackupError> {
        let Sealer { payload, head, names } = self;
        let end = || {
            let (sealed, totals) = payload.finish()?;
            let Summing { file, sum, bytes } = sealed.finish()?.finish()?;
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            Ok((file, totals, sum, bytes))
        };
        let (mut file, totals, sum, sealed_bytes) = end().map_err(BackupError::io(WRITING))?;
        let manifest = Manifest {
            head,
            entries: totals.entries,
            files: totals.files,
            encrypted_for: names,
            sealed_bytes,
            sealed_sha256: hex(&sum.finalize()),
        };
        let header = manifest.encode()?;
        let mut write = || {
            file.rewind()?;
            file.write_all(&header)?;
            file.sync_all()
        };
        write().map_err(BackupError::io(WRITING))?;
        Ok((file, manifest))
    }
}

const WRITING: &str = "writing the backup";

/// A file that knows the sum of what was written.
struct Summing {
    file: BufWriter<Disk>,
    sum: Sha256,
    bytes: u64,
}

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A backup on this machine's disk.
pub struct BackupFile {
    name: String,
    file: Arc<Disk>,
    manifest: Manifest,
}

/// Reads what lies under a seal.
pub type Opened = PayloadReader<GzDecoder<age::stream::StreamReader<BufReader<At>>>>;

impl BackupFile {
    /// Reads the header and checks the length. Errors: `NotABackup`, `Format`, `Damaged`, `Io`.
    pub fn new(name: &str, file: Disk) -> Result<Self, BackupError> {
        let file = Arc::new(file);
        let reading = || BackupError::io(format!("reading {name}"));
        let mut header = Vec::with_capacity(HEADER_BYTES);
        At { file: file.clone(), at: 0 }.take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(reading())?;
        let manifest = Manifest::decode(name, &header)?;
        let length = file.metadata().map_err(reading())?.len();
        check_length(name, &manifest, length)?;
        Ok(BackupFile { name: name.to_owned(), file, manifest })
    }

    /// The header.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Checks every byte, without a key. Errors: `Damaged`, `Io`.
    pub fn check_sum(&self) -> Result<(), BackupError> {
        let mut sum = Sha256::new();
        io::copy(&mut self.sealed(), &mut sum).map_err(BackupError::io(format!("reading {}", self.name)))?;
        if hex(&sum.finalize()) == self.manifest.sealed_sha256 {
            Ok(())
        } else {
            Err(BackupError::damaged(&self.name, "its checksum is wrong"))
        }
    }

    /// Opens the seal. Errors: `WrongKey`, `Damaged`, `Io`.
    pub fn open(&self, opener: &Opener) -> Result<Opened, BackupError> {
        let wrong_key =
            || BackupError::WrongKey { name: self.name.clone(), wanted: self.manifest.encrypted_for.join(", ") };
        let refused = |why: age::DecryptError| match why {
            age::DecryptError::NoMatchingKeys => wrong_key(),
            // A wrong passphrase looks like this; other damage has been found by the sum.
            age::DecryptError::DecryptionFailed | age::DecryptError::KeyDecryptionFailed => wrong_key(),
            age::DecryptError::Io(source) => self.broken(source),
            other => BackupError::damaged(&self.name, other.to_string()),
        };
        let identities = opener.identities();
        let decryptor = age::Decryptor::new_buffered(self.sealed()).map_err(refused)?;
        let plain = decryptor.decrypt(identities.iter().map(|i| &**i)).map_err(refused)?;
        let opened = PayloadReader::new(GzDecoder::new(plain)).map_err(|error| self.broken(error))?;
        if *opened.head() != self.manifest.head {
            return Err(BackupError::damaged(&self.name, "its header is not the one that was sealed with it"));
        }
        Ok(opened)
    }

    /// Checks everything that can be checked, with the key; a backup that passes can be restored. Errors: all.
    pub fn check(&self, opener: &Opener) -> Result<(), BackupError> {
        self.check_sum()?;
        let mut opened = self.open(opener)?;
        while opened.next_item().map_err(|error| self.broken(error))?.is_some() {}
        let totals = opened.totals();
        if (totals.entries, totals.files) != (self.manifest.entries, self.manifest.files) {
            return Err(BackupError::damaged(&self.name, "it does not hold as much as its header says"));
        }
        Ok(())
    }

    /// What an error while reading means.
    pub fn broken(&self, error: io::Error) -> BackupError {
        if error.raw_os_error().is_some() {
            return BackupError::Io { operation: format!("reading {}", self.name), source: error };
        }
        BackupError::damaged(&self.name, error.to_string())
    }

    fn sealed(&self) -> BufReader<At> {
        BufReader::new(At { file: self.file.clone(), at: HEADER_BYTES as u64 })
    }
}

/// Whether a backup is as long as its header says. Errors: `Damaged`.
pub(crate) fn check_length(name: &str, manifest: &Manifest, length: u64) -> Result<(), BackupError> {
    let expected = manifest.size_bytes();
    if length == expected {
        return Ok(());
    }
    Err(BackupError::damaged(name, format!("it has {length} bytes instead of {expected}")))
}

/// A place in a file that others read, too.
pub struct At {
    file: Arc<Disk>,
    at: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(&*self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
