//! A disk in memory with the memory of a real one: what was not synced is lost in parts when the power goes.
//!
//! After a power loss each sector of 512 bytes that was written since its file's last sync holds any of the versions
//! that it had since then, each length and each name likewise. A failed sync is as Linux has it: the pages count as
//! clean afterwards, so no later sync saves them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::Numbers;
use crate::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

/// A disk whose faults a test asks for. Clones are the same disk.
#[derive(Clone)]
pub struct FaultyDisk {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    /// Told when syncs are let go.
    released: Condvar,
}

#[derive(Clone)]
struct State {
    numbers: Numbers,
    /// Counts power losses: a file opened before one is gone.
    life: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of names since the last `sync_dir`, in order.
    pending_names: Vec<NameChange>,
    files: BTreeMap<u64, FileState>,
    next_file: u64,
    capacity: u64,
    operations: u64,
    cut_at: Option<u64>,
    failing_syncs: u32,
    syncs_held: bool,
}

#[derive(Clone)]
enum NameChange {
    Set(String, u64),
    Renamed(String, String, u64),
    Removed(String),
}

#[derive(Clone, Default)]
struct FileState {
    bytes: Vec<u8>,
    /// What earlier versions the sectors had that were written since the last sync.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
    /// Sectors whose sync failed: they stay as uncertain as they are, whatever is synced later.
    limbo: BTreeMap<usize, Vec<Vec<u8>>>,
    /// Lengths since the last sync.
    lengths: Vec<usize>,
}

impl FaultyDisk {
    /// An empty disk without bounds; what a power loss leaves is decided by the seed.
    pub fn new(seed: u64) -> Self {
        let state = State {
            numbers: Numbers::new(seed),
            life: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            files: BTreeMap::new(),
            next_file: 0,
            capacity: u64::MAX,
            operations: 0,
            cut_at: None,
            failing_syncs: 0,
            syncs_held: false,
        };
        FaultyDisk::with(state)
    }

    fn with(state: State) -> Self {
        let path = PathBuf::from("/faulty");
        FaultyDisk { shared: Arc::new(Shared { path, state: Mutex::new(state), released: Condvar::new() }) }
    }

    /// Another disk with the same content and the same unsynced changes, and no files open.
    pub fn fork(&self) -> Self {
        FaultyDisk::with(self.shared.state.lock().clone())
    }

    /// Takes the numbers that decide from another seed from here on.
    pub fn reseed(&self, seed: u64) {
        self.shared.state.lock().numbers = Numbers::new(seed);
    }

    /// The power goes: an arbitrary part of what was not synced is lost, and all open files with it. What a test had
    /// asked for is over, except the capacity.
    pub fn crash(&self) {
        self.shared.state.lock().crash();
        self.shared.released.notify_all();
    }

    /// The power goes after this many more operations that change something: they and all later ones fail until
    /// `crash` is called.
    pub fn cut_power_after(&self, operations: u64) {
        let mut state = self.shared.state.lock();
        state.cut_at = Some(state.operations + operations);
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        let state = self.shared.state.lock();
        state.cut_at.is_some_and(|at| state.operations >= at)
    }

    /// Operations so far that changed something.
    pub fn operations(&self) -> u64 {
        self.shared.state.lock().operations
    }

    /// How many bytes its files may have together.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.state.lock().capacity = bytes;
    }

    /// Bytes of its files.
    pub fn used(&self) -> u64 {
        self.shared.state.lock().used()
    }

    /// The next sync of a file fails with EIO.
    pub fn fail_next_sync(&self) {
        self.shared.state.lock().failing_syncs += 1;
    }

    /// Syncs wait until they are let go; blocks the threads that sync.
    pub fn hold_syncs(&self, hold: bool) {
        self.shared.state.lock().syncs_held = hold;
        self.shared.released.notify_all();
    }

    /// Names and lengths of the files.
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.shared.state.lock();
        let length = |id: &u64| state.files.get(id).map_or(0, |file| file.bytes.len() as u64);
        state.names.iter().map(|(name, id)| (name.clone(), length(id))).collect()
    }

    /// The content of a file; none when it does not exist.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.shared.state.lock();
        state.names.get(name).and_then(|id| state.files.get(id)).map(|file| file.bytes.clone())
    }

    /// Turns one bit of a file; false when there is no such byte.
    pub fn flip(&self, name: &str, byte: u64, bit: u8) -> bool {
        let mut state = self.shared.state.lock();
        let Some(id) = state.names.get(name).copied() else { return false };
        let Some(byte) = state.files.get_mut(&id).and_then(|file| file.bytes.get_mut(byte as usize)) else {
            return false;
        };
        *byte ^= 1 << (bit % 8);
        true
    }

    fn changing<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.shared.state.lock();
        state.operate()?;
        change(&mut state)
    }

    fn file(&self, state: &State, id: u64) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { disk: self.clone(), id, life: state.life })
    }
}

impl State {
    fn operate(&mut self) -> io::Result<()> {
        if self.cut_at.is_some_and(|at| self.operations >= at) {
            return Err(io::Error::other("the power is off"));
        }
        self.operations += 1;
        Ok(())
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.bytes.len() as u64).sum()
    }

    fn grow(&mut self, id: u64, length: usize) -> io::Result<()> {
        let now = self.files.get(&id).map_or(0, |file| file.bytes.len());
        if length > now && self.used() + (length - now) as u64 > self.capacity {
            return Err(io::Error::from_raw_os_error(nix::errno::Errno::ENOSPC as i32));
        }
        if let Some(file) = self.files.get_mut(&id).filter(|_| length > now) {
            file.lengths.push(now);
            file.bytes.resize(length, 0);
        }
        Ok(())
    }

    /// Forgets files that have no name any more, now or after a power loss.
    fn forget(&mut self) {
        let named = |id: &u64| {
            self.names.values().chain(self.durable_names.values()).any(|named| named == id)
                || self.pending_names.iter().any(|change| match change {
                    NameChange::Set(_, named) | NameChange::Renamed(_, _, named) => named == id,
                    NameChange::Removed(_) => false,
                })
        };
        let gone: Vec<_> = self.files.keys().filter(|id| !named(id)).copied().collect();
        for id in gone {
            self.files.remove(&id);
        }
    }

    fn crash(&mut self) {
        self.life += 1;
        let mut names = std::mem::take(&mut self.durable_names);
        for change in std::mem::take(&mut self.pending_names) {
            if self.numbers.below(2) == 0 {
                continue;
            }
            match change {
                NameChange::Set(name, id) => drop(names.insert(name, id)),
                NameChange::Renamed(from, to, id) => {
                    if names.get(&from) == Some(&id) {
                        names.remove(&from);
                    }
                    names.insert(to, id);
                }
                NameChange::Removed(name) => drop(names.remove(&name)),
            }
        }
        self.durable_names = names.clone();
        self.names = names;
        for file in self.files.values_mut() {
            file.crash(&mut self.numbers);
        }
        self.forget();
        (self.cut_at, self.failing_syncs, self.syncs_held) = (None, 0, false);
    }
}

impl FileState {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(self.bytes.len());
            let before = self.bytes[range].to_vec();
            self.dirty.entry(sector).or_default().push(before);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
    }

    fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty).into_keys() {
            self.limbo.remove(&sector);
        }
        self.lengths.clear();
    }

    fn fail_sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            self.limbo.entry(sector).or_default().extend(versions);
        }
    }

    fn crash(&mut self, numbers: &mut Numbers) {
        self.fail_sync();
        for (sector, versions) in std::mem::take(&mut self.limbo) {
            // The newest version is the one that is there; each older one is as likely.
            let Some(version) = versions.get(numbers.below(versions.len() + 1)) else { continue };
            let start = sector * SECTOR;
            self.bytes[start..start + version.len()].copy_from_slice(version);
        }
        let lengths = std::mem::take(&mut self.lengths);
        if let Some(length) = lengths.get(numbers.below(lengths.len() + 1)) {
            self.bytes.truncate(*length);
        }
    }
}

impl Disk for FaultyDisk {
    fn path(&self) -> &Path {
        &self.shared.path
    }

    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.shared.state.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.shared.state.lock();
        let id = state.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(&state, id))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.changing(|state| {
            let id = state.next_file;
            state.next_file += 1;
            state.files.insert(id, FileState::default());
            state.names.insert(name.to_owned(), id);
            state.pending_names.push(NameChange::Set(name.to_owned(), id));
            Ok(self.file(state, id))
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.changing(|state| {
            let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), id);
            state.pending_names.push(NameChange::Renamed(from.to_owned(), to.to_owned(), id));
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.changing(|state| {
            state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
            state.pending_names.push(NameChange::Removed(name.to_owned()));
            Ok(())
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.changing(|state| {
            state.pending_names.clear();
            state.durable_names = state.names.clone();
            state.forget();
            Ok(())
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.shared.state.lock();
        Ok(state.capacity.saturating_sub(state.used()))
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    id: u64,
    life: u64,
}

impl FaultyFile {
    fn with<T>(&self, change: bool, use_it: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.shared.state.lock();
        if state.life != self.life {
            return Err(io::Error::other("the power was off"));
        }
        if change {
            state.operate()?;
        }
        use_it(&mut state)
    }

    fn state<'a>(&self, state: &'a mut State) -> io::Result<&'a mut FileState> {
        state.files.get_mut(&self.id).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl DiskFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.with(false, |state| Ok(self.state(state)?.bytes.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(false, |state| {
            let bytes = &self.state(state)?.bytes;
            let (from, to) = (offset as usize, offset as usize + buffer.len());
            buffer.copy_from_slice(bytes.get(from..to).ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(true, |state| {
            state.grow(self.id, offset as usize + bytes.len())?;
            self.state(state)?.write(bytes, offset as usize);
            Ok(())
        })
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.with(true, |state| state.grow(self.id, length as usize))
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.with(true, |state| {
            let file = self.state(state)?;
            // What is cut off stays cut off: nobody may count on it, lost or not.
            file.bytes.truncate(length as usize);
            file.lengths.clear();
            let whole = |(sector, _): &(usize, Vec<Vec<u8>>)| (sector + 1) * SECTOR <= length as usize;
            file.dirty = std::mem::take(&mut file.dirty).into_iter().filter(whole).collect();
            file.limbo = std::mem::take(&mut file.limbo).into_iter().filter(whole).collect();
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.shared.state.lock();
        while state.syncs_held && state.life == self.life {
            self.disk.shared.released.wait(&mut state);
        }
        drop(state);
        self.with(true, |state| {
            if state.failing_syncs > 0 {
                state.failing_syncs -= 1;
                self.state(state)?.fail_sync();
                return Err(io::Error::from_raw_os_error(nix::errno::Errno::EIO as i32));
            }
            self.state(state)?.sync();
            Ok(())
        })
    }
}
