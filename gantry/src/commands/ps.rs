//! `gantry ps`: what runs, on all nodes or, without any server, on this one.

use anyhow::{Context, Result};
use gantry_agent::local;
use jiff::Timestamp;

use super::get;
use crate::cli::{Get, Ps};
use crate::output::say;
use crate::paths::Paths;

/// Lists the containers of this node, or the pods of all.
pub async fn ps(flags: Ps) -> Result<u8> {
    if !flags.local {
        let (name, selector, output) = (None, None, None);
        let resource = "pods".to_owned();
        let all = Get { target: flags.target, resource, name, all_namespaces: true, selector, output, watch: false };
        return get::get(all).await;
    }
    let paths = Paths::new(&flags.target.data.data_dir)?;
    let listed = local::list(&paths.agent(), flags.containerd_socket.as_deref()).await;
    let listed = listed.with_context(|| format!("asking the runtime of the node in {}", paths.root().display()))?;
    let mut rows = vec![["NAMESPACE", "POD", "CONTAINER", "STATE", "RESTARTS", "AGE", "ID"].map(str::to_owned)];
    rows.extend(listed.into_iter().map(|one| {
        let id = one.id.get(..12).unwrap_or(&one.id).to_owned();
        let state = one.state.to_owned();
        [one.namespace, one.pod, one.container, state, one.restarts.to_string(), age(one.created), id]
    }));
    let widths: Vec<usize> = (0..7).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say!("{}", cells.join("   ").trim_end());
    }
    Ok(0)
}

fn age(created: Option<Timestamp>) -> String {
    created.map_or_else(|| "-".to_owned(), |created| gantry_kinds::age::between(created, Timestamp::now()))
}
