//! Backups: a whole cluster at one revision, sealed in one file, and back again.
//!
//! Invariants: a backup is everything at exactly one revision; what is written anywhere is encrypted, each chunk is
//! authenticated, and a backup is there whole or not at all; a restore checks everything before it writes anything,
//! and begins above every revision that a client can have seen.

mod content;
mod error;
mod keeper;
mod key;
pub mod limits;
mod manifest;
mod payload;
mod pipe;
mod place;
mod restore;
mod schedule;
mod seal;

pub use content::{About, Content, Source, copy};
pub use error::BackupError;
pub use keeper::{Files, Keeper, age_seconds, make};
pub use key::{Lock, Opener, create_key_file};
pub use manifest::{Head, Manifest};
pub use payload::{File, Item, PayloadReader, PayloadWriter, Totals};
pub use pipe::{Piece, PipeReader, PipeWriter, pipe};
pub use place::{Draft, Folder, Listed, Place, S3, S3Access};
pub use restore::{floor, restore_directory, restore_etcd};
pub use schedule::{Failure, Record, Schedule, Success};
pub use seal::{BackupFile, Opened, Sealer};
