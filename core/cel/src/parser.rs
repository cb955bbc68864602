//! Tokens to a tree, by precedence.
//!
//! Invariants: it never looks ahead further than the names of a struct, never parses a part twice, and never goes
//! deeper than `limits::DEPTH`. The first error of syntax ends it; macros report theirs and go on.

use std::sync::Arc;

use crate::ast::{Element, Entry, Expr, Field, Kind, Literal, Nodes, Select, Struct, operator};
use crate::error::Issue;
use crate::lexer::{self, Kind as T, Token};
use crate::{deep, limits, literal, macros};

/// A tree with the places of its nodes.
pub(crate) struct Parsed {
    pub root: Expr,
    pub nodes: Nodes,
}

/// The tree of the text.
pub(crate) fn parse(source: &str) -> Result<Parsed, Vec<Issue>> {
    let text: Vec<char> = source.chars().collect();
    if text.len() > limits::SOURCE_CHARACTERS {
        let message = format!(
            "expression code point size exceeds limit: size: {}, limit {}",
            text.len(),
            limits::SOURCE_CHARACTERS
        );
        return Err(vec![Issue { at: None, message }]);
    }
    let (tokens, issues) = lexer::tokens(&text);
    let mut parser = Parser {
        text: &text,
        tokens,
        at: 0,
        depth: 0,
        links: 0,
        within: vec![&[T::End]],
        nodes: Nodes::default(),
        issues,
    };
    match parser.whole() {
        Ok(root) if parser.issues.is_empty() => Ok(Parsed { root, nodes: parser.nodes }),
        Ok(_) | Err(Stop) => Err(parser.issues),
    }
}

/// Parsing ended early; the issues say why.
struct Stop;

type Parse<T> = Result<T, Stop>;

struct Parser<'t> {
    text: &'t [char],
    tokens: Vec<Token>,
    at: usize,
    /// How deep expressions are within others.
    depth: usize,
    /// How many steps the chains take that we are within.
    links: usize,
    /// What may follow each of the brackets that we are within, once it is closed.
    within: Vec<&'static [T]>,
    nodes: Nodes,
    issues: Vec<Issue>,
}

/// What an expression can begin with.
const STARTS: [T; 15] = [
    T::LeftBracket,
    T::LeftBrace,
    T::LeftParen,
    T::Dot,
    T::Minus,
    T::Not,
    T::True,
    T::False,
    T::Null,
    T::Float,
    T::Int,
    T::Uint,
    T::String,
    T::Bytes,
    T::Identifier,
];
/// What makes an expression longer that could be whole.
const LONGER: [T; 17] = [
    T::Equals,
    T::NotEquals,
    T::In,
    T::Less,
    T::LessEquals,
    T::GreaterEquals,
    T::Greater,
    T::And,
    T::Or,
    T::LeftBracket,
    T::Dot,
    T::Minus,
    T::Question,
    T::Plus,
    T::Star,
    T::Slash,
    T::Percent,
];
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "null",
    "return",
    "true",
    "var",
    "void",
    "while",
];

impl Parser<'_> {
    fn peek(&self) -> Token {
        self.tokens[self.at]
    }
    fn peek_at(&self, ahead: usize) -> T {
        self.tokens.get(self.at + ahead).map_or(T::End, |t| t.kind)
    }
    fn take(&mut self) -> Token {
        let token = self.peek();
        if token.kind != T::End {
            self.at += 1;
        }
        token
    }
    fn take_if(&mut self, kind: T) -> Option<Token> {
        (self.peek().kind == kind).then(|| self.take())
    }
    fn text_of(&self, token: Token) -> String {
        self.text[token.start..token.end].iter().collect()
    }
    fn report(&mut self, at: usize, message: impl Into<String>) -> Expr {
        self.issues.push(Issue { at: Some(at), message: message.into() });
        self.nodes.node(at, Kind::Wrong)
    }
    /// The token here is none of those that may be here.
    fn unexpected(&mut self, expected: &[T]) -> Stop {
        let found = self.peek();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        expected.dedup();
        let labels: Vec<_> = expected.iter().map(|kind| kind.label()).collect();
        let labels = if let [only] = labels[..] { only.to_owned() } else { format!("{{{}}}", labels.join(", ")) };
        let text = if found.kind == T::End { "<EOF>".to_owned() } else { lexer::printable(&self.text_of(found)) };
        // wire: a token too many is named otherwise when what comes after it would do.
        let surplus = found.kind != T::End && expected.contains(&self.peek_at(1));
        let missing = match expected[..] {
            [T::Colon] => STARTS.contains(&found.kind),
            [T::RightParen | T::RightBracket] => {
                LONGER.contains(&found.kind) || self.within.last().is_none_or(|after| after.contains(&found.kind))
            }
            _ => false,
        };
        let message = match () {
            () if surplus => format!("extraneous input '{text}' expecting {labels}"),
            () if missing => format!("missing {labels} at '{text}'"),
            () => format!("mismatched input '{text}' expecting {labels}"),
        };
        self.report(found.start, format!("Syntax error: {message}"));
        Stop
    }
    fn expect(&mut self, kind: T, also: &[T]) -> Parse<Token> {
        if let Some(token) = self.take_if(kind) {
            return Ok(token);
        }
        let expected: Vec<T> = also.iter().copied().chain([kind]).collect();
        Err(self.unexpected(&expected))
    }
    fn deeper<R>(&mut self, inner: impl FnOnce(&mut Self) -> Parse<R>) -> Parse<R> {
        self.depth += 1;
        if self.depth > limits::DEPTH {
            return Err(self.stop(format!("expression recursion limit exceeded: {}", limits::DEPTH)));
        }
        let result = deep::deeper(|| inner(self));
        self.depth -= 1;
        result
    }

    /// An expression that one of these must follow.
    fn before(&mut self, after: &'static [T]) -> Parse<Expr> {
        self.within.push(after);
        let expr = self.expr()?;
        self.within.pop();
        Ok(expr)
    }
    fn stop(&mut self, message: String) -> Stop {
        self.issues.push(Issue { at: None, message });
        Stop
    }
    /// Another step of a chain that took `steps` before it.
    fn link(&mut self, steps: usize) -> Parse<()> {
        self.links += 1;
        if steps + 1 >= limits::DEPTH || self.links + self.depth > limits::TREE_DEPTH {
            return Err(self.stop("max recursion depth exceeded".to_owned()));
        }
        Ok(())
    }

    fn whole(&mut self) -> Parse<Expr> {
        let root = self.expr()?;
        match self.peek().kind {
            T::End => Ok(root),
            _ => Err(self.unexpected(&[T::End])),
        }
    }
    fn expr(&mut self) -> Parse<Expr> {
        self.deeper(|p| {
            let condition = p.either()?;
            let Some(question) = p.take_if(T::Question) else { return Ok(condition) };
            p.within.push(&[T::Colon]);
            let yes = p.either()?;
            p.within.pop();
            p.expect(T::Colon, &[])?;
            let no = p.expr()?;
            Ok(p.nodes.call(question.start, operator::CONDITIONAL, vec![condition, yes, no]))
        })
    }
    fn either(&mut self) -> Parse<Expr> {
        self.chain(T::Or, operator::OR, |p| p.chain(T::And, operator::AND, Self::relation))
    }
    /// Terms joined by one operator, as a balanced tree: a long chain must not become a deep one.
    fn chain(&mut self, joint: T, name: &str, term: impl Fn(&mut Self) -> Parse<Expr>) -> Parse<Expr> {
        let mut terms = vec![Some(term(self)?)];
        let mut joints = Vec::new();
        while let Some(token) = self.take_if(joint) {
            joints.push(token.start);
            terms.push(Some(term(self)?));
        }
        Ok(self.balanced(name, &mut terms, &joints))
    }
    fn balanced(&mut self, name: &str, terms: &mut [Option<Expr>], joints: &[usize]) -> Expr {
        if joints.is_empty() {
            return terms[0].take().unwrap_or(Expr { id: 0, kind: Kind::Wrong });
        }
        let middle = (joints.len() - 1).div_ceil(2);
        let (left, right) = terms.split_at_mut(middle + 1);
        let left = self.balanced(name, left, &joints[..middle]);
        let right = self.balanced(name, right, &joints[middle + 1..]);
        self.nodes.call(joints[middle], name, vec![left, right])
    }
    fn relation(&mut self) -> Parse<Expr> {
        self.left(Self::sum, |kind| match kind {
            T::Less => Some("_<_"),
            T::LessEquals => Some("_<=_"),
            T::Greater => Some("_>_"),
            T::GreaterEquals => Some("_>=_"),
            T::Equals => Some(operator::EQUALS),
            T::NotEquals => Some("_!=_"),
            T::In => Some(operator::IN),
            _ => None,
        })
    }
    fn sum(&mut self) -> Parse<Expr> {
        self.left(Self::product, |kind| match kind {
            T::Plus => Some(operator::ADD),
            T::Minus => Some("_-_"),
            _ => None,
        })
    }
    fn product(&mut self) -> Parse<Expr> {
        self.left(Self::unary, |kind| match kind {
            T::Star => Some("_*_"),
            T::Slash => Some("_/_"),
            T::Percent => Some("_%_"),
            _ => None,
        })
    }
    fn left(
        &mut self,
        term: impl Fn(&mut Self) -> Parse<Expr>,
        name: impl Fn(T) -> Option<&'static str>,
    ) -> Parse<Expr> {
        let mut left = term(self)?;
        let before = self.links;
        while let Some(function) = name(self.peek().kind) {
            let at = self.take().start;
            self.link(self.links - before)?;
            let right = term(self)?;
            left = self.nodes.call(at, function, vec![left, right]);
        }
        self.links = before;
        Ok(left)
    }
    fn unary(&mut self) -> Parse<Expr> {
        let first = self.peek();
        let literal = first.kind == T::Minus && matches!(self.peek_at(1), T::Int | T::Float);
        let function = match first.kind {
            T::Not => operator::NOT,
            T::Minus if !literal => operator::NEGATE,
            _ => return self.chained(),
        };
        let mut count = 0;
        let mut last = first;
        while let Some(token) = self.take_if(first.kind) {
            (count, last) = (count + 1, token);
        }
        let next = self.peek();
        if first.kind == T::Minus && (next.kind == T::Not || !STARTS.contains(&next.kind)) {
            let stop = self.no_alternative(last, next);
            return Err(if next.kind == T::Not { stop } else { self.unexpected(&STARTS) });
        }
        let operand = self.chained()?;
        Ok(if count % 2 == 0 { operand } else { self.nodes.call(first.start, function, vec![operand]) })
    }
    /// Something with what hangs on it: fields, calls, indexes.
    fn chained(&mut self) -> Parse<Expr> {
        let mut operand = self.primary()?;
        let before = self.links;
        while matches!(self.peek().kind, T::Dot | T::LeftBracket) {
            self.link(self.links - before)?;
            operand = if self.peek().kind == T::Dot { self.dotted(operand)? } else { self.indexed(operand)? };
        }
        self.links = before;
        Ok(operand)
    }
    fn dotted(&mut self, operand: Expr) -> Parse<Expr> {
        let dot = self.take();
        let optional = self.take_if(T::Question).is_some();
        let name = self.peek();
        let field: Arc<str> = match name.kind {
            T::Identifier => self.text_of(name).into(),
            T::EscapedIdentifier => self.text_of(name).trim_matches('`').into(),
            _ if optional => {
                let stop = self.unexpected(&[T::Identifier, T::EscapedIdentifier]);
                if self.issues.last().is_some_and(|issue| issue.message.contains("mismatched")) {
                    self.report(name.start, "unsupported ident kind");
                }
                return Err(stop);
            }
            _ => return Err(self.no_alternative(dot, name)),
        };
        self.take();
        if optional {
            let field = self.nodes.literal(name.start, Literal::String(field));
            return Ok(self.nodes.call(dot.start, operator::OPTIONAL_SELECT, vec![operand, field]));
        }
        let call = if name.kind == T::Identifier { self.take_if(T::LeftParen) } else { None };
        let Some(open) = call else {
            let select = Select { operand, field, test: false };
            return Ok(self.nodes.node(dot.start, Kind::Select(Box::new(select))));
        };
        let mut args = self.arguments()?;
        let mut target = Some(operand);
        let expansion = macros::member(&mut self.nodes, open.start, &field, &mut target, &mut args);
        self.expanded(open.start, expansion, |p| match target {
            Some(target) => p.nodes.member(open.start, &field, target, args),
            None => Expr { id: 0, kind: Kind::Wrong },
        })
    }
    /// wire: what follows a dot is told by another message, with the text since the dot.
    fn no_alternative(&mut self, dot: Token, found: Token) -> Stop {
        if !matches!(found.kind, T::In | T::True | T::False | T::Null) {
            let text: String = self.text[dot.start..found.end].iter().collect();
            let message = format!("Syntax error: no viable alternative at input '{}'", lexer::printable(&text));
            self.report(found.start, message);
            return Stop;
        }
        let text = self.text_of(found);
        self.report(found.start, format!("Syntax error: mismatched input '{text}' expecting IDENTIFIER"));
        Stop
    }
    fn indexed(&mut self, operand: Expr) -> Parse<Expr> {
        let open = self.take();
        let optional = self.take_if(T::Question).is_some();
        if !optional && !STARTS.contains(&self.peek().kind) {
            return Err(self.unexpected(&[&STARTS[..], &[T::Question]].concat()));
        }
        let index = self.before(&[T::RightBracket])?;
        self.expect(T::RightBracket, &[])?;
        let function = if optional { operator::OPTIONAL_INDEX } else { operator::INDEX };
        Ok(self.nodes.call(open.start, function, vec![operand, index]))
    }
    fn arguments(&mut self) -> Parse<Vec<Expr>> {
        let mut args = Vec::new();
        if self.take_if(T::RightParen).is_some() {
            return Ok(args);
        }
        if !STARTS.contains(&self.peek().kind) {
            return Err(self.unexpected(&[&STARTS[..], &[T::RightParen]].concat()));
        }
        loop {
            args.push(self.before(&[T::RightParen, T::Comma])?);
            if self.take_if(T::Comma).is_none() {
                self.expect(T::RightParen, &[])?;
                return Ok(args);
            }
        }
    }
    /// What a call became as a macro, or else the call.
    fn expanded(
        &mut self,
        at: usize,
        expansion: macros::Expansion,
        call: impl FnOnce(&mut Self) -> Expr,
    ) -> Parse<Expr> {
        let expr = match expansion {
            None => call(self),
            Some(Ok(expr)) => expr,
            Some(Err(issue)) => {
                self.issues.push(issue);
                self.nodes.node(at, Kind::Wrong)
            }
        };
        if self.nodes.len() > limits::NODES {
            return Err(self.stop("max recursion depth exceeded".to_owned()));
        }
        Ok(expr)
    }
    fn primary(&mut self) -> Parse<Expr> {
        let token = self.peek();
        match token.kind {
            T::LeftParen => {
                self.take();
                let inner = self.before(&[T::RightParen])?;
                self.expect(T::RightParen, &[])?;
                Ok(inner)
            }
            T::LeftBracket => self.list(),
            T::LeftBrace => self.map(),
            T::Dot | T::Identifier => self.named(),
            T::True | T::False | T::Null | T::Int | T::Uint | T::Float | T::String | T::Bytes | T::Minus => {
                self.literal()
            }
            _ => Err(self.unexpected(&STARTS)),
        }
    }
    /// Whether another part of a list, a map or a struct begins here; when none does, its end is taken.
    fn more(&mut self, close: T, starts: &[T], first: bool) -> Parse<bool> {
        let comma = self.take_if(T::Comma).is_some();
        if comma == first {
            self.expect(close, if first { &[] } else { &[T::Comma] })?;
            return Ok(false);
        }
        if self.take_if(close).is_some() {
            return Ok(false);
        }
        match self.peek().kind {
            kind if kind == T::Question || starts.contains(&kind) => Ok(true),
            _ if first => Err(self.unexpected(&[starts, &[T::Question, T::Comma, close]].concat())),
            _ => Err(self.unexpected(&[close])),
        }
    }
    fn list(&mut self) -> Parse<Expr> {
        let open = self.take();
        let mut elements = Vec::new();
        while self.more(T::RightBracket, &STARTS, elements.is_empty())? {
            let optional = self.take_if(T::Question).is_some();
            elements.push(Element { value: self.before(&[T::RightBracket, T::Comma])?, optional });
        }
        Ok(self.nodes.node(open.start, Kind::List(elements)))
    }
    fn map(&mut self) -> Parse<Expr> {
        let open = self.take();
        let mut entries = Vec::new();
        while self.more(T::RightBrace, &STARTS, entries.is_empty())? {
            let optional = self.take_if(T::Question).is_some();
            let key = self.before(&[T::Colon])?;
            self.expect(T::Colon, &[])?;
            entries.push(Entry { key, value: self.before(&[T::RightBrace, T::Comma])?, optional });
        }
        Ok(self.nodes.node(open.start, Kind::Map(entries)))
    }
    /// A variable, a call, or a struct.
    fn named(&mut self) -> Parse<Expr> {
        if let Some(names) = self.struct_names() {
            return self.made(names);
        }
        let dot = self.take_if(T::Dot);
        let token = self.peek();
        if token.kind != T::Identifier {
            return Err(self.unexpected(&[T::Identifier]));
        }
        self.take();
        let word = self.text_of(token);
        if RESERVED.contains(&&*word) {
            return Ok(self.report(token.start, format!("reserved identifier: {word}")));
        }
        let name = if dot.is_some() { format!(".{word}") } else { word };
        let Some(open) = self.take_if(T::LeftParen) else {
            return Ok(self.nodes.ident(token.start, &name));
        };
        let mut args = self.arguments()?;
        let expansion = macros::global(&mut self.nodes, open.start, &name, &mut args);
        self.expanded(open.start, expansion, |p| p.nodes.call(open.start, &name, args))
    }
    /// How many tokens the name of a struct takes, when one begins here.
    fn struct_names(&self) -> Option<usize> {
        let mut ahead = usize::from(self.peek().kind == T::Dot);
        while self.peek_at(ahead) == T::Identifier {
            match self.peek_at(ahead + 1) {
                T::LeftBrace => return Some(ahead + 1),
                T::Dot => ahead += 2,
                _ => return None,
            }
        }
        None
    }
    fn made(&mut self, names: usize) -> Parse<Expr> {
        let name: String = (0..names)
            .map(|_| {
                let token = self.take();
                self.text_of(token)
            })
            .collect();
        let open = self.take();
        let mut fields = Vec::new();
        while self.more(T::RightBrace, &[T::Identifier, T::EscapedIdentifier], fields.is_empty())? {
            let optional = self.take_if(T::Question).is_some();
            let token = self.take();
            if !matches!(token.kind, T::Identifier | T::EscapedIdentifier) {
                self.at -= usize::from(token.kind != T::End);
                return Err(self.unexpected(&[T::Identifier, T::EscapedIdentifier]));
            }
            let colon = self.expect(T::Colon, &[])?;
            let id = self.nodes.id(colon.start);
            let name = self.text_of(token).trim_matches('`').into();
            fields.push(Field { id, name, value: self.before(&[T::RightBrace, T::Comma])?, optional });
        }
        Ok(self.nodes.node(open.start, Kind::Struct(Box::new(Struct { name: name.into(), fields }))))
    }
    fn literal(&mut self) -> Parse<Expr> {
        let negative = self.take_if(T::Minus);
        let token = self.peek();
        if negative.is_some() && !matches!(token.kind, T::Int | T::Float) {
            return Err(self.unexpected(&STARTS));
        }
        self.take();
        let text = self.text_of(token);
        let start = negative.unwrap_or(token).start;
        let sign = if negative.is_some() { -1.0 } else { 1.0 };
        let value = match token.kind {
            T::True => Ok(Literal::Bool(true)),
            T::False => Ok(Literal::Bool(false)),
            T::Null => Ok(Literal::Null),
            T::Int => literal::int(&text, negative.is_some()).map(Literal::Int).ok_or("invalid int literal"),
            T::Uint => literal::uint(&text).map(Literal::Uint).ok_or("invalid uint literal"),
            T::Float => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Literal::Double(sign * number)),
                _ => Err("invalid double literal"),
            },
            T::String => literal::string(&text).map(|s| Literal::String(s.into())),
            _ => literal::bytes(&text).map(|b| Literal::Bytes(b.into())),
        };
        Ok(match value {
            Ok(literal) => self.nodes.literal(start, literal),
            Err(message) => self.report(start, message),
        })
    }
}
