//! Templates in the language of Go's `text/template` and `html/template`, as far as old
//! configurations use it: text and trimming, comments, fields, methods and map entries in
//! chains, `if`, `with`, `range`, `define`, `template`, `block`, `break`, `continue`, variables,
//! pipelines, and the built-in functions but `call`.
//!
//! A template is parsed once and rendered with a [`Value`]. In [`Mode::Html`] each value is
//! escaped for the place where it stands, as `html/template` does, also where the result is no
//! HTML; places for which there is no rule here (scripts, addresses inside a style) are errors.
//! Whatever the template, rendering ends: steps, depth and size are bounded.

mod ast;
mod context;
mod escape;
mod exec;
mod format;
mod funcs;
mod lex;
mod parse;
mod value;

use thiserror::Error;

pub use value::{Entries, Record, Value};

/// Longest template, in bytes.
pub const SOURCE_LIMIT: usize = 256 * 1024;

/// Longest result, and longest text made on the way, in bytes.
pub const OUTPUT_LIMIT: usize = 1024 * 1024;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As it is.
    Text,
    /// Escaped for its place in an HTML page.
    Html,
}

/// A template that was understood.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    mode: Mode,
    parsed: ast::Parsed,
}

/// Why a template cannot be understood or rendered, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {what}")]
pub struct TemplateError {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

impl Template {
    /// Understands a template.
    pub fn parse(source: &str, mode: Mode) -> Result<Self, TemplateError> {
        let parsed = parse::parse(source, mode).map_err(|fault| fault.in_source(source))?;
        Ok(Self { source: source.to_owned(), mode, parsed })
    }

    /// What it gives with `data` as its dot.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        exec::render(&self.parsed, self.mode, data).map_err(|fault| fault.in_source(&self.source))
    }
}

/// A mistake at a byte of the source.
#[derive(Clone, Debug)]
struct Fault {
    at: usize,
    what: String,
}

impl Fault {
    fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }

    fn in_source(self, source: &str) -> TemplateError {
        let before: String =
            source.char_indices().take_while(|(at, _)| *at < self.at).map(|(_, c)| c).collect();
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        TemplateError { line: before.matches('\n').count() + 1, column, what: self.what }
    }
}

#[cfg(test)]
mod tests;
