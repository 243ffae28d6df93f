//! What goes wrong, and when.

use std::num::NonZeroU32;
use std::time::Duration;

use lictor_core::peers::{MeshPlan, WhoTells};

use super::super::dice::Dice;

/// Time since the play began, in milliseconds.
pub(super) type Millis = u64;

/// From one round to the next.
pub(super) const EVERY: Millis = 10_000;

/// Time limit of a look.
pub(super) const TIMEOUT: Millis = 5_000;

/// When the first fault may come: until then all have met all.
const BEGIN: Millis = 4 * EVERY;

/// Everything about a play that is decided before it.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it was made from.
    pub seed: u64,
    /// How many nodes there are.
    pub size: usize,
    /// How they judge.
    pub rules: Rules,
    /// When in a round each begins its own.
    pub phases: Vec<Millis>,
    /// What goes wrong, and when it begins.
    pub faults: Vec<(Millis, Fault)>,
    /// One way between two nodes is all that is ever cut.
    pub one_way: bool,
    /// When everything is well again.
    pub heal: Millis,
    /// Who dies after that.
    pub lost: Vec<usize>,
    /// Since when a peer stands as it does is held against the look with which that began.
    pub exact: bool,
}

/// How the nodes judge: see [`MeshPlan`].
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Looks that must fail.
    pub fail_after: NonZeroU32,
    /// Looks that must succeed.
    pub pass_after: NonZeroU32,
    /// Nodes that must agree.
    pub confirm: NonZeroU32,
    /// Who tells.
    pub tell: WhoTells,
    /// Nodes that watch each. `None`: all.
    pub watchers: Option<NonZeroU32>,
    /// Peers that discovery no longer names are told of.
    pub vanished: bool,
}

/// Something that goes wrong for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node's process is killed, and started again after that.
    Kill(usize, Millis),
    /// A node's process does not run; it goes on after that as if nothing were.
    Freeze(usize, Millis),
    /// The first no longer reaches the second.
    OneWay(usize, usize, Millis),
    /// Neither reaches the other.
    BothWays(usize, usize, Millis),
    /// A node reaches nobody, and nobody reaches it.
    Island(usize, Millis),
    /// The nodes up to this one and those after it do not reach each other.
    Partition(usize, Millis),
    /// A node answers when nobody waits any longer.
    Slow(usize, Millis),
    /// A node answers each asker once too rarely, but never so often in a row that it counts.
    Flap(usize, Millis),
    /// A node says that this one of its checks fails.
    Ill(usize, u8, Millis),
    /// A node finds no peers.
    Lost(usize, Millis),
    /// A node's name server leaves out another node, but not often enough in a row to count.
    Partial(usize, usize, Millis),
    /// Discovery does not name a node.
    Unlisted(usize, Millis),
    /// A node's wall clock is set by so much.
    Step(usize, i64),
}

impl Script {
    /// The script of a seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::of(seed, "peers");
        let one_way = dice.chance(10);
        let size = match dice.below(100) {
            0..90 => 2 + dice.index(4),
            90..99 => 6 + dice.index(5),
            _ => 11 + dice.index(20),
        };
        let (size, mut rules) = (if one_way { size.clamp(4, 12) } else { size }, Rules::new(&mut dice, size));
        if one_way {
            (rules.confirm, rules.watchers) = (rules.confirm.max(count(2)), None);
        }
        let phases = (0..size).map(|_| dice.below(EVERY)).collect();
        // What is slow to play is played for a shorter time.
        let heal = BEGIN + EVERY * if size > 10 { 6 } else { 10 + dice.below(20) };
        let faults = match one_way {
            true => {
                let (from, to) = two(&mut dice, size);
                vec![(BEGIN + dice.below(2 * EVERY), Fault::OneWay(from, to, heal))]
            }
            false => faults(&mut dice, size, heal),
        };
        let share = dice.pick(&[10, 30, 50]);
        let lost = (0..size).filter(|_| dice.chance(share)).collect();
        Self { seed, size, rules, phases, faults, one_way, heal, lost, exact: true }
    }

    pub(super) fn plan(&self, node: usize) -> MeshPlan {
        let Rules { fail_after, pass_after, confirm, tell, watchers, vanished } = self.rules;
        MeshPlan {
            node: name(node),
            every: Duration::from_millis(EVERY),
            timeout: Duration::from_millis(TIMEOUT),
            fail_after,
            pass_after,
            confirm,
            tell,
            watchers,
            vanished,
        }
    }

    /// Rounds after which all that is so is known: the looks that count, the others asked, and one begun already.
    pub(super) fn settle(&self) -> Millis {
        let Rules { fail_after, pass_after, .. } = self.rules;
        (u64::from(fail_after.max(pass_after).get()) + 5) * EVERY
    }
}

impl Rules {
    fn new(dice: &mut Dice, size: usize) -> Self {
        let confirm = count(dice.pick(&[1, 1, 2, 2, 3]));
        let watchers = (size >= 4 && dice.chance(40)).then(|| count(3));
        Self {
            fail_after: count(dice.pick(&[1, 2, 2, 3])),
            pass_after: count(dice.pick(&[1, 1, 2, 3])),
            confirm,
            tell: dice.pick(&[WhoTells::Each, WhoTells::One]),
            watchers,
            vanished: dice.chance(80),
        }
    }
}

pub(super) fn name(node: usize) -> String {
    format!("n{node}")
}

pub(super) fn id(node: usize) -> String {
    format!("n{node}:5988")
}

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn two(dice: &mut Dice, size: usize) -> (usize, usize) {
    let one = dice.index(size);
    let other = (one + 1 + dice.index(size - 1)) % size;
    (one, other)
}

fn faults(dice: &mut Dice, size: usize, heal: Millis) -> Vec<(Millis, Fault)> {
    let mut faults = Vec::new();
    let mut at = BEGIN + dice.below(2 * EVERY);
    while at < heal {
        let (one, other) = two(dice, size);
        // Shorter than a look, about as long as it takes to count, and longer.
        let span = dice.pick(&[1, 3, 10, 15, 20, 25, 40, 60, 120]) * 1_000 + dice.below(EVERY);
        faults.push((
            at,
            match dice.below(100) {
                0..18 => Fault::Kill(one, span),
                18..26 => Fault::Freeze(one, span),
                26..36 => Fault::OneWay(one, other, span),
                36..44 => Fault::BothWays(one, other, span),
                44..52 => Fault::Island(one, span),
                52..57 => Fault::Partition(one, span),
                57..65 => Fault::Slow(one, span),
                65..71 => Fault::Flap(one, span),
                71..79 => Fault::Ill(one, u8::try_from(dice.below(2)).unwrap_or_default(), span),
                79..84 => Fault::Lost(one, span),
                84..90 => Fault::Partial(one, other, span),
                90..95 => Fault::Unlisted(one, span),
                _ => Fault::Step(one, dice.pick(&[-86_400_000, -5_000, 40_000, 86_400_000])),
            },
        ));
        at += dice.pick(&[0, 5_000, 10_000, 30_000, 60_000]) + dice.below(EVERY);
    }
    faults.retain(|(at, _)| *at < heal);
    faults
}
