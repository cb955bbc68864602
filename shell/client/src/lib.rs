//! A client of the API: requests, watches, streams, upgrades and remote commands over TLS.
//!
//! Invariants: no request waits for ever (connecting, answering and silence have bounds of their own); credentials
//! come from where they are kept, so files may change under a running client; a watch never ends and never skips.

mod client;
mod connection;
mod credentials;
mod error;
mod exec;
mod kubeconfig;
pub mod limits;
mod request;
mod watch;

pub use client::Client;
pub use connection::Connected;
pub use credentials::{Endpoint, Identity, Source};
pub use error::{ClientError, Refused};
pub use exec::{ExecEvent, ExecReader, ExecSession, ExecWriter, exit_code};
pub use kubeconfig::Kubeconfig;
pub use request::{BodyReader, PatchKind, encode_query};
pub use watch::{Event, Watch};
