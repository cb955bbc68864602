//! The Common Expression Language as Kubernetes speaks it: rules over objects, with a bound on what they cost.
//!
//! ```
//! # use std::sync::Arc;
//! # use gantry_cel::{Activation, Budget, Declared, Env, Program};
//! # use serde_json::json;
//! let schema = json!({"type": "object", "properties": {
//!     "replicas": {"type": "integer"}, "maxReplicas": {"type": "integer"}}});
//! let declared = Declared::from_openapi(&schema, false, "self").unwrap();
//! let env = Arc::new(Env::new().variable("self", declared));
//! let program = Program::compile("self.replicas <= self.maxReplicas", &env).unwrap();
//! let object = json!({"replicas": 3, "maxReplicas": 2});
//! let held = program.evaluate(&Activation::new().data("self", &object), &mut Budget::for_object()).unwrap();
//! assert_eq!(held.as_bool(), Some(false));
//! ```

mod activation;
mod ast;
mod authorizer;
mod check;
mod compare;
mod cost;
mod data;
mod declare;
mod deep;
mod env;
mod error;
mod escape;
mod eval;
mod functions;
mod json;
mod lexer;
mod library;
pub mod limits;
mod literal;
mod macros;
mod parser;
mod pattern;
mod plan;
mod program;
#[cfg(test)]
mod tests;
mod thing;
mod time;
mod types;
mod validate;
mod value;

pub use activation::Activation;
pub use authorizer::{Attributes, Authorizer, Decision, Question};
pub use declare::{Declared, Field, Merge, Struct};
pub use env::Env;
pub use error::{CompileError, EvalError, Issue};
pub use escape::escape;
pub use program::{Budget, Program};
pub use thing::Thing;
pub use time::Instant;
pub use types::{Opaque, Type};
pub use value::{Key, List, Map, Object, Text, Value};
