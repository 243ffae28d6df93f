//! `alerts { … }`: how alerts are judged and what is told regularly; with the routes and the windows of
//! maintenance it is everything that is decided by.

mod calendar;
mod inhibit;
mod own;
mod receivers;
mod regular;
mod select;
mod service;
mod threshold;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::NotifierName;
use lictor_core::alert::{AlertPlan, NotifierPlan};

use super::{judgement, maintenance, route};
use crate::code::Code;
use crate::model::{Alerts, Consul, ConsulChecks, Node};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader, as_body};
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};
use crate::syntax::canonical;
use crate::syntax::tree::{Block, Body, Text};

pub(super) use calendar::{CRON, TIMEZONE, cron, moment, name};
pub(super) use inhibit::once;
pub(super) use own::{ALERT, DEPENDS_ON};
pub(super) use receivers::Receivers;
pub(super) use select::{ATTRIBUTES, matchers};

pub(super) static BLOCK: BlockType =
    BlockType { name: "alerts", labels: &[], repeats: false, bodies: Bodies::One(&SCHEMA) };

static SCHEMA: Schema = Schema {
    doc: "How alerts are judged, and what is told regularly. Who is told is said by `route`.",
    groups: &[&[
        Attribute::new("cluster", Kind::Text, "What messages call this installation.")
            .default_words("the datacenter"),
        Attribute::new(
            "flap",
            Kind::Object(&judgement::FLAP),
            "When an alert counts as flapping; it is then told once and not as over until it has been steady.",
        )
        .default_words("never"),
        Attribute::new(
            "consul",
            Kind::Object(&CONSUL),
            "Watch the health checks of Consul. Without it they are left alone.",
        ),
    ]],
    blocks: &[
        &threshold::BLOCK,
        &inhibit::IGNORE,
        &inhibit::INHIBIT,
        &service::BLOCK,
        &regular::HEARTBEAT,
        &regular::DIGEST,
    ],
    values: &[],
    example: r#"consul {}

alerts {
  cluster = "berlin"
  flap {
    changes = 6
    within  = "10m"
  }
  consul {
    datacenters = ["dc1", "dc2"]
  }
}"#,
};

static CONSUL: Schema = Schema {
    doc: "Watch the health checks of Consul.",
    groups: &[&[
        Attribute::new("datacenters", Kind::Texts, "In these datacenters.")
            .default_words("that of the Consul agent, or what the block `consul` says"),
        Attribute::new("stale", Kind::Flag, "Any server may answer, not only the leader.").default("false"),
        Attribute::new(
            "alone_after",
            Kind::Duration(Duration::from_secs(5), Duration::from_secs(3_600)),
            "A node that cannot reach Consul for so long tells of its own checks itself. It must be longer than the \
             servers of Consul need to elect a leader: up to 20 s, and 5 s with `raft_multiplier = 1`.",
        )
        .default("30s"),
        Attribute::new(
            "dead_node_mutes",
            Kind::Flag,
            "While Consul has lost a node (`serfHealth`), nothing else of that node is told.",
        )
        .default("true"),
    ]],
    blocks: &[],
    values: &[],
    example: "",
};

/// What the alerts are decoded beside.
pub(super) struct Around<'a> {
    pub(super) node: &'a Node,
    pub(super) consul: Option<&'a Consul>,
    pub(super) notifiers: BTreeMap<NotifierName, NotifierPlan>,
}

/// All that the configuration says of alerts. `alerts` reads the block of that name, `top` the whole
/// configuration; `digests` gets those of the routes.
pub(super) fn decode(
    alerts: &Reader<'_>,
    top: &Reader<'_>,
    body: &Body,
    around: Around<'_>,
    digests: &mut BTreeMap<String, String>,
) -> Alerts {
    let decoder = alerts.decoder;
    let receivers = Receivers::of(body);
    let watched = consul(alerts);
    let own = own::decode(decoder, body);
    let mut plan = AlertPlan {
        cluster: cluster(alerts, &around),
        thresholds: threshold::decode(decoder, &alerts.blocks("threshold")),
        flap: judgement::flap(alerts),
        ignored: own.ignored,
        inhibitions: own.inhibitions,
        services: Vec::new(),
        routes: Vec::new(),
        notifiers: around.notifiers,
    };
    plan.ignored.extend(each(alerts, "ignore", |block| inhibit::ignored(decoder, block)));
    plan.inhibitions.extend(each(alerts, "inhibit", |block| inhibit::inhibition(decoder, block)));
    plan.inhibitions.extend(watched.as_ref().filter(|(_, mutes)| *mutes).map(|_| inhibit::dead_node()));
    plan.services = each(alerts, "service", |block| service::decode(decoder, block));
    let heartbeats = each(alerts, "heartbeat", |block| regular::heartbeat(decoder, block, &receivers));
    not_twice(decoder, &alerts.blocks("digest"), "digest");
    let digest = each(alerts, "digest", |block| regular::digest(decoder, block, &receivers));
    plan.routes = route::decode(decoder, &top.blocks("route"), &receivers, digests);
    if top.has_block("route") {
        receivers.check(decoder);
    } else if !plan.notifiers.is_empty() {
        plan.routes.extend(route::to_all(plan.notifiers.keys().cloned().collect()));
    }
    not_twice(decoder, &top.blocks("maintenance"), "maintenance window");
    let maintenance = each(top, "maintenance", |block| maintenance::decode(decoder, block));
    if let Some(digest) = digests.get_mut("alerts") {
        // The order of thresholds matters, which the digest of a block leaves out.
        *digest = canonical::hash(&format!("{digest} {:?}", plan.thresholds));
    }
    Alerts {
        plan: Arc::new(plan),
        consul: watched.map(|(checks, _)| checks),
        heartbeats,
        digests: digest,
        maintenance,
    }
}

fn each<T>(reader: &Reader<'_>, name: &str, decode: impl Fn(&Block) -> Option<T>) -> Vec<T> {
    reader.blocks(name).into_iter().filter_map(decode).collect()
}

fn cluster(alerts: &Reader<'_>, around: &Around<'_>) -> String {
    let datacenter = || around.node.datacenter.clone();
    let of_consul = || around.consul.and_then(|consul| consul.datacenter.clone());
    alerts.text("cluster").or_else(datacenter).or_else(of_consul).unwrap_or_default()
}

/// Whether Consul's checks are watched, and whether a dead node mutes what is on it.
fn consul(alerts: &Reader<'_>) -> Option<(ConsulChecks, bool)> {
    let value = alerts.value("consul")?;
    let Some(body) = as_body(value) else {
        alerts.mismatch("consul", value);
        return None;
    };
    let reader = Reader::over(alerts.decoder, &body, &CONSUL, value.span, "alerts.consul".to_owned());
    if !alerts.decoder.scope.consul {
        let message = "the checks of Consul cannot be watched: no Consul is named";
        let draft = Draft::new(Code::Combination, value.span, message);
        alerts.decoder.add(draft.help("add a block consul { } beside alerts"));
    }
    let (datacenters, stale) = (once(&reader, "datacenters"), reader.flag("stale"));
    let checks =
        ConsulChecks { datacenters, stale, alone_after: reader.duration("alone_after"), paused: false };
    Some((checks, reader.flag("dead_node_mutes")))
}

/// Reports names that are used twice among blocks of one type.
pub(super) fn not_twice(decoder: &Decoder<'_>, blocks: &[&Block], what: &str) {
    each_once(decoder, blocks.iter().filter_map(|block| block.labels.first()), what);
}

/// Of what these texts name there is one each.
pub(super) fn each_once<'t>(decoder: &Decoder<'_>, texts: impl Iterator<Item = &'t Text>, what: &str) {
    let mut firsts = BTreeMap::new();
    for label in texts {
        if let Some(first) = firsts.get(&label.is) {
            let message = format!("the {what} `{}` is defined twice", label.is);
            let draft = Draft::new(Code::Twice, label.span, message).label("again here");
            decoder.add(draft.also(*first, "first here"));
            continue;
        }
        firsts.insert(&label.is, label.span);
    }
}

#[cfg(test)]
mod tests;
