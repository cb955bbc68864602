//! `gantry logs`: what a container wrote.

use std::io::Write;

use anyhow::{Context, Result};

use super::target;
use crate::cli::Logs;

/// Copies the log to standard output, for as long as it lasts.
pub async fn logs(flags: Logs) -> Result<u8> {
    let client = target::client(&flags.target)?;
    let mut path = format!(
        "/api/v1/namespaces/{}/pods/{}/log?follow={}&previous={}",
        flags.target.namespace, flags.pod, flags.follow, flags.previous
    );
    if let Some(container) = &flags.container {
        path.push_str(&format!("&container={container}"));
    }
    if let Some(lines) = flags.tail {
        path.push_str(&format!("&tailLines={lines}"));
    }
    let mut body = client.stream(&path).await?;
    let mut out = std::io::stdout();
    while let Some(chunk) = body.next().await? {
        out.write_all(&chunk).and_then(|()| out.flush()).context("writing to standard output")?;
    }
    Ok(0)
}
