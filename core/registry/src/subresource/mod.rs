//! Subresources whose body is not the object itself.

pub(crate) mod binding;
pub(crate) mod eviction;
pub mod scale;
