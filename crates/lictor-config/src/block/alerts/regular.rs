//! `heartbeat { … }` and `digest "NAME" { … }` of `alerts`: what is said regularly.

use std::time::Duration;

use super::receivers::Receivers;
use super::{calendar, select};
use crate::code::Code;
use crate::model::{Digest, LifeSign, LifeSignTo};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};
use crate::syntax::tree::Block;

pub(super) static HEARTBEAT: BlockType =
    BlockType { name: "heartbeat", labels: &[], repeats: true, bodies: Bodies::One(&HEARTBEAT_SCHEMA) };

static HEARTBEAT_SCHEMA: Schema = Schema {
    doc: "Says regularly that the alerts work, to somebody who calls a person when it stops. Only a service \
          outside of what is watched can notice that all of it is silent.",
    groups: &[&[
        Attribute::new("to", Kind::Texts, "Notifiers that tell it."),
        Attribute::new("url", Kind::Url, "An address that is fetched."),
        Attribute::new(
            "every",
            Kind::Duration(Duration::from_secs(1), Duration::from_secs(86_400)),
            "How often.",
        )
        .default("1m"),
    ]],
    blocks: &[],
    values: &[],
    example: r#"alerts {
  heartbeat {
    url   = "https://deadman.example/ping/4711"
    every = "1m"
  }
}"#,
};

pub(super) static DIGEST: BlockType =
    BlockType { name: "digest", labels: &["NAME"], repeats: true, bodies: Bodies::One(&DIGEST_SCHEMA) };

static DIGEST_SCHEMA: Schema = Schema {
    doc: "A regular summary of all that is wrong, whoever was told of it before.",
    groups: &[
        select::ATTRIBUTES,
        &[
            Attribute::new("to", Kind::Texts, "Notifiers that tell it.").required(),
            calendar::CRON.required(),
            calendar::TIMEZONE,
            Attribute::new("also_when_well", Kind::Flag, "Whether it is told that nothing is wrong.")
                .default("true"),
        ],
    ],
    blocks: &[],
    values: &[],
    example: r#"notify "log" "mornings" {
  path = "/var/log/lictor/digest.log"
}

alerts {
  digest "mornings" {
    to       = ["mornings"]
    cron     = "0 8 * * mon-fri"
    timezone = "Europe/Berlin"
  }
}"#,
};

pub(super) fn heartbeat(decoder: &Decoder<'_>, block: &Block, receivers: &Receivers) -> Option<LifeSign> {
    let reader = Reader::new(decoder, block, &HEARTBEAT_SCHEMA);
    let (told, url) = (receivers.some(&reader, "to"), reader.http_url("url"));
    let every = reader.duration("every");
    if reader.exclude("to", "url") {
        return None;
    }
    if !reader.is_set("to") && !reader.is_set("url") {
        let draft = Draft::new(Code::Missing, reader.head, "nobody hears this heartbeat");
        decoder.add(draft.help("add `url` or `to`"));
        return None;
    }
    let to = if reader.is_set("to") { LifeSignTo::Notifiers(told) } else { LifeSignTo::Url(url?) };
    Some(LifeSign { to, every })
}

pub(super) fn digest(decoder: &Decoder<'_>, block: &Block, receivers: &Receivers) -> Option<Digest> {
    let name = block.labels.first()?;
    let reader = Reader::new(decoder, block, &DIGEST_SCHEMA);
    calendar::name(&reader, name);
    let (when, to) = (select::matchers(&reader), receivers.some(&reader, "to"));
    let (at, also_when_well) = (calendar::cron(&reader), reader.flag("also_when_well"));
    Some(Digest { name: name.is.clone(), when, to, at: at?, also_when_well })
}
