//! EDN, as far as histories have it: read, written, and turned into JSON and back.
//!
//! Words (keywords and symbols) become text, sets and lists arrays, tagged values what is tagged. Whole numbers beyond
//! 64 bits, ratios, infinities and characters by number have no counterpart and are refused.

use std::fmt;

use serde_json::{Map, Number, Value};

/// How deep values may lie in one another.
const DEPTH: usize = 128;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Edn {
    Nil,
    Bool(bool),
    Number(Number),
    Text(String),
    /// A keyword; symbols are read as one.
    Word(String),
    /// A vector; lists and sets are read as one.
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

/// A text is not EDN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct EdnError {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl Edn {
    /// A keyword, or text if it cannot be one.
    pub(super) fn word(text: &str) -> Self {
        if is_word(text) { Self::Word(text.to_owned()) } else { Self::Text(text.to_owned()) }
    }

    /// What a word or a text says.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Word(text) => Some(text),
            Self::Nil | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The same as EDN. Names of fields become keywords.
    pub(super) fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(values) => Self::List(values.iter().map(Self::from_json).collect()),
            Value::Object(fields) => Self::Map(
                fields.iter().map(|(name, value)| (Self::word(name), Self::from_json(value))).collect(),
            ),
        }
    }

    /// The same as JSON. Keys that are no text become what they look like.
    pub(super) fn to_json(&self) -> Result<Value, String> {
        Ok(match self {
            Self::Nil => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) | Self::Word(text) => Value::String(text.clone()),
            Self::List(values) => Value::Array(values.iter().map(Self::to_json).collect::<Result<_, _>>()?),
            Self::Map(fields) => {
                let mut map = Map::new();
                for (key, value) in fields {
                    let key = key.text().map_or_else(|| key.to_string(), str::to_owned);
                    if map.contains_key(&key) {
                        return Err(format!("a map has the key {key} twice"));
                    }
                    map.insert(key, value.to_json()?);
                }
                Value::Object(map)
            }
        })
    }

    /// Appends it as text, on one line.
    pub(super) fn put(&self, out: &mut String) {
        match self {
            Self::Nil => out.push_str("nil"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => put_number(out, number),
            Self::Text(text) => put_text(out, text),
            Self::Word(word) => {
                out.push(':');
                out.push_str(word);
            }
            Self::List(values) => {
                out.push('[');
                for (position, value) in values.iter().enumerate() {
                    if position > 0 {
                        out.push(' ');
                    }
                    value.put(out);
                }
                out.push(']');
            }
            Self::Map(fields) => {
                out.push('{');
                for (position, (key, value)) in fields.iter().enumerate() {
                    if position > 0 {
                        out.push_str(", ");
                    }
                    key.put(out);
                    out.push(' ');
                    value.put(out);
                }
                out.push('}');
            }
        }
    }
}

impl fmt::Display for Edn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.put(&mut text);
        f.write_str(&text)
    }
}

/// Whether a keyword may be called so.
fn is_word(text: &str) -> bool {
    let symbol = |c: char| c.is_ascii_alphanumeric() || "-_*+!?.".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(symbol)
}

/// Whole numbers beyond 63 bits are marked, so that a reader of Clojure's takes them.
fn put_number(out: &mut String, number: &Number) {
    out.push_str(&number.to_string());
    if number.as_i64().is_none() && number.is_u64() {
        out.push('N');
    }
}

fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.extend(format!("\\u{:04x}", u32::from(c)).chars()),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Reads values one after the other.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Parser<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    /// The line that is read.
    pub(super) const fn line(&self) -> usize {
        self.line
    }

    /// The next value, or that there is none.
    pub(super) fn next(&mut self) -> Result<Option<Edn>, EdnError> {
        self.skip(0)?;
        if self.rest.is_empty() { Ok(None) } else { self.value(0).map(Some) }
    }

    fn error(&self, what: impl Into<String>) -> EdnError {
        EdnError { line: self.line, what: what.into() }
    }

    /// Takes a number of bytes that end between characters.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
        taken
    }

    /// Goes past white space, commas, comments and what is discarded.
    fn skip(&mut self, depth: usize) -> Result<(), EdnError> {
        loop {
            let blank = |c: char| c.is_whitespace() || c == ',';
            self.take(self.rest.find(|c| !blank(c)).unwrap_or(self.rest.len()));
            if self.rest.starts_with(';') {
                self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("#_") {
                self.take(2);
                self.skip(depth + 1)?;
                self.value(depth + 1)?;
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Edn, EdnError> {
        if depth > DEPTH {
            return Err(self.error(format!("values lie in one another more than {DEPTH} deep")));
        }
        match self.rest.chars().next() {
            None => Err(self.error("the text ends where a value is expected")),
            Some('"') => self.text(),
            Some('[') => self.list(1, ']', depth),
            Some('(') => self.list(1, ')', depth),
            Some('{') => {
                let values = self.values(1, '}', depth)?;
                self.map(values)
            }
            Some('#') if self.rest.starts_with("#{") => self.list(2, '}', depth),
            Some('#') if self.rest.starts_with("##") => {
                Err(self.error("numbers that are infinite or none have no place in a history"))
            }
            Some('#') => {
                self.take(1);
                self.token();
                self.skip(depth + 1)?;
                self.value(depth + 1)
            }
            Some('\\') => self.character(),
            Some(c @ (']' | ')' | '}')) => Err(self.error(format!("`{c}` closes nothing"))),
            Some(_) => self.atom(),
        }
    }

    fn list(&mut self, open: usize, close: char, depth: usize) -> Result<Edn, EdnError> {
        self.values(open, close, depth).map(Edn::List)
    }

    fn values(&mut self, open: usize, close: char, depth: usize) -> Result<Vec<Edn>, EdnError> {
        let begin = self.line;
        self.take(open);
        let mut values = Vec::new();
        loop {
            self.skip(depth + 1)?;
            if self.rest.starts_with(close) {
                self.take(close.len_utf8());
                return Ok(values);
            }
            if self.rest.is_empty() {
                return Err(self.error(format!("what line {begin} opens lacks its `{close}`")));
            }
            values.push(self.value(depth + 1)?);
        }
    }

    fn map(&self, values: Vec<Edn>) -> Result<Edn, EdnError> {
        let mut fields = Vec::with_capacity(values.len() / 2);
        let mut values = values.into_iter();
        while let Some(key) = values.next() {
            let value = values.next().ok_or_else(|| self.error(format!("the key {key} has no value")))?;
            fields.push((key, value));
        }
        Ok(Edn::Map(fields))
    }

    fn text(&mut self) -> Result<Edn, EdnError> {
        let begin = self.line;
        self.take(1);
        let mut text = String::new();
        loop {
            let plain = self.rest.find(['"', '\\']);
            let Some(plain) = plain else {
                return Err(self.error(format!("the text that begins in line {begin} has no end")));
            };
            text.push_str(self.take(plain));
            if self.take(1) == "\"" {
                return Ok(Edn::Text(text));
            }
            text.push(self.escaped()?);
        }
    }

    /// What stands behind a backslash in a text.
    fn escaped(&mut self) -> Result<char, EdnError> {
        let Some(c) = self.rest.chars().next() else { return Err(self.error("the text ends after a `\\`")) };
        self.take(c.len_utf8());
        match c {
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'b' => Ok('\u{8}'),
            'f' => Ok('\u{c}'),
            '"' | '\\' => Ok(c),
            'u' => {
                let unit = self.unit()?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit).ok_or_else(|| self.error("half of a character"));
                }
                // The first half of a pair, as Java writes what is beyond 16 bits.
                if self.take(2) != "\\u" {
                    return Err(self.error("half of a character"));
                }
                let second = self.unit()?;
                let rest = second.checked_sub(0xdc00).filter(|rest| *rest < 0x400);
                rest.and_then(|rest| char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + rest))
                    .ok_or_else(|| self.error("half of a character"))
            }
            c => Err(self.error(format!("`\\{c}` in a text means nothing"))),
        }
    }

    /// Four digits.
    fn unit(&mut self) -> Result<u32, EdnError> {
        let digits = self.take(4);
        if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(self.error("`\\u` has four hexadecimal digits"));
        }
        u32::from_str_radix(digits, 16).map_err(|error| self.error(error.to_string()))
    }

    fn character(&mut self) -> Result<Edn, EdnError> {
        self.take(1);
        let first = self.rest.chars().next().map_or(0, char::len_utf8);
        let end = self.rest.get(first..).and_then(|rest| rest.find(delimits));
        let name = self.take(end.map_or(self.rest.len(), |end| first + end));
        let mut chars = name.chars();
        match (chars.next(), chars.next(), name) {
            (Some(c), None, _) => Ok(Edn::Text(c.to_string())),
            (_, _, "newline") => Ok(Edn::Text("\n".into())),
            (_, _, "return") => Ok(Edn::Text("\r".into())),
            (_, _, "space") => Ok(Edn::Text(" ".into())),
            (_, _, "tab") => Ok(Edn::Text("\t".into())),
            _ => Err(self.error(format!("`\\{name}` is no character"))),
        }
    }

    fn token(&mut self) -> &'a str {
        self.take(self.rest.find(delimits).unwrap_or(self.rest.len()))
    }

    fn atom(&mut self) -> Result<Edn, EdnError> {
        let token = self.token();
        if let Some(word) = token.strip_prefix(':') {
            return if word.is_empty() {
                Err(self.error("a keyword has no name"))
            } else {
                Ok(Edn::Word(word.to_owned()))
            };
        }
        let unsigned = token.strip_prefix(['+', '-']).unwrap_or(token);
        match token {
            "nil" => Ok(Edn::Nil),
            "true" => Ok(Edn::Bool(true)),
            "false" => Ok(Edn::Bool(false)),
            _ if unsigned.starts_with(|c: char| c.is_ascii_digit()) => number(token)
                .map(Edn::Number)
                .ok_or_else(|| self.error(format!("cannot take the number {token}"))),
            _ => Ok(Edn::Word(token.to_owned())),
        }
    }
}

fn delimits(c: char) -> bool {
    c.is_whitespace() || ",;\"()[]{}".contains(c)
}

fn number(token: &str) -> Option<Number> {
    let plain = token.strip_prefix('+').unwrap_or(token);
    let whole = plain.strip_suffix('N').unwrap_or(plain);
    if let Ok(number) = whole.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = whole.parse::<u64>() {
        return Some(number.into());
    }
    let plain = plain.strip_suffix('M').unwrap_or(plain);
    if !plain.contains(['.', 'e', 'E']) {
        return None;
    }
    plain.parse::<f64>().ok().and_then(Number::from_f64)
}
