//! What a template consists of once it is understood.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::value::Value;

/// A template with those it defines.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) main: Arc<[Node]>,
    pub(super) defined: BTreeMap<String, Arc<[Node]>>,
}

/// One piece.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text { at: usize, text: String },
    Action { at: usize, pipe: Pipe },
    If { pipe: Pipe, then: Vec<Self>, otherwise: Vec<Self> },
    With { pipe: Pipe, then: Vec<Self>, otherwise: Vec<Self> },
    Range { pipe: Pipe, each: Vec<Self>, none: Vec<Self> },
    Template { at: usize, name: String, pipe: Option<Pipe> },
    Break,
    Continue,
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub(super) at: usize,
    /// The variables that take its value: up to two in a `range`, else up to one.
    pub(super) variables: Vec<String>,
    /// They exist already.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A value, or a function or method with its arguments.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) terms: Vec<Term>,
}

/// One operand.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

/// What an operand is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Dot,
    /// Without a type: comparisons look for it.
    Nil,
    Literal(Value),
    Function(&'static str),
    Pipe(Box<Pipe>),
    /// The value of another operand, and fields of it, each in the one before.
    Fields(Box<Self>, Vec<String>),
    Variable(String),
}

impl Command {
    /// The function that it calls.
    pub(super) fn function(&self) -> Option<&'static str> {
        match self.terms.first().map(|term| &term.kind) {
            Some(Kind::Function(name)) => Some(name),
            _ => None,
        }
    }
}
