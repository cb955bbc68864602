//! `gantry exec`: a command in a container, with a terminal where one is asked for.

use std::io::{IsTerminal, Read, Write};

use anyhow::{Context, Result};
use bytes::Bytes;
use gantry_client::{ExecEvent, exit_code};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::get::escape;
use super::target;
use crate::cli::Exec;

/// Bytes of standard input that are read at once.
const CHUNK: usize = 16 * 1024;
/// Chunks of standard input that wait to be sent.
const CHUNKS_WAITING: usize = 8;

/// Runs the command; its exit code becomes ours.
pub async fn exec(flags: Exec) -> Result<u8> {
    let client = target::client(&flags.target)?;
    let mut session = client.exec(&path(&flags)).await?;
    let raw = (flags.tty && std::io::stdin().is_terminal()).then(RawTerminal::enter).transpose()?;
    let mut input = flags.stdin.then(read_stdin);
    let mut resized = signal(SignalKind::window_change()).context("listening for changes of the window")?;
    if raw.is_some() {
        send_size(&mut session.writer).await;
    }
    loop {
        tokio::select! {
            event = session.reader.next() => match event? {
                Some(ExecEvent::Stdout(bytes)) => write_out(&mut std::io::stdout(), &bytes)?,
                Some(ExecEvent::Stderr(bytes)) => write_out(&mut std::io::stderr(), &bytes)?,
                Some(ExecEvent::Status(status)) => {
                    drop(raw);
                    return Ok(finish(&status));
                }
                None => return Ok(1),
            },
            chunk = next_chunk(&mut input) => match chunk {
                Some(bytes) => session.writer.stdin(bytes).await?,
                None => {
                    input = None;
                    session.writer.close_stdin().await?;
                }
            },
            _ = resized.recv() => if raw.is_some() { send_size(&mut session.writer).await },
        }
    }
}

fn path(flags: &Exec) -> String {
    let mut path = format!(
        "/api/v1/namespaces/{}/pods/{}/exec?stdin={}&stdout=true&stderr={}&tty={}",
        flags.target.namespace, flags.pod, flags.stdin, !flags.tty, flags.tty
    );
    if let Some(container) = &flags.container {
        path.push_str(&format!("&container={container}"));
    }
    for word in &flags.command {
        path.push_str(&format!("&command={}", escape(word)));
    }
    path
}

fn finish(status: &serde_json::Value) -> u8 {
    match exit_code(status) {
        Some(code) => u8::try_from(code).unwrap_or(1),
        None => {
            eprintln!("error: {}", status["message"].as_str().unwrap_or("the command could not be run"));
            1
        }
    }
}

fn write_out(out: &mut impl Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).and_then(|()| out.flush()).context("writing the command's output")
}

/// Never resolves when there is no input.
async fn next_chunk(input: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match input {
        Some(input) => input.recv().await,
        None => std::future::pending().await,
    }
}

/// Standard input blocks, so a thread reads it; it ends with the process.
fn read_stdin() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = std::io::stdin().read(&mut buffer) {
            if sender.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn send_size(writer: &mut gantry_client::ExecWriter) {
    let size = terminal_size();
    if let Some((columns, rows)) = size {
        // A terminal that is not resized still works.
        let _ = writer.resize(columns, rows).await;
    }
}

fn terminal_size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some((size.ws_col, size.ws_row))
}

/// Keys go to the command one by one until this is dropped.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    fn enter() -> Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).context("reading the terminal's settings")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&stdin, SetArg::TCSANOW, &raw).context("changing the terminal's settings")?;
        Ok(RawTerminal { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
