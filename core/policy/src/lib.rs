//! Who may do what: `Chain::decide(view, attributes)` for every request, and what follows from roles (rules of a user,
//! escalation).
//!
//! Invariants: pure; deny unless something allows; `system:masters` may do all; a node may read only what pods bound
//! to it refer to. Bindings are found by subject (`View::by_term`), and rules are decoded once for each revision of
//! a role (`Object::derived`), so a decision costs a few look-ups whatever the number of bindings.

mod attributes;
pub mod audit;
mod authorize;
mod chain;
pub mod defaults;
pub mod escalation;
pub mod fairness;
mod node;
mod rbac;
mod rule;
mod webhook;

pub use attributes::{Attributes, User, Verdict};
pub use authorize::{forbidden, refusal};
pub use chain::{Authorizer, Chain, Known, Link, Resolved};
pub use rbac::rules_of;
pub use rule::Rule;
pub use webhook::{Question, Webhook, compile_condition, read_status};
