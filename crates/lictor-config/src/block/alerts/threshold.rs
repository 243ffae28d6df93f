//! `threshold { … }` of `alerts`: how long it lasts until it counts.

use std::time::Duration;

use lictor_core::alert::{Matcher, Matchers, Pattern, Threshold, label};

use super::select;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, LONGEST, Schema};
use crate::syntax::tree::Block;

pub(super) static BLOCK: BlockType =
    BlockType { name: "threshold", labels: &[], repeats: true, bodies: Bodies::One(&SCHEMA) };

static SCHEMA: Schema = Schema {
    doc: "How long an alert must last until it counts, and how long it must be over. Of several that fit \
          the narrowest is in force: first those that name check, service and node exactly, then those with \
          a check, with a service, with a node, and last those with none of these; of equally narrow ones \
          the one that is written first. Checks of this configuration have judged that themselves \
          (`fail_after`, `for`): for those no threshold holds.",
    groups: &[
        select::ATTRIBUTES,
        &[
            Attribute::new("for", Kind::Duration(Duration::ZERO, LONGEST), "So long it must have been bad.")
                .required(),
            Attribute::new(
                "recover_for",
                Kind::Duration(Duration::ZERO, LONGEST),
                "So long it must have been good again.",
            )
            .default("0s"),
        ],
    ],
    blocks: &[],
    values: &[],
    example: r#"consul {}

alerts {
  consul {}
  threshold {
    for         = "1m"
    recover_for = "1m"
  }
  threshold {
    check = "/backup/"
    for   = "2h"
  }
}"#,
};

/// All of them, the narrowest first.
pub(super) fn decode(decoder: &Decoder<'_>, blocks: &[&Block]) -> Vec<Threshold> {
    let read = |block: &&Block| {
        let reader = Reader::new(decoder, block, &SCHEMA);
        Threshold {
            when: select::matchers(&reader),
            bad_for: reader.duration("for"),
            good_for: reader.duration("recover_for"),
        }
    };
    let mut found: Vec<Threshold> = blocks.iter().map(read).collect();
    // Stable: what is equally narrow stays in the order of the text.
    found.sort_by_key(|threshold| width(&threshold.when));
    found
}

/// How much it leaves open, from 0.
fn width(when: &Matchers) -> u8 {
    let names = |label: &'static str, id: &'static str| {
        when.0.iter().filter(move |one| !one.not && (one.label == label || one.label == id))
    };
    let exact = |one: &Matcher| one.any.iter().all(|pattern| matches!(pattern, Pattern::Exactly(_)));
    let checks = || names(label::CHECK, label::CHECK_ID);
    let services = || names(label::SERVICE, label::SERVICE_ID);
    let nodes = || names(label::NODE, label::NODE);
    let single = checks().any(exact) && services().any(exact) && nodes().any(exact);
    if single {
        0
    } else if checks().next().is_some() {
        1
    } else if services().next().is_some() {
        2
    } else if nodes().next().is_some() {
        3
    } else {
        4
    }
}
