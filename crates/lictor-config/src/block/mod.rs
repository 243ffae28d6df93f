//! The blocks of the language, one file each: what may stand in it, and what it means.

mod act;
mod act_exec;
mod act_host;
mod act_http;
mod act_kv;
mod act_nomad;
mod act_signal;
mod agent;
mod alerts;
mod check;
mod cluster;
pub(crate) mod connection_monitor;
mod consul;
mod control;
mod judgement;
mod limits;
mod listen;
mod maintenance;
mod multiline;
mod node;
mod notify;
mod peers;
mod plan;
mod probe;
mod qbittorrent;
mod redis;
mod remedy;
mod replicate;
mod route;
mod rule;
mod secret;
mod service;
mod snapshot;
mod starting;
mod status_page;
mod step;
mod systemd;
mod tls;
mod watch;
mod watch_clock;
mod watch_disk;
mod watch_dns;
mod watch_exec;
mod watch_file;
mod watch_heartbeat;
mod watch_http;
mod watch_journal;
mod watch_load;
mod watch_memory;
mod watch_process;
mod watch_prometheus;
mod watch_public_ip;
mod watch_stream;
mod watch_swap;
mod watch_tcp;
mod watch_temperature;
mod watch_vpn;
mod watch_webhook;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::redact::Known;
use crate::schema::Schema;

pub(crate) use plan::decode;

/// A whole configuration.
pub(crate) static TOP: Schema = Schema {
    doc: "A configuration is one file, or all files of a directory together.",
    groups: &[],
    blocks: &[
        &node::BLOCK,
        &listen::BLOCK,
        &status_page::BLOCK,
        &consul::BLOCK,
        &agent::BLOCK,
        &watch::BLOCK,
        &check::BLOCK,
        &rule::BLOCK,
        &remedy::BLOCK,
        &connection_monitor::BLOCK,
        &notify::BLOCK,
        &alerts::BLOCK,
        &route::BLOCK,
        &maintenance::BLOCK,
        &probe::BLOCK,
        &peers::BLOCK,
        &cluster::BLOCK,
        &service::BLOCK,
        &replicate::BLOCK,
        &snapshot::BLOCK,
    ],
    values: &[],
    example: "",
};

/// What a name is, wherever it stands.
pub(crate) fn known(name: &str) -> Known {
    static NAMES: LazyLock<BTreeMap<&str, Known>> = LazyLock::new(|| {
        let mut names = BTreeMap::new();
        visit(&TOP, &mut |schema| {
            for attribute in schema.attributes() {
                let known = names.entry(attribute.name).or_insert(Known::Plain);
                if !attribute.is_plain() {
                    *known = Known::Other;
                }
            }
        });
        visit(&TOP, &mut |schema| {
            for block in schema.blocks {
                names.entry(block.name).or_insert(Known::Block);
            }
        });
        names
    });
    NAMES.get(name).copied().unwrap_or(Known::Other)
}

/// Calls `each` for a schema and all within it.
pub(crate) fn visit(schema: &'static Schema, each: &mut dyn FnMut(&'static Schema)) {
    each(schema);
    for attribute in schema.attributes() {
        if let crate::schema::Kind::Object(inner) = attribute.kind {
            visit(inner, each);
        }
    }
    for block in schema.blocks {
        match &block.bodies {
            crate::schema::Bodies::One(inner) => visit(inner, each),
            crate::schema::Bodies::Kinds(kinds) => kinds.iter().for_each(|(_, inner)| visit(inner, each)),
        }
    }
}
