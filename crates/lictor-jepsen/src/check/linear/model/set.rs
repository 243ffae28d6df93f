//! A set that only grows.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::sight::Values;
use super::{Kind, Model, NEVER, Timed};
use crate::history::Op;

/// A set with `add` and `read`, empty at first. Each element is added by one call at most; a read finds a list of
/// all, in any order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

/// What is done to a set. Elements are numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetAction {
    /// It is in there from now on.
    Add(u32),
    /// These are in there, in order.
    Read(Arc<[u32]>),
}

/// Elements as numbers, and which were added.
#[derive(Debug, Default)]
pub struct Elements {
    values: Values,
    added: HashMap<u32, u64>,
}

/// A set that certain operations are done to.
///
/// A state is a sum over its elements, 128 bits wide: two sets are taken for equal that are not in one of 10^38 cases.
#[derive(Debug)]
pub struct SetModel {
    actions: Vec<SetAction>,
    sums: Vec<u128>,
    /// Of each element one more than the last position at which a read begins that lacks it.
    lacking: Vec<u32>,
}

impl Kind for Set {
    type Action = SetAction;
    type Model = SetModel;
    type Names = Elements;

    fn name(&self) -> &'static str {
        "linear-set"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["add", "read"]
    }

    fn action(
        &self,
        elements: &mut Elements,
        invoke: &Op,
        end: Option<&Op>,
    ) -> Result<Option<SetAction>, String> {
        match (invoke.f.as_str(), end.map(|end| &end.value)) {
            ("add", _) => {
                let element = elements.values.number(&invoke.value);
                if let Some(before) = elements.added.insert(element, invoke.index) {
                    let value = &invoke.value;
                    return Err(format!(
                        "{value} is added twice, first by entry {before}: each has to be new"
                    ));
                }
                Ok(Some(SetAction::Add(element)))
            }
            ("read", None) => Ok(None),
            ("read", Some(Value::Array(found))) => {
                let mut found: Vec<u32> =
                    found.iter().map(|element| elements.values.number(element)).collect();
                found.sort_unstable();
                found.dedup();
                Ok(Some(SetAction::Read(found.into())))
            }
            ("read", Some(Value::Null)) => Ok(Some(SetAction::Read([].into()))),
            ("read", Some(other)) => Err(format!("a read of a set finds a list, not {other}")),
            (other, _) => Err(format!("a set knows add and read, not `{other}`")),
        }
    }

    /// What nobody knows of was added before the first read that found it had ended; what no read found need not be.
    fn simplify(&self, operations: &mut Vec<Timed<SetAction>>) {
        let mut found: HashMap<u32, u32> = HashMap::new();
        for operation in operations.iter() {
            let SetAction::Read(elements) = &operation.action else { continue };
            for element in elements.iter() {
                let first = found.entry(*element).or_insert(NEVER);
                *first = operation.end.min(*first);
            }
        }
        operations.retain_mut(|operation| match &operation.action {
            SetAction::Add(element) if operation.end == NEVER => match found.get(element) {
                Some(first) if *first > operation.begin => {
                    operation.end = *first;
                    true
                }
                Some(_) => true,
                None => false,
            },
            SetAction::Add(_) | SetAction::Read(_) => true,
        });
    }

    fn model(&self, operations: &[Timed<SetAction>]) -> SetModel {
        let sums = operations.iter().map(|operation| match &operation.action {
            SetAction::Add(element) => share(*element),
            SetAction::Read(elements) => {
                elements.iter().fold(0, |sum: u128, element| sum.wrapping_add(share(*element)))
            }
        });
        SetModel {
            sums: sums.collect(),
            lacking: lacking(operations),
            actions: operations.iter().map(|operation| operation.action.clone()).collect(),
        }
    }

    fn reads(&self, action: &SetAction) -> bool {
        matches!(action, SetAction::Read(_))
    }

    fn sees(&self, action: &SetAction) -> Vec<u32> {
        match action {
            SetAction::Add(_) => Vec::new(),
            SetAction::Read(elements) => elements.to_vec(),
        }
    }

    fn makes(&self, action: &SetAction) -> Option<u32> {
        match action {
            SetAction::Add(element) => Some(*element),
            SetAction::Read(_) => None,
        }
    }
}

/// What an element adds to the sum.
fn share(element: u32) -> u128 {
    let half = |seed: u64| {
        let mut mixed = (u64::from(element) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(mixed ^ (mixed >> 31))
    };
    half(0x5be1) << 64 | half(0xa3c7_11d9)
}

/// Of each element one more than the last position at which a read begins that lacks it.
fn lacking(operations: &[Timed<SetAction>]) -> Vec<u32> {
    let mut reads: Vec<(u32, &[u32])> = Vec::new();
    let mut length = 0;
    for operation in operations {
        match &operation.action {
            SetAction::Add(element) => length = length.max(*element as usize + 1),
            SetAction::Read(elements) => {
                length = length.max(elements.last().map_or(0, |last| *last as usize + 1));
                reads.push((operation.begin, elements));
            }
        }
    }
    reads.sort_unstable_by_key(|(begin, _)| std::cmp::Reverse(*begin));
    let mut lacking = vec![0; length];
    // What all reads so far have, and a mark for each: the read that has it.
    let mut rest: Vec<usize> = (0..length).collect();
    let mut marks = vec![usize::MAX; length];
    for (number, (begin, elements)) in reads.into_iter().enumerate() {
        for element in elements {
            marks[*element as usize] = number;
        }
        rest.retain(|element| {
            let has = marks[*element] == number;
            if !has {
                lacking[*element] = begin + 1;
            }
            has
        });
        if rest.is_empty() {
            break;
        }
    }
    lacking
}

impl SetModel {
    /// Whether a read that is still to come lacks an element.
    fn lacked(&self, element: u32, now: u32, mut others: impl Iterator<Item = usize>) -> bool {
        self.lacking.get(element as usize).is_some_and(|last| *last > now)
            || others.any(|other| match &self.actions[other] {
                SetAction::Read(elements) => elements.binary_search(&element).is_err(),
                SetAction::Add(_) => false,
            })
    }
}

impl Model for SetModel {
    type State = u128;

    fn initial(&self) -> u128 {
        0
    }

    fn step(&mut self, state: u128, operation: usize) -> Option<u128> {
        let sum = self.sums[operation];
        match self.actions[operation] {
            SetAction::Add(_) => Some(state.wrapping_add(sum)),
            SetAction::Read(_) => (state == sum).then_some(state),
        }
    }

    /// Additions may come in any order, so that one that nobody lacks is as good now as later.
    fn at_once(&self, _: u128, operation: usize, now: u32, others: impl Iterator<Item = usize>) -> bool {
        match self.actions[operation] {
            SetAction::Read(_) => true,
            SetAction::Add(element) => !self.lacked(element, now, others),
        }
    }

    fn too_early(&self, _: u128, operation: usize, now: u32, others: impl Iterator<Item = usize>) -> bool {
        match self.actions[operation] {
            SetAction::Read(_) => false,
            SetAction::Add(element) => self.lacked(element, now, others),
        }
    }
}
