//! `maintenance "NAME" { … }`: planned times in which nobody is told of some alerts.

use std::time::Duration;

use jiff::Timestamp;

use super::alerts;
use crate::code::Code;
use crate::model::{Begins, Calendar, Maintenance};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, LONGEST, Schema};
use crate::syntax::tree::Block;
use crate::units::Written;

pub(super) static BLOCK: BlockType =
    BlockType { name: "maintenance", labels: &["NAME"], repeats: true, bodies: Bodies::One(&SCHEMA) };

/// So many windows in a row are looked at to see whether they overlap.
const LOOKED_AT: usize = 100;

static SCHEMA: Schema = Schema {
    doc: "Planned times in which nobody is told of some alerts, or of any when none are named. What is still \
          wrong when such a time is over is told then.",
    groups: &[
        alerts::ATTRIBUTES,
        &[
            Attribute::new(
                "start",
                Kind::Text,
                "When it begins, once: `\"2026-12-01T22:00\"`, or with an offset from UTC behind it.",
            ),
            alerts::CRON,
            Attribute::new(
                "for",
                Kind::Duration(Duration::from_secs(1), LONGEST),
                "How long it lasts, in real time also when the clocks change.",
            )
            .required(),
            alerts::TIMEZONE,
            Attribute::new("comment", Kind::Text, "What is done, for people."),
        ],
    ],
    blocks: &[],
    values: &[],
    example: r#"maintenance "backups" {
  node     = "/^db/"
  cron     = "0 2 * * sun"
  for      = "2h"
  timezone = "Europe/Berlin"
  comment  = "Full backups; replication lags behind."
}

maintenance "move" {
  datacenter = "dc2"
  start      = "2026-12-01T22:00"
  for        = "6h"
  timezone   = "Europe/Berlin"
}"#,
};

pub(super) fn decode(decoder: &Decoder<'_>, block: &Block) -> Option<Maintenance> {
    let label = block.labels.first()?;
    let reader = Reader::new(decoder, block, &SCHEMA);
    alerts::name(&reader, label);
    let (when, comment) = (alerts::matchers(&reader), reader.body_text("comment").unwrap_or_default());
    let (begins, lasts) = (begins(&reader), reader.duration_if("for"));
    let (begins, lasts) = (begins?, lasts?);
    if let Begins::Each(calendar) = &begins
        && overlap(calendar, lasts)
    {
        let message = format!("after {} the next time has begun already", Written(lasts));
        let draft = Draft::new(Code::Combination, reader.span("for"), message);
        decoder.add(draft.help("nobody would ever be told: use a shorter time, or `ignore` in `alerts`"));
    }
    Some(Maintenance { name: label.is.clone(), when, begins, lasts, comment })
}

fn begins(reader: &Reader<'_>) -> Option<Begins> {
    if reader.exclude("start", "cron") {
        return None;
    }
    if reader.is_set("cron") {
        return alerts::cron(reader).map(Begins::Each);
    }
    if reader.is_set("start") {
        return alerts::moment(reader, "start").map(Begins::Once);
    }
    let draft = Draft::new(Code::Missing, reader.head, format!("{} never begins", reader.place()));
    reader.decoder.add(draft.help("add `start` or `cron`"));
    None
}

/// Whether a window begins before the one before it is over.
fn overlap(calendar: &Calendar, lasts: Duration) -> bool {
    let next = |at: &Timestamp| calendar.next(*at);
    let starts: Vec<Timestamp> =
        std::iter::successors(next(&Timestamp::UNIX_EPOCH), next).take(LOOKED_AT).collect();
    starts
        .windows(2)
        .any(|pair| matches!(pair, [one, two] if one.duration_until(*two).unsigned_abs() < lasts))
}

#[cfg(test)]
mod tests;
