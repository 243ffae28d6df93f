//! The search for an order, after Wing and Gong, with Lowe's memory of where it has been.
//!
//! A configuration is what has been done and the state after it. As in Lowe's variant the search goes from end to end: to keep
//! the next end, what is open is tried in the order of the ends. Three things make it short where the model knows them: what
//! may as well be done at once is, what nobody will see is done right before it is overwritten, and what would bury
//! something that somebody will see is not done.
//!
//! Nothing has to be cut at points where all is quiet: there the lanes are empty, so that all ways that come to one state
//! are one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::cache::{Cache, Used};
use super::lanes::{Lanes, Many};
use super::model::{Model, Timed};
use super::plan::{Crowded, Plan};

/// Bounds of a search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<'a> {
    /// When it is given up.
    pub(super) deadline: Option<Instant>,
    /// Bytes of what is remembered.
    pub(super) memory: usize,
    /// Steps.
    pub(super) steps: u64,
    /// Set by others when nobody wants to know any more.
    pub(super) stop: &'a AtomicBool,
}

/// What came of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An order, in which what nobody knows of need not be.
    Order(Vec<usize>),
    /// There is none.
    Nothing(Blocked),
    /// It was given up.
    GivenUp(Limit),
}

/// Where there is no way on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Blocked {
    /// The end that cannot be kept if all are to be kept that come later.
    pub(super) end: u32,
    /// An order of what comes before it, if it was asked for: one of the longest.
    pub(super) longest: Vec<usize>,
}

/// Why a search was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Its time is over.
    Time,
    /// It remembers as much as it may.
    Memory,
    /// It made as many steps as it may.
    Steps,
    /// Others have found something.
    Stopped,
    /// So many operations are open at a time.
    Lanes(usize),
}

/// What has been done and the state after it.
#[derive(Clone, Debug)]
struct Configuration<L, S> {
    /// The first rank that is not done: its end has to be kept next.
    rank: u32,
    /// Which of those that are open are done.
    lanes: L,
    state: S,
    used: Used,
}

/// A configuration with what has been tried there.
struct Frame<L, S> {
    at: Configuration<L, S>,
    next: usize,
    /// How much had been done before it.
    trail: usize,
}

struct Search<'a, M: Model> {
    plan: &'a Plan,
    model: M,
    /// What has been done, in order.
    trail: Vec<usize>,
}

/// Looks for an order. With `explain` one of the longest is told if there is none.
pub(super) fn search<A: PartialEq, M: Model>(
    operations: &[Timed<A>],
    model: M,
    bounds: &Bounds<'_>,
    explain: bool,
) -> Found {
    let plan = match Plan::new(operations, bounds.memory as u64) {
        Ok(plan) => plan,
        Err(Crowded::Lanes(lanes)) => return Found::GivenUp(Limit::Lanes(lanes)),
        Err(Crowded::Memory(_)) => return Found::GivenUp(Limit::Memory),
    };
    let search = Search { plan: &plan, model, trail: Vec::with_capacity(operations.len()) };
    match plan.width {
        lanes if lanes <= u64::COUNT => search.run::<u64>(bounds, explain),
        lanes if lanes <= u128::COUNT => search.run::<u128>(bounds, explain),
        lanes if lanes <= Many::COUNT => search.run::<Many>(bounds, explain),
        lanes => Found::GivenUp(Limit::Lanes(lanes)),
    }
}

impl<M: Model> Search<'_, M> {
    fn run<L: Lanes>(mut self, bounds: &Bounds<'_>, explain: bool) -> Found {
        let classes = self.plan.classes.len();
        let mut cache = Cache::new();
        let mut start = Configuration {
            rank: 0,
            lanes: L::none(),
            state: self.model.initial(),
            used: vec![0; classes].into_boxed_slice(),
        };
        self.absorb(&mut start);
        let mut furthest = start.rank;
        let mut stack = vec![Frame { at: start, next: 0, trail: 0 }];
        let mut longest: Option<(u32, Vec<usize>)> = None;
        let mut steps = 0u64;
        while let Some(frame) = stack.last_mut() {
            if frame.at.rank as usize == self.plan.len() {
                return Found::Order(self.trail);
            }
            steps += 1;
            if let Some(limit) = over(bounds, steps, || cache.bytes(classes)) {
                return Found::GivenUp(limit);
            }
            let reached = self.trail.len();
            let next = frame.next;
            frame.next += 1;
            match self.attempt(&frame.at, next) {
                Attempt::Made(at) => {
                    let key = (at.rank, at.lanes.clone(), at.state);
                    if cache.insert(key, &at.used) {
                        furthest = furthest.max(at.rank);
                        stack.push(Frame { at, next: 0, trail: reached });
                    } else {
                        self.trail.truncate(reached);
                    }
                }
                Attempt::Useless => self.trail.truncate(reached),
                Attempt::NoMore => {
                    if explain && longest.as_ref().is_none_or(|(rank, _)| *rank < frame.at.rank) {
                        longest = Some((frame.at.rank, self.trail.clone()));
                    }
                    self.trail.truncate(frame.trail);
                    stack.pop();
                }
            }
        }
        let longest = longest.map(|(_, order)| order).unwrap_or_default();
        let end = self.plan.ends.get(furthest as usize).copied().unwrap_or_default();
        Found::Nothing(Blocked { end, longest })
    }

    /// Does the candidate of that number: first those with an end, then one of each class without.
    fn attempt<L: Lanes>(
        &mut self,
        at: &Configuration<L, M::State>,
        number: usize,
    ) -> Attempt<Configuration<L, M::State>> {
        let open = self.plan.open(at.rank);
        if let Some(&rank) = open.get(number) {
            if at.lanes.has(self.plan.lanes[rank as usize]) {
                return Attempt::Useless;
            }
            return self.lift(at, Some(rank), self.plan.operations[rank as usize]);
        }
        let class = number - open.len();
        let (Some(members), Some(&used)) = (self.plan.classes.get(class), at.used.get(class)) else {
            return Attempt::NoMore;
        };
        match members.get(usize::from(used)) {
            Some(&(begin, operation)) if begin < self.now(at) => match self.lift(at, None, operation) {
                Attempt::Made(mut made) => {
                    made.used[class] += 1;
                    Attempt::Made(made)
                }
                other => other,
            },
            _ => Attempt::Useless,
        }
    }

    /// The end that has to be kept next. There is one, or the search is over.
    fn now<L>(&self, at: &Configuration<L, M::State>) -> u32 {
        self.plan.ends.get(at.rank as usize).copied().unwrap_or(u32::MAX)
    }

    /// What is open and not done.
    fn others<L: Lanes>(&self, at: &Configuration<L, M::State>) -> impl Iterator<Item = usize> {
        self.plan
            .open(at.rank)
            .iter()
            .filter(|rank| !at.lanes.has(self.plan.lanes[**rank as usize]))
            .map(|rank| self.plan.operations[*rank as usize])
    }

    /// Does an operation, and before and after it what may as well be done.
    fn lift<L: Lanes>(
        &mut self,
        at: &Configuration<L, M::State>,
        rank: Option<u32>,
        operation: usize,
    ) -> Attempt<Configuration<L, M::State>> {
        let after = self.model.step(at.state, operation);
        // What need not have happened and changes nothing need not be done.
        if after.is_none()
            || (rank.is_none() && after == Some(at.state))
            || self.model.too_early(at.state, operation, self.now(at), self.others(at))
        {
            return Attempt::Useless;
        }
        let mut at = at.clone();
        if self.model.overwrites(operation) {
            while let Some(hidden) = self.hidden(&at, operation) {
                let Some(state) = self.model.step(at.state, self.plan.operations[hidden as usize]) else {
                    break;
                };
                at.state = state;
                self.done(&mut at, hidden);
                self.absorb(&mut at);
            }
        }
        let Some(state) = self.model.step(at.state, operation) else { return Attempt::Useless };
        at.state = state;
        match rank {
            Some(rank) => self.done(&mut at, rank),
            None => self.trail.push(operation),
        }
        self.absorb(&mut at);
        Attempt::Made(at)
    }

    /// One that is open and nobody will miss when something else is written right after it.
    fn hidden<L: Lanes>(&self, at: &Configuration<L, M::State>, but: usize) -> Option<u32> {
        let now = self.now(at);
        self.plan.open(at.rank).iter().copied().find(|rank| {
            let operation = self.plan.operations[*rank as usize];
            operation != but
                && !at.lanes.has(self.plan.lanes[*rank as usize])
                && self.model.hides(operation, now)
        })
    }

    /// Notes that an operation is done, and goes on to the next end that has to be kept.
    fn done<L: Lanes>(&mut self, at: &mut Configuration<L, M::State>, rank: u32) {
        self.trail.push(self.plan.operations[rank as usize]);
        at.lanes.put(self.plan.lanes[rank as usize], true);
        while let Some(&lane) = self.plan.lanes.get(at.rank as usize)
            && at.lanes.has(lane)
        {
            at.lanes.put(lane, false);
            at.rank += 1;
        }
    }

    /// Does what may as well be done now, until there is nothing.
    fn absorb<L: Lanes>(&mut self, at: &mut Configuration<L, M::State>) {
        'again: while (at.rank as usize) < self.plan.len() {
            let now = self.now(at);
            for &rank in self.plan.open(at.rank) {
                let operation = self.plan.operations[rank as usize];
                if at.lanes.has(self.plan.lanes[rank as usize]) {
                    continue;
                }
                let Some(state) = self.model.step(at.state, operation) else { continue };
                if self.model.at_once(at.state, operation, now, self.others(at)) {
                    let changed = state != at.state;
                    let before = at.rank;
                    at.state = state;
                    self.done(at, rank);
                    if changed || at.rank != before {
                        continue 'again;
                    }
                }
            }
            break;
        }
        if (at.rank as usize) < self.plan.len() {
            at.state = self.model.settle(at.state, self.now(at));
        }
    }
}

/// What came of trying a candidate.
enum Attempt<C> {
    Made(C),
    Useless,
    NoMore,
}

fn over(bounds: &Bounds<'_>, steps: u64, bytes: impl Fn() -> usize) -> Option<Limit> {
    if steps > bounds.steps {
        return Some(Limit::Steps);
    }
    if !steps.is_multiple_of(256) {
        return None;
    }
    if bounds.stop.load(Ordering::Relaxed) {
        return Some(Limit::Stopped);
    }
    if bytes() > bounds.memory {
        return Some(Limit::Memory);
    }
    #[expect(clippy::disallowed_methods, reason = "a search is given up after a time")]
    let late = bounds.deadline.is_some_and(|deadline| Instant::now() >= deadline);
    late.then_some(Limit::Time)
}
