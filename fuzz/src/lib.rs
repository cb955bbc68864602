//! Fuzzing of everything that reads what clients and peers send, with the ordinary toolchain.
//!
//! `targets` names what is tried and what must hold of each input; `run` draws inputs from a corpus by a seed, and
//! writes down a finding with the smallest input that still shows it; `mutate` and `trees` make inputs of others;
//! `shaped` makes objects of the built-in types; `requests` makes what a hostile client sends.
//!
//! Invariants: a run is a function of target, seed and number of inputs; a target is a pure function of its input,
//! and bounds its work by counts that the input's size allows, never by the clock.

pub mod minimise;
pub mod mutate;
pub mod random;
pub mod requests;
pub mod run;
pub mod shaped;
pub mod targets;
pub mod trees;

pub use random::Random;
pub use run::{Finding, Report, run};
pub use targets::{Target, all};
