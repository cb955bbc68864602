//! Which API the small commands talk to.

use std::path::PathBuf;

use anyhow::{Context, Result};
use gantry_client::Client;

use crate::cli::{DataDir, Target};
use crate::paths::Paths;

/// A client from `--kubeconfig`, else the data directory's administrator, else `$KUBECONFIG`.
pub fn client(target: &Target) -> Result<Client> {
    let file = match &target.kubeconfig {
        Some(file) => file.clone(),
        None => default_file(&target.data)?,
    };
    Client::from_kubeconfig(&file, None).with_context(|| format!("reading {}", file.display()))
}

/// The data directory's administrator, else `$KUBECONFIG`.
pub fn default_file(data: &DataDir) -> Result<PathBuf> {
    let own = Paths::new(&data.data_dir)?.admin_kubeconfig();
    if own.exists() {
        return Ok(own);
    }
    let from_environment = std::env::var_os("KUBECONFIG").map(PathBuf::from).filter(|p| p.exists());
    from_environment
        .with_context(|| format!("there is no cluster in {} (start one with: gantry up)", data.data_dir.display()))
}
