//! All blocks of all files together: the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lictor_core::{CheckName, CheckSource, Plan, Rate, RemedyName};

use super::{
    TOP, agent, alerts, check, cluster, connection_monitor, consul, listen, node, notify, peers, probe,
    remedy, replicate, rule, service, snapshot, status_page, watch,
};
use crate::code::Code;
use crate::condition::rate_name;
use crate::model::Config;
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{BlockType, Bodies, Schema};
use crate::source::Span;
use crate::syntax::canonical;
use crate::syntax::tree::{Block, Body};

/// Composite checks may stand so deep in each other.
const COMPOSED: usize = 64;

/// The configuration, as far as it is without mistakes; the report says whether it is.
pub(crate) fn decode(decoder: &Decoder<'_>, body: &Body) -> Option<Config> {
    let start = Span::new(0, 0..0);
    let top = Reader::over(decoder, body, &TOP, start, String::new());
    let node = node::decode(&single(body, &node::BLOCK).reader(decoder));
    let http = listen::decode(&single(body, &listen::BLOCK).reader(decoder));
    let consul = single(body, &consul::BLOCK);
    let consul = if consul.written { Some(consul::decode(&consul.reader(decoder))) } else { None };
    let (mode, limits) = agent::decode(&single(body, &agent::BLOCK).reader(decoder));
    let mut config = Config {
        node,
        http,
        status_page: None,
        consul: None,
        watches: BTreeMap::new(),
        actions: BTreeMap::new(),
        monitors: Vec::new(),
        plan: Arc::default(),
        notifiers: notify::decode(decoder, &top.blocks("notify")),
        alerts: Arc::default(),
        probe: None,
        peers: None,
        cluster: None,
        services: BTreeMap::new(),
        replicates: BTreeMap::new(),
        snapshots: snapshot::decode(decoder, &top.blocks("snapshot")),
        blocks: digests(body),
    };
    let mut plan = Plan { mode, limits, ..Plan::default() };
    let watches = top.blocks("watch").into_iter().filter_map(|block| watch::decode(decoder, block));
    // Collected, because maps that grow by one in order of name stay half empty.
    let watches: Vec<_> = watches.collect();
    plan.checks = watches.iter().map(|(name, _, plan)| (name.clone(), plan.clone())).collect();
    config.watches = watches.into_iter().map(|(name, watch, _)| (name, Arc::new(watch))).collect();
    for block in top.blocks("check") {
        let reader = Reader::new(decoder, block, schema(&check::BLOCK));
        let judged = check::decode(&reader);
        let Some(label) = block.labels.first() else { continue };
        match CheckName::new(&label.is) {
            Ok(name) => {
                if let Some(judged) = judged {
                    plan.checks.insert(name, judged);
                }
            }
            Err(error) => decoder.add(Draft::new(Code::Name, label.span, error.to_string())),
        }
    }
    let rules = top.blocks("rule").into_iter().map(|block| rule::decode(decoder, block));
    let remedies = top.blocks("remedy").into_iter().map(|block| remedy::decode(decoder, block));
    for (name, remedy, actions) in rules.chain(remedies).flatten() {
        plan.remedies.insert(name, remedy);
        config.actions.extend(actions);
    }
    for block in top.blocks("connection_monitor") {
        if let Some(label) = block.labels.first() {
            connection_monitor::check(
                &Reader::new(decoder, block, schema(&connection_monitor::BLOCK)),
                label,
            );
        }
    }
    check_circles(decoder, &plan);
    for (check, of, within) in decoder.rates.take() {
        if let (Some(check), Some(name)) = (plan.checks.get_mut(&check), rate_name(&of, within)) {
            check.rates.push(Rate { name, of, within });
        }
    }
    let between = single(body, &cluster::BLOCK);
    config.cluster = if between.written { cluster::decode(&between.reader(decoder)) } else { None };
    (config.services, plan.services) = service::decode(decoder, &top.blocks("service"), between.written);
    config.plan = Arc::new(plan);
    let agent = consul.as_ref().and_then(Option::as_ref);
    config.replicates = replicate::decode(decoder, &top.blocks("replicate"), agent);
    let around = alerts::Around {
        node: &config.node,
        consul: agent,
        notifiers: config.notifiers.iter().map(|(name, notifier)| (name.clone(), notifier.plan)).collect(),
    };
    let told = single(body, &alerts::BLOCK);
    config.alerts = Arc::new(alerts::decode(&told.reader(decoder), &top, body, around, &mut config.blocks));
    let shown = single(body, &probe::BLOCK);
    config.probe = if shown.written { probe::decode(&shown.reader(decoder)).map(Arc::new) } else { None };
    let public = single(body, &status_page::BLOCK);
    config.status_page = match public.written {
        true => status_page::decode(&public.reader(decoder)).map(Arc::new),
        false => None,
    };
    let others = single(body, &peers::BLOCK);
    config.peers = if others.written { peers::decode(&others.reader(decoder)).map(Arc::new) } else { None };
    let idle = top.blocks("watch").is_empty() && config.alerts.consul.is_none();
    let idle = idle && !others.written && !shown.written;
    let idle = idle && ["service", "replicate", "snapshot"].iter().all(|kind| top.blocks(kind).is_empty());
    if idle && !decoder.report.is_partial() {
        let draft = Draft::warning(Code::NothingWatched, start, "nothing is watched");
        decoder.add(draft.help("add a block such as watch \"http\" \"NAME\" { url = \"…\" }"));
    }
    config.consul = match consul {
        None => None,
        Some(found) => Some(found?),
    };
    Some(config)
}

fn schema(block: &BlockType) -> &'static Schema {
    match block.bodies {
        Bodies::One(schema) => schema,
        Bodies::Kinds(_) => &TOP,
    }
}

/// All blocks of a type that exists once, as one: files may each say a part of it.
struct Single {
    body: Body,
    head: Span,
    title: &'static str,
    schema: &'static Schema,
    written: bool,
}

fn single(body: &Body, known: &'static BlockType) -> Single {
    debug_assert!(!known.repeats && known.labels.is_empty(), "{} exists once", known.name);
    let found: Vec<&Block> =
        body.blocks.iter().filter(|block| block.kind.is == known.name && block.labels.is_empty()).collect();
    let mut whole = Body::default();
    for block in &found {
        whole.attributes.extend(block.body.attributes.iter().cloned());
        whole.blocks.extend(block.body.blocks.iter().cloned());
    }
    let head = found.first().map_or(Span::new(0, 0..0), |block| block.head());
    Single { body: whole, head, title: known.name, schema: schema(known), written: !found.is_empty() }
}

impl Single {
    fn reader<'a>(&'a self, decoder: &'a Decoder<'a>) -> Reader<'a> {
        Reader::over(decoder, &self.body, self.schema, self.head, self.title.to_owned())
    }
}

/// The digest of each block by what it defines.
fn digests(body: &Body) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for block in &body.blocks {
        let name = match (block.kind.is.as_str(), block.labels.last()) {
            (kind, Some(name)) => format!("{kind} {}", name.is),
            (kind, None) => kind.to_owned(),
        };
        found.entry(name).or_default().push(canonical::digest(block));
    }
    let whole = |digests: Vec<String>| match digests.as_slice() {
        [one] => one.clone(),
        several => canonical::hash(&several.join(" ")),
    };
    found.into_iter().map(|(name, digests)| (name, whole(digests))).collect()
}

/// Composite checks and escalations must not lead back to where they began.
fn check_circles(decoder: &Decoder<'_>, plan: &Plan) {
    let members = |name: &CheckName| match plan.checks.get(name).map(|check| &check.source) {
        Some(CheckSource::Checks { of, .. }) => of.clone(),
        Some(CheckSource::Watcher) | None => Vec::new(),
    };
    let checks: BTreeMap<&CheckName, Vec<CheckName>> =
        plan.checks.keys().map(|name| (name, members(name))).collect();
    let (circles, depth) = circles(&checks);
    for circle in circles {
        let span =
            circle.first().and_then(|name| decoder.scope.checks.get(name.as_str())).map(|check| check.span);
        let message = format!("these checks depend on each other in a circle: {}", around(&circle));
        decoder.add(Draft::new(Code::Cycle, span.unwrap_or(Span::new(0, 0..0)), message));
    }
    if let Some((name, _)) = depth.iter().find(|(_, depth)| **depth > COMPOSED) {
        let span = decoder.scope.checks.get(name.as_str()).map_or(Span::new(0, 0..0), |check| check.span);
        let message =
            format!("`check.{name}` stands on checks that stand on others, more than {COMPOSED} deep");
        decoder.add(Draft::new(Code::Limit, span, message));
    }
    let next = |name: &RemedyName| plan.remedies.get(name).and_then(|remedy| remedy.escalate.clone());
    let remedies: BTreeMap<&RemedyName, Vec<RemedyName>> =
        plan.remedies.keys().map(|name| (name, next(name).into_iter().collect())).collect();
    for circle in self::circles(&remedies).0 {
        let span = circle.first().and_then(|name| decoder.scope.remedies.get(name.as_str())).copied();
        let message = format!("these escalate to each other in a circle: {}", around(&circle));
        decoder.add(Draft::new(Code::Cycle, span.unwrap_or(Span::new(0, 0..0)), message));
    }
}

pub(super) fn around<T: std::fmt::Display + Clone>(circle: &[T]) -> String {
    let names: Vec<String> = circle.iter().chain(circle.first()).map(ToString::to_string).collect();
    names.join(" → ")
}

/// The circles in a graph, and how deep what is in none of them lies.
pub(super) fn circles<T: Ord + Clone>(graph: &BTreeMap<&T, Vec<T>>) -> (Vec<Vec<T>>, BTreeMap<T, usize>) {
    let mut depth: BTreeMap<T, usize> = BTreeMap::new();
    let mut users: BTreeMap<&T, Vec<&T>> = BTreeMap::new();
    let mut open: BTreeMap<&T, usize> = BTreeMap::new();
    for (name, needed) in graph {
        let needed: BTreeSet<&T> = needed.iter().filter(|needed| graph.contains_key(needed)).collect();
        open.insert(name, needed.len());
        needed.into_iter().for_each(|one| users.entry(one).or_default().push(name));
    }
    let mut ready: Vec<&T> = open.iter().filter(|(_, left)| **left == 0).map(|(name, _)| *name).collect();
    while let Some(name) = ready.pop() {
        let below = graph.get(name).into_iter().flatten().filter_map(|needed| depth.get(needed)).max();
        depth.insert(name.clone(), below.map_or(0, |below| below + 1));
        for user in users.get(name).into_iter().flatten() {
            if let Some(left) = open.get_mut(*user) {
                *left -= 1;
                if *left == 0 {
                    ready.push(user);
                }
            }
        }
    }
    let mut found = Vec::new();
    let mut seen: BTreeSet<&T> = BTreeSet::new();
    for start in graph.keys().copied().filter(|name| !depth.contains_key(*name)) {
        let mut path: Vec<&T> = Vec::new();
        let mut at = start;
        while seen.insert(at) {
            path.push(at);
            // What is not settled needs something that is not settled either.
            let next = graph
                .get(at)
                .into_iter()
                .flatten()
                .find(|needed| graph.contains_key(needed) && !depth.contains_key(*needed));
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        if let Some(first) = path.iter().position(|name| *name == at) {
            found.push(path.into_iter().skip(first).cloned().collect());
        }
    }
    (found, depth)
}
