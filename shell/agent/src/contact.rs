//! When the node was last in touch with the servers, by a clock that nobody sets.
//!
//! Invariant: the time is that at which the last renewal of the node's lease that went well was begun, so that no
//! server saw it earlier. It outlives this process where somebody needs that, and never the machine's uptime.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::paths::Paths;

/// The node's last touch.
pub(crate) struct Contact {
    record: PathBuf,
    last: Mutex<Option<Duration>>,
    recording: AtomicBool,
}

impl Contact {
    /// As a process before this one has left it.
    pub(crate) fn load(paths: &Paths) -> Self {
        let record = paths.contact();
        let last = fs::read_to_string(&record).ok().and_then(|text| read(&text, &boot()));
        Contact { record, last: Mutex::new(last), recording: AtomicBool::default() }
    }

    /// How long ago the last renewal was begun; `None` where that is not known.
    pub(crate) fn silent(&self) -> Option<Duration> {
        let last = (*self.last.lock())?;
        Some(uptime().saturating_sub(last))
    }

    /// A renewal that was begun at this uptime went well.
    pub(crate) fn renewed(&self, begun: Duration) {
        *self.last.lock() = Some(begun);
        if self.recording.load(Ordering::Relaxed) {
            self.write(begun);
        }
    }

    /// From now on the last touch outlives this process.
    pub(crate) fn record(&self) {
        if !self.recording.swap(true, Ordering::Relaxed) {
            let last = *self.last.lock();
            last.into_iter().for_each(|last| self.write(last));
        }
    }

    /// No sync: what a crash of the machine loses is of another uptime anyway.
    fn write(&self, last: Duration) {
        let beside = self.record.with_extension("new");
        let text = format!("{} {}\n", boot(), last.as_millis());
        if let Err(error) = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &self.record)) {
            tracing::warn!(%error, "the time of the last touch is not kept");
        }
    }
}

/// Time since the machine started, with the time that it slept.
pub(crate) fn uptime() -> Duration {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or_default())
}

/// What differs with every start of the machine.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn read(text: &str, boot: &str) -> Option<Duration> {
    let (of, last) = text.trim().split_once(' ')?;
    (of == boot).then_some(())?;
    last.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f10_the_last_touch_outlives_the_process_but_not_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        let contact = Contact::load(&paths);
        assert_eq!(contact.silent(), None);
        contact.renewed(uptime().saturating_sub(Duration::from_secs(7)));
        assert!(Contact::load(&paths).silent().is_none(), "nobody needs it yet");
        contact.record();
        let silent = Contact::load(&paths).silent().unwrap();
        assert!(silent >= Duration::from_secs(7) && silent < Duration::from_secs(60), "{silent:?}");
        contact.renewed(uptime());
        assert!(Contact::load(&paths).silent().unwrap() < Duration::from_secs(6));
        assert_eq!(read("other 7", "this"), None);
        assert_eq!(read("this 7", "this"), Some(Duration::from_millis(7)));
        assert_eq!(read("this x", "this"), None);
    }
}
