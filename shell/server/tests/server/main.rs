//! The server from outside, over real connections.

mod api;
mod consistency;
mod conversion;
mod tunnel;
mod world;
