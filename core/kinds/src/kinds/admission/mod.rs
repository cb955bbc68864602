//! What asks others, or rules of its own, before an object is stored: webhooks and admission policies.

pub mod binding;
mod condition;
mod matching;
pub mod policy;
pub mod webhook;
