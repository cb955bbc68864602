//! Where the server is and who the client is.

use std::path::PathBuf;

use bytes::Bytes;

/// Bytes that are given, or read from a file again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The bytes themselves.
    Inline(Bytes),
    /// A file, read anew when it changes.
    File(PathBuf),
}

/// Who the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody.
    Anonymous,
    /// The owner of a certificate; both PEM.
    Certificate {
        /// The certificate and what follows it up to the root.
        certificate: Source,
        /// Its key.
        key: Source,
    },
    /// The bearer of a token.
    Token(Source),
}

/// A server and an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://HOST:PORT`, optionally with a path prefix.
    pub server: String,
    /// The authorities that may have signed the server's certificate, PEM.
    pub authority: Source,
    /// The name that the server's certificate must bear, when it is not the host.
    pub server_name: Option<String>,
    /// Who the client is.
    pub identity: Identity,
    /// What the client calls itself.
    pub user_agent: String,
}
