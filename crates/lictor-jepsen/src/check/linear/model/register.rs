//! A register: read, written, changed from one value to another.

use serde_json::Value;

use super::sight::{NIL, Part, Sights, Values, simplify};
use super::{Kind, Model, Timed};
use crate::history::Op;

/// A register with `read`, `write`, `delete` and `cas`, which holds `null` at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

/// What is done to a register. Values are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterAction {
    /// This is there.
    Read(u32),
    /// This is there from now on.
    Write(u32),
    /// The first is there, the second from now on.
    Cas(u32, u32),
}

/// A register that certain operations are done to.
#[derive(Debug)]
pub struct RegisterModel {
    actions: Vec<RegisterAction>,
    sights: Sights,
}

/// A value that nobody will see any more.
const GONE: u32 = u32::MAX;

impl RegisterAction {
    const fn part(&self) -> Part {
        match *self {
            Self::Read(value) => Part { sees: Some(value), makes: None },
            Self::Write(value) => Part { sees: None, makes: Some(value) },
            Self::Cas(from, to) => Part { sees: Some(from), makes: Some(to) },
        }
    }
}

/// The two values of a `cas`.
pub(super) fn both(value: &Value) -> Result<(&Value, &Value), String> {
    match value.as_array().map(Vec::as_slice) {
        Some([from, to]) => Ok((from, to)),
        _ => Err(format!("the value of a cas is [expected, new], not {value}")),
    }
}

impl Kind for Register {
    type Action = RegisterAction;
    type Model = RegisterModel;
    type Names = Values;

    fn name(&self) -> &'static str {
        "register"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["read", "write", "delete", "cas"]
    }

    fn action(
        &self,
        values: &mut Values,
        invoke: &Op,
        end: Option<&Op>,
    ) -> Result<Option<RegisterAction>, String> {
        Ok(match invoke.f.as_str() {
            "read" => end.map(|end| RegisterAction::Read(values.number(&end.value))),
            "write" => Some(RegisterAction::Write(values.number(&invoke.value))),
            "delete" => Some(RegisterAction::Write(NIL)),
            "cas" => {
                let (from, to) = both(&invoke.value)?;
                Some(RegisterAction::Cas(values.number(from), values.number(to)))
            }
            other => return Err(format!("a register knows read, write, delete and cas, not `{other}`")),
        })
    }

    fn simplify(&self, operations: &mut Vec<Timed<RegisterAction>>) {
        simplify(operations, RegisterAction::part);
    }

    fn model(&self, operations: &[Timed<RegisterAction>]) -> RegisterModel {
        let sights = Sights::new(operations, RegisterAction::part);
        RegisterModel { actions: operations.iter().map(|operation| operation.action).collect(), sights }
    }

    fn reads(&self, action: &RegisterAction) -> bool {
        matches!(action, RegisterAction::Read(_))
    }

    fn sees(&self, action: &RegisterAction) -> Vec<u32> {
        action.part().sees.into_iter().collect()
    }

    fn makes(&self, action: &RegisterAction) -> Option<u32> {
        action.part().makes
    }
}

impl Model for RegisterModel {
    type State = u32;

    fn initial(&self) -> u32 {
        NIL
    }

    fn step(&mut self, state: u32, operation: usize) -> Option<u32> {
        match self.actions[operation] {
            RegisterAction::Read(value) => (value == state).then_some(state),
            RegisterAction::Write(value) => Some(value),
            RegisterAction::Cas(from, to) => (from == state).then_some(to),
        }
    }

    fn at_once(&self, _: u32, operation: usize, _: u32, _: impl Iterator<Item = usize>) -> bool {
        matches!(self.actions[operation], RegisterAction::Read(_))
    }

    fn too_early(&self, state: u32, operation: usize, now: u32, _: impl Iterator<Item = usize>) -> bool {
        self.sights.held(state, self.actions[operation].part(), now)
    }

    fn in_vain(&self, operation: usize, others: impl Iterator<Item = usize>) -> bool {
        let seen = others.filter_map(|other| self.actions[other].part().sees);
        self.actions[operation].part().makes.is_some_and(|made| self.sights.in_vain(made, seen))
    }

    fn overwrites(&self, operation: usize) -> bool {
        matches!(self.actions[operation], RegisterAction::Write(_))
    }

    fn hides(&self, operation: usize, now: u32) -> bool {
        match self.actions[operation] {
            RegisterAction::Write(value) => self.sights.seen_by(value, now),
            RegisterAction::Read(_) | RegisterAction::Cas(..) => false,
        }
    }

    fn settle(&self, state: u32, now: u32) -> u32 {
        if state != GONE && self.sights.seen_by(state, now) { GONE } else { state }
    }
}
