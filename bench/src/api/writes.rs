//! POST and PATCH of pods, over one connection and over many.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};
use bytes::Bytes;
use futures_util::future::try_join_all;
use gantry_client::Client;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::PODS;
use super::side::Side;
use crate::load;
use crate::samples::Samples;

const MANY: usize = 64;
/// One connection creates this share of what many do.
pub(super) const FEWER: usize = 10;
const PATCH: &str = r#"{"metadata":{"labels":{"tier":"front"}}}"#;

struct Names {
    count: &'static str,
    p50: &'static str,
    p99: &'static str,
    cpu: &'static str,
}

pub(super) async fn one_round(side: &mut Side, pods: usize, round: usize) -> Result<()> {
    let few = side.connect(1).await?;
    let many = side.connect(MANY).await?;
    let body = |mark: &'static str| {
        move |number: usize| {
            let mut pod = load::pod(number);
            pod["metadata"]["name"] = format!("{mark}-{round}-{number}").into();
            Call { method: Method::POST, path: PODS.to_owned(), kind: "application/json", body: pod.to_string().into() }
        }
    };
    let names =
        Names { count: "POST, 1 connection", p50: "POST, 1, p50", p99: "POST, 1, p99", cpu: "POST, 1, processor" };
    drive(side, &few, pods / FEWER, body("one"), &names).await?;
    let names =
        Names { count: "POST, 64 connections", p50: "POST, 64, p50", p99: "POST, 64, p99", cpu: "POST, 64, processor" };
    drive(side, &many, pods, body("many"), &names).await?;
    let patch = |number: usize| {
        let kind = "application/merge-patch+json";
        Call { method: Method::PATCH, path: format!("{PODS}/many-{round}-{number}"), kind, body: PATCH.into() }
    };
    let names = Names {
        count: "PATCH, 64 connections",
        p50: "PATCH, 64, p50",
        p99: "PATCH, 64, p99",
        cpu: "PATCH, 64, processor",
    };
    drive(side, &many, pods, patch, &names).await
}

struct Call {
    method: Method,
    path: String,
    kind: &'static str,
    body: Bytes,
}

/// Sends `count` requests, one at a time on each connection.
async fn drive(
    side: &mut Side,
    clients: &[Client],
    count: usize,
    make: impl Fn(usize) -> Call,
    names: &Names,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (next, make) = (&next, &make);
    let cpu = side.cpu_seconds()?;
    let start = Instant::now();
    let took = try_join_all(clients.iter().map(|client| async move {
        let mut took = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok::<_, anyhow::Error>(took);
            }
            let call = make(number);
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(call.kind))]);
            let start = Instant::now();
            let answer = client.send(call.method, &call.path, headers, call.body).await?;
            if !answer.status().is_success() {
                bail!("{}: {}", answer.status(), String::from_utf8_lossy(answer.body()));
            }
            took.push(start.elapsed().as_secs_f64() * 1000.0);
        }
    }))
    .await?;
    let elapsed = start.elapsed().as_secs_f64();
    let mut all = Samples::new("ms");
    took.into_iter().flatten().for_each(|took| all.push(took));
    side.push(names.count, "/s", count as f64 / elapsed);
    side.push(names.p50, "ms", all.quantile(0.5));
    side.push(names.p99, "ms", all.quantile(0.99));
    let used = side.cpu_seconds()? - cpu;
    side.push(names.cpu, "us a request", used * 1e6 / count as f64);
    Ok(())
}
