//! Makes what is wrong small: leaves out operations as long as what is left is still wrong.
//!
//! Only what may go without making anything wrong by itself goes: what reads, what nobody that stays has seen, and what
//! belongs together, together. So what is left is wrong in the whole as well.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::model::{Kind, NEVER, Timed};
use super::search::{Bounds, Found, search};

/// Steps of each attempt; one that takes more is not made.
const STEPS: u64 = 1_000_000;

/// Bytes that each attempt may remember.
const MEMORY: usize = 256 << 20;

/// Judges pieces of a history until a deadline.
#[derive(Debug)]
pub(super) struct Judge<'a, K> {
    pub(super) kind: &'a K,
    pub(super) deadline: Option<Instant>,
}

impl<K: Kind> Judge<'_, K> {
    /// What comes of a piece, with the operations as the search had them.
    pub(super) fn search(&self, piece: &[Timed<K::Action>], explain: bool) -> (Found, Vec<Timed<K::Action>>) {
        let mut piece = piece.to_vec();
        self.kind.simplify(&mut piece);
        let bounds = Bounds {
            deadline: self.deadline,
            memory: MEMORY,
            steps: STEPS.max(piece.len() as u64 * 16),
            stop: &AtomicBool::new(false),
        };
        let found = search(&piece, self.kind.model(&piece), &bounds, explain);
        (found, piece)
    }

    /// Whether it is certain that a piece has no order.
    pub(super) fn is_wrong(&self, piece: &[Timed<K::Action>]) -> bool {
        matches!(self.search(piece, false).0, Found::Nothing(_))
    }

    /// What was known right behind a position: what had not ended is not known to have happened.
    pub(super) fn until(&self, operations: &[Timed<K::Action>], position: u32) -> Vec<Timed<K::Action>> {
        let cut = |operation: &Timed<K::Action>| {
            let end = if operation.end <= position { operation.end } else { NEVER };
            let says = operation.begin < position && (end != NEVER || !self.kind.reads(&operation.action));
            says.then(|| Timed { end, ..operation.clone() })
        };
        operations.iter().filter_map(cut).collect()
    }

    /// Leaves out what can be left out.
    pub(super) fn shrink(&self, mut operations: Vec<Timed<K::Action>>) -> Vec<Timed<K::Action>> {
        let stages = self.kind.groups(&operations).len();
        for stage in 0..stages {
            let groups = self.kind.groups(&operations).swap_remove(stage);
            let mut size = groups.len().div_ceil(2).max(1);
            // Groups that are still there, by positions in `operations`, which stay as they are until the stage is over.
            let mut left: Vec<Vec<usize>> = groups;
            let mut gone: HashSet<usize> = HashSet::new();
            loop {
                let mut from = 0;
                while from < left.len() {
                    let to = (from + size).min(left.len());
                    let out = self.may_go(&operations, &gone, &left[from..to]);
                    if out.is_empty() {
                        from = to;
                        continue;
                    }
                    let mut without = gone.clone();
                    without.extend(out.iter().flat_map(|group| left[*group + from].iter().copied()));
                    if self.is_wrong(&rest(&operations, &without)) {
                        gone = without;
                        let mut place = 0;
                        let mut out = out.into_iter().map(|group| group + from).peekable();
                        let before = left.len();
                        left.retain(|_| {
                            let goes = out.next_if_eq(&place).is_some();
                            place += 1;
                            !goes
                        });
                        // What had to stay of this piece is passed.
                        from = to - (before - left.len());
                    } else {
                        from = to;
                    }
                }
                if size == 1 {
                    break;
                }
                size = size.div_ceil(2);
            }
            operations = rest(&operations, &gone);
        }
        operations
    }

    /// Which of some groups may go: none that makes what somebody sees who stays.
    fn may_go(
        &self,
        operations: &[Timed<K::Action>],
        gone: &HashSet<usize>,
        groups: &[Vec<usize>],
    ) -> Vec<usize> {
        let mut out: Vec<usize> = (0..groups.len()).collect();
        loop {
            let going: HashSet<usize> = out.iter().flat_map(|group| groups[*group].iter().copied()).collect();
            let mut seen = HashSet::new();
            for (at, operation) in operations.iter().enumerate() {
                if !gone.contains(&at) && !going.contains(&at) {
                    seen.extend(self.kind.sees(&operation.action));
                }
            }
            let before = out.len();
            out.retain(|group| {
                let makes = |at: &usize| self.kind.makes(&operations[*at].action);
                !groups[*group].iter().filter_map(makes).any(|made| seen.contains(&made))
            });
            if out.len() == before {
                return out;
            }
        }
    }
}

fn rest<A: Clone>(operations: &[Timed<A>], gone: &HashSet<usize>) -> Vec<Timed<A>> {
    let stays = operations.iter().enumerate().filter(|(at, _)| !gone.contains(at));
    stays.map(|(_, operation)| operation.clone()).collect()
}
