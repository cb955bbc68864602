//! The only way an object changes: `decide(view, request, now, seed)` answers with a commit, a reply or a refusal.
//!
//! Invariants: pure; every write carries the revision that it was decided on for every key it touches or relied
//! on, so that the store refuses it if something moved in between; authorization is decided here for every
//! caller, controllers and agents included.

pub mod request;

pub use request::{
    Body, Decision, DeleteOptions, FieldValidation, Operation, Options, PatchKind, Request, Target, User, Write,
};
