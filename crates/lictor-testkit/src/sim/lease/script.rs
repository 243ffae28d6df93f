//! What goes wrong, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use lictor_core::lease::{Params, Timing};

pub(super) use super::super::clock::Micros;
use super::super::dice::Dice;

/// Everything about a play that is decided before it.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it was made from.
    pub seed: u64,
    /// The times of the lease as each node has them configured; as short as they may be.
    pub params: Vec<Params>,
    /// By how many millionths each node's two clocks are too fast.
    pub clocks: Vec<[i64; 2]>,
    /// When each node starts.
    pub starts: Vec<Micros>,
    /// Whether there is a record of a node that is gone.
    pub left_over: bool,
    /// Where the nodes are named: the times while one is silent. Then there is a record, and it was
    /// given back for anybody.
    pub among: Option<Params>,
    /// The nodes that the first record names, and all are configured with.
    pub first: BTreeSet<usize>,
    /// What goes wrong, and when it begins.
    pub faults: Vec<(Micros, Fault)>,
    /// When everything is well again.
    pub heal: Micros,
}

/// Something that goes wrong for so long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node cannot reach the register.
    Cut(Who, Micros),
    /// Nobody can: what is sent is lost, or lands late.
    Down(Micros),
    /// All requests and answers take all sorts of times.
    Rough(Micros),
    /// A node's requests get there at once, and the answers come as late as may be.
    Slow(Who, Micros),
    /// A node's process does not run.
    Freeze(Who, Micros),
    /// A node's machine is asleep.
    Sleep(Who, Micros),
    /// A node's process is killed, and started again after that.
    Kill(Who, Micros),
    /// A node's process is stopped in order, and started again after that.
    Stop(Who, Micros),
    /// The register is put back to where it was so many writes ago.
    Restore(usize),
    /// A node hears nothing of the others, nor they of it, and all reach the register.
    Alone(Who, Micros),
    /// A node is told that the lease passes between these.
    Enroll(Who, BTreeSet<usize>),
    /// The holder gives the lease back for this node, or for anybody, and stays.
    Hand(Option<usize>),
}

/// Which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The one with this number.
    Node(usize),
    /// The one that believes it holds the lease, or the first.
    Holder,
}

pub(super) const SECOND: Micros = 1_000_000;

pub(super) fn micros(time: Duration) -> Micros {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Script {
    /// The script of a seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::of(seed, "lease");
        let nodes = 2 + dice.index(3);
        let named = dice.chance(50);
        let restores = !named && dice.chance(15);
        let first = params(&mut dice);
        // Where a restore takes a record away, nobody can know what its holder had configured.
        let mixed = !restores && !named && dice.chance(15);
        let params: Vec<Params> = (0..nodes)
            .map(|_| Some(params(&mut dice)).filter(|other| mixed && other.drift_ppm() == first.drift_ppm()))
            .map(|other| other.unwrap_or(first))
            .collect();
        let clocks = params.iter().map(|params| clocks(&mut dice, params.drift_ppm())).collect();
        let longest = params.iter().copied().max_by_key(Params::length).unwrap_or(first);
        let (renew, length) = (micros(longest.renew()), micros(longest.length()));
        let starts = (0..nodes).map(|_| dice.pick(&[0, 0, SECOND / 10, renew, length, 2 * length])).collect();
        let left_over = dice.chance(30);
        let heal = 8 * length;
        let mut faults = match dice.chance(5) {
            true => Vec::new(),
            false => faults(&mut dice, &params, restores, heal),
        };
        let among = named.then(|| steady(first));
        let mut names = (0..nodes).collect();
        if named {
            names = some(&mut dice, nodes);
            faults.extend(faults_among(&mut dice, nodes, first, heal));
        }
        Self { seed, params, clocks, starts, left_over, among, first: names, faults, heal }
    }
}

/// By how many millionths a machine's two clocks are too fast.
fn clocks(dice: &mut Dice, drift_ppm: u32) -> [i64; 2] {
    let drift = i64::from(drift_ppm);
    let mut rate = || match dice.below(6) {
        0 | 1 => drift,
        2 | 3 => -drift,
        4 => 0,
        _ => i64::from(dice.between(0, 2 * drift_ppm)) - drift,
    };
    let (one, other) = (rate(), rate());
    // One clock of a machine is mostly as wrong as the other.
    [one, if dice.chance(70) { one } else { other }]
}

fn params(dice: &mut Dice) -> Params {
    let seconds = Duration::from_secs;
    let fast = Timing {
        renew: seconds(1),
        request: seconds(1),
        belief: seconds(3),
        margin: seconds(1),
        length: seconds(3_600),
        drift_ppm: 5_000,
    };
    let timing = match dice.below(10) {
        0 => return Params::STEADY,
        1..3 => {
            Timing { renew: seconds(5), request: seconds(2), belief: seconds(24), margin: seconds(2), ..fast }
        }
        3..5 => Timing { drift_ppm: 100_000, ..fast },
        5 => Timing { margin: Duration::ZERO, request: seconds(1) + Duration::from_millis(900), ..fast },
        _ => fast,
    };
    let (held, drift) = (timing.belief + timing.margin, u64::from(timing.drift_ppm));
    let shortest = (micros(held) * (1_000_000 + drift)).div_ceil(1_000_000 - drift).div_ceil(1_000);
    let length = Duration::from_millis(shortest);
    Params::new(Timing { length, ..timing })
        .unwrap_or_else(|error| unreachable!("the shortest lease is allowed: {error}"))
}

/// Some of so many nodes, mostly all of them.
fn some(dice: &mut Dice, nodes: usize) -> BTreeSet<usize> {
    let mut some: BTreeSet<usize> = (0..nodes).collect();
    if nodes > 2 && dice.chance(40) {
        some.remove(&dice.index(nodes));
    }
    some
}

/// Times like these, but three times as long.
fn steady(fast: Params) -> Params {
    let [renew, request, belief, margin] = [fast.renew(), fast.request(), fast.belief(), fast.margin()];
    let (belief, drift) = (belief * 3, u64::from(fast.drift_ppm()));
    let shortest =
        (micros(belief + margin) * (1_000_000 + drift)).div_ceil(1_000_000 - drift).div_ceil(1_000);
    let length = Duration::from_millis(shortest);
    Params::new(Timing { renew, request, belief, margin, length, drift_ppm: fast.drift_ppm() })
        .unwrap_or_else(|error| unreachable!("the shortest lease is allowed: {error}"))
}

/// What befalls nodes that are named, beside all else.
fn faults_among(dice: &mut Dice, nodes: usize, params: Params, heal: Micros) -> Vec<(Micros, Fault)> {
    let [renew, belief, length] = [params.renew(), params.belief(), params.length()].map(micros);
    let spans = [renew, belief, length, 2 * length, 4 * length];
    let mut faults = Vec::new();
    let mut at = dice.below(2 * length);
    while at < heal {
        let who = if dice.chance(40) { Who::Holder } else { Who::Node(dice.index(nodes)) };
        let span = dice.pick(&spans) + dice.below(renew);
        match dice.below(100) {
            // The register is away, and the promises carry the lease; then something else happens.
            0..35 => {
                faults.push((at, Fault::Down(span)));
                let then = at + dice.below(span);
                let node = dice.index(nodes);
                match dice.below(5) {
                    0 => faults.push((then, Fault::Freeze(Who::Holder, span))),
                    1 => faults.push((then, Fault::Kill(Who::Node(node), dice.pick(&[0, 1_000, SECOND])))),
                    2 => faults.push((then, Fault::Alone(Who::Holder, span))),
                    3 => faults.push((then, Fault::Enroll(Who::Holder, some(dice, nodes)))),
                    _ => {}
                }
            }
            35..50 => faults.push((at, Fault::Alone(who, span))),
            50..70 => {
                // All hear of it, one after the other.
                let named = some(dice, nodes);
                for node in 0..nodes {
                    faults.push((at + dice.below(span), Fault::Enroll(Who::Node(node), named.clone())));
                }
            }
            70..85 => faults.push((at, Fault::Hand(Some(dice.index(nodes)).filter(|_| dice.chance(70))))),
            // It cannot reach the register, the others can.
            _ => faults.push((at, Fault::Cut(Who::Holder, span))),
        }
        at += span + dice.pick(&[0, renew, length]);
    }
    faults.retain(|(at, _)| *at < heal);
    faults.sort_by_key(|(at, _)| *at);
    faults
}

fn faults(dice: &mut Dice, params: &[Params], restores: bool, heal: Micros) -> Vec<(Micros, Fault)> {
    let (nodes, params) = (params.len(), dice.pick(params));
    let [renew, request, belief, margin, length] =
        [params.renew(), params.request(), params.belief(), params.margin(), params.length()].map(micros);
    let gaps = [0, 1_000, request, renew, belief, length, length + renew, 2 * length];
    let spans = [
        request,
        renew,
        belief - renew,
        belief,
        belief + margin,
        length - request,
        length,
        length + renew,
        2 * length,
    ];
    let mut faults = Vec::new();
    let mut at = dice.below(3 * length);
    while at < heal {
        let who = if dice.chance(50) { Who::Holder } else { Who::Node(dice.index(nodes)) };
        let mut span = dice.pick(&spans);
        span += dice.pick(&[0, 1_000, request / 2]) + if dice.chance(50) { dice.below(renew) } else { 0 };
        if dice.chance(15) {
            // What is answered last is answered late.
            faults.push((at, Fault::Slow(who, 2 * renew)));
            at += dice.pick(&[renew, 2 * renew - 1_000]) + dice.below(renew);
        }
        if restores && dice.chance(30) {
            // A holder comes back to what it wrote last, and another one holds the lease.
            let span = length + 2 * renew;
            let away = Fault::Freeze(Who::Holder, span + dice.below(renew));
            faults.push((at, if dice.chance(50) { Fault::Cut(Who::Holder, span + renew) } else { away }));
            faults.push((at + span - dice.below(renew), Fault::Restore(dice.pick(&[1, 2, 3]))));
            at += span + 2 * renew;
        }
        faults.push((
            at,
            match dice.below(100) {
                0..25 => Fault::Cut(who, span),
                25..35 => Fault::Down(span),
                35..50 => Fault::Rough(2 * span),
                50..65 => Fault::Freeze(who, span),
                65..72 => Fault::Sleep(who, span),
                72..85 => Fault::Kill(who, dice.pick(&[0, 1_000, SECOND, span])),
                85..92 => Fault::Stop(who, dice.pick(&[1_000, SECOND, span])),
                _ if restores => Fault::Restore(dice.pick(&[1, 1, 2, 3, 5, 10, 1_000])),
                _ => Fault::Cut(who, span),
            },
        ));
        at += dice.pick(&gaps) + dice.below(renew);
    }
    faults.retain(|(at, _)| *at < heal);
    faults
}
