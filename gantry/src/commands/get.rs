//! `gantry get`: tables as the server prints them, or objects as JSON or YAML.

use anyhow::{Context, Result, bail};
use gantry_client::{Client, Event};
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Value;

use super::resources::{Resource, discover, find, split};
use super::target;
use crate::cli::Get;
use crate::output::say;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// Prints what was asked for.
pub async fn get(flags: Get) -> Result<u8> {
    let client = target::client(&flags.target)?;
    let resources = discover(&client).await?;
    let (word, name) = split(&flags.resource, flags.name.as_deref())?;
    let resource = find(&resources, word)?;
    let namespace = (!flags.all_namespaces).then_some(flags.target.namespace.as_str());
    let mut path = resource.path(namespace, name);
    if let Some(selector) = &flags.selector {
        path.push_str(&format!("?labelSelector={}", escape(selector)));
    }
    let wide = match flags.output.as_deref() {
        None => false,
        Some("wide") => true,
        Some("json") => {
            say!("{}", serde_json::to_string_pretty(&client.get(&path).await?)?);
            return Ok(0);
        }
        Some("yaml") => {
            crate::output::write(format_args!("{}", serde_saphyr::to_string(&client.get(&path).await?)?))?;
            return Ok(0);
        }
        Some("name") => return print_names(&client, resource, &path, name.is_some()).await,
        Some(other) => bail!("output format {other:?}: must be wide, json, yaml or name"),
    };
    let with_namespace = flags.all_namespaces && resource.namespaced;
    print_table(&table(&client, &path).await?, wide, with_namespace, true)?;
    if flags.watch {
        follow(&client, resource, &flags, name, wide).await?;
    }
    Ok(0)
}

async fn table(client: &Client, path: &str) -> Result<Value> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(TABLE));
    let response = client.send(Method::GET, path, headers, bytes::Bytes::new()).await?;
    let body: Value = serde_json::from_slice(response.body()).context("the server's answer is not JSON")?;
    if !response.status().is_success() {
        bail!("{}", body["message"].as_str().unwrap_or("the server refused"));
    }
    Ok(body)
}

async fn print_names(client: &Client, resource: &Resource, path: &str, single: bool) -> Result<u8> {
    let answer = client.get(path).await?;
    let one = [answer.clone()];
    let items = if single { &one[..] } else { answer["items"].as_array().map_or(&[][..], Vec::as_slice) };
    for item in items {
        say!("{}/{}", resource.kind.to_lowercase(), item["metadata"]["name"].as_str().unwrap_or_default());
    }
    Ok(0)
}

/// Prints an object's row whenever it changes.
async fn follow(client: &Client, resource: &Resource, flags: &Get, name: Option<&str>, wide: bool) -> Result<()> {
    let namespace = (!flags.all_namespaces).then_some(flags.target.namespace.as_str());
    let mut query = String::new();
    if let Some(name) = name {
        query.push_str(&format!("fieldSelector=metadata.name={name}"));
    } else if let Some(selector) = &flags.selector {
        query.push_str(&format!("labelSelector={}", escape(selector)));
    }
    let mut watch = client.watch(&resource.path(namespace, None), &query);
    loop {
        if let Event::Applied(object) = watch.next().await {
            let meta = &object["metadata"];
            let path = resource.path(meta["namespace"].as_str(), meta["name"].as_str());
            // It may be gone again by now.
            if let Ok(row) = table(client, &path).await {
                print_table(&row, wide, flags.all_namespaces && resource.namespaced, false)?;
            }
        }
    }
}

fn print_table(table: &Value, wide: bool, with_namespace: bool, with_head: bool) -> Result<()> {
    let columns = table["columnDefinitions"].as_array().map_or(&[][..], Vec::as_slice);
    let shown: Vec<usize> =
        (0..columns.len()).filter(|at| wide || columns[*at]["priority"].as_i64().unwrap_or(0) == 0).collect();
    let mut rows = Vec::new();
    if with_head {
        let head = shown.iter().map(|at| columns[*at]["name"].as_str().unwrap_or_default().to_uppercase());
        rows.push(with_namespace.then(|| "NAMESPACE".to_owned()).into_iter().chain(head).collect());
    }
    for row in table["rows"].as_array().into_iter().flatten() {
        let namespace = row["object"]["metadata"]["namespace"].as_str().unwrap_or_default();
        let cells = shown.iter().map(|at| cell(&row["cells"][*at]));
        rows.push(with_namespace.then(|| namespace.to_owned()).into_iter().chain(cells).collect());
    }
    if rows.len() == usize::from(with_head) {
        say!("No resources found.");
        return Ok(());
    }
    crate::output::write(format_args!("{}", align(&rows)))
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<none>".to_owned(),
        other => other.to_string(),
    }
}

/// Columns side by side, three spaces between them.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|r| r.get(at)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}   ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Percent-encodes what may not stand in a query.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["NAME".to_owned(), "AGE".to_owned()], vec!["a-long-name".to_owned(), "5s".to_owned()]];
        assert_eq!(align(&rows), "NAME          AGE\na-long-name   5s\n");
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escape("a in (b,c)"), "a%20in%20%28b%2Cc%29");
    }
}
