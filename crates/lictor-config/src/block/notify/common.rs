//! What all notifiers have in common.

use std::num::NonZeroU32;
use std::time::Duration;

use lictor_core::alert::{Batching, NotifierPlan};

use crate::code::Code;
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, LONGEST};
use crate::source::Span;
use crate::syntax::tree::Text;
use crate::template::{Template, TemplateError};

const SECOND: Duration = Duration::from_secs(1);

/// How a notifier is used, and what it says.
pub(super) const COMMON: &[Attribute] = &[
    Attribute::new("title", Kind::Text, "The title (of a mail the subject): a template.")
        .default_words("what is wrong, in a line"),
    Attribute::new("text", Kind::Text, "The text: a template.").default_words("each alert with its output"),
    Attribute::new(
        "batch",
        Kind::Word(&["together", "node", "alert"]),
        "What goes into one message: all of a group, what concerns one node, or one alert.",
    )
    .default_words("`together`; `alert` for services that keep an incident of each"),
    Attribute::new("parallel", Kind::Whole(1, 64), "So many messages at once, never two of one alert.")
        .default("1"),
    Attribute::new("rate", Kind::Budget, "At most so many messages in such a time."),
    Attribute::new(
        "timeout",
        Kind::Duration(Duration::from_millis(100), Duration::from_secs(600)),
        "Time limit of one attempt.",
    )
    .default_words("`10s`; `30s` for email and exec"),
    Attribute::new(
        "backoff",
        Kind::Duration(Duration::from_millis(10), LONGEST),
        "Pause after the first attempt that was not accepted; it doubles for each further one.",
    )
    .default("1s"),
    Attribute::new("backoff_max", Kind::Duration(Duration::from_millis(10), LONGEST), "The longest pause.")
        .default("5m"),
    Attribute::new(
        "expire",
        Kind::Duration(SECOND, LONGEST),
        "A message that was not accepted by then is given up.",
    )
    .default("24h"),
];

/// How a service is reached.
pub(super) const HTTP: &[Attribute] = &[
    Attribute::new("headers", Kind::Secrets, "Headers to add."),
    Attribute::new("proxy", Kind::Url, "The proxy to go through. None is used unless it is set here."),
    super::super::tls::ATTRIBUTES[0],
    super::super::tls::ATTRIBUTES[1],
    super::super::tls::ATTRIBUTES[2],
    super::super::tls::ATTRIBUTES[3],
    super::super::tls::ATTRIBUTES[4],
];

/// How it is used.
pub(super) fn plan(reader: &Reader<'_>, usual: Batching) -> NotifierPlan {
    let batch = match reader.word("batch") {
        Some("together") => Batching::Together,
        Some("node") => Batching::PerNode,
        Some("alert") => Batching::PerAlert,
        _ => usual,
    };
    let (backoff, backoff_max) = (reader.duration("backoff"), reader.duration("backoff_max"));
    if backoff > backoff_max {
        let message = "`backoff` is longer than `backoff_max`";
        reader.decoder.add(Draft::new(Code::Combination, reader.span("backoff"), message));
    }
    NotifierPlan {
        batch,
        parallel: reader.count("parallel").unwrap_or(NonZeroU32::MIN),
        rate: reader.budget("rate").map(|budget| (budget.runs, budget.per)),
        backoff,
        backoff_max,
        expire: reader.duration("expire"),
    }
}

/// The time limit of an attempt.
pub(super) fn timeout(reader: &Reader<'_>, usual: Duration) -> Duration {
    reader.duration_if("timeout").unwrap_or(usual)
}

/// A template of a text, if it is set.
pub(super) fn template(reader: &Reader<'_>, name: &str) -> Option<Template> {
    let text = reader.text_at(name)?;
    compiled(reader, name, &text, Template::new)
}

/// A template; a mistake in it is told at its place.
pub(super) fn compiled(
    reader: &Reader<'_>,
    name: &str,
    text: &Text,
    compile: fn(&str) -> Result<Template, TemplateError>,
) -> Option<Template> {
    match compile(&text.is) {
        Ok(template) => Some(template),
        Err(error) => {
            wrong(reader, name, text.span, &error);
            None
        }
    }
}

/// Tells a mistake in a template.
pub(super) fn wrong(reader: &Reader<'_>, name: &str, span: Span, error: &TemplateError) {
    let at = error.range.clone().map_or(span, |range| reader.decoder.inside(span, range));
    let message = format!("the template `{name}` has a mistake: {error}");
    reader
        .decoder
        .add(Draft::new(Code::Template, at, message).help("what can stand in one: docs/notifiers.md"));
}
