//! Texts of messages: templates in the language of Jinja, checked when they are read.
//!
//! What a template can name is the [`view`] of a message. A name that is not there is a mistake
//! when the configuration is read; a label that an alert does not have is an empty text when it
//! is sent.

mod shape;
pub mod view;

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

pub use shape::Shape;

/// A template may take so many steps; a loop in a loop over a large message stays far below.
const STEPS: u64 = 2_000_000;

/// What is rendered is at most so long, bytes.
const LONGEST: usize = 1 << 20;

/// A text with `{{ … }}` and `{% … %}` in it that are filled in for each message.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    source: Arc<str>,
    html: bool,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// Where in the template, in bytes, when that is known.
    pub range: Option<Range<usize>>,
}

impl Template {
    /// A template of a plain text, after it has been tried with every kind of message.
    ///
    /// # Errors
    /// Says what is wrong and where.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        Self::checked(source, false)
    }

    /// The same of HTML: what is filled in is escaped.
    ///
    /// # Errors
    /// Says what is wrong and where.
    pub fn html(source: &str) -> Result<Self, TemplateError> {
        Self::checked(source, true)
    }

    /// A template of ours, which the tests have tried.
    pub fn trusted(source: &str) -> Self {
        Self { source: source.into(), html: false }
    }

    /// The same of HTML.
    pub fn trusted_html(source: &str) -> Self {
        Self { source: source.into(), html: true }
    }

    fn checked(source: &str, html: bool) -> Result<Self, TemplateError> {
        let template = Self { source: source.into(), html };
        template.check(&[])?;
        for message in view::samples() {
            template.attempt(&view::of(&message)).map_err(|error| explain(&error, source))?;
        }
        Ok(template)
    }

    /// Whether it can be read, and names nothing but what a message has, or `besides`.
    pub(crate) fn check(&self, besides: &[&str]) -> Result<(), TemplateError> {
        let found = environment(self.html).template_from_named_str("text", &self.source);
        let found = found.map_err(|error| explain(&error, &self.source))?;
        let mut unknown: Vec<String> = found
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !is_known(name) && !besides.contains(&name.as_str()))
            .collect();
        unknown.sort();
        let Some(name) = unknown.first() else { return Ok(()) };
        let range = self.source.find(name.as_str()).map(|start| start..start + name.len());
        Err(TemplateError { message: format!("a message has no `{name}`"), range })
    }

    /// Fills it in.
    ///
    /// # Errors
    /// When it cannot be done with what this message holds.
    pub fn render(&self, view: &serde_json::Value) -> Result<String, TemplateError> {
        self.attempt(view).map_err(|error| explain(&error, &self.source))
    }

    fn attempt(&self, view: &serde_json::Value) -> Result<String, minijinja::Error> {
        let environment = environment(self.html);
        let template = environment.template_from_named_str("text", &self.source)?;
        let mut text = template.render(value(view))?;
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
        }
        Ok(text)
    }

    /// As it is written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", &*self.source)
    }
}

/// The value of an expression, such as `items | length`.
pub(crate) fn evaluate(
    expression: &str,
    view: &serde_json::Value,
) -> Result<serde_json::Value, TemplateError> {
    let explain = |error: minijinja::Error| explain(&error, expression);
    let compiled = environment(false).compile_expression(expression).map_err(explain)?;
    let found = compiled.eval(value(view)).map_err(explain)?;
    if found.is_undefined() {
        return Ok(serde_json::Value::Null);
    }
    serde_json::to_value(&found)
        .map_err(|error| TemplateError { message: format!("this has no JSON: {error}"), range: None })
}

fn value(view: &serde_json::Value) -> Value {
    // What is JSON has a value here.
    serde_json::from_value(view.clone()).unwrap_or_default()
}

/// Whether an expression can be read.
pub(crate) fn check_expression(expression: &str) -> Result<(), TemplateError> {
    environment(false).compile_expression(expression).map(drop).map_err(|error| explain(&error, expression))
}

fn is_known(name: &str) -> bool {
    view::NAMES.contains(&name) || environment(false).globals().any(|(known, _)| known == name)
}

fn environment(html: bool) -> &'static Environment<'static> {
    static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| make(false));
    static HTML: LazyLock<Environment<'static>> = LazyLock::new(|| make(true));
    if html { &HTML } else { &PLAIN }
}

fn make(html: bool) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(move |_name| if html { AutoEscape::Html } else { AutoEscape::None });
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(STEPS));
    // A tag on a line of its own leaves no empty line.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.add_filter("segment", segment);
    environment.add_filter("start", start);
    environment.add_filter("bytes", bytes);
    environment.add_filter("ascii", ascii);
    environment
}

/// A text as one segment of a path: every byte that might mean something is percent-encoded.
fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*!:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").ok();
        }
    }
    encoded
}

/// The first so many characters of a text; `…` shows that there was more.
fn start(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The first so many bytes of a text at most, cut between characters; `…` shows that there was more.
fn bytes(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    text.get(..end).unwrap_or_default().to_owned() + "…"
}

/// A text of so many characters of visible ASCII and spaces at most; what is anything else is `?`, and
/// `...` shows that there was more.
fn ascii(text: &str, most: usize) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            ' '..='~' => plain.push(c),
            '…' => plain.push_str("..."),
            '–' | '—' => plain.push('-'),
            '‘' | '’' => plain.push('\''),
            '“' | '”' | '„' => plain.push('"'),
            c if c.is_whitespace() => plain.push(' '),
            _ => plain.push('?'),
        }
    }
    if plain.len() > most {
        plain.truncate(most.saturating_sub(3));
        plain.push_str("...");
    }
    plain
}

fn explain(error: &minijinja::Error, source: &str) -> TemplateError {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "it takes too long".to_owned(),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
    };
    let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
    let line = || {
        let line = error.line()?.checked_sub(1)?;
        let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
        Some(start..start + source.get(start..)?.lines().next().map_or(0, str::len))
    };
    let range = error.range().or_else(line);
    TemplateError { message: format!("{what}{cause}"), range }
}

#[cfg(test)]
mod tests;
