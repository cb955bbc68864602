//! One server and the faults of its machine: a disk that is full, fails or stalls, a process that is paused or
//! killed, watches that come too late or never read.

mod auditor;
mod disk;
mod objects;
mod pause;
mod rollout;
mod watches;
