//! `act "KIND" { … }`: the one thing that a step does to the world.

use lictor_core::Repeatability;

use super::{
    act_exec, act_host, act_http, act_kv, act_nomad, act_signal, qbittorrent, redis, systemd, watch_vpn,
};
use crate::code::Code;
use crate::model::Action;
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{BlockType, Bodies, Schema};
use crate::syntax::tree::Block;

/// The kinds of actions, each in a file of its own.
const KINDS: &[(&str, &Schema, Decode)] = &[
    ("exec", &act_exec::SCHEMA, act_exec::decode),
    ("http", &act_http::SCHEMA, act_http::decode),
    ("kv", &act_kv::SCHEMA, act_kv::decode),
    ("qbittorrent", &qbittorrent::ACT, qbittorrent::act),
    ("nomad", &act_nomad::SCHEMA, act_nomad::decode),
    ("vpn", &watch_vpn::ACT, watch_vpn::act),
    ("redis", &redis::ACT, redis::act),
    ("systemd", &systemd::ACT, systemd::act),
    ("signal", &act_signal::SCHEMA, act_signal::decode),
    ("journal_vacuum", &act_host::JOURNAL_VACUUM, act_host::journal_vacuum),
    ("swap", &act_host::SWAP, act_host::swap),
    ("reboot", &act_host::REBOOT, act_host::reboot),
];

/// Reads one kind of action, and what may be done when its outcome is not known.
type Decode = fn(&Reader<'_>) -> Option<(Action, Repeatability)>;

static SCHEMAS: [(&str, &Schema); KINDS.len()] = {
    let mut schemas = [(KINDS[0].0, KINDS[0].1); KINDS.len()];
    let mut index = 0;
    while index < KINDS.len() {
        schemas[index] = (KINDS[index].0, KINDS[index].1);
        index += 1;
    }
    schemas
};

pub(super) static BLOCK: BlockType =
    BlockType { name: "act", labels: &["KIND"], repeats: false, bodies: Bodies::Kinds(&SCHEMAS) };

/// Reads the block.
pub(super) fn decode(decoder: &Decoder<'_>, block: &Block) -> Option<(Action, Repeatability)> {
    let kind = block.labels.first()?;
    let (_, schema, decode) = KINDS.iter().find(|(known, _, _)| *known == kind.is)?;
    decode(&Reader::new(decoder, block, schema))
}

/// The only `act` block within another block, if there is one.
pub(super) fn only<'a>(reader: &Reader<'a>) -> Option<&'a Block> {
    let blocks = reader.blocks("act");
    let mut blocks = blocks.into_iter();
    let first = blocks.next()?;
    for second in blocks {
        let message = format!("{} has more than one `act`", reader.place());
        let draft = Draft::new(Code::Twice, second.head(), message)
            .help("each step does one thing; write a remedy with several steps");
        reader.decoder.add(draft.also(first.head(), "first here"));
    }
    Some(first)
}
