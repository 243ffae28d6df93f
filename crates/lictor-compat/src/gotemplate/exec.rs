//! Rendering.

use std::sync::Arc;

use super::ast::{Command, Kind, Node, Parsed, Pipe, Term};
use super::context::{Context, Done};
use super::value::Value;
use super::{Fault, Mode, OUTPUT_LIMIT, format, funcs};
use crate::gotime::{Moment, month_name, weekday_name};

/// Pieces, calls, and each 16 bytes that they work on, in all.
const STEP_LIMIT: usize = 1_000_000;

/// Blocks and templates inside one another.
const DEPTH_LIMIT: usize = 100;

pub(super) fn render(parsed: &Parsed, mode: Mode, data: &Value) -> Result<String, Fault> {
    let mut run = Run {
        parsed,
        mode,
        page: String::new(),
        context: Context::default(),
        variables: vec![("$".to_owned(), data.clone())],
        steps: 0,
        depth: 0,
    };
    let end = parsed.main.iter().filter_map(Node::at).next_back().unwrap_or(0);
    run.nodes(&parsed.main, data)?;
    if mode == Mode::Html && !run.context.ends() {
        return Err(Fault::new(end, "the page ends inside a tag or an element that needs an end"));
    }
    Ok(run.page)
}

/// What follows a piece.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Next,
    Break,
    Continue,
}

struct Run<'a> {
    parsed: &'a Parsed,
    mode: Mode,
    page: String,
    context: Context,
    variables: Vec<(String, Value)>,
    steps: usize,
    depth: usize,
}

impl<'a> Run<'a> {
    fn nodes(&mut self, nodes: &'a [Node], dot: &Value) -> Result<Then, Fault> {
        for node in nodes {
            let then = self.node(node, dot)?;
            if then != Then::Next {
                return Ok(then);
            }
        }
        Ok(Then::Next)
    }

    fn node(&mut self, node: &'a Node, dot: &Value) -> Result<Then, Fault> {
        match node {
            Node::Text { at, text } => {
                self.charge(*at, text.len())?;
                match self.mode {
                    Mode::Text => self.page.push_str(text),
                    Mode::Html => {
                        self.context.text(text, &mut self.page).map_err(|what| Fault::new(*at, what))?;
                    }
                }
                self.fits(*at)?;
            }
            Node::Action { at, pipe } => self.action(*at, pipe, dot)?,
            Node::If { pipe, then, otherwise } => {
                return self.inner(pipe.at, |run| {
                    let chosen = if run.pipe(pipe, dot)?.truth() { then } else { otherwise };
                    run.nodes(chosen, dot)
                });
            }
            Node::With { pipe, then, otherwise } => {
                return self.inner(pipe.at, |run| {
                    let value = run.pipe(pipe, dot)?;
                    if value.truth() { run.nodes(then, &value) } else { run.nodes(otherwise, dot) }
                });
            }
            Node::Range { pipe, each, none } => {
                return self.inner(pipe.at, |run| run.range(pipe, each, none, dot));
            }
            Node::Template { at, name, pipe } => {
                let value = match pipe {
                    Some(pipe) => self.pipe(pipe, dot)?,
                    None => Value::Nil,
                };
                let parsed = self.parsed;
                let Some(nodes) = parsed.defined.get(name) else {
                    return Err(Fault::new(*at, format!("there is no template `{name}`")));
                };
                let outside = std::mem::replace(&mut self.variables, vec![("$".to_owned(), value.clone())]);
                let done = self.inner(*at, |run| run.nodes(nodes, &value));
                self.variables = outside;
                done?;
            }
            Node::Break => return Ok(Then::Break),
            Node::Continue => return Ok(Then::Continue),
        }
        Ok(Then::Next)
    }

    fn inner(
        &mut self,
        at: usize,
        work: impl FnOnce(&mut Self) -> Result<Then, Fault>,
    ) -> Result<Then, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(Fault::new(
                at,
                format!("more than {DEPTH_LIMIT} blocks and templates inside one another"),
            ));
        }
        let visible = self.variables.len();
        let then = work(self);
        self.variables.truncate(visible);
        self.depth -= 1;
        then
    }

    fn range(&mut self, pipe: &Pipe, each: &'a [Node], none: &'a [Node], dot: &Value) -> Result<Then, Fault> {
        let value = self.commands(pipe, dot)?;
        let elements: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::List(values) => {
                let number = |place: usize| Value::Int(i64::try_from(place).unwrap_or(i64::MAX));
                values.iter().enumerate().map(|(place, value)| (number(place), value.clone())).collect()
            }
            Value::Map(entries) => {
                entries.values.iter().map(|(name, value)| (Value::text(name), value.clone())).collect()
            }
            Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Record(_)
            | Value::Time(_) => {
                return Err(Fault::new(pipe.at, format!("`range` cannot go through {}", value.type_name())));
            }
        };
        if !pipe.assigns {
            self.variables.extend(pipe.variables.iter().map(|name| (name.clone(), Value::Nil)));
        }
        if elements.is_empty() {
            return self.nodes(none, dot);
        }
        let visible = self.variables.len();
        for (place, element) in elements {
            self.charge(pipe.at, 0)?;
            match pipe.variables.as_slice() {
                [one] => self.assign(one, &element),
                [one, two] => {
                    self.assign(one, &place);
                    self.assign(two, &element);
                }
                _ => {}
            }
            let then = self.nodes(each, &element)?;
            self.variables.truncate(visible);
            if then == Then::Break {
                break;
            }
        }
        Ok(Then::Next)
    }

    /// Sets the innermost variable of this name.
    fn assign(&mut self, name: &str, value: &Value) {
        if let Some((_, found)) = self.variables.iter_mut().rev().find(|(found, _)| found == name) {
            *found = value.clone();
        }
    }

    /// The value of a pipeline; what it declares is visible from here on.
    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, Fault> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, &value);
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, Fault> {
        self.chain(pipe.at, &pipe.commands, dot)
    }

    fn chain(&mut self, at: usize, commands: &[Command], dot: &Value) -> Result<Value, Fault> {
        let mut last = None;
        for command in commands {
            last = Some(self.command(command, last, dot)?);
        }
        last.ok_or_else(|| Fault::new(at, "a value is missing"))
    }

    fn command(&mut self, command: &Command, last: Option<Value>, dot: &Value) -> Result<Value, Fault> {
        let Some((first, others)) = command.terms.split_first() else {
            return Ok(Value::Nil);
        };
        match &first.kind {
            Kind::Function(name @ ("and" | "or")) => self.logic(first.at, name, others, last, dot),
            Kind::Function(name) => {
                let arguments = self.arguments(others, last, dot)?;
                self.call(first.at, name, &arguments)
            }
            Kind::Fields(base, names) => {
                let mut value = self.kind(first.at, base, dot)?;
                let (method, path) = names.split_last().unzip();
                for name in path.unwrap_or_default() {
                    value = self.field(first.at, &value, name, &[])?;
                }
                let arguments = self.arguments(others, last, dot)?;
                self.field(first.at, &value, method.map_or("", String::as_str), &arguments)
            }
            Kind::Nil => Err(Fault::new(first.at, "`nil` alone is no value")),
            kind @ (Kind::Dot | Kind::Literal(_) | Kind::Variable(_) | Kind::Pipe(_)) => {
                if !others.is_empty() || last.is_some() {
                    return Err(Fault::new(first.at, "this is no function and takes no arguments"));
                }
                self.kind(first.at, kind, dot)
            }
        }
    }

    /// `and` and `or` look at no more arguments than they must.
    fn logic(
        &mut self,
        at: usize,
        name: &str,
        terms: &[Term],
        last: Option<Value>,
        dot: &Value,
    ) -> Result<Value, Fault> {
        let mut value = None;
        for term in terms {
            let found = self.kind(term.at, &term.kind, dot)?;
            if found.truth() == (name == "or") {
                return Ok(found);
            }
            value = Some(found);
        }
        last.or(value).ok_or_else(|| Fault::new(at, format!("`{name}` needs an argument")))
    }

    fn arguments(&mut self, terms: &[Term], last: Option<Value>, dot: &Value) -> Result<Vec<Value>, Fault> {
        let mut arguments = Vec::with_capacity(terms.len() + 1);
        for term in terms {
            arguments.push(self.kind(term.at, &term.kind, dot)?);
        }
        arguments.extend(last);
        Ok(arguments)
    }

    fn kind(&mut self, at: usize, kind: &Kind, dot: &Value) -> Result<Value, Fault> {
        self.charge(at, 0)?;
        match kind {
            Kind::Dot => Ok(dot.clone()),
            Kind::Nil => Ok(Value::Nil),
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Function(name) => self.call(at, name, &[]),
            Kind::Pipe(pipe) => self.pipe(pipe, dot),
            Kind::Variable(name) => {
                let found = self.variables.iter().rev().find(|(found, _)| found == name);
                found
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| Fault::new(at, format!("there is no variable `{name}`")))
            }
            Kind::Fields(base, names) => {
                let mut value = self.kind(at, base, dot)?;
                for name in names {
                    value = self.field(at, &value, name, &[])?;
                }
                Ok(value)
            }
        }
    }

    fn call(&mut self, at: usize, name: &str, arguments: &[Value]) -> Result<Value, Fault> {
        self.charge(at, arguments.iter().map(size).sum())?;
        let value = funcs::call(name, arguments).map_err(|what| Fault::new(at, what))?;
        self.made(at, value)
    }

    fn field(&mut self, at: usize, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Fault> {
        self.charge(at, arguments.iter().map(size).sum())?;
        let unknown = || Fault::new(at, format!("{} has no field or method `{name}`", value.type_name()));
        if let Value::Time(time) = value {
            let found = method(time, name, arguments).ok_or_else(|| {
                Fault::new(at, format!("a time has no method `{name}` with {} arguments", arguments.len()))
            })?;
            return self.made(at, found);
        }
        let found = match value {
            Value::Record(record) => record.get(name).ok_or_else(unknown)?.clone(),
            Value::Map(entries) => entries.values.get(name).cloned().unwrap_or_default(),
            // An entry that a map does not have has no fields either.
            Value::Nil => Value::Nil,
            Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Time(_) => return Err(unknown()),
        };
        if !arguments.is_empty() {
            return Err(Fault::new(at, format!("`{name}` takes no arguments")));
        }
        Ok(found)
    }

    /// Writes a value, if it is not kept in a variable.
    fn action(&mut self, at: usize, pipe: &Pipe, dot: &Value) -> Result<(), Fault> {
        let escaping = match pipe.commands.last().and_then(Command::function) {
            Some("html") => Done::Html,
            Some("urlquery") => Done::Query,
            _ => Done::Nothing,
        };
        let is_last = escaping != Done::Nothing && self.mode == Mode::Html && pipe.variables.is_empty();
        if let (true, Some((last, before))) = (is_last, pipe.commands.split_last()) {
            // It takes the place of what would escape here anyway.
            let value = if before.is_empty() { None } else { Some(self.chain(pipe.at, before, dot)?) };
            let terms = last.terms.get(1..).unwrap_or_default();
            let arguments = self.arguments(terms, value, dot)?;
            self.charge(at, arguments.iter().map(size).sum())?;
            let shown =
                if before.is_empty() { format::print(&arguments) } else { funcs::text_of(&arguments) };
            let text = shown.map_err(|what| Fault::new(at, what))?;
            return self.write(at, &text, escaping);
        }
        let value = self.pipe(pipe, dot)?;
        if !pipe.variables.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        match (value, self.mode) {
            (Value::Nil, Mode::Html) => {}
            (Value::Nil, Mode::Text) => text.push_str("<no value>"),
            (value, _) => format::plain(&value, &mut text).map_err(|what| Fault::new(at, what))?,
        }
        self.write(at, &text, Done::Nothing)
    }

    fn write(&mut self, at: usize, text: &str, done: Done) -> Result<(), Fault> {
        self.charge(at, text.len())?;
        match self.mode {
            Mode::Text => self.page.push_str(text),
            Mode::Html => {
                self.context.value(text, done, &mut self.page).map_err(|what| Fault::new(at, what))?;
            }
        }
        self.fits(at)
    }

    fn fits(&self, at: usize) -> Result<(), Fault> {
        if self.page.len() > OUTPUT_LIMIT {
            return Err(Fault::new(at, format!("the result is longer than {OUTPUT_LIMIT} bytes")));
        }
        Ok(())
    }

    fn made(&mut self, at: usize, value: Value) -> Result<Value, Fault> {
        if size(&value) > OUTPUT_LIMIT {
            return Err(Fault::new(at, format!("a text became longer than {OUTPUT_LIMIT} bytes")));
        }
        self.charge(at, size(&value))?;
        Ok(value)
    }

    fn charge(&mut self, at: usize, bytes: usize) -> Result<(), Fault> {
        self.steps += 1 + bytes / 16;
        if self.steps > STEP_LIMIT {
            return Err(Fault::new(at, "the template does not come to an end"));
        }
        Ok(())
    }
}

/// How much work a value is.
fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::List(values) => values.len(),
        Value::Map(entries) => entries.values.len(),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Record(_) | Value::Time(_) => {
            0
        }
    }
}

/// What a method of a time gives.
fn method(time: &Arc<Moment>, name: &str, arguments: &[Value]) -> Option<Value> {
    let at = time.zoned();
    let number = |number: i64| Some(Value::Int(number));
    let (seconds, nanos) = (time.timestamp().as_second(), time.timestamp().as_nanosecond());
    match (name, arguments) {
        ("Format", [Value::Text(layout)]) => Some(Value::text(time.format(layout))),
        ("String", []) => Some(Value::text(time.to_string())),
        ("UTC", []) => Some(Value::Time(Arc::new(time.to_utc()))),
        ("Local", []) => Some(Value::Time(Arc::clone(time))),
        ("IsZero", []) => Some(Value::Bool(time.is_zero())),
        ("Unix", []) => number(seconds),
        ("UnixMilli", []) => number(time.timestamp().as_millisecond()),
        ("UnixNano", []) => number(i64::try_from(nanos).unwrap_or(i64::MAX)),
        ("Year", []) => number(at.year().into()),
        ("Month", []) => Some(Value::text(month_name(at.month()))),
        ("Day", []) => number(at.day().into()),
        ("YearDay", []) => number(at.day_of_year().into()),
        ("Weekday", []) => Some(Value::text(weekday_name(at.weekday()))),
        ("Hour", []) => number(at.hour().into()),
        ("Minute", []) => number(at.minute().into()),
        ("Second", []) => number(at.second().into()),
        ("Nanosecond", []) => number(at.subsec_nanosecond().into()),
        _ => None,
    }
}

impl Node {
    /// Where it stands in the source.
    fn at(&self) -> Option<usize> {
        match self {
            Self::Text { at, .. } | Self::Action { at, .. } | Self::Template { at, .. } => Some(*at),
            Self::If { pipe, .. } | Self::With { pipe, .. } | Self::Range { pipe, .. } => Some(pipe.at),
            Self::Break | Self::Continue => None,
        }
    }
}
