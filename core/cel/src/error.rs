//! What can be wrong with an expression: issues found before it runs, with their place, and errors while it runs.
//!
//! Both print as clients of upstream see them; an issue shows its line of the expression with a mark below.

use std::fmt;
use std::sync::Arc;

use crate::limits;

/// One thing wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Character of the expression that it is about; none where it is about the whole.
    pub at: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Why an expression is no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// It has these issues, in the order of its text.
    Issues(Arc<str>, Vec<Issue>),
    /// It is well formed, but a constant in it can never be read.
    Instantiation(EvalError),
}

impl CompileError {
    pub(crate) fn new(source: &str, mut issues: Vec<Issue>) -> Self {
        let place = Lines::of(source);
        issues.sort_by_key(|issue| issue.at.map(|at| place.find(at)));
        CompileError::Issues(source.into(), issues)
    }
    /// What upstream says of it: which step failed, and why.
    pub fn detail(&self) -> String {
        match self {
            CompileError::Issues(..) => format!("compilation failed: {self}"),
            CompileError::Instantiation(_) => format!("program instantiation failed: {self}"),
        }
    }
}

impl std::error::Error for CompileError {}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, issues) = match self {
            CompileError::Issues(source, issues) => (source, issues),
            CompileError::Instantiation(error) => return error.fmt(f),
        };
        let lines = Lines::of(source);
        for (n, issue) in issues.iter().take(limits::ISSUES).enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            lines.show(issue, f)?;
        }
        match issues.len().checked_sub(limits::ISSUES) {
            Some(more) if more > 0 => write!(f, "\n{more} more errors were truncated"),
            _ => Ok(()),
        }
    }
}

struct Lines<'s>(Vec<&'s str>);

impl<'s> Lines<'s> {
    fn of(source: &'s str) -> Self {
        Lines(source.split('\n').collect())
    }
    /// Line and column of a character, from zero.
    fn find(&self, at: usize) -> (usize, usize) {
        let mut left = at;
        for (n, line) in self.0.iter().enumerate() {
            let length = line.chars().count();
            if left <= length {
                return (n, left);
            }
            left -= length + 1;
        }
        (self.0.len().saturating_sub(1), left)
    }
    fn show(&self, issue: &Issue, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = issue.at else { return write!(f, "ERROR: <input>:-1:0: {}", issue.message) };
        if self.0 == [""] {
            return write!(f, "ERROR: <input>:1:0: {}", issue.message);
        }
        let (line, column) = self.find(at);
        write!(f, "ERROR: <input>:{}:{}: {}", line + 1, column + 1, issue.message)?;
        let text = self.0[line].replace('\t', " ");
        if text.len() > limits::SNIPPET_BYTES {
            return Ok(());
        }
        write!(f, "\n | {text}\n | ")?;
        let mut characters = text.chars();
        for c in characters.by_ref().take(column) {
            f.write_str(if c.is_ascii() { "." } else { "\u{ff0e}" })?;
        }
        f.write_str(if characters.next().is_none_or(|c| c.is_ascii()) { "^" } else { "\u{ff3e}" })
    }
}

/// Why an evaluation gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// What the expression did with the values it met is not defined.
    Failed(Arc<str>),
    /// It cost more than one evaluation may.
    CostLimit,
}

impl EvalError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        EvalError::Failed(message.into().into())
    }
    pub(crate) fn no_such_overload() -> Self {
        Self::new("no such overload")
    }
    pub(crate) fn no_such_key(key: impl fmt::Display) -> Self {
        Self::new(format!("no such key: {key}"))
    }
}

impl std::error::Error for EvalError {}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::Failed(message) => f.write_str(message),
            EvalError::CostLimit => f.write_str("operation cancelled: actual cost limit exceeded"),
        }
    }
}
