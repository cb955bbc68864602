//! Which API the small commands talk to.

use std::path::PathBuf;

use anyhow::{Context, Result};
use gantry_client::Client;

use crate::cli::Target;
use crate::paths::Paths;

/// A client from `--kubeconfig`, else the data directory's administrator, else `$KUBECONFIG`.
pub fn client(target: &Target) -> Result<Client> {
    let file = match &target.kubeconfig {
        Some(file) => file.clone(),
        None => default_file(target)?,
    };
    Client::from_kubeconfig(&file, None).with_context(|| format!("reading {}", file.display()))
}

fn default_file(target: &Target) -> Result<PathBuf> {
    let own = Paths::new(&target.data.data_dir)?.admin_kubeconfig();
    if own.exists() {
        return Ok(own);
    }
    let from_environment = std::env::var_os("KUBECONFIG").map(PathBuf::from).filter(|p| p.exists());
    from_environment.with_context(|| {
        format!("there is no cluster in {} (start one with: gantry up)", target.data.data_dir.display())
    })
}
