//! The embedded engine on a disk that loses power, tears, fills, stalls and fails.

mod flips;
mod full;
mod model;
mod power;
mod size;
mod sync;
