//! The tree of an expression after parsing.
//!
//! Macros are gone: what they stand for is there as folds. Each node has an id; places, types and chosen overloads
//! are kept beside the tree by id.

use std::sync::Arc;

/// Number of a node within its tree.
pub(crate) type Id = usize;

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub id: Id,
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Literal(Literal),
    Ident(Arc<str>),
    Select(Box<Select>),
    Call(Box<Call>),
    List(Vec<Element>),
    Map(Vec<Entry>),
    Struct(Box<Struct>),
    Fold(Box<Fold>),
    /// Something that could not be parsed; never evaluated.
    Wrong,
}

/// A value written down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// `operand.field`, or the question whether it is there.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    pub operand: Expr,
    pub field: Arc<str>,
    pub test: bool,
}

/// A function applied.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub function: Arc<str>,
    pub target: Option<Expr>,
    pub args: Vec<Expr>,
}

/// One element of a list.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub value: Expr,
    pub optional: bool,
}

/// One entry of a map.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: Expr,
    pub value: Expr,
    pub optional: bool,
}

/// A struct with some of its fields.
#[derive(Clone, Debug)]
pub(crate) struct Struct {
    pub name: Arc<str>,
    pub fields: Vec<Field>,
}

/// A field of a struct that is given.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub id: Id,
    pub name: Arc<str>,
    pub value: Expr,
    pub optional: bool,
}

/// A walk over a range with an accumulator.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    pub range: Expr,
    pub item: Arc<str>,
    /// The second variable: item is then the index or key.
    pub second: Option<Arc<str>>,
    pub accumulator: Arc<str>,
    pub init: Expr,
    pub condition: Expr,
    pub step: Expr,
    pub result: Expr,
}

impl Fold {
    /// Whether it only gives a value a name: nothing to walk over.
    pub(crate) fn is_bind(&self) -> bool {
        matches!(&self.range.kind, Kind::List(elements) if elements.is_empty())
            && matches!(self.condition.kind, Kind::Literal(Literal::Bool(false)))
            && &*self.accumulator != ACCUMULATOR
    }
}

/// The accumulator of the folds that macros make; no expression can name it.
pub(crate) const ACCUMULATOR: &str = "@result";

/// Names of the operators as functions.
pub(crate) mod operator {
    pub(crate) const CONDITIONAL: &str = "_?_:_";
    pub(crate) const AND: &str = "_&&_";
    pub(crate) const OR: &str = "_||_";
    pub(crate) const NOT: &str = "!_";
    pub(crate) const EQUALS: &str = "_==_";
    pub(crate) const ADD: &str = "_+_";
    pub(crate) const NEGATE: &str = "-_";
    pub(crate) const INDEX: &str = "_[_]";
    pub(crate) const OPTIONAL_INDEX: &str = "_[?_]";
    pub(crate) const OPTIONAL_SELECT: &str = "_?._";
    pub(crate) const IN: &str = "@in";
    pub(crate) const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";
    pub(crate) const MAP_INSERT: &str = "cel.@mapInsert";
    pub(crate) const SORT_BY_KEYS: &str = "@sortByAssociatedKeys";
}

/// Gives ids, and remembers where each node stands.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    places: Vec<usize>,
}

impl Nodes {
    /// A new node that stands there.
    pub(crate) fn node(&mut self, at: usize, kind: Kind) -> Expr {
        Expr { id: self.id(at), kind }
    }
    /// An id of something that stands there.
    pub(crate) fn id(&mut self, at: usize) -> Id {
        self.places.push(at);
        self.places.len() - 1
    }
    /// Where the node stands.
    pub(crate) fn place(&self, id: Id) -> usize {
        self.places[id]
    }
    /// How many ids there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
    pub(crate) fn call(&mut self, at: usize, function: &str, args: Vec<Expr>) -> Expr {
        self.node(at, Kind::Call(Box::new(Call { function: function.into(), target: None, args })))
    }
    pub(crate) fn member(&mut self, at: usize, function: &str, target: Expr, args: Vec<Expr>) -> Expr {
        self.node(at, Kind::Call(Box::new(Call { function: function.into(), target: Some(target), args })))
    }
    pub(crate) fn ident(&mut self, at: usize, name: &str) -> Expr {
        self.node(at, Kind::Ident(name.into()))
    }
    pub(crate) fn literal(&mut self, at: usize, literal: Literal) -> Expr {
        self.node(at, Kind::Literal(literal))
    }
    /// The same tree with ids of its own.
    pub(crate) fn copy(&mut self, expr: &Expr) -> Expr {
        let mut copy = expr.clone();
        self.renumber(&mut copy);
        copy
    }
    fn renumber(&mut self, expr: &mut Expr) {
        expr.id = self.id(self.place(expr.id));
        match &mut expr.kind {
            Kind::Literal(_) | Kind::Ident(_) | Kind::Wrong => {}
            Kind::Select(select) => self.renumber(&mut select.operand),
            Kind::Call(call) => call.target.iter_mut().chain(&mut call.args).for_each(|e| self.renumber(e)),
            Kind::List(elements) => elements.iter_mut().for_each(|e| self.renumber(&mut e.value)),
            Kind::Map(entries) => entries.iter_mut().for_each(|e| {
                self.renumber(&mut e.key);
                self.renumber(&mut e.value);
            }),
            Kind::Struct(made) => made.fields.iter_mut().for_each(|f| {
                f.id = self.id(self.place(f.id));
                self.renumber(&mut f.value);
            }),
            Kind::Fold(fold) => {
                let Fold { range, init, condition, step, result, .. } = &mut **fold;
                [range, init, condition, step, result].into_iter().for_each(|e| self.renumber(e));
            }
        }
    }
}
