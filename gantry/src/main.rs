//! gantry: a whole container orchestrator in one binary. This crate is the command line and the wiring; it alone
//! names the concrete store, the controllers and the agent.

mod cli;
mod commands;
mod failpoints;
mod kubeconfig;
mod output;
mod paths;
mod pki;
mod process;
mod profile;
mod run;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// Objects are many small pieces of memory, made by several threads at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The Kubernetes version that the API is.
pub const KUBERNETES_VERSION: &str = "v1.37.2";

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let filter = EnvFilter::try_from_env("GANTRY_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    #[cfg(feature = "failpoints")]
    if let Err(error) = failpoints::arm_from_environment() {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    match commands::dispatch(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) if output::nobody_reads(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
