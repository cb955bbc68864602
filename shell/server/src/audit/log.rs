//! The audit log: a file of one event a line that one thread writes and rotates.
//!
//! Invariants: what waits to be written is bounded; a line that could not be written is counted and told of, and stops
//! nothing but requests that were to wait for it.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::limits::{AUDIT_FLUSH, AUDIT_QUEUE};

/// When a request's events are on their way to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditMode {
    /// Soon after its answer; what the queue does not hold is dropped and counted.
    #[default]
    Batch,
    /// Before its answer.
    Blocking,
    /// Before its answer, and a request is refused when it cannot be written down that it came.
    BlockingStrict,
}

/// Where the audit log is and how long it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLog {
    /// The file; `-` is the standard output, which is not rotated.
    pub path: PathBuf,
    /// Days after which a rotated file is removed; 0 for never.
    pub max_age_days: u64,
    /// Rotated files that are kept; 0 for all.
    pub max_backups: usize,
    /// Megabytes at which the file is rotated.
    pub max_megabytes: u64,
    /// When events are written.
    pub mode: AuditMode,
}

/// How long nothing more is said of a log that cannot be written.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// A line, and who waits for it.
struct Line {
    text: String,
    done: Option<oneshot::Sender<bool>>,
}

/// The way to the thread that writes.
pub(crate) struct Log {
    mode: AuditMode,
    lines: Option<SyncSender<Line>>,
    thread: Option<JoinHandle<()>>,
    pub(super) lost: Arc<AtomicU64>,
}

impl Log {
    /// Opens the file, or says why it cannot be.
    pub(crate) fn open(config: &AuditLog) -> io::Result<Self> {
        let out = Output::open(config)?;
        let (lines, queue) = sync_channel(AUDIT_QUEUE);
        let lost = Arc::<AtomicU64>::default();
        let counted = lost.clone();
        let thread =
            std::thread::Builder::new().name("audit".to_owned()).spawn(move || write(out, &queue, &counted))?;
        Ok(Log { mode: config.mode, lines: Some(lines), thread: Some(thread), lost })
    }

    pub(super) fn mode(&self) -> AuditMode {
        self.mode
    }

    /// Hands over a line, and waits for it where the mode says so; false when it is lost.
    pub(super) async fn add(&self, text: String) -> bool {
        if self.mode == AuditMode::Batch {
            return self.post(text, None);
        }
        let (done, written) = oneshot::channel();
        self.post(text, Some(done)) && written.await.unwrap_or(false)
    }

    /// Hands over a line without waiting; false when there is no room for it.
    pub(super) fn post(&self, text: String, done: Option<oneshot::Sender<bool>>) -> bool {
        let Some(lines) = &self.lines else { return false };
        match lines.try_send(Line { text, done }) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }
}

impl Drop for Log {
    /// Writes what is still in the queue.
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(thread) = self.thread.take() {
            // It ends with its queue; a panic of it has been told.
            let _ = thread.join();
        }
    }
}

fn write(mut out: Output, queue: &Receiver<Line>, lost: &AtomicU64) {
    let mut waiting: Vec<oneshot::Sender<bool>> = Vec::new();
    let mut told: Option<SystemTime> = None;
    loop {
        let first = match queue.recv_timeout(AUDIT_FLUSH) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut result = Ok(());
        let mut count = 0;
        for Line { text, done } in std::iter::once(first).chain(queue.try_iter().take(AUDIT_QUEUE)) {
            result = result.and_then(|()| out.line(&text));
            count += 1;
            waiting.extend(done);
        }
        let result = result.and_then(|()| out.flush());
        let written = result.is_ok();
        if let Err(error) = result {
            lost.fetch_add(count, Ordering::Relaxed);
            // Once a minute is enough.
            let now = SystemTime::now();
            if told.is_none_or(|told| now.duration_since(told).is_ok_and(|since| since > TOLD_AGAIN)) {
                tracing::error!(%error, "the audit log cannot be written");
                told = Some(now);
            }
            out.reopen();
        }
        for done in waiting.drain(..) {
            // Who waited may have gone.
            let _ = done.send(written);
        }
    }
}

/// The file and its size.
struct Output {
    config: AuditLog,
    file: Option<BufWriter<Box<dyn Write + Send>>>,
    bytes: u64,
}

impl Output {
    fn open(config: &AuditLog) -> io::Result<Self> {
        let mut out = Output { config: config.clone(), file: None, bytes: 0 };
        out.start()?;
        Ok(out)
    }

    fn is_stdout(&self) -> bool {
        self.config.path == Path::new("-")
    }

    fn start(&mut self) -> io::Result<()> {
        if self.is_stdout() {
            self.file = Some(BufWriter::new(Box::new(io::stdout())));
            return Ok(());
        }
        if let Some(folder) = self.config.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = private(OpenOptions::new().create(true).append(true)).open(&self.config.path)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(BufWriter::new(Box::new(file)));
        Ok(())
    }

    /// Tries the file anew after it failed; what could not be written is gone.
    fn reopen(&mut self) {
        self.file = None;
        // The next line says so when it is still out of order.
        let _ = self.start();
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        let limit = self.config.max_megabytes << 20;
        if !self.is_stdout() && limit > 0 && self.bytes > 0 && self.bytes + text.len() as u64 > limit {
            self.rotate()?;
        }
        if self.file.is_none() {
            self.start()?;
        }
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        file.write_all(text.as_bytes())?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }

    /// Puts the file aside under the time, and removes what is too old or too much.
    fn rotate(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file = None;
        let (stem, extension) = self.name();
        let at = Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S.%9f").to_string();
        fs::rename(&self.config.path, self.config.path.with_file_name(format!("{stem}-{at}{extension}")))?;
        let mut old = self.rotated()?;
        old.sort();
        let excess = match self.config.max_backups {
            0 => 0,
            kept => old.len().saturating_sub(kept),
        };
        for (n, file) in old.iter().enumerate() {
            if n < excess || self.is_too_old(file) {
                fs::remove_file(file)?;
            }
        }
        self.start()
    }

    fn name(&self) -> (String, String) {
        let of = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let extension = of(self.config.path.extension());
        let extension = if extension.is_empty() { extension } else { format!(".{extension}") };
        (of(self.config.path.file_stem()), extension)
    }

    /// The files that were put aside.
    fn rotated(&self) -> io::Result<Vec<PathBuf>> {
        let (stem, extension) = self.name();
        let folder = self.config.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut found = Vec::new();
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let dated = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&extension));
            if dated.is_some_and(|at| at.starts_with("20") && at.contains('T')) {
                found.push(path);
            }
        }
        Ok(found)
    }

    fn is_too_old(&self, file: &Path) -> bool {
        let limit = Duration::from_secs(self.config.max_age_days * 24 * 60 * 60);
        let age = fs::metadata(file).and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        !limit.is_zero() && age.is_some_and(|age| age > limit)
    }
}

/// Only the owner may read what was asked for.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path, mode: AuditMode) -> AuditLog {
        AuditLog { path: folder.join("log/audit.log"), max_age_days: 30, max_backups: 2, max_megabytes: 1, mode }
    }

    fn lines(path: &Path) -> usize {
        fs::read_to_string(path).expect("a log").lines().count()
    }

    #[tokio::test]
    async fn a_file_is_rotated_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), AuditMode::Blocking);
        let log = Log::open(&config).unwrap();
        let line = format!("{}\n", "x".repeat(600 << 10));
        for _ in 0..6 {
            assert!(log.add(line.clone()).await);
        }
        drop(log);
        let out = Output::open(&config).unwrap();
        assert_eq!(out.rotated().unwrap().len(), 2, "no more than wanted");
        assert_eq!(lines(&config.path), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_counted_and_the_log_goes_on_later() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), AuditMode::Blocking);
        let log = Log::open(&config).unwrap();
        assert!(log.add("a\n".to_owned()).await);
        let home = config.path.parent().unwrap().to_owned();
        // Where the folder was is a file now: the next rotation fails.
        fs::rename(&home, folder.path().join("away")).unwrap();
        fs::write(&home, "").unwrap();
        assert!(!log.add(format!("{}\n", "x".repeat(1 << 20))).await);
        assert_eq!(log.lost.load(Ordering::Relaxed), 1);
        fs::remove_file(&home).unwrap();
        assert!(log.add("b\n".to_owned()).await);
        drop(log);
        assert_eq!(lines(&config.path), 1);
    }
}
