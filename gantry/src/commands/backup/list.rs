//! `gantry backup list`: what there is, newest first, bad ones with the reason, and how the schedule does.

use anyhow::{Context, Result, bail};
use gantry_backup::{Listed, Place, age_seconds};
use gantry_client::Client;
use gantry_kinds::age;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{place, size};
use crate::cli::List;
use crate::output::say;
use crate::paths::Paths;
use crate::process::Running;

/// Lists backups; exit code 1 when one of them, or the schedule, is not well.
pub async fn list(flags: List) -> Result<u8> {
    let paths = Paths::new(&flags.data.data_dir)?;
    let schedule = schedule(&paths).await?;
    let from = match (&flags.from, schedule["schedule"]["to"].as_str()) {
        (Some(from), _) => from.clone(),
        (None, Some(to)) => to.to_owned(),
        (None, None) => bail!("say where they are: --from FOLDER or --from s3://BUCKET/PREFIX"),
    };
    let from = place(&from, &flags.s3)?;
    let mut all = from.list().await?;
    if flags.verify {
        verify(&from, &mut all).await;
    }
    let now = Timestamp::now();
    match flags.output.as_deref() {
        None => print(&from, &all, &schedule, now)?,
        Some("json") => {
            let items: Vec<Value> = all.iter().map(|one| row(one, now)).collect();
            let whole = json!({"place": from.describe(), "items": items, "schedule": schedule["schedule"], "record": schedule["record"]});
            say!("{}", serde_json::to_string_pretty(&whole)?);
        }
        Some(other) => bail!("-o {other:?} is not known; json is"),
    }
    let failing = schedule["record"]["failuresInARow"].as_u64().unwrap_or(0) > 0;
    Ok(u8::from(failing || all.iter().any(|one| one.found.is_err())))
}

/// What the server says of its schedule; null where none runs here.
async fn schedule(paths: &Paths) -> Result<Value> {
    if Running::find(paths)?.is_none() || !paths.admin_kubeconfig().exists() {
        return Ok(Value::Null);
    }
    let client = Client::from_kubeconfig(&paths.admin_kubeconfig(), None).context("reading the admin kubeconfig")?;
    match client.get("/gantry/v1/backup/schedule").await {
        Ok(found) => Ok(found),
        Err(error) => {
            eprintln!("warning: the server does not say how its schedule does: {error}");
            Ok(Value::Null)
        }
    }
}

async fn verify(from: &Place, all: &mut [Listed]) {
    for one in all.iter_mut().filter(|one| one.found.is_ok()) {
        let checked = match from.fetch(&one.name).await {
            Ok(file) => tokio::task::spawn_blocking(move || file.check_sum()).await.unwrap_or(Ok(())),
            Err(error) => Err(error),
        };
        if let Err(error) = checked {
            one.found = Err(error);
        }
    }
}

fn row(one: &Listed, now: Timestamp) -> Value {
    match &one.found {
        Ok(manifest) => {
            let mut value = serde_json::to_value(manifest).unwrap_or_default();
            value["name"] = json!(one.name);
            value["sizeBytes"] = json!(one.size_bytes);
            value["ageSeconds"] = json!(age_seconds(now, manifest.head.created));
            value["usable"] = json!(true);
            value
        }
        Err(why) => json!({
            "name": one.name, "sizeBytes": one.size_bytes, "usable": false, "problem": why.to_string(),
        }),
    }
}

fn print(from: &Place, all: &[Listed], schedule: &Value, now: Timestamp) -> Result<()> {
    for line in super::schedule::describe(schedule, now) {
        say!("{line}");
    }
    if all.is_empty() {
        say!("there are no backups in {}", from.describe());
        return Ok(());
    }
    let mut rows = vec![["NAME", "REVISION", "KEYS", "SIZE", "AGE", "ENCRYPTED FOR"].map(str::to_owned)];
    for one in all {
        let size = size(one.size_bytes);
        rows.push(match &one.found {
            Ok(m) => [
                one.name.clone(),
                m.head.revision.to_string(),
                m.entries.to_string(),
                size,
                age::between(m.head.created, now),
                m.encrypted_for.join(" "),
            ],
            Err(why) => [one.name.clone(), "-".to_owned(), "-".to_owned(), size, "-".to_owned(), format!("!! {why}")],
        });
    }
    let widths: Vec<usize> = (0..6).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say!("{}", cells.join("   ").trim_end());
    }
    Ok(())
}
