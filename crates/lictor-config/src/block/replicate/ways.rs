//! What the prefixes of all blocks are to each other: which write to the same keys, and which lead back.

use std::collections::BTreeSet;

use lictor_core::replicate::Way;

use super::Found;
use crate::code::Code;
use crate::model::Consul;
use crate::problem::Draft;
use crate::reader::Decoder;
use crate::source::Span;

/// Prefixes of all blocks, each counted once for each datacenter to which it is copied.
const MOST: usize = 1_000;

/// What the datacenter of the agent is called while nobody has asked it: no datacenter has this name.
const UNKNOWN: &str = "";

/// Where the keys of a prefix go, and where that is written.
struct Placed {
    way: Way,
    at: Span,
}

/// Finds the mistakes that lie between the prefixes, as far as they are known without asking the agent.
pub(super) fn check(decoder: &Decoder<'_>, all: &[Found], consul: Option<&Consul>) {
    let count = |found: &Found| found.places.len().saturating_mul(found.replicate.to.len().max(1));
    if all.iter().map(count).fold(0, usize::saturating_add) > MOST {
        let last = all.iter().filter_map(|found| found.places.last()).max();
        let at = last.copied().unwrap_or(Span::new(0, 0..0));
        let message = format!("the blocks `replicate` copy more than {MOST} prefixes");
        return decoder.add(Draft::new(Code::Limit, at, message).help("join them where they begin alike"));
    }
    let own = consul.and_then(|consul| consul.datacenter.as_deref()).unwrap_or(UNKNOWN);
    let placed: Vec<Placed> = all.iter().flat_map(|found| placed(found, own)).collect();
    check_own_keys(decoder, &placed, consul);
    check_themselves(decoder, &placed);
    check_circles(decoder, &placed);
    check_shared(decoder, placed);
}

fn placed(found: &Found, own: &str) -> Vec<Placed> {
    let each = found.replicate.to.len().max(1);
    let places = found.places.iter().flat_map(|at| std::iter::repeat_n(*at, each));
    found.replicate.ways(own).into_iter().zip(places).map(|(way, at)| Placed { way, at }).collect()
}

/// Nothing is copied over Lictor's records.
fn check_own_keys(decoder: &Decoder<'_>, placed: &[Placed], consul: Option<&Consul>) {
    let Some(consul) = consul else { return };
    let mut told = BTreeSet::new();
    for Placed { way, at } in placed {
        if way.destination.starts_with(&consul.prefix) && told.insert(*at) {
            let message =
                format!("nothing can be copied to `{}`: Lictor's own records lie there", way.destination);
            let draft = Draft::new(Code::Combination, *at, message);
            decoder.add(draft.help("write another destination, or another `prefix` in the block consul"));
        }
    }
}

/// Copies must not be what is copied.
fn check_themselves(decoder: &Decoder<'_>, placed: &[Placed]) {
    let mut told = BTreeSet::new();
    for Placed { way, at } in placed.iter().filter(|placed| is_back_at_once(&placed.way)) {
        if !told.insert(*at) {
            continue;
        }
        let (source, destination, place) = (shown(&way.source), shown(&way.destination), &way.to);
        let (message, help) = match way.source == way.destination {
            true => (
                format!("{source} of {place} would be copied onto itself"),
                "name other datacenters in `to`, or write a destination",
            ),
            false => (
                format!("the copies would be copied again: {source} and {destination} of {place} overlap"),
                "write a destination outside of the source, or leave the copies alone with `exclude`",
            ),
        };
        decoder.add(Draft::new(Code::Cycle, *at, message).help(help));
    }
}

fn is_back_at_once(way: &Way) -> bool {
    way.from == way.to && way.comes_back(&[]).is_some()
}

/// What is copied on must not come back to where it began.
fn check_circles(decoder: &Decoder<'_>, placed: &[Placed]) {
    let on: Vec<&Placed> = placed.iter().filter(|placed| !is_back_at_once(&placed.way)).collect();
    let ways: Vec<Way> = on.iter().map(|placed| placed.way.clone()).collect();
    let mut told: BTreeSet<&Way> = BTreeSet::new();
    for (way, placed) in ways.iter().zip(&on) {
        if told.contains(way) {
            continue;
        }
        let Some(path) = way.comes_back(&ways) else { continue };
        let stations =
            path.iter().chain(path.first()).map(|way| format!("{} of {}", shown(&way.source), way.from));
        let circle = stations.collect::<Vec<_>>().join(" → ");
        let message = format!("what is copied comes back to where it began: {circle}");
        let help =
            "leave what came from elsewhere alone with `exclude`, or give it another name where it comes to";
        let draft = Draft::new(Code::Cycle, placed.at, message).help(help);
        let next = path.get(1).and_then(|next| on.iter().find(|placed| placed.way == **next));
        decoder.add(match next {
            Some(next) => draft.also(next.at, "from there it goes on"),
            None => draft,
        });
        told.extend(path);
    }
}

/// No key may have two sources.
fn check_shared(decoder: &Decoder<'_>, mut placed: Vec<Placed>) {
    // What begins with a destination follows it, so that only those need be looked at within which this one lies.
    placed.sort_by(|one, two| key(one).cmp(&key(two)));
    let mut told = BTreeSet::new();
    let mut around: Vec<&Placed> = Vec::new();
    for inner in &placed {
        let within = |outer: &&Placed| {
            outer.way.to == inner.way.to && inner.way.destination.starts_with(&outer.way.destination)
        };
        while around.last().is_some_and(|outer| !within(outer)) {
            around.pop();
        }
        let shares = |outer: &&&Placed| outer.at != inner.at && outer.way.collides(&inner.way);
        if let Some(outer) = around.iter().rev().find(shares) {
            let (first, second) = (outer.at.min(inner.at), outer.at.max(inner.at));
            if told.insert((first, second)) {
                decoder.add(shared(&outer.way, &inner.way, second).also(first, "the other one"));
            }
        }
        around.push(inner);
    }
}

fn key(placed: &Placed) -> (&str, &str, Span) {
    (&placed.way.to, &placed.way.destination, placed.at)
}

fn shared(outer: &Way, inner: &Way, at: Span) -> Draft {
    let keys = shown(&inner.destination);
    let place = match inner.to.as_str() {
        UNKNOWN => "the agent's datacenter".to_owned(),
        name => name.to_owned(),
    };
    let message = format!("{keys} of {place} would be fought over: two prefixes are copied there");
    let rest = inner.destination.strip_prefix(outer.destination.as_str()).unwrap_or_default();
    let cut = !outer.destination.is_empty() && !outer.destination.ends_with('/') && !rest.starts_with('/');
    let help = if cut && !rest.is_empty() {
        let short = &outer.destination;
        format!("`{short}` means all that begins so: if it is a folder, write `{short}/`, or `folder = true`")
    } else {
        "give one of them another destination, or leave its keys alone in the other with `exclude`".to_owned()
    };
    Draft::new(Code::Twice, at, message).help(help)
}

/// Keys, by what they begin with.
fn shown(prefix: &str) -> String {
    if prefix.is_empty() { "everything".to_owned() } else { format!("`{prefix}`") }
}
