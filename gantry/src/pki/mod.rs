//! The cluster's certificates: one P-256 authority, and leaves that are made anew at every start.
//!
//! Invariants: private keys are readable by their owner alone; the authority and the service-account key are made
//! once and never replaced; a file is complete or absent (written beside and renamed).

mod authority;
mod der;
mod files;
mod requests;
mod shared;

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
pub use authority::{Authority, Leaf};
pub use files::{read_if_there, write_private};
use rcgen::SanType;
pub use requests::Signer;
pub use shared::agree;

/// File of the key of service-account tokens.
const TOKEN_KEY: &str = "service-account.key";

/// The name under which the servers speak for their clients.
pub const FRONT_PROXY_CLIENT: &str = "front-proxy-client";

/// Everything that the server needs to speak TLS and to sign tokens, and the leaves of the first users.
pub struct Pki {
    /// The authority.
    pub authority: Authority,
    /// The API server's certificate.
    pub server: Leaf,
    /// The authority of the servers where they speak for their clients.
    pub front_proxy: Authority,
    /// The certificate of this server there, under the name `FRONT_PROXY_CLIENT`.
    pub front_proxy_client: Leaf,
    /// Private key of service-account tokens, PKCS#8 PEM, P-256.
    pub token_key_pem: String,
}

/// Loads the authority from `folder`, or makes it there, and issues the server's certificate for `names` and
/// `addresses`.
pub fn prepare(folder: &Path, names: &[String], addresses: &[IpAddr]) -> Result<Pki> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let authority = Authority::load_or_create(folder)?;
    let mut alternatives = addresses.iter().map(|a| SanType::IpAddress(*a)).collect::<Vec<_>>();
    for name in names {
        alternatives.push(match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into().with_context(|| format!("host name {name:?}"))?),
        });
    }
    let server = authority.issue_server("kube-apiserver", alternatives)?;
    let token_key_pem = files::load_or_create(&folder.join(TOKEN_KEY), authority::new_key_pem)?;
    let front_proxy = authority.front_proxy()?;
    let front_proxy_client = front_proxy.issue_client(FRONT_PROXY_CLIENT, None)?;
    Ok(Pki { authority, server, front_proxy, front_proxy_client, token_key_pem })
}
