//! `notify "KIND" "NAME" { … }`: how messages leave.

mod common;
mod direct;
mod own;
mod service;
mod services;
mod sns;

use std::collections::BTreeMap;
use std::sync::Arc;

use lictor_core::NotifierName;

use crate::code::Code;
use crate::model::Notifier;
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{BlockType, Bodies, Schema};
use crate::source::Span;
use crate::syntax::tree::Block;

use services::SERVICES;

/// What is not a service of the table.
const OTHERS: [(&str, &Schema); 5] = [
    ("email", &direct::EMAIL),
    ("log", &direct::LOG),
    ("exec", &direct::EXEC),
    ("http", &own::SCHEMA),
    ("hipchat", &GONE),
];

static GONE: Schema = Schema {
    doc: "HipChat no longer exists; a block of this kind is refused. Use `slack`, `mattermost` or `http` in its place.",
    groups: &[],
    blocks: &[],
    values: &[],
    example: "",
};

static SCHEMAS: [(&str, &Schema); OTHERS.len() + SERVICES.len()] = {
    let mut schemas = [OTHERS[0]; OTHERS.len() + SERVICES.len()];
    let mut index = 0;
    while index < OTHERS.len() {
        schemas[index] = OTHERS[index];
        index += 1;
    }
    while index < schemas.len() {
        let (name, service) = &SERVICES[index - OTHERS.len()];
        schemas[index] = (*name, service.schema);
        index += 1;
    }
    schemas
};

pub(super) static BLOCK: BlockType =
    BlockType { name: "notify", labels: &["KIND", "NAME"], repeats: true, bodies: Bodies::Kinds(&SCHEMAS) };

/// All notifiers.
pub(super) fn decode(decoder: &Decoder<'_>, blocks: &[&Block]) -> BTreeMap<NotifierName, Arc<Notifier>> {
    let mut firsts: BTreeMap<&str, Span> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for block in blocks {
        let [_, label] = block.labels.as_slice() else { continue };
        if let Some(first) = firsts.insert(&label.is, label.span) {
            let message = format!("the name `{}` is used twice", label.is);
            let draft = Draft::new(Code::Twice, label.span, message).label("again here");
            decoder.add(draft.also(first, "first here"));
        }
        let name = NotifierName::new(&label.is);
        if let Err(error) = &name {
            decoder.add(Draft::new(Code::Name, label.span, error.to_string()));
        }
        if let (Some(notifier), Ok(name)) = (one(decoder, block), name) {
            found.insert(name, Arc::new(notifier));
        }
    }
    found
}

fn one(decoder: &Decoder<'_>, block: &Block) -> Option<Notifier> {
    let kind = block.labels.first()?;
    if kind.is == "hipchat" {
        block.body.texts(&mut |span| decoder.report.hide(span));
        let draft =
            Draft::new(Code::Gone, kind.span, "this service no longer exists: HipChat was switched off");
        decoder.add(draft.help("use `slack`, `mattermost`, or `http` for anything else"));
        return None;
    }
    let (known, schema) = SCHEMAS.iter().find(|(known, _)| *known == kind.is)?;
    if *known == "influxdb" && super::notify::service::is_old_influxdb(decoder, block) {
        return None;
    }
    let reader = Reader::new(decoder, block, schema);
    match *known {
        "email" => direct::email(&reader),
        "log" => direct::log(&reader),
        "exec" => direct::exec(&reader),
        "http" => own::decode(&reader),
        _ => {
            let (name, service) = SERVICES.iter().find(|(name, _)| name == known)?;
            let notifier = service::decode(&reader, name, service);
            if *name == "sns" { sns::finish(&reader, notifier) } else { notifier }
        }
    }
}

#[cfg(test)]
mod tests;
