//! Calls that stand for something else, and what they stand for.
//!
//! The shape of what they become is a fact of the language: costs and error texts show it.

use std::sync::Arc;

use crate::ast::{ACCUMULATOR, Element, Expr, Fold, Kind, Literal, Nodes, Select, operator};
use crate::error::Issue;

/// What the call became, or why it cannot be what it looks like; none if it is a call after all.
pub(crate) type Expansion = Option<Result<Expr, Issue>>;

/// `function(args)` that stands at `at`.
pub(crate) fn global(nodes: &mut Nodes, at: usize, function: &str, args: &mut Vec<Expr>) -> Expansion {
    (function == "has" && args.len() == 1).then(|| {
        let arg = args.remove(0);
        match arg.kind {
            Kind::Select(select) if !select.test => {
                let Select { operand, field, .. } = *select;
                Ok(nodes.node(at, Kind::Select(Box::new(Select { operand, field, test: true }))))
            }
            _ => Err(wrong(nodes, &arg, "invalid argument to has() macro")),
        }
    })
}

/// `target.function(args)` that stands at `at`.
pub(crate) fn member(
    nodes: &mut Nodes,
    at: usize,
    function: &str,
    target: &mut Option<Expr>,
    args: &mut Vec<Expr>,
) -> Expansion {
    let expand = match (function, args.len()) {
        ("all" | "exists" | "exists_one" | "existsOne", 2 | 3)
        | ("map", 2 | 3)
        | ("filter", 2)
        | ("transformList" | "transformMap" | "transformMapEntry", 3 | 4) => fold,
        ("optMap" | "optFlatMap", 2) => optional_map,
        ("sortBy", 2) => sort_by,
        _ => return None,
    };
    let target = target.take()?;
    Some(expand(&mut Maker { nodes, at }, function, target, std::mem::take(args)))
}

fn wrong(nodes: &Nodes, expr: &Expr, message: &str) -> Issue {
    Issue { at: Some(nodes.place(expr.id)), message: message.to_owned() }
}

/// Makes nodes that stand where the macro stands.
struct Maker<'n> {
    nodes: &'n mut Nodes,
    at: usize,
}

impl Maker<'_> {
    fn call(&mut self, function: &str, args: Vec<Expr>) -> Expr {
        self.nodes.call(self.at, function, args)
    }
    fn accumulator(&mut self) -> Expr {
        self.nodes.ident(self.at, ACCUMULATOR)
    }
    fn literal(&mut self, literal: Literal) -> Expr {
        self.nodes.literal(self.at, literal)
    }
    fn list(&mut self, values: Vec<Expr>) -> Expr {
        let elements = values.into_iter().map(|value| Element { value, optional: false }).collect();
        self.nodes.node(self.at, Kind::List(elements))
    }
    fn name(&self, expr: &Expr, message: &str) -> Result<Arc<str>, Issue> {
        match &expr.kind {
            Kind::Ident(name) => Ok(name.clone()),
            _ => Err(wrong(self.nodes, expr, message)),
        }
    }
    fn item(&self, expr: &Expr, message: &str) -> Result<Arc<str>, Issue> {
        let name = self.name(expr, message)?;
        if &*name == ACCUMULATOR || &*name == "__result__" {
            return Err(wrong(self.nodes, expr, "iteration variable overwrites accumulator variable"));
        }
        Ok(name)
    }
    /// `result`, with `name` standing for `value`.
    fn bind(&mut self, name: &str, value: Expr, result: Expr) -> Expr {
        let fold = Fold {
            range: self.list(Vec::new()),
            item: "#unused".into(),
            second: None,
            accumulator: name.into(),
            init: value,
            condition: self.literal(Literal::Bool(false)),
            step: self.nodes.ident(self.at, name),
            result,
        };
        self.nodes.node(self.at, Kind::Fold(Box::new(fold)))
    }
}

/// The macros that walk over a range.
fn fold(make: &mut Maker<'_>, function: &str, range: Expr, args: Vec<Expr>) -> Result<Expr, Issue> {
    let two = match function {
        "all" | "exists" | "exists_one" | "existsOne" => args.len() == 3,
        "map" | "filter" => false,
        _ => true,
    };
    let simple = "argument must be a simple name";
    let message = if matches!(function, "map" | "filter") { "argument is not an identifier" } else { simple };
    let item = make.item(&args[0], message)?;
    let second = if two {
        let second = make.item(&args[1], message)?;
        if second == item {
            return Err(wrong(make.nodes, &args[1], &format!("duplicate variable name: {item}")));
        }
        Some(second)
    } else {
        None
    };
    let rest: Vec<Expr> = args.into_iter().skip(if two { 2 } else { 1 }).collect();
    let Parts { init, condition, step, result } = match function {
        "all" | "exists" | "exists_one" | "existsOne" => quantifier(make, function, rest),
        _ => collection(make, function, &item, rest),
    };
    let fold = Fold { range, item, second, accumulator: ACCUMULATOR.into(), init, condition, step, result };
    Ok(make.nodes.node(make.at, Kind::Fold(Box::new(fold))))
}

struct Parts {
    init: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

fn quantifier(make: &mut Maker<'_>, function: &str, rest: Vec<Expr>) -> Parts {
    let predicate = rest.into_iter().next().unwrap_or(Expr { id: 0, kind: Kind::Wrong });
    let accumulator = make.accumulator();
    match function {
        "all" => Parts {
            init: make.literal(Literal::Bool(true)),
            condition: make.call(operator::NOT_STRICTLY_FALSE, vec![accumulator]),
            step: {
                let accumulator = make.accumulator();
                make.call(operator::AND, vec![accumulator, predicate])
            },
            result: make.accumulator(),
        },
        "exists" => Parts {
            init: make.literal(Literal::Bool(false)),
            condition: {
                let not = make.call(operator::NOT, vec![accumulator]);
                make.call(operator::NOT_STRICTLY_FALSE, vec![not])
            },
            step: {
                let accumulator = make.accumulator();
                make.call(operator::OR, vec![accumulator, predicate])
            },
            result: make.accumulator(),
        },
        _ => Parts {
            init: make.literal(Literal::Int(0)),
            condition: make.literal(Literal::Bool(true)),
            step: {
                let one = make.literal(Literal::Int(1));
                let more = make.call(operator::ADD, vec![accumulator, one]);
                let same = make.accumulator();
                make.call(operator::CONDITIONAL, vec![predicate, more, same])
            },
            result: {
                let (accumulator, one) = (make.accumulator(), make.literal(Literal::Int(1)));
                make.call(operator::EQUALS, vec![accumulator, one])
            },
        },
    }
}

/// `map`, `filter` and the transformations: a filter that may be missing, and what is added for each item.
fn collection(make: &mut Maker<'_>, function: &str, item: &str, mut rest: Vec<Expr>) -> Parts {
    let added = if function == "filter" { make.nodes.ident(make.at, item) } else { rest.pop().unwrap_or(WRONG) };
    let accumulator = make.accumulator();
    let (init, step) = match function {
        "transformMap" => {
            let key = make.nodes.ident(make.at, item);
            (Kind::Map(Vec::new()), make.call(operator::MAP_INSERT, vec![accumulator, key, added]))
        }
        "transformMapEntry" => (Kind::Map(Vec::new()), make.call(operator::MAP_INSERT, vec![accumulator, added])),
        _ => {
            let list = make.list(vec![added]);
            (Kind::List(Vec::new()), make.call(operator::ADD, vec![accumulator, list]))
        }
    };
    let step = match rest.pop() {
        None => step,
        Some(filter) => {
            let same = make.accumulator();
            make.call(operator::CONDITIONAL, vec![filter, step, same])
        }
    };
    Parts {
        init: make.nodes.node(make.at, init),
        condition: make.literal(Literal::Bool(true)),
        step,
        result: make.accumulator(),
    }
}

const WRONG: Expr = Expr { id: 0, kind: Kind::Wrong };

fn optional_map(make: &mut Maker<'_>, function: &str, target: Expr, args: Vec<Expr>) -> Result<Expr, Issue> {
    let message = format!("{function}() variable name must be a simple identifier");
    let name = make.name(&args[0], &message)?;
    let mapped = args.into_iter().nth(1).unwrap_or(WRONG);
    let again = make.nodes.copy(&target);
    let there = make.nodes.member(make.at, "hasValue", target, Vec::new());
    let value = make.nodes.member(make.at, "value", again, Vec::new());
    let bound = make.bind(&name, value, mapped);
    let some = if function == "optMap" { make.call("optional.of", vec![bound]) } else { bound };
    let none = make.call("optional.none", Vec::new());
    Ok(make.call(operator::CONDITIONAL, vec![there, some, none]))
}

fn sort_by(make: &mut Maker<'_>, _: &str, target: Expr, args: Vec<Expr>) -> Result<Expr, Issue> {
    const INPUT: &str = "@__sortBy_input__";
    if !matches!(target.kind, Kind::List(_) | Kind::Select(_) | Kind::Ident(_) | Kind::Fold(_) | Kind::Call(_)) {
        let message = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
        return Err(wrong(make.nodes, &target, message));
    }
    let (input, again) = (make.nodes.ident(make.at, INPUT), make.nodes.ident(make.at, INPUT));
    let keys = fold(make, "map", again, args)?;
    let sorted = make.nodes.member(make.at, operator::SORT_BY_KEYS, input, vec![keys]);
    Ok(make.bind(INPUT, target, sorted))
}
