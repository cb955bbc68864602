//! `gantry doctor`: examines the cluster's data and this machine, and says what helps.
//!
//! Nothing is changed, and nothing needs a running server: what only a server knows is asked of it when one runs, and
//! read from the data directory otherwise.

mod data;
mod flaws;
mod host;
mod keys;
mod network;
mod server;

use anyhow::{Result, bail};
use gantry_view::View;
use serde_json::{Value, json};

use crate::cli::Doctor;
use crate::output::say;
use crate::paths::Paths;

/// What one check found.
pub struct Finding {
    /// What was looked at.
    name: &'static str,
    state: State,
    /// What there is, and what it means.
    message: String,
    /// The command, or the deed, that helps.
    help: String,
}

/// How well it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        }
    }
}

impl Finding {
    fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Finding { name, state: State::Ok, message: message.into(), help: String::new() }
    }
    fn warn(name: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Finding { name, state: State::Warn, message: message.into(), help: help.into() }
    }
    fn fail(name: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Finding { name, state: State::Fail, message: message.into(), help: help.into() }
    }
    fn json(&self) -> Value {
        json!({"name": self.name, "state": self.state.word(), "message": self.message, "help": self.help})
    }
}

/// Checks everything; exit code 1 when something failed.
pub async fn doctor(flags: Doctor) -> Result<u8> {
    let paths = Paths::new(&flags.data.data_dir)?;
    let server = server::Asked::ask(&paths).await?;
    let mut findings = server.findings(&paths);
    findings.extend(data::findings(&paths, &server).await);
    findings.extend(keys::findings(&paths));
    findings.extend(host::findings(&paths, flags.containerd_socket.as_deref()).await);
    findings.extend(flaws::findings());
    findings.extend(network::findings(&paths, server.runs()).await);
    let failed = findings.iter().filter(|f| f.state == State::Fail).count();
    match flags.output.as_deref() {
        None => print(&findings, failed)?,
        Some("json") => {
            let checks: Vec<Value> = findings.iter().map(Finding::json).collect();
            say!("{}", serde_json::to_string_pretty(&json!({"checks": checks, "failed": failed}))?);
        }
        Some(other) => bail!("-o {other:?} is not known; json is"),
    }
    Ok(u8::from(failed > 0))
}

fn print(findings: &[Finding], failed: usize) -> Result<()> {
    let width = findings.iter().map(|f| f.name.len()).max().unwrap_or(0);
    for finding in findings {
        say!("{:<4}  {:<width$}  {}", finding.state.word(), finding.name, finding.message);
        if !finding.help.is_empty() {
            say!("      {:<width$}  -> {}", "", finding.help);
        }
    }
    let warned = findings.iter().filter(|f| f.state == State::Warn).count();
    say!("{} checks, {failed} failed, {warned} with a warning", findings.len());
    Ok(())
}

/// What is wrong with the objects themselves, in words.
pub fn examine_view(view: &View) -> Vec<String> {
    let found = gantry_controllers::check(view);
    let found = found.into_iter().map(|v| format!("{}: {} ({})", v.subject, v.message, v.rule));
    found.chain(gantry_registry::check_reservations(view)).collect()
}
