//! The server from outside, over real connections.

mod aggregation;
mod api;
mod audit;
mod binary;
mod connections;
mod consistency;
mod conversion;
mod tunnel;
mod world;
