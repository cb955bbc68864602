//! The server from outside, over real connections.

mod api;
mod binary;
mod consistency;
mod conversion;
mod tunnel;
mod world;
