//! How the API is reached, and as whom: the server's certificate, and the kubeconfigs that it writes.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::Result;
use gantry_registry::Settings;

use super::host::Host;
use crate::cli::ServerFlags;
use crate::failpoints::failpoint;
use crate::kubeconfig;
use crate::paths::Paths;
use crate::pki::{self, Pki};

/// What the server needs to speak TLS, for all names and addresses that it is known by.
pub fn certificates(paths: &Paths, flags: &ServerFlags, host: &Host, settings: &Settings) -> Result<Pki> {
    let mut names: Vec<String> =
        ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned).into();
    names.push(format!("kubernetes.default.svc.{}", settings.cluster_domain));
    names.push(host.name.clone());
    names.extend(flags.tls_san.iter().cloned());
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), host.address, IpAddr::V4(settings.api_service_ip)];
    if !flags.listen.ip().is_unspecified() {
        addresses.push(flags.listen.ip());
    }
    addresses.dedup();
    pki::prepare(&paths.pki(), &names, &addresses)
}

/// Writes the administrator's kubeconfig, which uses `local`, and the node's, which uses `for_node`; returns the
/// user's file when the context was merged.
pub fn kubeconfigs(
    paths: &Paths,
    flags: &ServerFlags,
    host: &Host,
    pki: &Pki,
    (local, for_node): (&str, &str),
) -> Result<Option<PathBuf>> {
    let ca = pki.authority.cert_pem();
    let admin =
        kubeconfig::document(local, ca, &pki.authority.issue_client("kubernetes-admin", Some("system:masters"))?);
    kubeconfig::write(&paths.admin_kubeconfig(), &admin)?;
    failpoint!("gantry::between_kubeconfigs");
    kubeconfig::write(&paths.node_kubeconfig(), &kubeconfig::of_node(for_node, &pki.authority, &host.name)?)?;
    if flags.no_merge_kubeconfig {
        return Ok(None);
    }
    match kubeconfig::merge_into_users(&admin) {
        Ok(file) => Ok(Some(file)),
        // The cluster is of use without it.
        Err(error) => {
            eprintln!("warning: no context was merged: {error:#}");
            Ok(None)
        }
    }
}
