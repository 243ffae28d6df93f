//! What a watcher or check of this configuration says of its alert: `alert` and `depends_on`.

use std::collections::BTreeMap;

use lictor_core::CheckName;
use lictor_core::alert::{Inhibition, Matchers, label};

use super::inhibit::WAIT;
use super::select;
use crate::code::Code;
use crate::problem::Draft;
use crate::reader::Decoder;
use crate::schema::{Attribute, Kind};
use crate::source::Span;
use crate::syntax::tree::{Block, Body, Is, Text, Value};

pub(in crate::block) const ALERT: Attribute =
    Attribute::new("alert", Kind::Flag, "Whether anybody is told of it.").default("true");

pub(in crate::block) const DEPENDS_ON: Attribute = Attribute::new(
    "depends_on",
    Kind::Checks,
    "Checks without which this one cannot pass, also as texts: while one of them is critical nobody is told \
     of this one.",
);

/// What the checks of this configuration add to the plan.
#[derive(Default)]
pub(super) struct Own {
    pub(super) ignored: Vec<Matchers>,
    pub(super) inhibitions: Vec<Inhibition>,
}

/// Reads `alert` and `depends_on` of all watchers and checks.
pub(super) fn decode(decoder: &Decoder<'_>, body: &Body) -> Own {
    let mut own = Own::default();
    let mut graph: BTreeMap<CheckName, Vec<CheckName>> = BTreeMap::new();
    for block in &body.blocks {
        let Some(name) = checked(block) else { continue };
        if let Some(value) = value(block, ALERT.name) {
            match value.is {
                Is::Flag(true) => {}
                Is::Flag(false) => own.ignored.push(subject(&name)),
                _ => mismatch(decoder, &ALERT, value),
            }
        }
        let Some(value) = value(block, DEPENDS_ON.name) else { continue };
        let mut parents: BTreeMap<CheckName, Span> = BTreeMap::new();
        for (parent, span) in references(decoder, value) {
            if let Some(first) = parents.get(&parent) {
                let message = format!("`{parent}` stands twice in `depends_on`");
                decoder.add(Draft::new(Code::Twice, span, message).also(*first, "first here"));
                continue;
            }
            own.inhibitions.push(Inhibition {
                source: subject(&parent),
                target: subject(&name),
                equal: vec![label::NODE.to_owned()],
                wait: WAIT,
            });
            parents.insert(parent, span);
        }
        graph.entry(name).or_default().extend(parents.into_keys());
    }
    check_circles(decoder, &graph);
    own
}

/// The name of the check that a block defines.
fn checked(block: &Block) -> Option<CheckName> {
    match (block.kind.is.as_str(), block.labels.as_slice()) {
        ("watch", [_, name]) | ("check", [name]) => CheckName::new(&name.is).ok(),
        _ => None,
    }
}

fn value<'a>(block: &'a Block, name: &str) -> Option<&'a Value> {
    let written = block.body.attributes.iter().find(|attribute| attribute.name.is == name);
    written.map(|attribute| &attribute.value).filter(|value| value.is != Is::Null)
}

fn subject(check: &CheckName) -> Matchers {
    Matchers(vec![select::exactly(label::SOURCE, "own"), select::exactly(label::CHECK, check.as_str())])
}

/// The checks that a list names, each as a reference or by its name alone.
fn references(decoder: &Decoder<'_>, value: &Value) -> Vec<(CheckName, Span)> {
    let items = match &value.is {
        Is::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let read = |item: &Value| match &item.is {
        Is::Text(text) => {
            let known = decoder.scope.checks.contains_key(text);
            let expression =
                decoder.is_json(item.span) && (text.starts_with("check.") || text.starts_with("check["));
            if expression && !known {
                return decoder.checks(item).unwrap_or_default();
            }
            let name = Text { is: text.clone(), span: item.span };
            decoder.check_name(&name).map(|name| vec![(name, item.span)]).unwrap_or_default()
        }
        Is::Path(_) => decoder.checks(item).unwrap_or_default(),
        _ => {
            mismatch(decoder, &DEPENDS_ON, item);
            Vec::new()
        }
    };
    items.iter().flat_map(read).collect()
}

fn mismatch(decoder: &Decoder<'_>, attribute: &Attribute, value: &Value) {
    let (name, expected) = (attribute.name, attribute.kind.expected());
    let message = format!("`{name}` is {expected}, not {}", value.is.describe());
    decoder.add(Draft::new(Code::WrongType, value.span, message));
}

fn check_circles(decoder: &Decoder<'_>, graph: &BTreeMap<CheckName, Vec<CheckName>>) {
    let graph: BTreeMap<&CheckName, Vec<CheckName>> =
        graph.iter().map(|(name, parents)| (name, parents.clone())).collect();
    for circle in crate::block::plan::circles(&graph).0 {
        let first = circle.first().and_then(|name| decoder.scope.checks.get(name.as_str()));
        let span = first.map_or(Span::new(0, 0..0), |check| check.span);
        let around = crate::block::plan::around(&circle);
        let message = format!("the alerts of these checks depend on each other in a circle: {around}");
        decoder.add(Draft::new(Code::Cycle, span, message));
    }
}
