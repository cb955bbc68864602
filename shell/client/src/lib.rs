//! A client of the API: requests, watches, streams, upgrades and remote commands over TLS.
//!
//! Invariants: no request waits for ever (connecting, answering and silence have bounds of their own); credentials
//! come from where they are kept, so files may change under a running client; a watch never ends and never skips; a
//! request of unknown outcome is sent again only where that changes nothing.

mod client;
mod clock;
mod connection;
mod credentials;
mod deliver;
mod error;
mod exec;
mod jitter;
mod kubeconfig;
pub mod limits;
mod request;
mod servers;
mod watch;

pub use client::Client;
pub use clock::Skew;
pub use connection::Connected;
pub use credentials::{Endpoint, Identity, Source};
pub use error::{ClientError, Refused};
pub use exec::{ExecEvent, ExecReader, ExecSession, ExecWriter, exit_code};
pub use jitter::{Backoff, part_of};
pub use kubeconfig::Kubeconfig;
pub use request::{BodyReader, PatchKind, encode_query};
pub use watch::{Event, Watch};
