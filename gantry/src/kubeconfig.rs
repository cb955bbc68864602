//! Kubeconfig files: the ones that gantry writes, and the user's own, into which a context is merged.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::paths::Paths;
use crate::pki::{Authority, Leaf, write_private};

/// Name of the context, cluster and user in kubeconfigs.
pub const CONTEXT: &str = "gantry";

/// A kubeconfig with one context that reaches `server` with the certificate `leaf`.
pub fn document(server: &str, ca_pem: &str, leaf: &Leaf) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "preferences": {},
        "clusters": [{"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(ca_pem)}}],
        "users": [{"name": CONTEXT, "user": {
            "client-certificate-data": STANDARD.encode(&leaf.cert_pem), "client-key-data": STANDARD.encode(&leaf.key_pem)}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    })
}

/// The kubeconfig of the agent of node `name`.
pub fn of_node(server: &str, authority: &Authority, name: &str) -> Result<Value> {
    let leaf = authority.issue_client(&format!("system:node:{name}"), Some("system:nodes"))?;
    Ok(document(server, authority.cert_pem(), &leaf))
}

/// Writes a kubeconfig with mode 0600.
pub fn write(path: &Path, document: &Value) -> Result<()> {
    let text = serde_saphyr::to_string(document).context("printing a kubeconfig")?;
    write_private(path, &text)
}

/// Puts the gantry context into the kubeconfig of the invoking user and makes it the current one when there is no
/// other. Returns the file. Entries of the same name are replaced, everything else is kept.
pub fn merge_into_users(document: &Value) -> Result<PathBuf> {
    let path = users_file()?;
    let mut merged: Value = match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => {
            serde_saphyr::from_str(&text).with_context(|| format!("{} is not a kubeconfig", path.display()))?
        }
        Ok(_) => json!({}),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => json!({}),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    merge(&mut merged, document).with_context(|| format!("{} is not a kubeconfig", path.display()))?;
    let folder = path.parent().context("the kubeconfig has no folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    write(&path, &merged)?;
    Ok(path)
}

/// Takes the gantry context out of the invoking user's kubeconfig again, where it is that of this data directory.
pub fn remove_from_users(paths: &Paths) -> Result<()> {
    let path = users_file()?;
    let (Ok(text), Ok(ours)) = (std::fs::read_to_string(&path), std::fs::read_to_string(paths.admin_kubeconfig()))
    else {
        return Ok(());
    };
    let mut merged: Value =
        serde_saphyr::from_str(&text).with_context(|| format!("{} is not a kubeconfig", path.display()))?;
    let ours: Value = serde_saphyr::from_str(&ours).context("the admin kubeconfig")?;
    let cluster = |file: &Value| {
        let entries = file["clusters"].as_array()?;
        entries.iter().find(|c| c["name"] == CONTEXT).cloned()
    };
    if cluster(&merged).is_none() || cluster(&merged) != cluster(&ours) {
        return Ok(());
    }
    for list in ["clusters", "users", "contexts"] {
        if let Some(entries) = merged.get_mut(list).and_then(Value::as_array_mut) {
            entries.retain(|entry| entry["name"] != CONTEXT);
        }
    }
    if merged["current-context"] == CONTEXT {
        merged["current-context"] = Value::from("");
    }
    write(&path, &merged)
}

fn merge(into: &mut Value, from: &Value) -> Result<()> {
    let Some(target) = into.as_object_mut() else { bail!("it is not a map") };
    target.entry("apiVersion").or_insert_with(|| json!("v1"));
    target.entry("kind").or_insert_with(|| json!("Config"));
    for list in ["clusters", "users", "contexts"] {
        let slot = target.entry(list).or_insert_with(|| json!([]));
        if slot.is_null() {
            *slot = json!([]);
        }
        let Some(entries) = slot.as_array_mut() else { bail!("{list} is not a list") };
        entries.retain(|entry| entry["name"] != CONTEXT);
        entries.extend(from[list].as_array().into_iter().flatten().cloned());
    }
    if target.get("current-context").and_then(Value::as_str).unwrap_or_default().is_empty() {
        target.insert("current-context".to_owned(), json!(CONTEXT));
    }
    Ok(())
}

/// `$KUBECONFIG`'s first file, else `~/.kube/config`.
fn users_file() -> Result<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|p| !p.as_os_str().is_empty())
    {
        return Ok(first);
    }
    let home = std::env::var_os("HOME").context("neither KUBECONFIG nor HOME is set")?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Value {
        let leaf = Leaf { cert_pem: "cert".to_owned(), key_pem: "key".to_owned() };
        document("https://127.0.0.1:6443", "ca", &leaf)
    }

    #[test]
    fn merging_keeps_what_others_put_there() {
        let mut file = json!({"clusters": [{"name": "prod"}, {"name": "gantry", "cluster": {"server": "old"}}],
            "users": null, "current-context": "prod", "extensions": [1]});
        merge(&mut file, &ours()).unwrap();
        assert_eq!(file["clusters"][0]["name"], "prod");
        assert_eq!(file["clusters"][1]["cluster"]["server"], "https://127.0.0.1:6443");
        assert_eq!(file["users"].as_array().unwrap().len(), 1);
        assert_eq!(file["current-context"], "prod");
        assert_eq!(file["extensions"], json!([1]));
    }

    #[test]
    fn the_first_context_becomes_the_current_one() {
        let mut file = json!({});
        merge(&mut file, &ours()).unwrap();
        assert_eq!(file["current-context"], "gantry");
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_refused() {
        assert!(merge(&mut json!([1]), &ours()).is_err());
        assert!(merge(&mut json!({"clusters": 3}), &ours()).is_err());
    }
}
