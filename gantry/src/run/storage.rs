//! The store of a server: one of its own on disk, or an etcd that several servers share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gantry_store::{EmbeddedStore, EtcdConfig, EtcdStore, Sizes, Store, StoreError};

use crate::cli::{StoreChoice, StoreFlags};
use crate::failpoints::failpoint;
use crate::paths::Paths;

/// Pause between two attempts to reach a store that cannot be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// An open store.
#[derive(Clone)]
pub enum Storage {
    /// In the data directory.
    Embedded(EmbeddedStore),
    /// In etcd.
    Etcd(EtcdStore),
}

impl Storage {
    /// Opens the store that the flags name; waits for an etcd that cannot be reached.
    pub async fn open(paths: &Paths, flags: &StoreFlags) -> Result<Self> {
        let StoreChoice::Etcd(urls) = &flags.store else {
            refuse_etcd_flags(flags)?;
            let folder = paths.store();
            let store = tokio::task::spawn_blocking(move || EmbeddedStore::open_sized(&folder, sizes())).await?;
            let store = store.with_context(|| format!("opening the store in {}", paths.store().display()))?;
            return Ok(Storage::Embedded(store));
        };
        if flags.cluster_key_file.is_none() {
            bail!(
                "--store etcd=... needs --cluster-key-file FILE: the key that encrypts what the servers share; the \
                 first server makes it, the others need a copy"
            );
        }
        let config = etcd_config(urls, flags)?;
        let store = patiently(|| EtcdStore::connect(config.clone()), |error| Some(error.clone())).await;
        Ok(Storage::Etcd(store.with_context(|| format!("connecting to etcd at {}", urls.join(", ")))?))
    }

    /// The store, as everybody else uses it.
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Storage::Embedded(store) => Arc::new(store.clone()),
            Storage::Etcd(store) => Arc::new(store.clone()),
        }
    }

    /// Writes down what a clean end can write down.
    pub async fn close(&self) {
        let Storage::Embedded(store) = self else { return };
        if let Err(error) = store.close().await {
            tracing::warn!(%error, "closing the store");
        }
    }
}

/// Does `work` until it succeeds or fails for another reason than that the store cannot be reached; says so once.
/// `reason` finds the store's error in that of `work`.
pub async fn patiently<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    work: impl Fn() -> F,
    reason: impl Fn(&E) -> Option<StoreError>,
) -> Result<T, E> {
    let mut said = false;
    loop {
        match work().await {
            Err(error)
                if matches!(reason(&error), Some(StoreError::Unavailable { .. } | StoreError::Unknown { .. })) =>
            {
                if !std::mem::replace(&mut said, true) {
                    println!("  waiting for the store: {error}");
                }
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// How large the parts of the own store are; a test that asks for it sees much happen in little data.
fn sizes() -> Sizes {
    failpoint!("gantry::small_store", |_| Sizes::SMALL);
    Sizes::default()
}

fn refuse_etcd_flags(flags: &StoreFlags) -> Result<()> {
    let given = [
        (flags.store_ca_file.is_some(), "--store-ca-file"),
        (flags.store_cert_file.is_some(), "--store-cert-file"),
        (flags.cluster_key_file.is_some(), "--cluster-key-file"),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, flag)) => bail!("{flag} is of use only with --store etcd=URL,URL,..."),
        None => Ok(()),
    }
}

fn etcd_config(urls: &[String], flags: &StoreFlags) -> Result<EtcdConfig> {
    let secure = urls.iter().filter(|url| url.starts_with("https://")).count();
    if secure != 0 && secure != urls.len() {
        bail!("--store mixes http:// and https:// URLs");
    }
    if secure == 0 && (flags.store_ca_file.is_some() || flags.store_cert_file.is_some()) {
        bail!("--store-ca-file and --store-cert-file are of use only with https:// URLs in --store");
    }
    if secure != 0 && flags.store_ca_file.is_none() {
        bail!("https:// URLs in --store need --store-ca-file FILE: the authority of etcd's certificates");
    }
    let read = |file: &Option<PathBuf>| {
        let text =
            |path: &PathBuf| std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
        file.as_ref().map(text).transpose()
    };
    Ok(EtcdConfig {
        endpoints: urls.to_vec(),
        prefix: flags.store_prefix.clone(),
        ca_pem: read(&flags.store_ca_file)?,
        cert_pem: read(&flags.store_cert_file)?,
        key_pem: read(&flags.store_key_file)?,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: StoreFlags,
    }

    fn check(words: &str, expected: &str) {
        let words = std::iter::once("gantry").chain(words.split_whitespace());
        let flags = Line::try_parse_from(words).unwrap().flags;
        let refused = match &flags.store {
            StoreChoice::Embedded => refuse_etcd_flags(&flags).err(),
            StoreChoice::Etcd(urls) => etcd_config(urls, &flags).err(),
        };
        let refused = refused.map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(refused.contains(expected) && refused.is_empty() == expected.is_empty(), "{refused}");
    }

    #[test]
    fn flags_that_do_not_fit_are_refused() {
        check("", "");
        check("--store-ca-file x", "--store-ca-file is of use only with --store etcd=");
        check("--cluster-key-file x", "--cluster-key-file is of use only with --store etcd=");
        check("--store etcd=http://a:2379", "");
        check("--store etcd=http://a:2379 --store-ca-file x", "only with https:// URLs");
        check("--store etcd=https://a:2379", "need --store-ca-file");
        check("--store etcd=https://a:2379,http://b:2379", "mixes");
        check("--store etcd=https://a:2379 --store-ca-file /nowhere", "reading /nowhere");
        assert!(Line::try_parse_from(["gantry", "--store-cert-file", "x"]).is_err());
    }
}
