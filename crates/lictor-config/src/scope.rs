//! The names that are defined, for references to them.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::problem::Draft;
use crate::report::Report;
use crate::source::Span;
use crate::syntax::tree::{Body, Text};

/// Everything that can be referred to, with where it is defined.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Watchers and checks.
    pub(crate) checks: BTreeMap<String, Checked>,
    /// The connection monitors: each has a lease.
    pub(crate) monitors: std::collections::BTreeSet<String>,
    /// Whether there is a `consul` block.
    pub(crate) consul: bool,
    /// Rules and remedies.
    pub(crate) remedies: BTreeMap<String, Span>,
}

/// A watcher or check.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The watcher's kind; `None` for a composite.
    pub(crate) kind: Option<String>,
    /// Its patterns.
    pub(crate) patterns: BTreeMap<String, Span>,
    /// Where it is defined.
    pub(crate) span: Span,
}

impl Scope {
    /// Collects the names, whatever is wrong with their blocks, and reports those that
    /// are defined twice.
    pub(crate) fn of(body: &Body, report: &Report) -> Self {
        let mut scope = Self::default();
        for block in &body.blocks {
            let labels: Vec<&Text> = block.labels.iter().collect();
            match (block.kind.is.as_str(), labels.as_slice()) {
                ("watch", [kind, name]) => {
                    let mut patterns = BTreeMap::new();
                    for inner in block.body.blocks.iter().filter(|inner| inner.kind.is == "match") {
                        if let [name] = inner.labels.as_slice() {
                            insert(&mut patterns, name, name.span, |span| *span, report);
                        }
                    }
                    let checked = Checked { kind: Some(kind.is.clone()), patterns, span: name.span };
                    insert(&mut scope.checks, name, checked, |checked| checked.span, report);
                }
                ("check", [name]) => {
                    let checked = Checked { kind: None, patterns: BTreeMap::new(), span: name.span };
                    insert(&mut scope.checks, name, checked, |checked| checked.span, report);
                }
                ("consul", []) => scope.consul = true,
                ("connection_monitor", [name]) => {
                    scope.monitors.insert(name.is.clone());
                }
                ("rule" | "remedy", [name]) => {
                    insert(&mut scope.remedies, name, name.span, |span| *span, report);
                }
                _ => {}
            }
        }
        scope
    }
}

fn insert<T>(into: &mut BTreeMap<String, T>, name: &Text, value: T, place: fn(&T) -> Span, report: &Report) {
    if let Some(first) = into.get(&name.is) {
        let message = format!("the name `{}` is used twice", name.is);
        let draft = Draft::new(Code::Twice, name.span, message).label("again here");
        return report.add(draft.also(place(first), "first here"));
    }
    into.insert(name.is.clone(), value);
}
