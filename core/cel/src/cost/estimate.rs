//! The most that an expression may cost, from what is declared of the data it sees.
//!
//! Nodes are visited once, from the leaves; on the way their paths into the declared data are followed, as sizes are
//! known there. What is not known is as large as can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ast::{ACCUMULATOR, Call, Expr, Fold, Id, Kind, Literal, Select, operator};
use crate::check::Checked;
use crate::cost::{self, call};
use crate::declare::Declared;
use crate::deep;
use crate::env::Env;
use crate::types::Type;

/// The least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub min: u64,
    pub max: u64,
}

impl Range {
    pub(crate) const UNKNOWN: Range = Range { min: 0, max: u64::MAX };

    pub(crate) fn exact(size: u64) -> Self {
        Range { min: size, max: size }
    }
    pub(crate) fn plus(self, other: Range) -> Self {
        Range { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }
    pub(crate) fn times(self, other: Range) -> Self {
        Range { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Range { min: cost::scaled(self.min, factor), max: cost::scaled(self.max, factor) }
    }
    pub(crate) fn or(self, other: Range) -> Self {
        Range { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// The sizes of keys and values in a collection that the expression makes.
#[derive(Clone, Copy, Debug)]
struct Entries {
    list: bool,
    key: Range,
    value: Range,
}

impl Entries {
    fn or(self, other: Entries) -> Self {
        Entries { list: self.list, key: self.key.or(other.key), value: self.value.or(other.value) }
    }
}

/// A local variable.
struct Local {
    name: Arc<str>,
    path: Vec<Arc<str>>,
    size: Option<Range>,
    entries: Option<Entries>,
}

/// What is known of an argument of a call.
pub(crate) struct Argument<'e> {
    pub expr: &'e Expr,
    pub ty: Type,
    pub path: Vec<Arc<str>>,
    pub size: Option<Range>,
}

/// The most that the expression costs.
pub(crate) fn estimate(root: &Expr, checked: &Checked, env: &Env) -> Range {
    let mut estimator = Estimator {
        checked,
        env,
        paths: BTreeMap::new(),
        sizes: BTreeMap::new(),
        entries: BTreeMap::new(),
        locals: Vec::new(),
    };
    estimator.cost(root)
}

pub(crate) struct Estimator<'e> {
    checked: &'e Checked,
    env: &'e Env,
    paths: BTreeMap<Id, Vec<Arc<str>>>,
    sizes: BTreeMap<Id, Range>,
    entries: BTreeMap<Id, Entries>,
    locals: Vec<Local>,
}

const ONE: Range = Range { min: 1, max: 1 };
const NOTHING: Range = Range { min: 0, max: 0 };
const EMPTY: Range = Range { min: u64::MAX, max: 0 };

impl<'e> Estimator<'e> {
    fn cost(&mut self, expr: &'e Expr) -> Range {
        deep::deeper(|| self.node(expr))
    }
    fn node(&mut self, expr: &'e Expr) -> Range {
        match &expr.kind {
            Kind::Literal(_) | Kind::Wrong => NOTHING,
            Kind::Ident(name) => {
                let path = self.local(name).map_or_else(|| vec![name.clone()], |local| local.path.clone());
                self.paths.insert(expr.id, path);
                ONE
            }
            Kind::Select(select) => self.select(expr.id, select),
            Kind::Call(call) => self.call(expr, call),
            Kind::List(elements) => {
                let empty = if elements.is_empty() { NOTHING } else { EMPTY };
                let (mut sum, mut sizes) = (Range::exact(10), empty);
                for element in elements {
                    sum = sum.plus(self.cost(&element.value));
                    sizes = sizes.or(self.size_or_unknown(&element.value));
                }
                self.entries.insert(expr.id, Entries { list: true, key: ONE, value: sizes });
                sum
            }
            Kind::Map(entries) => {
                let empty = if entries.is_empty() { NOTHING } else { EMPTY };
                let (mut sum, mut keys, mut values) = (Range::exact(30), empty, empty);
                for entry in entries {
                    sum = sum.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
                    keys = keys.or(self.size_or_unknown(&entry.key));
                    values = values.or(self.size_or_unknown(&entry.value));
                }
                self.entries.insert(expr.id, Entries { list: false, key: keys, value: values });
                sum
            }
            Kind::Struct(made) => {
                made.fields.iter().fold(Range::exact(40), |sum, field| sum.plus(self.cost(&field.value)))
            }
            Kind::Fold(fold) if fold.is_bind() => self.bind(expr.id, fold),
            Kind::Fold(fold) => self.fold(expr.id, fold),
        }
    }
    fn select(&mut self, id: Id, select: &'e Select) -> Range {
        let operand = self.cost(&select.operand);
        if select.test {
            return operand;
        }
        let mut path = self.path(&select.operand);
        path.push(select.field.clone());
        self.paths.insert(id, path);
        match self.ty(&select.operand) {
            Type::Map(_) | Type::Struct(_) => operand.plus(ONE),
            _ => operand,
        }
    }
    fn call(&mut self, expr: &'e Expr, call: &'e Call) -> Range {
        if &*call.function == "dyn"
            && let [arg] = &call.args[..]
        {
            let cost = self.cost(arg).plus(ONE);
            self.copy_sizes(expr.id, arg);
            return cost;
        }
        let mut costs = Vec::with_capacity(call.args.len());
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            costs.push(self.cost(arg));
            args.push(self.argument(arg));
        }
        let checked = self.checked;
        let overloads = checked.overloads.get(&expr.id).map(Vec::as_slice).unwrap_or_default();
        if overloads.is_empty() {
            return NOTHING;
        }
        let mut sum = NOTHING;
        let mut target = None;
        if let Some(of) = &call.target {
            sum = self.cost(of);
            target = Some(self.argument(of));
        }
        let (mut most, mut size) = (EMPTY, None::<Range>);
        for overload in overloads {
            let (cost, result) = self.overload(expr.id, call, overload, target.as_ref(), &args, &costs);
            most = most.or(cost);
            if let Some(result) = result {
                size = Some(size.map_or(result, |size| size.or(result)));
            }
            let step = match *overload {
                "index_list" => Some("@items"),
                "index_map" => Some("@values"),
                _ => None,
            };
            if let (Some(step), Some(of)) = (step, call.args.first()) {
                size = self.entries_of(of).map(|entries| entries.value);
                let mut path = self.path(of);
                path.push(step.into());
                self.paths.insert(expr.id, path);
            }
            size = size.or_else(|| self.size(expr));
        }
        if let Some(size) = size {
            self.sizes.insert(expr.id, size);
        }
        sum.plus(most)
    }
    fn overload(
        &mut self,
        id: Id,
        call: &Call,
        overload: &str,
        target: Option<&Argument<'_>>,
        args: &[Argument<'_>],
        costs: &[Range],
    ) -> (Range, Option<Range>) {
        let all = costs.iter().fold(NOTHING, |sum, cost| sum.plus(*cost));
        match (&*call.function, args) {
            (operator::AND | operator::OR, _) => (Range { min: costs[0].min, max: all.max }, None),
            (operator::CONDITIONAL, [_, yes, no]) => {
                if let (Some(yes), Some(no)) = (self.entries_of(yes.expr), self.entries_of(no.expr)) {
                    self.entries.insert(id, yes.or(no));
                }
                let size = yes.size.unwrap_or(Range::UNKNOWN).or(no.size.unwrap_or(Range::UNKNOWN));
                (costs[0].plus(costs[1].or(costs[2])), Some(size))
            }
            (operator::ADD, [one, two]) if matches!(overload, "add_string" | "add_bytes" | "add_list") => {
                let size = one.size.unwrap_or(Range::UNKNOWN).plus(two.size.unwrap_or(Range::UNKNOWN));
                if let (Some(one), Some(two)) = (self.entries_of(one.expr), self.entries_of(two.expr)) {
                    self.entries.insert(id, one.or(two));
                }
                let cost = if overload == "add_list" { ONE } else { size.scaled(cost::CHARACTER) };
                (cost.plus(all), Some(size))
            }
            _ => {
                let (cost, size) = call::estimate(self, &call.function, overload, target, args);
                (cost.plus(all), size)
            }
        }
    }
    fn bind(&mut self, id: Id, fold: &'e Fold) -> Range {
        let sum = self.cost(&fold.range).plus(self.cost(&fold.init));
        self.push_value(fold.accumulator.clone(), &fold.init);
        let sum = sum.plus(self.cost(&fold.result));
        self.locals.pop();
        self.copy_sizes(id, &fold.result);
        sum
    }
    fn fold(&mut self, id: Id, fold: &'e Fold) -> Range {
        let sum = self.cost(&fold.range).plus(self.cost(&fold.init));
        self.push_value(fold.accumulator.clone(), &fold.init);
        let before = self.locals.len();
        match &fold.second {
            Some(second) => {
                self.push_item(fold.item.clone(), &fold.range, ["@indices", "@keys"], |e| Some(e.key));
                self.push_item(second.clone(), &fold.range, ["@items", "@values"], |e| Some(e.value));
            }
            None => self.push_item(fold.item.clone(), &fold.range, ["@items", "@keys"], |e| {
                Some(if e.list { e.value } else { e.key })
            }),
        }
        let turn = self.cost(&fold.condition).plus(self.cost(&fold.step));
        self.locals.truncate(before);
        let sum = sum.plus(self.cost(&fold.result));
        self.locals.pop();
        let turns = self.size_or_unknown(&fold.range);
        match &fold.init.kind {
            Kind::Literal(_) => {
                if let Some(size) = self.size(&fold.init) {
                    self.sizes.insert(id, size);
                }
            }
            Kind::List(_) | Kind::Map(_) => {
                self.sizes.insert(id, turns);
                if let Some(entries) = self.entries_of(&fold.step) {
                    self.entries.insert(id, entries);
                }
            }
            _ => {}
        }
        sum.plus(turns.times(turn))
    }
    fn push_value(&mut self, name: Arc<str>, value: &Expr) {
        let local = Local { name, path: self.path(value), size: self.size(value), entries: self.entries_of(value) };
        self.locals.push(local);
    }
    /// A variable for one part of a range; `steps` lead there in lists and in maps.
    fn push_item(&mut self, name: Arc<str>, range: &Expr, steps: [&str; 2], size: impl Fn(Entries) -> Option<Range>) {
        let entries = self.entries_of(range);
        let list = entries.map_or_else(|| matches!(self.ty(range), Type::List(_)), |entries| entries.list);
        let mut path = self.path(range);
        path.push(steps[usize::from(!list)].into());
        self.locals.push(Local { name, path, size: entries.and_then(size), entries: None });
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| &*local.name == name)
    }
    fn ty(&self, expr: &Expr) -> Type {
        self.checked.types.get(&expr.id).cloned().unwrap_or(Type::Dyn)
    }
    fn path(&self, expr: &Expr) -> Vec<Arc<str>> {
        match &expr.kind {
            Kind::Ident(name) if self.local(name).is_some() => {
                self.local(name).map(|local| local.path.clone()).unwrap_or_default()
            }
            _ => self.paths.get(&expr.id).cloned().unwrap_or_default(),
        }
    }
    fn argument<'x>(&mut self, expr: &'x Expr) -> Argument<'x> {
        let mut path = self.path(expr);
        if path.first().is_some_and(|first| &**first == ACCUMULATOR) {
            path.clear();
        }
        Argument { expr, ty: self.ty(expr), path, size: self.size(expr) }
    }
    fn copy_sizes(&mut self, id: Id, from: &Expr) {
        if let Some(size) = self.size(from) {
            self.sizes.insert(id, size);
        }
        if let Some(entries) = self.entries_of(from) {
            self.entries.insert(id, entries);
        }
    }
    fn entries_of(&self, expr: &Expr) -> Option<Entries> {
        self.entries.get(&expr.id).copied().or_else(|| match &expr.kind {
            Kind::Ident(name) => self.local(name)?.entries,
            _ => None,
        })
    }
    fn size_or_unknown(&mut self, expr: &Expr) -> Range {
        self.size(expr).unwrap_or(Range::UNKNOWN)
    }
    fn size(&mut self, expr: &Expr) -> Option<Range> {
        if let Some(size) = self.sizes.get(&expr.id) {
            return Some(*size);
        }
        if let Some(size) = written_size(expr) {
            return Some(Range::exact(size));
        }
        if let Some(size) = self.declared_size(&self.path(expr)) {
            self.sizes.insert(expr.id, size);
            return Some(size);
        }
        if self.ty(expr).is_scalar() {
            return Some(ONE);
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name)?.size,
            _ => None,
        }
    }
    /// The size of what the path leads to. A path that begins in no variable begins at `self`.
    pub(crate) fn declared_size(&self, path: &[Arc<str>]) -> Option<Range> {
        let (first, rest) = path.split_first()?;
        let variable = self.env.variables.get(&**first).or_else(|| self.env.variables.get("self"))?;
        let mut at: &Declared = variable.declared.as_deref()?;
        for step in rest {
            at = at.at(step)?;
        }
        Some(Range { min: 0, max: at.max_elements() })
    }
}

/// The size of what is written down.
fn written_size(expr: &Expr) -> Option<u64> {
    Some(match &expr.kind {
        Kind::Literal(Literal::String(text)) => text.chars().count() as u64,
        Kind::Literal(Literal::Bytes(bytes)) => bytes.len() as u64,
        Kind::Literal(_) => 1,
        Kind::List(elements) => elements.len() as u64,
        Kind::Map(entries) => entries.len() as u64,
        _ => return None,
    })
}
