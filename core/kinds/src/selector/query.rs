//! The grammar of label selector queries.

use std::collections::BTreeSet;

use super::label::{Operator, Requirement};
use crate::field::quote;

/// Parses a query into its terms, in the order written.
pub(super) fn parse(query: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: tokens(query), at: 0 };
    parser.all()
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Symbol(&'static str),
    End,
}

const SYMBOLS: &[&str] = &["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

fn tokens(query: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = query.trim_start();
    while !rest.is_empty() {
        if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            found.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        } else {
            let end = rest.find(|c: char| c.is_ascii_whitespace() || "=!(),><".contains(c)).unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    found.push(Token::End);
    found
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn text(token: &Token) -> &str {
        match token {
            Token::Word(word) => word,
            Token::Symbol(symbol) => symbol,
            Token::End => "",
        }
    }

    fn all(&mut self) -> Result<Vec<Requirement>, String> {
        let mut found = Vec::new();
        loop {
            match self.peek() {
                Token::Word(_) | Token::Symbol("!") => {
                    let term = self.term().map_err(|why| format!("unable to parse requirement: {why}"))?;
                    found.push(term);
                    match self.next() {
                        Token::End => return Ok(found),
                        Token::Symbol(",") => {
                            if !matches!(self.peek(), Token::Word(_) | Token::Symbol("!")) {
                                return Err(format!(
                                    "found '{}', expected: identifier after ','",
                                    Self::text(self.peek())
                                ));
                            }
                        }
                        other => {
                            return Err(format!("found '{}', expected: ',' or 'end of string'", Self::text(&other)));
                        }
                    }
                }
                Token::End => return Ok(found),
                other => {
                    return Err(format!("found '{}', expected: !, identifier, or 'end of string'", Self::text(other)));
                }
            }
        }
    }

    fn term(&mut self) -> Result<Requirement, String> {
        let absent = *self.peek() == Token::Symbol("!");
        if absent {
            self.next();
        }
        let key = match self.next() {
            Token::Word(word) => word,
            other => return Err(format!("found '{}', expected: identifier", Self::text(&other))),
        };
        if absent {
            return requirement(key, Operator::DoesNotExist, Vec::new());
        }
        if self.ends_term() {
            return requirement(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.list()?,
            _ => vec![self.exact()?],
        };
        requirement(key, operator, values)
    }

    fn ends_term(&self) -> bool {
        matches!(self.peek(), Token::End | Token::Symbol(","))
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let token = self.next();
        Ok(match Self::text(&token) {
            "in" => Operator::In,
            "notin" => Operator::NotIn,
            "=" | "==" => Operator::Equals,
            "!=" => Operator::NotEquals,
            ">" => Operator::GreaterThan,
            "<" => Operator::LessThan,
            other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    /// One value: a word or nothing at all.
    fn exact(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok(String::new()),
            Token::Word(_) => Ok(Self::text(&self.next()).to_owned()),
            other => Err(format!("found '{}', expected: identifier", Self::text(other))),
        }
    }

    /// Values in parentheses; an empty place counts as the empty value.
    fn list(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if open != Token::Symbol("(") {
            return Err(format!("found '{}' expected: '('", Self::text(&open)));
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    values.push(word);
                    match self.next() {
                        Token::Symbol(",") => {
                            if *self.peek() == Token::Symbol(")") {
                                values.push(String::new());
                            }
                        }
                        Token::Symbol(")") => return Ok(values),
                        other => return Err(format!("found '{}', expected: ',' or ')'", Self::text(&other))),
                    }
                }
                Token::Symbol(",") => values.push(String::new()),
                Token::Symbol(")") => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    return Ok(values);
                }
                other => return Err(format!("found '{}', expected: ',', ')' or identifier", Self::text(&other))),
            }
        }
    }
}

fn requirement(key: String, operator: Operator, values: Vec<String>) -> Result<Requirement, String> {
    if let Some(wrong) = crate::names::qualified_name(&key).first() {
        // wire: the place of a bad key prints so.
        return Err(format!("<nil>: Invalid value: {}: {wrong}", quote(&key)));
    }
    if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
        for value in &values {
            if value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                return Err(format!("values[0]: Invalid value: {}: {detail}", quote(value)));
            }
        }
    }
    for (at, value) in values.iter().enumerate() {
        if let Some(wrong) = crate::names::label_value(value).first() {
            return Err(format!("values[{at}][{key}]: Invalid value: {}: {wrong}", quote(value)));
        }
    }
    Ok(Requirement { key, operator, values: values.into_iter().collect::<BTreeSet<_>>() })
}
