//! The server from outside, over real connections.

mod api;
mod tunnel;
mod world;
