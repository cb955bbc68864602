//! `gantry images`: what the node's runtime holds.

use anyhow::{Context, Result};

use crate::cli::Images;
use crate::output::say;
use crate::paths::Paths;

/// Imports an archive into the node's containerd.
pub async fn import(flags: Images) -> Result<u8> {
    let Images::Import { data, containerd_socket, file } = flags;
    let paths = Paths::new(&data.data_dir)?;
    let socket = containerd_socket.unwrap_or_else(|| gantry_agent::socket(&paths.agent()));
    let names = gantry_agent::images::import(&socket, &file)
        .await
        .with_context(|| format!("importing {} into {}", file.display(), socket.display()))?;
    for name in names {
        say!("imported {name}");
    }
    Ok(0)
}
