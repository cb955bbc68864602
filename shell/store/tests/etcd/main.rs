//! The store in a real etcd: what the other back ends cannot get wrong.

mod bulk;
mod faults;
mod limits;
mod trust;
mod watches;
mod world;
