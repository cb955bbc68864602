//! Many streams on one connection: the SPDY/3.1 that kubectl and containerd speak, remote commands and forwarded
//! ports over WebSocket and SPDY, and the frames between server and node.
//!
//! Invariants: whatever the peer sends, nothing here panics or grows without bound; a slow reader slows its writer
//! down; every session ends with a status or with its connection.

pub mod frames;
pub mod limits;
pub mod port_forward;
pub mod reading;
pub mod remote_command;
pub mod session;
pub mod spdy;

mod error;
mod upgrade;

pub use error::{Refusal, StreamError};
pub use session::{FrameReceiver, FrameSender, Session};
