//! What the commands do, a file each.

mod apply;
mod backup;
mod delete;
mod describe;
pub mod doctor;
mod down;
mod encryption;
mod exec;
mod get;
mod images;
mod kubeconfig;
mod logs;
mod ps;
mod resources;
mod status;
mod target;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::run;

/// Stack of a thread: what walks bodies as deep as the decoder lets them be must fit, in every build. Only what is
/// used of it takes memory.
const STACK_BYTES: usize = 16 << 20;

/// Does what the command line says. `Ok` carries the exit code.
pub fn dispatch(command: Command) -> Result<u8> {
    match command {
        Command::Up(flags) => long_running(run::up(flags)),
        Command::Server(flags) => long_running(run::server(flags)),
        Command::Agent(flags) => long_running(run::agent(flags)),
        Command::Kubeconfig(flags) => kubeconfig::print(&flags),
        Command::Backup(command) => short(backup::backup(command)),
        Command::SecretsEncryption(command) => short(encryption::encryption(command)),
        Command::Doctor(flags) => short(doctor::doctor(flags)),
        Command::Down(flags) => down::down(&flags),
        Command::Images(flags) => short(images::import(flags)),
        Command::Status(flags) => short(status::status(flags)),
        Command::Ps(flags) => short(ps::ps(flags)),
        Command::Apply(flags) => short(apply::apply(flags)),
        Command::Get(flags) => short(get::get(flags)),
        Command::Describe(flags) => short(describe::describe(flags)),
        Command::Logs(flags) => short(logs::logs(flags)),
        Command::Exec(flags) => short(exec::exec(flags)),
        Command::Delete(flags) => short(delete::delete(flags)),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "gantry", &mut std::io::stdout());
            Ok(0)
        }
        #[cfg(feature = "failpoints")]
        Command::Failpoints => {
            crate::failpoints::all().for_each(|name| println!("{name}"));
            Ok(0)
        }
        Command::Version => {
            println!("gantry {} (Kubernetes API {})", env!("CARGO_PKG_VERSION"), crate::KUBERNETES_VERSION);
            Ok(0)
        }
    }
}

fn long_running(work: impl Future<Output = Result<()>>) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let done = runtime.block_on(work);
    // Nothing that is left over may hold up the end.
    runtime.shutdown_background();
    done.map(|()| 0)
}

fn short(work: impl Future<Output = Result<u8>>) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let code = runtime.block_on(work);
    runtime.shutdown_background();
    code
}
