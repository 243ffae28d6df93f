//! From tokens to the pieces of a template.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::IntoIter;

use super::ast::{Command, Kind, Node, Parsed, Pipe, Term};
use super::lex::{Segment, Token, Word, cut};
use super::value::Value;
use super::{Fault, Mode, SOURCE_LIMIT, funcs};

/// How deep blocks and parentheses may be inside one another.
const DEPTH_LIMIT: usize = 64;

/// How many variables may be visible at once: they are looked for one after the other.
const VARIABLE_LIMIT: usize = 1000;

pub(super) fn parse(source: &str, mode: Mode) -> Result<Parsed, Fault> {
    if source.len() > SOURCE_LIMIT {
        return Err(Fault::new(0, format!("the template is longer than {SOURCE_LIMIT} bytes")));
    }
    let mut parser = Parser {
        segments: cut(source)?.into_iter(),
        end: source.len(),
        mode,
        defined: BTreeMap::new(),
        variables: vec!["$".to_owned()],
        ranges: 0,
        depth: 0,
    };
    let main = match parser.nodes(true)? {
        (main, Stop::Source) => main,
        (_, Stop::End(at)) => return Err(Fault::new(at, "`end` has nothing to end here")),
        (_, Stop::Else(at, _)) => {
            return Err(Fault::new(at, "`else` belongs to no `if`, `with` or `range`"));
        }
    };
    Ok(Parsed { main: main.into(), defined: parser.defined })
}

/// What ended a list of pieces.
enum Stop {
    Source,
    End(usize),
    /// With the tokens of an `if` behind it.
    Else(usize, Option<Tokens>),
}

struct Parser {
    segments: IntoIter<Segment>,
    /// Where the source ends.
    end: usize,
    mode: Mode,
    defined: BTreeMap<String, Arc<[Node]>>,
    /// Those that are visible.
    variables: Vec<String>,
    /// How many ranges are around.
    ranges: usize,
    depth: usize,
}

impl Parser {
    fn nodes(&mut self, top: bool) -> Result<(Vec<Node>, Stop), Fault> {
        let mut nodes = Vec::new();
        while let Some(segment) = self.segments.next() {
            let (at, tokens) = match segment {
                Segment::Text { at, text } => {
                    nodes.push(Node::Text { at, text });
                    continue;
                }
                Segment::Action { at, tokens } => (at, tokens),
            };
            let mut tokens = Tokens { at, left: tokens.into_iter().peekable() };
            let keyword = tokens.keyword();
            if keyword.is_some() {
                tokens.next();
            }
            match keyword {
                Some(Keyword::End) => return tokens.nothing_more("end").map(|()| (nodes, Stop::End(at))),
                Some(Keyword::Else) => {
                    let again = tokens.keyword() == Some(Keyword::If);
                    if again {
                        tokens.next();
                        return Ok((nodes, Stop::Else(at, Some(tokens))));
                    }
                    tokens.nothing_more("else")?;
                    return Ok((nodes, Stop::Else(at, None)));
                }
                Some(Keyword::Define) if top => self.define(tokens)?,
                Some(Keyword::Define) => {
                    return Err(Fault::new(at, "`define` must not be inside anything else"));
                }
                Some(Keyword::If) => nodes.push(self.inner(at, |parser| parser.condition(tokens))?),
                Some(Keyword::With) => nodes.push(self.inner(at, |parser| parser.with(tokens))?),
                Some(Keyword::Range) => nodes.push(self.inner(at, |parser| parser.range(tokens))?),
                Some(Keyword::Block) => nodes.push(self.inner(at, |parser| parser.block(tokens))?),
                Some(Keyword::Template) => nodes.push(self.template(tokens)?),
                Some(jump @ (Keyword::Break | Keyword::Continue)) => {
                    tokens.nothing_more(jump.as_str())?;
                    if self.ranges == 0 {
                        return Err(Fault::new(at, format!("`{}` is in no `range`", jump.as_str())));
                    }
                    nodes.push(if jump == Keyword::Break { Node::Break } else { Node::Continue });
                }
                None => {
                    let pipe = self.pipe(&mut tokens, 1, false)?;
                    if self.mode == Mode::Html && pipe.variables.is_empty() {
                        escapes_only_at_the_end(&pipe)?;
                    }
                    nodes.push(Node::Action { at, pipe });
                }
            }
        }
        Ok((nodes, Stop::Source))
    }

    /// Something with pieces inside: what it declares is gone behind it.
    fn inner(
        &mut self,
        at: usize,
        parse: impl FnOnce(&mut Self) -> Result<Node, Fault>,
    ) -> Result<Node, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(Fault::new(at, format!("more than {DEPTH_LIMIT} blocks inside one another")));
        }
        let visible = self.variables.len();
        let node = parse(self);
        self.variables.truncate(visible);
        self.depth -= 1;
        node
    }

    fn condition(&mut self, mut tokens: Tokens) -> Result<Node, Fault> {
        let at = tokens.at;
        let pipe = self.pipe(&mut tokens, 1, false)?;
        let (then, stop) = self.nodes(false)?;
        let otherwise = match stop {
            Stop::Else(at, Some(tokens)) => vec![self.inner(at, |parser| parser.condition(tokens))?],
            stop => self.otherwise(at, "if", stop)?,
        };
        Ok(Node::If { pipe, then, otherwise })
    }

    fn with(&mut self, mut tokens: Tokens) -> Result<Node, Fault> {
        let at = tokens.at;
        let pipe = self.pipe(&mut tokens, 1, false)?;
        let (then, stop) = self.nodes(false)?;
        let otherwise = self.otherwise(at, "with", stop)?;
        Ok(Node::With { pipe, then, otherwise })
    }

    fn range(&mut self, mut tokens: Tokens) -> Result<Node, Fault> {
        let at = tokens.at;
        let pipe = self.pipe(&mut tokens, 2, false)?;
        self.ranges += 1;
        let (each, stop) = self.nodes(false)?;
        self.ranges -= 1;
        let none = self.otherwise(at, "range", stop)?;
        Ok(Node::Range { pipe, each, none })
    }

    fn otherwise(&mut self, at: usize, what: &str, stop: Stop) -> Result<Vec<Node>, Fault> {
        match stop {
            Stop::End(_) => Ok(Vec::new()),
            Stop::Source => Err(self.unended(at, what)),
            Stop::Else(at, Some(_)) => Err(Fault::new(at, format!("`else if` belongs to no `{what}`"))),
            Stop::Else(at, None) => match self.nodes(false)? {
                (nodes, Stop::End(_)) => Ok(nodes),
                (_, Stop::Else(at, _)) => Err(Fault::new(at, "there is an `else` before already")),
                (_, Stop::Source) => Err(self.unended(at, what)),
            },
        }
    }

    fn unended(&self, at: usize, what: &str) -> Fault {
        // The place of the block says more than that of the end of the source.
        Fault::new(at.min(self.end), format!("this `{what}` has no `end`"))
    }

    fn define(&mut self, mut tokens: Tokens) -> Result<(), Fault> {
        let at = tokens.at;
        let name = tokens.name("define")?;
        tokens.nothing_more("define")?;
        let nodes = self.body(at, "define")?;
        self.add(name, nodes);
        Ok(())
    }

    fn block(&mut self, mut tokens: Tokens) -> Result<Node, Fault> {
        let at = tokens.at;
        let name = tokens.name("block")?;
        let pipe = self.pipe(&mut tokens, 1, false)?;
        let nodes = self.body(at, "block")?;
        self.add(name.clone(), nodes);
        Ok(Node::Template { at, name, pipe: Some(pipe) })
    }

    /// The pieces of a template with a name, which sees no variable of those around.
    fn body(&mut self, at: usize, what: &str) -> Result<Vec<Node>, Fault> {
        let outside = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let parsed = self.nodes(false);
        self.variables = outside;
        self.ranges = ranges;
        match parsed? {
            (nodes, Stop::End(_)) => Ok(nodes),
            (_, Stop::Source) => Err(self.unended(at, what)),
            (_, Stop::Else(at, _)) => Err(Fault::new(at, format!("`else` belongs to no `{what}`"))),
        }
    }

    /// A later definition takes the place of an earlier one, but for an empty one.
    fn add(&mut self, name: String, nodes: Vec<Node>) {
        let blank = |node: &Node| matches!(node, Node::Text { text, .. } if text.trim().is_empty());
        if !self.defined.contains_key(&name) || !nodes.iter().all(blank) {
            self.defined.insert(name, nodes.into());
        }
    }

    fn template(&mut self, mut tokens: Tokens) -> Result<Node, Fault> {
        let at = tokens.at;
        let name = tokens.name("template")?;
        let pipe = match tokens.left.peek() {
            Some(_) => Some(self.pipe(&mut tokens, 1, false)?),
            None => None,
        };
        Ok(Node::Template { at, name, pipe })
    }

    /// Up to the end of the action, or of the parentheses.
    fn pipe(&mut self, tokens: &mut Tokens, most: usize, inside: bool) -> Result<Pipe, Fault> {
        let at = tokens.left.peek().map_or(tokens.at, |token| token.at);
        let (mut variables, assigns) = if inside { (Vec::new(), false) } else { tokens.declaration(most)? };
        if assigns && let Some(unknown) = variables.iter().find(|name| !self.variables.contains(name)) {
            return Err(Fault::new(at, format!("there is no variable `{unknown}`")));
        }
        let mut commands = Vec::new();
        loop {
            let terms = self.terms(tokens, inside)?;
            if let (Some(first), false) = (terms.first(), commands.is_empty())
                && matches!(first.kind, Kind::Literal(_) | Kind::Dot | Kind::Nil)
            {
                return Err(Fault::new(first.at, "a value can be passed to a function or method only"));
            }
            if terms.is_empty() {
                let next = tokens.left.peek().map(|token| token.at);
                if next.is_none() && !inside && !commands.is_empty() {
                    // Go takes `{{ .X | }}`.
                    break;
                }
                return Err(Fault::new(next.unwrap_or(at), "a value is missing"));
            }
            commands.push(Command { terms });
            match tokens.next().map(|token| (token.at, token.word)) {
                None if !inside => break,
                Some((_, Word::Close)) if inside => break,
                Some((_, Word::Pipe)) => {}
                None => return Err(Fault::new(at, "`)` is missing")),
                Some((at, word)) => {
                    return Err(Fault::new(at, format!("{} is out of place", word.describe())));
                }
            }
        }
        if self.variables.len() > VARIABLE_LIMIT {
            return Err(Fault::new(at, format!("more than {VARIABLE_LIMIT} variables")));
        }
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        variables.shrink_to_fit();
        Ok(Pipe { at, variables, assigns, commands })
    }

    fn terms(&mut self, tokens: &mut Tokens, inside: bool) -> Result<Vec<Term>, Fault> {
        let mut terms = Vec::new();
        while let Some(token) = tokens.left.peek() {
            if matches!(token.word, Word::Pipe) || (inside && token.word == Word::Close) {
                break;
            }
            // `1"a"` and `.(x)` are two operands without a blank between them.
            if !terms.is_empty() && !token.spaced {
                return Err(Fault::new(
                    token.at,
                    format!("a blank is missing before {}", token.word.describe()),
                ));
            }
            terms.push(self.term(tokens)?);
        }
        Ok(terms)
    }

    fn term(&mut self, tokens: &mut Tokens) -> Result<Term, Fault> {
        let Some(Token { at, word, .. }) = tokens.next() else {
            return Err(Fault::new(tokens.at, "a value is missing"));
        };
        let mut kind = match word {
            Word::Dot => Kind::Dot,
            Word::Field(name) => Kind::Fields(Box::new(Kind::Dot), vec![name]),
            Word::Text(text) => Kind::Literal(Value::text(text)),
            Word::Int(number) => Kind::Literal(Value::Int(number)),
            Word::Float(number) => Kind::Literal(Value::Float(number)),
            Word::Variable(name) => {
                if !self.variables.contains(&name) {
                    return Err(Fault::new(at, format!("there is no variable `{name}`")));
                }
                Kind::Variable(name)
            }
            Word::Name(name) => named(at, &name)?,
            Word::Open => {
                self.depth += 1;
                if self.depth > DEPTH_LIMIT {
                    return Err(Fault::new(
                        at,
                        format!("more than {DEPTH_LIMIT} parentheses inside one another"),
                    ));
                }
                let pipe = self.pipe(tokens, 0, true)?;
                self.depth -= 1;
                Kind::Pipe(Box::new(pipe))
            }
            word @ (Word::Pipe | Word::Close | Word::Comma | Word::Declares | Word::Assigns) => {
                return Err(Fault::new(at, format!("{} is out of place", word.describe())));
            }
        };
        while let Some(Token { at, word: Word::Field(name), .. }) =
            tokens.left.next_if(|token| !token.spaced && matches!(token.word, Word::Field(_)))
        {
            kind = match kind {
                Kind::Fields(base, mut names) => {
                    names.push(name);
                    Kind::Fields(base, names)
                }
                base @ (Kind::Variable(_) | Kind::Pipe(_)) => Kind::Fields(Box::new(base), vec![name]),
                Kind::Dot | Kind::Nil | Kind::Literal(_) | Kind::Function(_) => {
                    return Err(Fault::new(at, format!("`.{name}` is behind something without fields")));
                }
            };
        }
        Ok(Term { at, kind })
    }
}

fn named(at: usize, name: &str) -> Result<Kind, Fault> {
    Ok(match name {
        "true" => Kind::Literal(Value::Bool(true)),
        "false" => Kind::Literal(Value::Bool(false)),
        "nil" => Kind::Nil,
        "call" => {
            return Err(Fault::new(at, "the function `call` is not supported: no value here is a function"));
        }
        _ => match funcs::NAMES.iter().find(|known| **known == name) {
            Some(known) => Kind::Function(known),
            None => {
                let known = funcs::NAMES.join(", ");
                return Err(Fault::new(at, format!("there is no function `{name}`; there are {known}")));
            }
        },
    })
}

/// What escapes by itself must be last: behind it, nobody would know that it was done.
fn escapes_only_at_the_end(pipe: &Pipe) -> Result<(), Fault> {
    let (_, before) = pipe.commands.split_last().unzip();
    for command in before.unwrap_or_default() {
        if let (Some(name @ ("html" | "urlquery")), Some(term)) = (command.function(), command.terms.first())
        {
            let what =
                format!("`{name}` must be the last of its pipeline here: what is written is escaped anyway");
            return Err(Fault::new(term.at, what));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Keyword {
    If,
    Else,
    End,
    With,
    Range,
    Define,
    Template,
    Block,
    Break,
    Continue,
}

impl Keyword {
    const fn as_str(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::Else => "else",
            Self::End => "end",
            Self::With => "with",
            Self::Range => "range",
            Self::Define => "define",
            Self::Template => "template",
            Self::Block => "block",
            Self::Break => "break",
            Self::Continue => "continue",
        }
    }
}

/// What is left of an action.
struct Tokens {
    at: usize,
    left: std::iter::Peekable<IntoIter<Token>>,
}

impl Tokens {
    fn next(&mut self) -> Option<Token> {
        self.left.next()
    }

    fn keyword(&mut self) -> Option<Keyword> {
        use Keyword::{Block, Break, Continue, Define, Else, End, If, Range, Template, With};
        let Some(Token { word: Word::Name(name), .. }) = self.left.peek() else {
            return None;
        };
        let all = [If, Else, End, With, Range, Define, Template, Block, Break, Continue];
        all.into_iter().find(|keyword| keyword.as_str() == name)
    }

    fn nothing_more(&mut self, what: &str) -> Result<(), Fault> {
        match self.next() {
            None => Ok(()),
            Some(token) => {
                let found = token.word.describe();
                Err(Fault::new(token.at, format!("{found} is out of place behind `{what}`")))
            }
        }
    }

    fn name(&mut self, what: &str) -> Result<String, Fault> {
        match self.next() {
            Some(Token { word: Word::Text(name), .. }) => Ok(name),
            _ => Err(Fault::new(self.at, format!("`{what}` needs a name in quotes"))),
        }
    }

    /// `$x :=`, `$x =`, and in a range `$i, $x :=`.
    fn declaration(&mut self, most: usize) -> Result<(Vec<String>, bool), Fault> {
        let mut ahead = self.left.clone();
        let mut variables = Vec::new();
        while let Some(Token { at, word: Word::Variable(name), .. }) = ahead.next() {
            variables.push(name);
            match ahead.next().map(|token| token.word) {
                Some(sign @ (Word::Declares | Word::Assigns)) => {
                    if variables.len() > most {
                        return Err(Fault::new(at, "more variables than values"));
                    }
                    self.left = ahead;
                    return Ok((variables, sign == Word::Assigns));
                }
                Some(Word::Comma) => {}
                _ => break,
            }
        }
        Ok((Vec::new(), false))
    }
}

impl Word {
    fn describe(&self) -> String {
        match self {
            Self::Name(name) | Self::Variable(name) => format!("`{name}`"),
            Self::Field(name) => format!("`.{name}`"),
            Self::Text(_) => "a text".to_owned(),
            Self::Int(_) | Self::Float(_) => "a number".to_owned(),
            Self::Dot => "`.`".to_owned(),
            Self::Pipe => "`|`".to_owned(),
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
            Self::Comma => "`,`".to_owned(),
            Self::Declares => "`:=`".to_owned(),
            Self::Assigns => "`=`".to_owned(),
        }
    }
}
