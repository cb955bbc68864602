//! A checked tree made ready to run: names are places, functions are pointers, constants are values.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ast::{self, Expr, Fold, Kind, Literal, operator};
use crate::check::Checked;
use crate::declare::Struct;
use crate::error::EvalError;
use crate::eval::go_name;
use crate::functions::{self, Declaration};
use crate::types::Type;
use crate::value::{Key, Map, Value};
use crate::{deep, pattern};

/// One step of a program.
#[derive(Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    Variable(Arc<str>),
    /// A local variable, counted from the outermost.
    Local(usize),
    Select(Box<Node>, Arc<str>),
    Test(Box<Node>, Arc<str>),
    OptionalSelect(Box<Node>, Arc<str>),
    Index(Box<Node>, Box<Node>),
    OptionalIndex(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Conditional(Box<Node>, Box<Node>, Box<Node>),
    /// An optional, or another value when it is none; whether the other is optional too.
    OrElse(Box<Node>, Box<Node>, bool),
    NotStrictlyFalse(Box<Node>),
    /// Membership in a list that is written down.
    InConstant(Box<Node>, Value<'static>),
    Call(Box<Call>),
    List(Vec<(Node, bool)>),
    Map(Vec<(Node, Node, bool)>),
    Struct(Arc<Struct>, Vec<(Arc<str>, Node, bool)>),
    Fold(Box<Loop>),
    Bind(Box<Node>, Box<Node>),
}

/// A function with its arguments.
pub(crate) struct Call {
    pub function: &'static Declaration,
    pub args: Vec<Node>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("function", &self.function.name).field("args", &self.args).finish()
    }
}

/// A walk over a range.
#[derive(Debug)]
pub(crate) struct Loop {
    pub range: Node,
    pub two: bool,
    pub init: Node,
    pub condition: Node,
    pub step: Step,
    pub result: Node,
}

/// What one turn of a loop does to the accumulator.
#[derive(Debug)]
pub(crate) enum Step {
    /// Anything.
    Any(Node),
    /// Adds one element, when the filter holds.
    Append(Option<Node>, Node),
    /// Adds an entry, or the entries of a map, when the filter holds.
    Insert(Option<Node>, Option<Node>, Node),
}

/// Makes the tree ready; constants that cannot be read are errors now.
pub(crate) fn plan(root: &Expr, checked: &Checked) -> Result<Node, EvalError> {
    let mut planner = Planner { checked, locals: Vec::new(), wrong: None };
    let node = planner.node(root);
    planner.wrong.map_or(Ok(node), Err)
}

struct Planner<'c> {
    checked: &'c Checked,
    locals: Vec<Arc<str>>,
    wrong: Option<EvalError>,
}

impl Planner<'_> {
    fn boxed(&mut self, expr: &Expr) -> Box<Node> {
        Box::new(self.node(expr))
    }
    fn node(&mut self, expr: &Expr) -> Node {
        deep::deeper(|| self.shallow(expr))
    }
    fn shallow(&mut self, expr: &Expr) -> Node {
        if let Some(named) = self.checked.named.get(&expr.id) {
            return Node::Constant(Value::Type(Arc::new(named.clone())));
        }
        match &expr.kind {
            Kind::Literal(literal) => Node::Constant(constant(literal)),
            Kind::Ident(name) => self.ident(name),
            Kind::Select(select) => {
                let operand = self.boxed(&select.operand);
                if select.test {
                    Node::Test(operand, select.field.clone())
                } else {
                    Node::Select(operand, select.field.clone())
                }
            }
            Kind::Call(call) => self.call(call),
            Kind::List(elements) => {
                let parts: Vec<_> = elements.iter().map(|e| (self.node(&e.value), e.optional)).collect();
                let all: Option<Vec<_>> =
                    parts.iter().map(|(node, optional)| node.value().filter(|_| !optional)).collect();
                all.map_or(Node::List(parts), |all| Node::Constant(Value::list(all)))
            }
            Kind::Map(entries) => self.map(entries),
            Kind::Struct(made) => {
                let fields = made.fields.iter().map(|f| (f.name.clone(), self.node(&f.value), f.optional)).collect();
                match self.checked.types.get(&expr.id) {
                    Some(Type::Struct(of)) => Node::Struct(of.clone(), fields),
                    _ => Node::Map(Vec::new()),
                }
            }
            Kind::Fold(fold) => self.fold(fold),
            Kind::Wrong => Node::Constant(Value::Null),
        }
    }
    fn ident(&self, name: &str) -> Node {
        let global = name.strip_prefix('.');
        match self.locals.iter().rposition(|local| &**local == name) {
            Some(at) if global.is_none() => Node::Local(at),
            _ => Node::Variable(global.unwrap_or(name).into()),
        }
    }
    fn map(&mut self, entries: &[ast::Entry]) -> Node {
        let parts: Vec<_> = entries.iter().map(|e| (self.node(&e.key), self.node(&e.value), e.optional)).collect();
        let mut all = BTreeMap::new();
        for (key, value, optional) in &parts {
            let entry = key.value().as_ref().and_then(Key::of).zip(value.value());
            match entry {
                Some((key, value)) if !optional => drop(all.insert(key, value)),
                _ => return Node::Map(parts),
            }
        }
        Node::Constant(Value::Map(Map::Made(Arc::new(all))))
    }
    fn call(&mut self, call: &ast::Call) -> Node {
        let args = &call.args;
        match (&*call.function, args.len()) {
            (operator::AND, 2) => Node::And(self.boxed(&args[0]), self.boxed(&args[1])),
            (operator::OR, 2) => Node::Or(self.boxed(&args[0]), self.boxed(&args[1])),
            (operator::CONDITIONAL, 3) => {
                Node::Conditional(self.boxed(&args[0]), self.boxed(&args[1]), self.boxed(&args[2]))
            }
            (operator::NOT_STRICTLY_FALSE, 1) => Node::NotStrictlyFalse(self.boxed(&args[0])),
            (operator::INDEX, 2) => Node::Index(self.boxed(&args[0]), self.index(&args[1])),
            (operator::OPTIONAL_INDEX, 2) => Node::OptionalIndex(self.boxed(&args[0]), self.index(&args[1])),
            (operator::OPTIONAL_SELECT, 2) => {
                let Kind::Literal(Literal::String(name)) = &args[1].kind else {
                    return Node::Constant(Value::Null);
                };
                Node::OptionalSelect(self.boxed(&args[0]), name.clone())
            }
            (name @ ("or" | "orValue"), 1) if call.target.is_some() => {
                let Some(target) = &call.target else { return Node::Constant(Value::Null) };
                Node::OrElse(self.boxed(target), self.boxed(&args[0]), name == "or")
            }
            _ => self.function(call),
        }
    }
    fn index(&mut self, expr: &Expr) -> Box<Node> {
        let node = self.boxed(expr);
        if let Node::Constant(value) = &*node
            && Key::to_find(value).is_none()
            && !matches!(value, Value::Double(_))
        {
            let name = go_name(value);
            self.wrong.get_or_insert_with(|| EvalError::new(format!("invalid qualifier type: {name}")));
        }
        node
    }
    fn function(&mut self, call: &ast::Call) -> Node {
        let Some(function) = functions::find(call.function.trim_start_matches('.')) else {
            return Node::Constant(Value::Null);
        };
        let mut args: Vec<Node> = call.target.iter().chain(&call.args).map(|arg| self.node(arg)).collect();
        if function.name == operator::IN
            && let [_, Node::Constant(Value::List(_))] = &args[..]
            && let (Some(Node::Constant(list)), Some(item)) = (args.pop(), args.pop())
        {
            return Node::InConstant(Box::new(item), list);
        }
        if matches!(function.name, "matches" | "find" | "findAll")
            && let Some(Node::Constant(Value::String(text))) = args.get(1)
        {
            let ready = pattern::ready(text);
            if let Some(ready) = self.constant(ready) {
                args[1] = ready;
            }
        }
        if is_conversion(function.name)
            && let [Node::Constant(of)] = &args[..]
            && let Some(value) = self.constant((function.run)(std::slice::from_ref(of)))
        {
            return value;
        }
        Node::Call(Box::new(Call { function, args }))
    }
    fn constant(&mut self, value: Result<Value<'static>, EvalError>) -> Option<Node> {
        match value {
            Ok(value) => Some(Node::Constant(value)),
            Err(error) => {
                self.wrong.get_or_insert(error);
                None
            }
        }
    }
    fn fold(&mut self, fold: &Fold) -> Node {
        if fold.is_bind() {
            let init = self.boxed(&fold.init);
            self.locals.push(fold.accumulator.clone());
            let result = self.boxed(&fold.result);
            self.locals.pop();
            return Node::Bind(init, result);
        }
        let (range, init) = (self.node(&fold.range), self.node(&fold.init));
        let outside = self.locals.len();
        self.locals.push(fold.accumulator.clone());
        self.locals.push(fold.item.clone());
        self.locals.extend(fold.second.clone());
        let condition = self.node(&fold.condition);
        let step = self.step(fold);
        self.locals.truncate(outside + 1);
        let result = self.node(&fold.result);
        self.locals.truncate(outside);
        Node::Fold(Box::new(Loop { range, two: fold.second.is_some(), init, condition, step, result }))
    }
    /// Recognizes the steps that macros make, so that collections grow in place.
    fn step(&mut self, fold: &Fold) -> Step {
        let same = |expr: &Expr| matches!(&expr.kind, Kind::Ident(name) if *name == fold.accumulator);
        let (filter, add) = match &fold.step.kind {
            Kind::Call(call) if &*call.function == operator::CONDITIONAL && same(&call.args[2]) => {
                (Some(&call.args[0]), &call.args[1])
            }
            _ => (None, &fold.step),
        };
        let Kind::Call(call) = &add.kind else { return Step::Any(self.node(&fold.step)) };
        match (&*call.function, &call.args[..]) {
            (operator::ADD, [accumulator, Expr { kind: Kind::List(one), .. }])
                if same(accumulator) && one.len() == 1 && !one[0].optional =>
            {
                Step::Append(filter.map(|f| self.node(f)), self.node(&one[0].value))
            }
            (operator::MAP_INSERT, [accumulator, rest @ ..]) if same(accumulator) => {
                let (key, value) = match rest {
                    [key, value] => (Some(self.node(key)), self.node(value)),
                    [entries] => (None, self.node(entries)),
                    _ => return Step::Any(self.node(&fold.step)),
                };
                Step::Insert(filter.map(|f| self.node(f)), key, value)
            }
            _ => Step::Any(self.node(&fold.step)),
        }
    }
}

impl Node {
    fn value(&self) -> Option<Value<'static>> {
        match self {
            Node::Constant(value) => Some(value.clone()),
            _ => None,
        }
    }
    /// Whether it is a path from a variable: the first step from anything else costs one more.
    pub(crate) fn is_path(&self) -> bool {
        matches!(self, Node::Variable(_) | Node::Local(_) | Node::Select(..) | Node::Index(..))
            || matches!(self, Node::OptionalSelect(..) | Node::OptionalIndex(..))
    }
}

fn constant(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Int(n) => Value::Int(*n),
        Literal::Uint(n) => Value::Uint(*n),
        Literal::Double(n) => Value::Double(*n),
        Literal::String(text) => Value::text(text.clone()),
        Literal::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}

/// Functions of one constant that are done before the program runs.
fn is_conversion(name: &str) -> bool {
    matches!(name, "bool" | "bytes" | "double" | "duration" | "dyn" | "int" | "string" | "timestamp" | "type" | "uint")
}

/// The key that cannot be one.
pub(crate) fn unsupported_key(value: &Value<'_>) -> EvalError {
    EvalError::new(format!("unsupported key type: {}", value.type_of().name()))
}
