//! JSON text into the tree: first plainly, then split into blocks and attributes by what
//! the language knows.

use super::scan::DEPTH;
use super::tree::{At, Attribute, Block, Body, Is, Text, Value};
use crate::code::Code;
use crate::problem::Draft;
use crate::schema::{BlockType, Schema};
use crate::source::Span;

/// Reads a file; `None` when it is not JSON or not an object.
pub(crate) fn read(file: usize, text: &str, top: &'static Schema, problems: &mut Vec<Draft>) -> Option<Body> {
    let mut reader = Reader { text, file, at: 0, depth: 0 };
    let value = match reader.document() {
        Ok(value) => value,
        Err(draft) => {
            problems.push(*draft);
            return None;
        }
    };
    let Is::Map(entries) = value.is else {
        let message = format!("the file holds {}, not an object of blocks", value.is.describe());
        problems.push(Draft::new(Code::WrongType, value.span, message));
        return None;
    };
    Some(body(entries, Some(top), problems))
}

/// Splits an object into blocks and attributes. Without a schema, objects are blocks.
fn body(entries: Vec<(Text, Value)>, schema: Option<&'static Schema>, problems: &mut Vec<Draft>) -> Body {
    let mut found = Body::default();
    for (name, value) in entries {
        // As HCL's own JSON form has it, this name holds a comment.
        if name.is == "//" {
            continue;
        }
        match schema.and_then(|schema| schema.block(&name.is)) {
            Some(known) => blocks(known, &name, &mut Vec::new(), value, &mut found.blocks, problems),
            None if schema.is_none_or(|schema| schema.attribute(&name.is).is_none()) && is_block(&value) => {
                for inner in listed(value) {
                    let Is::Map(entries) = inner.is else { continue };
                    let body = body(entries, None, problems);
                    found.blocks.push(Block { kind: name.clone(), labels: Vec::new(), body });
                }
            }
            None => found.attributes.push(Attribute { name, value }),
        }
    }
    found
}

fn is_block(value: &Value) -> bool {
    match &value.is {
        Is::Map(_) => true,
        Is::List(items) => !items.is_empty() && items.iter().all(|item| matches!(item.is, Is::Map(_))),
        _ => false,
    }
}

/// Whether an object is the body of a block whose last label was left out: what is named in it is
/// known, or is no object that could be the body of a block with that label.
fn is_unnamed(known: &'static BlockType, labels: &[Text], entries: &[(Text, Value)]) -> bool {
    let Some(schema) = known.body(labels.first().map(|label| label.is.as_str())) else { return false };
    let inside = |(name, value): &(Text, Value)| {
        !is_block(value) || schema.attribute(&name.is).is_some() || schema.block(&name.is).is_some()
    };
    let mut written = entries.iter().filter(|(name, _)| name.is != "//").peekable();
    known.takes(labels.len()) && (written.peek().is_none() || written.any(inside))
}

fn listed(value: Value) -> Vec<Value> {
    match value.is {
        Is::List(items) => items,
        is => vec![At { is, span: value.span }],
    }
}

/// The blocks of one type: an object level for each label, lists for repeated ones.
fn blocks(
    known: &'static BlockType,
    kind: &Text,
    labels: &mut Vec<Text>,
    value: Value,
    into: &mut Vec<Block>,
    problems: &mut Vec<Draft>,
) {
    for item in listed(value) {
        match item.is {
            Is::Null => {}
            Is::Map(entries) if labels.len() < known.labels.len() && !is_unnamed(known, labels, &entries) => {
                for (label, inner) in entries.into_iter().filter(|(label, _)| label.is != "//") {
                    labels.push(label);
                    blocks(known, kind, labels, inner, into, problems);
                    labels.pop();
                }
            }
            Is::Map(entries) => {
                let schema = known.body(labels.first().map(|label| label.is.as_str()));
                let body = body(entries, schema, problems);
                into.push(Block { kind: kind.clone(), labels: labels.clone(), body });
            }
            other => {
                let message = format!("`{}` needs an object here, not {}", kind.is, other.describe());
                let draft = Draft::new(Code::WrongType, item.span, message);
                problems.push(draft.help(known.json_form()));
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    file: usize,
    at: usize,
    depth: usize,
}

type Read<T> = Result<T, Box<Draft>>;

impl Reader<'_> {
    fn document(&mut self) -> Read<Value> {
        self.space();
        let value = self.value()?;
        self.space();
        if self.at == self.text.len() { Ok(value) } else { Err(self.unexpected("the end of the file")) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn span(&self, start: usize) -> Span {
        Span::new(self.file, start..self.at)
    }

    fn wrong(&self, code: Code, start: usize, message: String) -> Box<Draft> {
        Box::new(Draft::new(code, Span::new(self.file, start..self.at.max(start)), message))
    }

    fn unexpected(&self, expected: &str) -> Box<Draft> {
        let next = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        let end = self.at + next.map_or(0, char::len_utf8);
        let message = match next {
            None => format!("the file ends here, where {expected} is expected"),
            Some(c) => format!("unexpected `{}`, expected {expected}", c.escape_debug()),
        };
        Box::new(Draft::new(Code::Syntax, Span::new(self.file, self.at..end), message))
    }

    fn value(&mut self) -> Read<Value> {
        let start = self.at;
        let is = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::list)?,
            Some(b'"') => Is::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(At { is, span: self.span(start) })
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Read<Is>) -> Read<Is> {
        if self.depth == DEPTH {
            let message = format!("brackets are nested more than {DEPTH} deep");
            self.at += 1;
            return Err(self.wrong(Code::Limit, self.at - 1, message));
        }
        self.depth += 1;
        let is = inner(self);
        self.depth -= 1;
        is
    }

    fn object(&mut self) -> Read<Is> {
        self.at += 1;
        let mut entries = Vec::new();
        self.space();
        if self.take(b'}') {
            return Ok(Is::Map(entries));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a name in double quotes"));
            }
            let name = At { is: self.string()?, span: self.span(start) };
            self.space();
            if !self.take(b':') {
                return Err(self.unexpected("`:`"));
            }
            self.space();
            entries.push((name, self.value()?));
            self.space();
            if self.take(b'}') {
                return Ok(Is::Map(entries));
            }
            if !self.take(b',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn list(&mut self) -> Read<Is> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Is::List(items));
        }
        loop {
            self.space();
            items.push(self.value()?);
            self.space();
            if self.take(b']') {
                return Ok(Is::List(items));
            }
            if !self.take(b',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self) -> Read<Is> {
        for (word, is) in [("true", Is::Flag(true)), ("false", Is::Flag(false)), ("null", Is::Null)] {
            if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
                self.at += word.len();
                return Ok(is);
            }
        }
        Err(self.unexpected("a value"))
    }

    fn number(&mut self) -> Read<Is> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let number = self.text.get(start..self.at).and_then(|text| text.parse::<f64>().ok());
        match number.filter(|number| number.is_finite()) {
            Some(number) => Ok(Is::Number(number)),
            None => Err(self.wrong(Code::Range, start, "the number is too large".to_owned())),
        }
    }

    fn digits(&mut self) -> Read<()> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Read<String> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(next) = rest.chars().next().filter(|c| *c != '\n') else {
                let draft = self.wrong(Code::Open, start, "this text is not closed on its line".to_owned());
                return Err(Box::new(draft.help("add the closing `\"`").label("it begins here")));
            };
            match next {
                '"' => {
                    self.at += 1;
                    return Ok(text);
                }
                '\\' => text.push(self.escape()?),
                '\0'..='\u{1f}' => return Err(self.unexpected("an escape such as `\\t`")),
                other => {
                    self.at += other.len_utf8();
                    text.push(other);
                }
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let start = self.at;
        self.at += 1;
        let Some(mark) = self.peek() else {
            return Err(self.unexpected("an escape"));
        };
        let plain = match mark {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode(start);
            }
            _ => {
                let draft = self.unexpected("an escape such as `\\n`");
                return Err(Box::new(draft.help("write a backslash twice to mean itself")));
            }
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode(&mut self, start: usize) -> Read<char> {
        let first = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if !(self.take(b'\\') && self.take(b'u')) {
                return Err(self.wrong(Code::Syntax, start, "half of a character".to_owned()));
            }
            let second = self.hex()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.wrong(Code::Syntax, start, "half of a character".to_owned()));
            }
            0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.wrong(Code::Syntax, start, "half of a character".to_owned()))
    }

    fn hex(&mut self) -> Read<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.unexpected("a hexadecimal digit"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}
