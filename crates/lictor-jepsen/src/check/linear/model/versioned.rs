//! A register whose changes are counted: what Consul's `ModifyIndex` promises.

use super::register::both;
use super::sight::{NIL, Part, Sights, Values, simplify};
use super::{Kind, Model, Timed};
use crate::history::Op;

/// A register with `read`, `write`, `delete`, `cas` and `cas-index`, whose index grows with each change. The index is the
/// `consul_index` of an entry; a write without one has an index that nobody knows.
///
/// A `cas-index` is `[index, new]`; index 0 says that nothing is there. Writing what is there already may leave the
/// index as it is, as with Consul.
#[derive(Clone, Copy, Debug, Default)]
pub struct Versioned;

/// What is done to a versioned register, and the index that came with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionedAction {
    /// This is there.
    Read(u32, Option<u64>),
    /// This is there from now on.
    Write(u32, Option<u64>),
    /// The first is there, the second from now on.
    Cas(u32, u32, Option<u64>),
    /// What is there has this index; the value is there from now on.
    CasIndex(u64, u32, Option<u64>),
}

/// A versioned register that certain operations are done to.
#[derive(Debug)]
pub struct VersionedModel {
    actions: Vec<VersionedAction>,
    sights: Sights,
    /// Whether somebody asks for the index alone, so that a value is seen without being named.
    blind: bool,
}

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Versions {
    value: u32,
    /// Its index, or if it is not known the least that it can be.
    index: u64,
    known: bool,
}

/// A value that nobody will see any more.
const GONE: u32 = u32::MAX;

impl VersionedAction {
    const fn part(&self) -> Part {
        match *self {
            Self::Read(value, _) => Part { sees: Some(value), makes: None },
            Self::Write(value, _) | Self::CasIndex(_, value, _) => Part { sees: None, makes: Some(value) },
            Self::Cas(from, to, _) => Part { sees: Some(from), makes: Some(to) },
        }
    }
}

/// Whether somebody sees a value by its index.
fn blind(operations: &[Timed<VersionedAction>]) -> bool {
    operations.iter().any(|operation| matches!(operation.action, VersionedAction::CasIndex(..)))
}

impl Kind for Versioned {
    type Action = VersionedAction;
    type Model = VersionedModel;
    type Names = Values;

    fn name(&self) -> &'static str {
        "versioned-register"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["read", "write", "delete", "cas", "cas-index"]
    }

    fn action(
        &self,
        values: &mut Values,
        invoke: &Op,
        end: Option<&Op>,
    ) -> Result<Option<VersionedAction>, String> {
        let index = end.and_then(|end| end.consul_index);
        Ok(match invoke.f.as_str() {
            "read" => end.map(|end| {
                // What is not there has no index; the one of the answer is that of something else.
                let index = index.filter(|_| !end.value.is_null());
                VersionedAction::Read(values.number(&end.value), index)
            }),
            "write" => Some(VersionedAction::Write(values.number(&invoke.value), index)),
            "delete" => Some(VersionedAction::Write(NIL, None)),
            "cas" => {
                let (from, to) = both(&invoke.value)?;
                Some(VersionedAction::Cas(values.number(from), values.number(to), index))
            }
            "cas-index" => {
                let (from, to) = both(&invoke.value)?;
                let from = from.as_u64().ok_or_else(|| format!("{from} is no index"))?;
                Some(VersionedAction::CasIndex(from, values.number(to), index))
            }
            other => {
                return Err(format!(
                    "a versioned register knows read, write, delete, cas and cas-index, not `{other}`"
                ));
            }
        })
    }

    fn simplify(&self, operations: &mut Vec<Timed<VersionedAction>>) {
        if !blind(operations) {
            simplify(operations, VersionedAction::part);
        }
    }

    fn model(&self, operations: &[Timed<VersionedAction>]) -> VersionedModel {
        VersionedModel {
            actions: operations.iter().map(|operation| operation.action).collect(),
            sights: Sights::new(operations, VersionedAction::part),
            blind: blind(operations),
        }
    }

    fn reads(&self, action: &VersionedAction) -> bool {
        matches!(action, VersionedAction::Read(..))
    }

    /// Where somebody asks for the index alone, only reads can be left out without harm.
    fn groups(&self, operations: &[Timed<VersionedAction>]) -> Vec<Vec<Vec<usize>>> {
        let blind = blind(operations);
        let free = |operation: &usize| !blind || self.reads(&operations[*operation].action);
        vec![(0..operations.len()).filter(free).map(|operation| vec![operation]).collect()]
    }

    fn sees(&self, action: &VersionedAction) -> Vec<u32> {
        action.part().sees.into_iter().collect()
    }

    fn makes(&self, action: &VersionedAction) -> Option<u32> {
        action.part().makes
    }
}

impl Versions {
    /// The same once its index is told, if it can be that one.
    fn told(self, index: Option<u64>) -> Option<Self> {
        let Some(index) = index else { return Some(self) };
        let fits = if self.known { index == self.index } else { index >= self.index };
        fits.then_some(Self { index, known: true, ..self })
    }

    /// After a write.
    fn written(self, value: u32, index: Option<u64>) -> Option<Self> {
        // What is there already may keep its index.
        let least = if value == self.value { self.index } else { self.index.saturating_add(1) };
        Self { value, index: least, known: false }.told(index)
    }
}

impl Model for VersionedModel {
    type State = Versions;

    fn initial(&self) -> Versions {
        Versions { value: NIL, index: 0, known: false }
    }

    fn step(&mut self, state: Versions, operation: usize) -> Option<Versions> {
        match self.actions[operation] {
            VersionedAction::Read(value, index) => {
                (value == state.value).then_some(state).and_then(|state| state.told(index))
            }
            VersionedAction::Write(value, index) => state.written(value, index),
            VersionedAction::Cas(from, to, index) => {
                (from == state.value).then_some(state).and_then(|state| state.written(to, index))
            }
            VersionedAction::CasIndex(0, value, index) => {
                (state.value == NIL).then_some(state).and_then(|state| state.written(value, index))
            }
            VersionedAction::CasIndex(from, value, index) => {
                let there = if state.value == NIL { None } else { state.told(Some(from)) };
                there.and_then(|state| state.written(value, index))
            }
        }
    }

    /// A read that tells nothing of the index that is not known already, or of a value that comes once: then all who read
    /// it have to tell the same.
    fn at_once(&self, state: Versions, operation: usize, _: u32, _: impl Iterator<Item = usize>) -> bool {
        match self.actions[operation] {
            VersionedAction::Read(value, index) => state.known || index.is_none() || self.sights.once(value),
            VersionedAction::Write(..) | VersionedAction::Cas(..) | VersionedAction::CasIndex(..) => false,
        }
    }

    fn too_early(&self, state: Versions, operation: usize, now: u32, _: impl Iterator<Item = usize>) -> bool {
        // Readers that are open may not have been taken in, as they tell an index; only those of later count.
        let part = self.actions[operation].part();
        part.makes.is_some() && !self.blind && self.sights.held(state.value, part, now)
    }

    fn in_vain(&self, operation: usize, others: impl Iterator<Item = usize>) -> bool {
        let seen = others.filter_map(|other| self.actions[other].part().sees);
        self.actions[operation]
            .part()
            .makes
            .is_some_and(|made| !self.blind && self.sights.in_vain(made, seen))
    }

    fn settle(&self, state: Versions, now: u32) -> Versions {
        let gone = state.value != GONE
            && state.value != NIL
            && state.known
            && !self.blind
            // Who writes the same once more may find the index unchanged.
            && self.sights.once(state.value)
            && self.sights.seen_by(state.value, now);
        if gone { Versions { value: GONE, ..state } } else { state }
    }
}
