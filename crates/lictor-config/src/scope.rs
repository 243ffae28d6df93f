//! The names that are defined, for references to them.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::problem::Draft;
use crate::report::Report;
use crate::source::Span;
use crate::syntax::tree::{Body, Is, Text};

/// Everything that can be referred to, with where it is defined.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Watchers and checks.
    pub(crate) checks: BTreeMap<String, Checked>,
    /// The connection monitors: each has a lease.
    pub(crate) monitors: std::collections::BTreeSet<String>,
    /// Whether there is a `consul` block.
    pub(crate) consul: bool,
    /// Whether `agent` has `allow_reboot = true`.
    pub(crate) reboot: bool,
    /// Whether the listener asks for a token.
    pub(crate) token: bool,
    /// Rules and remedies.
    pub(crate) remedies: BTreeMap<String, Span>,
}

/// A watcher or check.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The watcher's kind; `None` for a composite.
    pub(crate) kind: Option<String>,
    /// Its patterns.
    pub(crate) patterns: BTreeMap<String, Known>,
    /// Where it is defined.
    pub(crate) span: Span,
}

/// A pattern of a watcher.
#[derive(Debug)]
pub(crate) struct Known {
    /// Its named groups.
    pub(crate) groups: Vec<String>,
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
                            let known = Known { groups: groups(&inner.body), span: name.span };
                            insert(&mut patterns, name, known, |known| known.span, report);
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
                ("agent", []) => scope.reboot |= allows_reboot(&block.body),
                ("http", []) => scope.token |= has_token(&block.body),
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

fn allows_reboot(body: &Body) -> bool {
    let written = body.attributes.iter().find(|attribute| attribute.name.is == "allow_reboot");
    written.is_some_and(|attribute| matches!(attribute.value.is, Is::Flag(true)))
}

fn has_token(body: &Body) -> bool {
    let sources = ["token", "token_file", "token_env", "token_credential"];
    body.attributes.iter().any(|attribute| sources.contains(&attribute.name.is.as_str()))
}

/// The named groups of a pattern. What is wrong with it is said where it is decoded.
fn groups(body: &Body) -> Vec<String> {
    let written = body.attributes.iter().find(|attribute| attribute.name.is == "regex");
    let Some(Is::Text(text)) = written.map(|attribute| &attribute.value.is) else { return Vec::new() };
    let Ok(regex) = regex::Regex::new(text) else { return Vec::new() };
    regex.capture_names().flatten().map(str::to_owned).collect()
}

fn insert<T>(into: &mut BTreeMap<String, T>, name: &Text, value: T, place: fn(&T) -> Span, report: &Report) {
    if let Some(first) = into.get(&name.is) {
        let message = format!("the name `{}` is used twice", name.is);
        let draft = Draft::new(Code::Twice, name.span, message).label("again here");
        return report.add(draft.also(place(first), "first here"));
    }
    into.insert(name.is.clone(), value);
}
