//! Subresources whose body is not the object itself.

pub(crate) mod binding;
mod budget;
pub(crate) mod eviction;
pub mod scale;
