//! A LIST of all pods: time, first byte, memory, and the processor.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::PODS;
use super::side::Side;

/// How often the memory is read meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) async fn one_round(side: &mut Side) -> Result<()> {
    let client = side.connect(1).await?.remove(0);
    let (before, cpu) = (side.rss_mb()?, side.cpu_seconds()?);
    let (mut peak, mut bytes, mut first) = (before, 0, 0.0);
    let start = Instant::now();
    let mut looked = start;
    let mut body = client.stream(PODS).await.context("listing")?;
    while let Some(piece) = body.next().await.context("reading the list")? {
        if bytes == 0 {
            first = start.elapsed().as_secs_f64() * 1000.0;
        }
        bytes += piece.len();
        if looked.elapsed() > LOOK_EVERY {
            looked = Instant::now();
            peak = peak.max(side.rss_mb()?);
        }
    }
    side.push("LIST", "ms", start.elapsed().as_secs_f64() * 1000.0);
    side.push("LIST, first byte", "ms", first);
    side.push("LIST, growth", "MB", peak - before);
    let used = side.cpu_seconds()? - cpu;
    side.push("LIST, processor", "ms", used * 1000.0);
    side.push("LIST, size", "MB", bytes as f64 / 1e6);
    Ok(())
}
