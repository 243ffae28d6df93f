//! Cycles in what has to come before what, and what they are called.

use std::collections::VecDeque;

use super::Wrong;
use super::graph::{Graph, Why};
use super::transaction::Transactions;

/// Most cycles that are told.
const TOLD: usize = 8;

/// Most places of a knot from which a cycle is looked for.
const STARTS: usize = 200;

/// Which edges a cycle may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct May {
    wr: bool,
    rw: bool,
    time: bool,
}

impl May {
    const fn take(self, why: Why) -> bool {
        match why {
            Why::Ww { .. } => true,
            Why::Wr { .. } => self.wr,
            // Those who come to the end of a list read before somebody appends.
            Why::Rw { .. } | Why::Through => self.rw,
            Why::Time => self.time,
        }
    }
}

/// The kinds of cycles, the worst first: what they are called, what they may have, and how many `rw` if it matters.
const KINDS: [(&str, May, Reads); 8] = [
    ("G0", May { wr: false, rw: false, time: false }, Reads::None),
    ("G1c", May { wr: true, rw: false, time: false }, Reads::None),
    ("G-single", May { wr: true, rw: true, time: false }, Reads::One),
    ("G2-item", May { wr: true, rw: true, time: false }, Reads::Many),
    ("G0-realtime", May { wr: false, rw: false, time: true }, Reads::None),
    ("G1c-realtime", May { wr: true, rw: false, time: true }, Reads::None),
    ("G-single-realtime", May { wr: true, rw: true, time: true }, Reads::One),
    ("G2-item-realtime", May { wr: true, rw: true, time: true }, Reads::Many),
];

/// How many `rw` edges a cycle has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    None,
    One,
    Many,
}

/// One edge of a cycle: from where, why, to where.
type Edge = (usize, Why, usize);

/// Looks for cycles: of each knot the worst one.
pub(super) fn find(transactions: &Transactions, graph: &Graph) -> Vec<Wrong> {
    let all = May { wr: true, rw: true, time: true };
    let mut found = Vec::new();
    for knot in knots(graph, all, None) {
        if found.len() == TOLD {
            break;
        }
        let mut inside = vec![false; graph.edges.len()];
        for node in &knot {
            inside[*node] = true;
        }
        let worst = KINDS
            .iter()
            .find_map(|(kind, may, reads)| Some((*kind, cycle(graph, *may, *reads, &knot, &inside)?)));
        found.extend(worst.map(|(kind, edges)| told(transactions, graph, kind, &edges)));
    }
    found
}

/// A short cycle of a kind within a knot.
fn cycle(graph: &Graph, may: May, reads: Reads, knot: &[usize], inside: &[bool]) -> Option<Vec<Edge>> {
    let mut shortest: Option<Vec<Edge>> = None;
    // A kind that takes fewer edges has its own knots within this one.
    for knot in knots(graph, may, Some((knot, inside))) {
        let mut inner = vec![false; graph.edges.len()];
        for node in &knot {
            inner[*node] = true;
        }
        let from = knot.iter().filter(|node| **node < graph.transactions);
        let mut starts = 0;
        for &start in from {
            if reads == Reads::None {
                starts += 1;
                keep(&mut shortest, path(graph, may, &inner, start, start));
            } else {
                for first in anti(graph, start, &inner) {
                    starts += 1;
                    let Some((_, _, to)) = first.last().copied() else { continue };
                    // With one such edge the way back has none.
                    let back = May { rw: reads == Reads::Many, ..may };
                    let way = path(graph, back, &inner, to, start);
                    keep(&mut shortest, way.map(|way| first.into_iter().chain(way).collect()));
                }
            }
            if starts > STARTS && shortest.is_some() {
                break;
            }
        }
    }
    shortest
}

fn keep(shortest: &mut Option<Vec<Edge>>, found: Option<Vec<Edge>>) {
    if let Some(found) = found
        && shortest.as_ref().is_none_or(|known| known.len() > found.len())
    {
        *shortest = Some(found);
    }
}

/// The `rw` edges from a transaction, those through the end of a list as two.
fn anti(graph: &Graph, from: usize, inside: &[bool]) -> Vec<Vec<Edge>> {
    let mut found = Vec::new();
    for &(to, why) in graph.edges[from].iter().filter(|(to, _)| inside[*to]) {
        match why {
            Why::Rw { .. } => found.push(vec![(from, why, to)]),
            Why::Through => {
                let on = graph.edges[to].iter().filter(|(after, _)| inside[*after] && *after != from);
                found.extend(on.map(|(after, rw)| vec![(from, why, to), (to, *rw, *after)]));
            }
            Why::Ww { .. } | Why::Wr { .. } | Why::Time => {}
        }
    }
    found
}

/// The shortest way from one node to another, of at least one edge if they are the same.
fn path(graph: &Graph, may: May, inside: &[bool], from: usize, to: usize) -> Option<Vec<Edge>> {
    let mut came: Vec<Option<(usize, Why)>> = vec![None; graph.edges.len()];
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        for &(next, why) in graph.edges[node].iter().filter(|(next, why)| inside[*next] && may.take(*why)) {
            if came[next].is_some() || (next == from && next != to) {
                continue;
            }
            came[next] = Some((node, why));
            if next == to {
                return Some(back(&came, from, to));
            }
            // Time goes in a row, which says no more the longer it is.
            if why == Why::Time && next >= graph.transactions {
                queue.push_front(next);
            } else {
                queue.push_back(next);
            }
        }
    }
    None
}

fn back(came: &[Option<(usize, Why)>], from: usize, to: usize) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut at = to;
    while let Some((before, why)) = came[at] {
        edges.push((before, why, at));
        at = before;
        if at == from {
            break;
        }
    }
    edges.reverse();
    edges
}

/// Sets of nodes each of which leads to each other, by Tarjan; within others if they are given.
fn knots(graph: &Graph, may: May, within: Option<(&[usize], &[bool])>) -> Vec<Vec<usize>> {
    let count = graph.edges.len();
    let all: Vec<usize>;
    let starts = match within {
        Some((nodes, _)) => nodes,
        None => {
            all = (0..count).collect();
            &all
        }
    };
    let inside = |node: usize| within.is_none_or(|(_, inside)| inside[node]);
    let mut number = vec![usize::MAX; count];
    let mut low = vec![0; count];
    let mut open = vec![false; count];
    let (mut stack, mut found, mut next) = (Vec::new(), Vec::new(), 0);
    for &start in starts {
        if number[start] != usize::MAX {
            continue;
        }
        // Where we are, and how many of its edges have been gone along.
        let mut way = vec![(start, 0)];
        while let Some((node, edge)) = way.last_mut() {
            let node = *node;
            if *edge == 0 {
                (number[node], low[node], open[node]) = (next, next, true);
                next += 1;
                stack.push(node);
            }
            let rest = graph.edges[node].iter().skip(*edge);
            let along = rest.clone().position(|(to, why)| may.take(*why) && inside(*to));
            let Some((to, _)) = along.and_then(|along| graph.edges[node].get(*edge + along)) else {
                way.pop();
                if let Some((before, _)) = way.last() {
                    low[*before] = low[*before].min(low[node]);
                }
                if low[node] == number[node] {
                    let from = stack.iter().rposition(|other| *other == node).unwrap_or_default();
                    let knot = stack.split_off(from);
                    for node in &knot {
                        open[*node] = false;
                    }
                    if knot.len() > 1 {
                        found.push(knot);
                    }
                }
                continue;
            };
            *edge += along.unwrap_or_default() + 1;
            if number[*to] == usize::MAX {
                way.push((*to, 0));
            } else if open[*to] {
                low[node] = low[node].min(number[*to]);
            }
        }
    }
    found.reverse();
    found
}

/// A cycle in words, without the nodes that are no transactions.
fn told(transactions: &Transactions, graph: &Graph, kind: &'static str, edges: &[Edge]) -> Wrong {
    let first = edges.iter().position(|(from, ..)| *from < graph.transactions).unwrap_or_default();
    let edges = edges.iter().cycle().skip(first).take(edges.len());
    let mut of: Vec<usize> = Vec::new();
    let mut lines =
        vec![format!("{kind}: each of these comes before the next one, and the last one before the first:")];
    let mut from = None;
    for &(before, why, to) in edges {
        let start = *from.get_or_insert(before);
        if to >= graph.transactions {
            continue;
        }
        from = None;
        of.push(start);
        let (one, other) = (transactions.name(start), transactions.name(to));
        lines.push(match why {
            Why::Ww { key, element } => format!(
                "  {one} → {other} (ww): both append to {}, {other} later, namely {}",
                transactions.key_name(key),
                transactions.element_name(element)
            ),
            Why::Wr { key, element } => format!(
                "  {one} → {other} (wr): {other} reads {} of {}, which {one} appended",
                transactions.element_name(element),
                transactions.key_name(key)
            ),
            Why::Rw { key, element } => format!(
                "  {one} → {other} (rw): {one} reads {} without {}, which {other} appended",
                transactions.key_name(key),
                transactions.element_name(element)
            ),
            Why::Time | Why::Through => {
                format!("  {one} → {other} (time): {one} had ended before {other} began")
            }
        });
    }
    Wrong { kind, text: lines.join("\n"), of }
}
