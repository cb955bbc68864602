//! SPDY/3.1: streams with headers and flow control on one connection, in both roles.
//!
//! Invariants: all that a peer can make us keep is bounded (streams, headers, bytes per stream); a stream that
//! nobody reads holds its sender back, by windows if the peer knows them and by not reading on if it does not.

mod codec;
mod dictionary;
mod headers;
mod mux;
mod reader;
mod stream;
mod writer;

#[cfg(test)]
mod tests;

pub use headers::Headers;
pub use mux::Connection;
pub use stream::Stream;
