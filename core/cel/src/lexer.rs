//! Characters to tokens.
//!
//! Places are counted in characters, as error messages do. The order of `Kind` is the order in which messages list
//! what was expected.

use crate::error::Issue;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Equals,
    NotEquals,
    In,
    Less,
    LessEquals,
    GreaterEquals,
    Greater,
    And,
    Or,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
    LeftParen,
    RightParen,
    Dot,
    Comma,
    Minus,
    Not,
    Question,
    Colon,
    Plus,
    Star,
    Slash,
    Percent,
    True,
    False,
    Null,
    Float,
    Int,
    Uint,
    String,
    Bytes,
    Identifier,
    EscapedIdentifier,
    End,
}

impl Kind {
    /// How messages name it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Kind::Equals => "'=='",
            Kind::NotEquals => "'!='",
            Kind::In => "'in'",
            Kind::Less => "'<'",
            Kind::LessEquals => "'<='",
            Kind::GreaterEquals => "'>='",
            Kind::Greater => "'>'",
            Kind::And => "'&&'",
            Kind::Or => "'||'",
            Kind::LeftBracket => "'['",
            Kind::RightBracket => "']'",
            Kind::LeftBrace => "'{'",
            Kind::RightBrace => "'}'",
            Kind::LeftParen => "'('",
            Kind::RightParen => "')'",
            Kind::Dot => "'.'",
            Kind::Comma => "','",
            Kind::Minus => "'-'",
            Kind::Not => "'!'",
            Kind::Question => "'?'",
            Kind::Colon => "':'",
            Kind::Plus => "'+'",
            Kind::Star => "'*'",
            Kind::Slash => "'/'",
            Kind::Percent => "'%'",
            Kind::True => "'true'",
            Kind::False => "'false'",
            Kind::Null => "'null'",
            Kind::Float => "NUM_FLOAT",
            Kind::Int => "NUM_INT",
            Kind::Uint => "NUM_UINT",
            Kind::String => "STRING",
            Kind::Bytes => "BYTES",
            Kind::Identifier => "IDENTIFIER",
            Kind::EscapedIdentifier => "ESC_IDENTIFIER",
            Kind::End => "<EOF>",
        }
    }
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// The tokens of the text, closed by one `End`, and what is no token.
pub(crate) fn tokens(text: &[char]) -> (Vec<Token>, Vec<Issue>) {
    let mut lexer = Lexer { text, at: 0 };
    let (mut tokens, mut issues) = (Vec::new(), Vec::new());
    loop {
        lexer.skip_blank();
        let start = lexer.at;
        if start == text.len() {
            tokens.push(Token { kind: Kind::End, start, end: start });
            return (tokens, issues);
        }
        match lexer.next() {
            Ok(kind) => tokens.push(Token { kind, start, end: lexer.at }),
            Err(()) => {
                // The character that did not fit belongs to what is wrong.
                lexer.at = (lexer.at + 1).min(text.len());
                let wrong: String = text[start..lexer.at].iter().collect();
                let message = format!("Syntax error: token recognition error at: '{}'", printable(&wrong));
                issues.push(Issue { at: Some(start), message });
            }
        }
    }
}

/// Text with its line breaks written out.
pub(crate) fn printable(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

struct Lexer<'t> {
    text: &'t [char],
    at: usize,
}

const ONE: [(char, Kind); 16] = [
    ('[', Kind::LeftBracket),
    (']', Kind::RightBracket),
    ('{', Kind::LeftBrace),
    ('}', Kind::RightBrace),
    ('(', Kind::LeftParen),
    (')', Kind::RightParen),
    (',', Kind::Comma),
    ('-', Kind::Minus),
    ('?', Kind::Question),
    (':', Kind::Colon),
    ('+', Kind::Plus),
    ('*', Kind::Star),
    ('/', Kind::Slash),
    ('%', Kind::Percent),
    ('<', Kind::Less),
    ('>', Kind::Greater),
];
const TWO: [([char; 2], Kind); 6] = [
    (['=', '='], Kind::Equals),
    (['!', '='], Kind::NotEquals),
    (['<', '='], Kind::LessEquals),
    (['>', '='], Kind::GreaterEquals),
    (['&', '&'], Kind::And),
    (['|', '|'], Kind::Or),
];

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }
    fn peek_from(&self, start: usize, ahead: usize) -> Option<char> {
        self.text.get(start + ahead).copied()
    }
    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.at += 1;
        }
    }
    fn skip_blank(&mut self) {
        loop {
            self.skip_while(|c| matches!(c, '\t' | ' ' | '\r' | '\n' | '\u{c}'));
            if self.peek(0) != Some('/') || self.peek(1) != Some('/') {
                return;
            }
            self.skip_while(|c| c != '\n');
        }
    }
    fn next(&mut self) -> Result<Kind, ()> {
        let first = self.peek(0).ok_or(())?;
        let start = self.at;
        match self.string() {
            Some(Err(())) if first.is_ascii_alphabetic() => self.at = start,
            Some(Err(())) if self.peek_from(start, 1) == Some(first) && self.peek_from(start, 2) == Some(first) => {
                self.at = start + 2;
                return Ok(Kind::String);
            }
            Some(found) => return found,
            None => {}
        }
        if first.is_ascii_digit() || (first == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit())) {
            return Ok(self.number());
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(self.word());
        }
        if first == '`' {
            return self.escaped();
        }
        if let Some((_, kind)) = TWO.iter().find(|(two, _)| first == two[0] && self.peek(1) == Some(two[1])) {
            self.at += 2;
            return Ok(*kind);
        }
        let kind = match first {
            '.' => Kind::Dot,
            '!' => Kind::Not,
            '=' | '&' | '|' => {
                self.at += 1;
                return Err(());
            }
            _ => ONE.iter().find(|(one, _)| *one == first).map(|(_, kind)| *kind).ok_or(())?,
        };
        self.at += 1;
        Ok(kind)
    }
    fn word(&mut self) -> Kind {
        let start = self.at;
        self.skip_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let is = |word: &str| word.chars().eq(self.text[start..self.at].iter().copied());
        match () {
            () if is("in") => Kind::In,
            () if is("true") => Kind::True,
            () if is("false") => Kind::False,
            () if is("null") => Kind::Null,
            () => Kind::Identifier,
        }
    }
    fn escaped(&mut self) -> Result<Kind, ()> {
        self.at += 1;
        let start = self.at;
        self.skip_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' '));
        if self.at == start || self.peek(0) != Some('`') {
            return Err(());
        }
        self.at += 1;
        Ok(Kind::EscapedIdentifier)
    }
    fn number(&mut self) -> Kind {
        let digit = |c: char| c.is_ascii_digit();
        if self.peek(0) == Some('0') && self.peek(1) == Some('x') && self.peek(2).is_some_and(|c| c.is_ascii_hexdigit())
        {
            self.at += 2;
            self.skip_while(|c| c.is_ascii_hexdigit());
            return self.unsigned_suffix();
        }
        let mut float = false;
        self.skip_while(digit);
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(digit) {
            float = true;
            self.at += 1;
            self.skip_while(digit);
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(digit) {
                float = true;
                self.at += 1 + sign;
                self.skip_while(digit);
            }
        }
        if float { Kind::Float } else { self.unsigned_suffix() }
    }
    fn unsigned_suffix(&mut self) -> Kind {
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return Kind::Uint;
        }
        Kind::Int
    }
    /// A string or bytes, when the text goes on with one.
    fn string(&mut self) -> Option<Result<Kind, ()>> {
        let bytes = matches!(self.peek(0), Some('b' | 'B'));
        let prefix = usize::from(bytes);
        let raw = matches!(self.peek(prefix), Some('r' | 'R'));
        let prefix = prefix + usize::from(raw);
        let quote = self.peek(prefix).filter(|c| matches!(c, '"' | '\''))?;
        self.at += prefix;
        let long = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        self.at += if long { 3 } else { 1 };
        let body = if long { self.long_body(quote, raw) } else { self.short_body(quote, raw) };
        Some(body.map(|()| if bytes { Kind::Bytes } else { Kind::String }))
    }
    fn short_body(&mut self, quote: char, raw: bool) -> Result<(), ()> {
        while let Some(c) = self.peek(0) {
            match c {
                '\n' | '\r' => return Err(()),
                '\\' if !raw => self.escape()?,
                _ => self.at += 1,
            }
            if c == quote {
                return Ok(());
            }
        }
        Err(())
    }
    fn long_body(&mut self, quote: char, raw: bool) -> Result<(), ()> {
        while let Some(c) = self.peek(0) {
            if c == quote && self.peek(1) == Some(quote) && self.peek(2) == Some(quote) {
                self.at += 3;
                return Ok(());
            }
            if c == '\\' && !raw {
                self.escape()?;
            } else {
                self.at += 1;
            }
        }
        Err(())
    }
    fn escape(&mut self) -> Result<(), ()> {
        let Some(next) = self.peek(1) else {
            self.at += 1;
            return Err(());
        };
        let hex = |c: char| c.is_ascii_hexdigit();
        let octal = |c: char| matches!(c, '0'..='7');
        let (fixed, length): (&dyn Fn(char) -> bool, usize) = match next {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '\\' | '?' | '`' => (&hex, 0),
            'x' | 'X' => (&hex, 2),
            'u' => (&hex, 4),
            'U' => (&hex, 8),
            '0'..='3' => (&octal, 2),
            _ => {
                self.at += 1;
                return Err(());
            }
        };
        self.at += 2;
        for _ in 0..length {
            if !self.peek(0).is_some_and(fixed) {
                return Err(());
            }
            self.at += 1;
        }
        Ok(())
    }
}
