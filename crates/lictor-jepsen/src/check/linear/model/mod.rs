//! What a thing is that operations are done to: how its state follows, and what the search may know besides.

mod lock;
mod register;
mod set;
mod sight;
mod versioned;

use std::fmt::Debug;
use std::hash::Hash;

use crate::history::Op;

pub use lock::{Lock, LockAction};
pub use register::{Register, RegisterAction};
pub use set::{Set, SetAction};
pub(crate) use sight::Values;
pub use versioned::{Versioned, VersionedAction};

/// The end of an operation of which nobody knows whether it happened.
pub const NEVER: u32 = u32::MAX;

/// An operation with the positions of its beginning and its end in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed<A> {
    /// What is done.
    pub action: A,
    /// Which call of the history it is.
    pub call: u32,
    /// Where it begins.
    pub begin: u32,
    /// Where it ends, or [`NEVER`]: then it happened at any time after its beginning, or not at all.
    pub end: u32,
}

/// A kind of thing, as histories speak of it.
pub trait Kind: Sync {
    /// What is done to it; equal ones have equal effects.
    type Action: Clone + Debug + PartialEq + Send + Sync;
    /// How its state follows.
    type Model: Model;
    /// What is needed to understand entries, for each thing of its own: names that have a number.
    type Names: Default;

    /// What it is called.
    fn name(&self) -> &'static str;

    /// What its calls are; others are none of its.
    fn functions(&self) -> &'static [&'static str];

    /// Whether a call without a key is about all things, not one of its own.
    fn spreads(&self, _f: &str) -> bool {
        false
    }

    /// What a call did: its beginning, and its end if it ended as `ok`. None if it says nothing: a read without
    /// an answer.
    ///
    /// # Errors
    /// If it is not understood.
    fn action(
        &self,
        names: &mut Self::Names,
        invoke: &Op,
        end: Option<&Op>,
    ) -> Result<Option<Self::Action>, String>;

    /// Leaves out what need not have happened and nobody has seen, and ends what somebody has seen where it was
    /// seen. What comes out can be brought in order if and only if what went in could.
    fn simplify(&self, operations: &mut Vec<Timed<Self::Action>>);

    /// A model of one thing that those operations are done to.
    fn model(&self, operations: &[Timed<Self::Action>]) -> Self::Model;

    /// Whether an action changes nothing, ever: it can be left out without harm.
    fn reads(&self, action: &Self::Action) -> bool;

    /// Groups of operations that may be left out together, group by group, with what is left still in order if all was.
    /// What comes first is tried first.
    fn groups(&self, operations: &[Timed<Self::Action>]) -> Vec<Vec<Vec<usize>>> {
        vec![(0..operations.len()).map(|operation| vec![operation]).collect()]
    }

    /// The effects an action has been made by, as numbers: what makes one of them has to stay.
    fn sees(&self, action: &Self::Action) -> Vec<u32>;

    /// The effect of an action that others may see.
    fn makes(&self, action: &Self::Action) -> Option<u32>;
}

/// How the state of one thing follows. Operations are numbers: positions in what it was made of.
///
/// The methods with a default are hints. One that gives none is searched all the same, and longer.
pub trait Model {
    /// The state.
    type State: Copy + Eq + Hash + Debug;

    /// Before anything was done.
    fn initial(&self) -> Self::State;

    /// After an operation, or none if it cannot be done, or not with what came of it, in that state.
    fn step(&mut self, state: Self::State, operation: usize) -> Option<Self::State>;

    /// Whether an operation that can be done now may as well be: if there is an order in which it comes later, there is
    /// one in which it comes now. `now` is the end that has to be kept next; `others` are open too, and may
    /// contain the operation itself.
    fn at_once(
        &self,
        _state: Self::State,
        _operation: usize,
        _now: u32,
        _others: impl Iterator<Item = usize>,
    ) -> bool {
        false
    }

    /// Whether there is no hope for what has not been done yet if that operation is done now.
    fn too_early(
        &self,
        _state: Self::State,
        _operation: usize,
        _now: u32,
        _others: impl Iterator<Item = usize>,
    ) -> bool {
        false
    }

    /// Whether it is of no use to do an operation now that need not have happened: none of the others that are open sees what it
    /// does, and one that began later would see what has to be done before.
    fn in_vain(&self, _operation: usize, _others: impl Iterator<Item = usize>) -> bool {
        false
    }

    /// Whether an operation can be done in any state and leaves nothing of the one before.
    fn overwrites(&self, _operation: usize) -> bool {
        false
    }

    /// Whether an operation overwrites, and it and all who see what it does are open at `now`: then all of them may as well come
    /// right before another one that overwrites.
    fn hides(&self, _operation: usize, _now: u32) -> bool {
        false
    }

    /// The same state, or one that stands for all from which the same follows.
    fn settle(&self, state: Self::State, _now: u32) -> Self::State {
        state
    }
}
