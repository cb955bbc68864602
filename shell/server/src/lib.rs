//! The API server: TLS, who asks, what for, and the answer, on one port.
//!
//! Invariants: routes, discovery and documents derive from the kind table; reads come from the view, writes go through
//! the registry, nothing is decided here but who somebody is; a slow or broken client costs itself alone; every
//! bound has a name in `limits`.

mod aggregation;
mod app;
mod audit;
mod authn;
mod authz;
mod binary;
mod connect;
mod deadline;
mod discovery;
mod event_rates;
mod extension;
mod failpoints;
mod fairness;
mod farewell;
mod gather;
mod health;
pub mod limits;
mod metrics;
mod negotiate;
mod openapi;
mod paths;
mod patience;
mod pods;
mod proxy;
mod query;
mod read;
mod resource;
mod respond;
mod route;
mod server;
mod service;
mod tls;
mod tokens;
mod trust;
mod tunnel;
mod watch;
mod webhook;
mod write;

pub use aggregation::FrontProxy;
pub use audit::{AuditConfig, AuditLog, AuditMode};
pub use authn::{Anonymous, KeyError};
pub use authz::{Authorization, Flags as AuthorizationFlags};
pub use event_rates::EventLimit;
pub use extension::{Content, Extension, Reply};
#[cfg(feature = "failpoints")]
pub use failpoints::FAILPOINTS;
pub use gantry_policy::audit::AuditPolicy;
pub use server::{Config, Server, StartError, Version};
pub use tls::{Tls, TlsError};
pub use tunnel::Tunnels;

/// How a handler says no.
type Refusal = Box<gantry_kinds::Status>;
