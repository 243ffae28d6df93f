//! `ignore { … }` and `inhibit { … }` of `alerts`: what is not told at all, or not while something else
//! is wrong.

use std::time::Duration;

use lictor_core::alert::{Inhibition, Matchers, label};

use super::select;
use crate::code::Code;
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, LONGEST, Schema};
use crate::syntax::tree::Block;

/// How long an alert waits for what would mute it.
pub(super) const WAIT: Duration = Duration::from_secs(10);

/// The check that Consul itself keeps of each node.
const SERF_HEALTH: &str = "serfHealth";

pub(super) static IGNORE: BlockType =
    BlockType { name: "ignore", labels: &[], repeats: true, bodies: Bodies::One(&IGNORE_SCHEMA) };

static IGNORE_SCHEMA: Schema = Schema {
    doc: "Alerts that are not looked at, as if they did not exist.",
    groups: &[select::ATTRIBUTES],
    blocks: &[],
    values: &[],
    example: r#"alerts {
  ignore {
    node  = ["lab1", "lab2"]
    check = "/^debug-/"
  }
}"#,
};

pub(super) static INHIBIT: BlockType =
    BlockType { name: "inhibit", labels: &[], repeats: true, bodies: Bodies::One(&INHIBIT_SCHEMA) };

static INHIBIT_SCHEMA: Schema = Schema {
    doc: "While one alert is critical, others are not told.",
    groups: &[&[
        Attribute::new("when", Kind::Selection, "While one of these is critical.").required(),
        Attribute::new("mutes", Kind::Selection, "None of these is told then, itself excepted.").required(),
        Attribute::new(
            "equal",
            Kind::Texts,
            "Labels that both must have alike, such as `[\"node\"]`: where there is none it is an empty text.",
        ),
        Attribute::new(
            "wait",
            Kind::Duration(Duration::ZERO, LONGEST),
            "So long those wait before they are first told, since what mutes them may need longer to be seen.",
        )
        .default("10s"),
    ]],
    blocks: &[],
    values: &[],
    example: r#"alerts {
  inhibit {
    when {
      check = "uplink"
    }
    mutes {
      check = "/^remote-/"
    }
    equal = ["datacenter"]
  }
}"#,
};

/// What is ignored.
pub(super) fn ignored(decoder: &Decoder<'_>, block: &Block) -> Option<Matchers> {
    let reader = Reader::new(decoder, block, &IGNORE_SCHEMA);
    if !select::is_limited(&reader) {
        let draft = Draft::new(Code::Missing, reader.head, "this would ignore every alert");
        decoder.add(draft.help("say which alerts are meant, such as node = \"lab1\""));
        return None;
    }
    Some(select::matchers(&reader))
}

/// What mutes what.
pub(super) fn inhibition(decoder: &Decoder<'_>, block: &Block) -> Option<Inhibition> {
    let reader = Reader::new(decoder, block, &INHIBIT_SCHEMA);
    let (source, target) = (select::selection(&reader, "when"), select::selection(&reader, "mutes"));
    let (equal, wait) = (once(&reader, "equal"), reader.duration("wait"));
    let (source, target) = (source?, target?);
    if source.0.is_empty() {
        let draft = Draft::new(Code::Missing, reader.span("when"), "`when` would be every alert");
        decoder.add(draft.help("say which alerts mute the others"));
    }
    if target.0.is_empty() && equal.is_empty() {
        let draft = Draft::new(Code::Missing, reader.span("mutes"), "this would mute every other alert");
        decoder.add(draft.help("say which alerts are muted, or add `equal`"));
    }
    Some(Inhibition { source, target, equal, wait })
}

/// A list of texts that are not empty, once each.
pub(in crate::block) fn once(reader: &Reader<'_>, name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in reader.texts(name) {
        if text.is.is_empty() {
            reader.decoder.add(Draft::new(
                Code::Missing,
                text.span,
                format!("an entry of `{name}` is empty"),
            ));
        } else if found.contains(&text.is) {
            let message = format!("`{}` stands twice in `{name}`", text.is);
            reader.decoder.add(Draft::new(Code::Twice, text.span, message));
        } else {
            found.push(text.is);
        }
    }
    found
}

/// A node that Consul has lost mutes all that is on it.
pub(super) fn dead_node() -> Inhibition {
    let source =
        vec![select::exactly(label::SOURCE, "consul"), select::exactly(label::CHECK_ID, SERF_HEALTH)];
    Inhibition {
        source: Matchers(source),
        target: Matchers::default(),
        equal: vec![label::NODE.to_owned(), label::DATACENTER.to_owned()],
        wait: Duration::ZERO,
    }
}
