//! What is fuzzed, and what must hold of each input beside that nothing panics.

mod apply;
mod decode;
mod expressions;
mod frames;
mod kinds;
mod patches;
mod structural;
mod text;

use crate::Random;

/// How inputs of a target are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Byte by byte.
    Bytes,
    /// As JSON trees.
    Tree,
}

/// Something that reads inputs.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its file in the corpus, an input in each line.
    pub corpus: &'static str,
    /// How inputs are changed.
    pub syntax: Syntax,
    /// Makes inputs from nothing, where changed ones would seldom be read.
    pub make: Option<fn(&mut Random) -> Vec<u8>>,
    /// Whether the input is one of those that it reads; an error when what must hold does not.
    pub check: fn(&[u8]) -> Result<bool, String>,
    /// How much slower than others it is, in short runs.
    pub weight: u64,
}

impl Target {
    const fn new(name: &'static str, syntax: Syntax, check: fn(&[u8]) -> Result<bool, String>) -> Self {
        Target { name, corpus: name, syntax, make: None, check, weight: 1 }
    }
    const fn from(self, corpus: &'static str) -> Self {
        Target { corpus, ..self }
    }
    const fn made(self, make: fn(&mut Random) -> Vec<u8>) -> Self {
        Target { make: Some(make), ..self }
    }
    const fn heavy(self, weight: u64) -> Self {
        Target { weight, ..self }
    }
}

/// Every target.
pub fn all() -> Vec<Target> {
    use Syntax::{Bytes, Tree};
    vec![
        Target::new("json", Bytes, decode::json),
        Target::new("yaml", Bytes, decode::yaml),
        Target::new("strict", Tree, decode::strict).from("kinds").made(kinds::any_object),
        Target::new("protobuf", Bytes, decode::protobuf).made(decode::binary),
        Target::new("binary-trees", Tree, decode::round_trip).from("kinds").made(kinds::any_object),
        Target::new("json-patch", Tree, patches::operations),
        Target::new("merge-patch", Tree, patches::merge).from("strategic-patch"),
        Target::new("strategic-patch", Tree, patches::strategic),
        Target::new("apply", Tree, apply::sequence),
        Target::new("kinds", Tree, kinds::strategy).made(kinds::any_object),
        Target::new("structural", Tree, structural::schema),
        Target::new("label-selector", Bytes, text::label_selector),
        Target::new("field-selector", Bytes, text::field_selector),
        Target::new("quantity", Bytes, text::quantity),
        Target::new("json-path", Bytes, text::json_path),
        Target::new("cel", Bytes, expressions::rule).heavy(3),
        Target::new("node-frames", Bytes, frames::node).made(frames::some_node_frames),
        Target::new("spdy", Bytes, frames::spdy).made(frames::some_spdy_frames).heavy(5),
    ]
}

/// An error unless it holds.
fn hold(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}
