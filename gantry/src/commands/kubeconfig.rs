//! `gantry kubeconfig`: what the agent of another machine needs.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cli::NodeKubeconfig;
use crate::kubeconfig;
use crate::output::write;
use crate::paths::Paths;
use crate::pki::Authority;

/// Prints a kubeconfig for the node's agent; works beside a server, whose data directory has the authority.
pub fn print(flags: &NodeKubeconfig) -> Result<u8> {
    if let Some(problem) = gantry_kinds::names::dns_subdomain(&flags.node).first() {
        bail!("the node name {:?} cannot be used: {problem}", flags.node);
    }
    let paths = Paths::new(&flags.data.data_dir)?;
    let Some(authority) = Authority::load(&paths.pki())? else {
        bail!("no server has run in {}: run this where one does", paths.root().display());
    };
    let server = match &flags.server {
        Some(url) => url.clone(),
        None => server_of(&paths)?,
    };
    let document = kubeconfig::of_node(&server, &authority, &flags.node)?;
    let text = serde_saphyr::to_string(&document).context("printing a kubeconfig")?;
    write(format_args!("{text}"))?;
    Ok(0)
}

/// The URL in the node's kubeconfig of this machine; refused when no other machine can use it.
fn server_of(paths: &Paths) -> Result<String> {
    let path = paths.node_kubeconfig();
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let file: Value = serde_saphyr::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let url = file["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default();
    if url.is_empty() || url.starts_with("https://127.") {
        bail!("say by which URL the node reaches this server: --server https://ADDRESS:6443");
    }
    Ok(url.to_owned())
}
