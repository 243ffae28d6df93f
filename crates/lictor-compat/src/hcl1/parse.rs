//! Tokens into names and values.

use super::lex::{Lexer, Token};
use super::{Entry, Node, Object, Place, SyntaxError, Value};

/// How deep lists and blocks may lie in each other.
const DEEPEST: usize = 32;

pub(super) fn document(text: &str) -> Result<Object, SyntaxError> {
    let json = text.trim_start().starts_with('{');
    let mut lexer = Lexer::new(text, json);
    let (at, token) = lexer.next()?;
    let mut parser = Parser { lexer, at, token, json };
    if !json {
        return parser.items(0, false);
    }
    parser.advance()?;
    let object = parser.members(0)?;
    match parser.token {
        Token::End => Ok(object),
        _ => parser.wrong("nothing can follow the end of the JSON"),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// Where the token begins that is looked at.
    at: Place,
    token: Token,
    json: bool,
}

impl Parser<'_> {
    /// Names with their values until the end of the block, or of the text.
    fn items(&mut self, depth: usize, is_block: bool) -> Result<Object, SyntaxError> {
        let mut object = Vec::new();
        loop {
            match &self.token {
                Token::Comma if !object.is_empty() => {
                    self.advance()?;
                }
                Token::Close if is_block => {
                    self.advance()?;
                    return Ok(object);
                }
                Token::End if !is_block => return Ok(object),
                Token::Word(name) | Token::Text(name) => {
                    let (name, at) = (name.clone(), self.at);
                    self.advance()?;
                    let node = self.after_name(depth, false)?;
                    object.push(Entry { name, at, node });
                }
                _ if is_block => return self.wrong("a name or `}` is expected"),
                _ => return self.wrong("a name is expected"),
            }
        }
    }

    fn after_name(&mut self, depth: usize, is_labelled: bool) -> Result<Node, SyntaxError> {
        let at = self.at;
        match &self.token {
            Token::Assign if is_labelled => self.wrong("a value cannot follow a label; `{` is expected"),
            Token::Assign => {
                self.advance()?;
                self.value(depth)
            }
            Token::Open => self.value(depth),
            Token::Word(label) | Token::Text(label) => {
                let label = label.clone();
                let depth = self.deeper(depth)?;
                self.advance()?;
                let node = self.after_name(depth, true)?;
                Ok(Node { at, value: Value::Object(vec![Entry { name: label, at, node }]) })
            }
            _ if is_labelled => self.wrong("a label or `{` is expected"),
            _ => self.wrong("`=` or `{` is expected"),
        }
    }

    /// The members of an object of JSON, after its `{`.
    fn members(&mut self, depth: usize) -> Result<Object, SyntaxError> {
        let mut object = Vec::new();
        loop {
            let (name, at) = match &self.token {
                Token::Close => {
                    self.advance()?;
                    return Ok(object);
                }
                Token::Text(name) => (name.clone(), self.at),
                _ => return self.wrong("a name in quotes or `}` is expected"),
            };
            self.advance()?;
            if self.token != Token::Colon {
                return self.wrong("`:` is expected");
            }
            self.advance()?;
            let node = self.value(depth)?;
            object.push(Entry { name, at, node });
            match self.token {
                Token::Comma => self.advance()?,
                Token::Close => {}
                _ => return self.wrong("`,` or `}` is expected"),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        let at = self.at;
        let value = match &self.token {
            Token::Text(text) => Value::Text(text.clone()),
            Token::Number(text) => match number(text) {
                Some(value) => value,
                None => {
                    let why = format!("`{text}` is no number that can be used");
                    return self.wrong(&why);
                }
            },
            Token::Word(word) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                other => {
                    let why = format!("`{other}` is no value");
                    return self.wrong(&why);
                }
            },
            Token::Open => {
                let depth = self.deeper(depth)?;
                self.advance()?;
                let object = if self.json { self.members(depth)? } else { self.items(depth, true)? };
                return Ok(Node { at, value: Value::Object(object) });
            }
            Token::OpenList => {
                let depth = self.deeper(depth)?;
                self.advance()?;
                return Ok(Node { at, value: Value::List(self.elements(depth)?) });
            }
            Token::Assign | Token::Colon | Token::Comma | Token::Close | Token::CloseList | Token::End => {
                return self.wrong("a value is expected");
            }
        };
        self.advance()?;
        Ok(Node { at, value })
    }

    fn elements(&mut self, depth: usize) -> Result<Vec<Node>, SyntaxError> {
        let mut list = Vec::new();
        loop {
            if self.token == Token::CloseList {
                self.advance()?;
                return Ok(list);
            }
            list.push(self.value(depth)?);
            match self.token {
                Token::Comma => self.advance()?,
                Token::CloseList => {}
                _ => return self.wrong("`,` or `]` is expected"),
            }
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, SyntaxError> {
        if depth >= DEEPEST { self.wrong("it is nested too deeply") } else { Ok(depth + 1) }
    }

    fn advance(&mut self) -> Result<(), SyntaxError> {
        (self.at, self.token) = self.lexer.next()?;
        Ok(())
    }

    fn wrong<T>(&self, why: &str) -> Result<T, SyntaxError> {
        Err(SyntaxError { at: self.at, why: why.to_owned() })
    }
}

/// Whole numbers are decimal, hexadecimal after `0x`, or octal after `0`.
fn number(text: &str) -> Option<Value> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let signed =
        |digits: &str, base| i64::from_str_radix(&format!("{sign}{digits}"), base).ok().map(Value::Int);
    if let Some(digits) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return signed(digits, 16);
    }
    if digits.contains(['.', 'e', 'E']) {
        return text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float);
    }
    let octal = digits.strip_prefix('0').filter(|digits| !digits.is_empty());
    octal.map_or_else(|| signed(digits, 10), |digits| signed(digits, 8))
}
