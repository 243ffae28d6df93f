//! The names that are defined, for references to them.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::Code;
use crate::problem::Draft;
use crate::report::Report;
use crate::source::Span;
use crate::syntax::tree::{Body, Is, Text, Value};

/// Everything that can be referred to, with where it is defined.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Watchers and checks.
    pub(crate) checks: BTreeMap<String, Checked>,
    /// Rules and remedies.
    pub(crate) remedies: BTreeMap<String, Span>,
    /// Those that others escalate to.
    pub(crate) escalated: BTreeSet<String>,
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
                ("rule" | "remedy", [name]) => {
                    insert(&mut scope.remedies, name, name.span, |span| *span, report);
                    let escalate = block.body.attributes.iter().find(|set| set.name.is == "escalate");
                    scope.escalated.extend(escalate.and_then(|set| last_name(&set.value)));
                }
                _ => {}
            }
        }
        scope
    }
}

/// The name at the end of a reference, also of one in a text.
fn last_name(value: &Value) -> Option<String> {
    match &value.is {
        Is::Path(names) => names.last().map(|name| name.is.clone()),
        Is::Text(text) => {
            let name = text.trim().strip_prefix("remedy")?;
            Some(name.trim_matches(|c: char| ".[]\" ".contains(c)).to_owned())
        }
        _ => None,
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
