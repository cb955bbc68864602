//! The streams of pods: logs, commands and forwarded ports, from the node that runs the pod, through its tunnel.

mod command;
mod forward;
mod log;
mod target;

pub(crate) use command::{from_streams, remote_command};
pub(crate) use forward::port_forward;
pub(crate) use log::log;
