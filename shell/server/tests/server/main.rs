//! The server from outside, over real connections.

mod api;
mod consistency;
mod tunnel;
mod world;
