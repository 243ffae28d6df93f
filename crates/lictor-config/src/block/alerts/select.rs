//! Which alerts: selectors by what they look at. Routes, thresholds, windows and all the others share them.

use lictor_core::alert::{Matcher, Matchers, Pattern, TAG, label};

use crate::code::Code;
use crate::problem::Draft;
use crate::reader::{Reader, as_body};
use crate::schema::{Attribute, Kind, Schema};
use crate::syntax::tree::{Is, Text, Value};

/// What a selection is written with.
pub(in crate::block) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new(label::CHECK, Kind::Selector, "The name of the check."),
    Attribute::new(label::SERVICE, Kind::Selector, "The name of the service; a check of a node has none."),
    Attribute::new(label::NODE, Kind::Selector, "The node."),
    Attribute::new(label::DATACENTER, Kind::Selector, "The datacenter."),
    Attribute::new(
        label::SOURCE,
        Kind::Selector,
        "Where it was seen: `own` (checks of this configuration), `consul`, `service` (the instances of a \
         service together), `alertmanager`, or `lictor` (what the alerts say of themselves).",
    ),
    Attribute::new(TAG, Kind::Selector, "One of the tags of the service."),
    Attribute::new(
        "labels",
        Kind::Selectors,
        "Further labels by their names: `check_id` and `service_id` of Consul's checks, and whatever \
         labels another program reported.",
    ),
    Attribute::new("not", Kind::Selection, "What must not fit, with the same attributes: none of them may."),
];

/// A selection that is an attribute.
static SELECTION: Schema =
    Schema { doc: "Which alerts.", groups: &[ATTRIBUTES], blocks: &[], values: &[], example: "" };

/// The texts a source may be.
const SOURCES: [&str; 8] =
    ["own", "consul", "service", "peers", "replicate", "snapshot", "alertmanager", "lictor"];

/// What a block with the attributes of a selection selects.
pub(in crate::block) fn matchers(reader: &Reader<'_>) -> Matchers {
    let mut found = plain(reader, false);
    if let Some(value) = reader.value("not") {
        found.extend(inner(reader, "not", value, true));
    }
    Matchers(found)
}

/// What an attribute that is a selection selects, if it is set.
pub(in crate::block) fn selection(reader: &Reader<'_>, name: &str) -> Option<Matchers> {
    reader.value(name).map(|value| Matchers(inner(reader, name, value, false)))
}

/// Whether anything is written that limits what a block selects.
pub(in crate::block) fn is_limited(reader: &Reader<'_>) -> bool {
    ATTRIBUTES.iter().any(|attribute| reader.is_set(attribute.name))
}

fn inner(reader: &Reader<'_>, name: &str, value: &Value, not: bool) -> Vec<Matcher> {
    let Some(body) = as_body(value) else {
        reader.mismatch(name, value);
        return Vec::new();
    };
    let inner = Reader::over(reader.decoder, &body, &SELECTION, value.span, name.to_owned());
    let mut found = plain(&inner, not);
    match inner.value("not") {
        Some(value) if not => {
            let draft = Draft::new(Code::Combination, value.span, "`not` stands in `not`");
            reader.decoder.add(draft.help("write what it holds outside of both"));
        }
        Some(value) => found.extend(self::inner(&inner, "not", value, true)),
        None => {}
    }
    found
}

fn plain(reader: &Reader<'_>, not: bool) -> Vec<Matcher> {
    let named = ATTRIBUTES.iter().filter(|attribute| matches!(attribute.kind, Kind::Selector));
    let mut found: Vec<Matcher> =
        named.filter_map(|attribute| matcher(reader, attribute.name, not)).collect();
    for (name, value) in reader.entries("labels") {
        if name.is.is_empty() {
            let draft = Draft::new(Code::Missing, name.span, "a label has no name");
            reader.decoder.add(draft);
        }
        let any = patterns(reader, &name.is, value);
        found.push(Matcher { label: name.is.clone(), any, not });
    }
    found
}

/// What must be there under one name, if something is written for it.
pub(in crate::block) fn matcher(reader: &Reader<'_>, name: &str, not: bool) -> Option<Matcher> {
    let value = reader.value(name)?;
    let any = patterns(reader, name, value);
    Some(Matcher { label: name.to_owned(), any, not })
}

fn patterns(reader: &Reader<'_>, name: &str, value: &Value) -> Vec<Pattern> {
    let items = match &value.is {
        Is::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    if items.is_empty() {
        let draft = Draft::new(Code::Missing, value.span, format!("`{name}` names nothing that could fit"));
        reader.decoder.add(draft.help("leave it out, or name at least one"));
    }
    let read = |item: &Value| match &item.is {
        Is::Text(text) => {
            let text = Text { is: text.clone(), span: item.span };
            if name == label::SOURCE { source(reader, &text) } else { pattern(reader, &text) }
        }
        other => {
            let message = format!("`{name}` is {}, not {}", Kind::Selector.expected(), other.describe());
            reader.decoder.add(Draft::new(Code::WrongType, item.span, message));
            None
        }
    };
    items.iter().filter_map(read).collect()
}

/// A text, or a pattern between two `/`.
pub(in crate::block) fn pattern(reader: &Reader<'_>, text: &Text) -> Option<Pattern> {
    let Some(inner) = text.is.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) else {
        return Some(Pattern::Exactly(text.is.clone()));
    };
    if inner.is_empty() {
        let draft = Draft::new(Code::Regex, text.span, "the pattern is empty and fits everything");
        reader.decoder.add(draft.help("leave it out, or write what must be found"));
        return None;
    }
    let regex = reader.pattern_in(&Text { is: inner.to_owned(), span: text.span }, 1)?;
    Some(Pattern::Regex(regex))
}

fn source(reader: &Reader<'_>, text: &Text) -> Option<Pattern> {
    let found = pattern(reader, text)?;
    if let Pattern::Exactly(text_is) = &found
        && !SOURCES.contains(&text_is.as_str())
    {
        let draft = Draft::new(Code::Word, text.span, format!("no alert has the source `{text_is}`"));
        reader.decoder.add_near(draft, text_is, SOURCES);
    }
    Some(found)
}

/// A condition of our own: the label is exactly that.
pub(in crate::block) fn exactly(label: &str, text: &str) -> Matcher {
    Matcher { label: label.to_owned(), any: vec![Pattern::Exactly(text.to_owned())], not: false }
}
