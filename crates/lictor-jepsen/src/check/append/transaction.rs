//! Transactions as histories have them.

use std::collections::HashMap;

use serde_json::Value;

use crate::check::linear::model::Values;
use crate::history::{History, Kind};

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It happened: it says so, or somebody saw what it did.
    Committed,
    /// It did not happen.
    Aborted,
    /// Nobody knows, and nobody saw anything of it.
    Unknown,
}

/// One step of a transaction. Keys and elements are numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Append { key: u32, element: u32 },
    Read { key: u32, list: Option<Vec<u32>> },
}

#[derive(Clone, Debug)]
pub(super) struct Transaction {
    /// Which call of the history it is.
    pub(super) call: usize,
    /// The index of its beginning, by which people find it.
    pub(super) index: u64,
    pub(super) fate: Fate,
    /// Where it begins and ends, if it does.
    pub(super) begin: usize,
    pub(super) end: Option<usize>,
    pub(super) steps: Vec<Step>,
}

/// Who appended an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Writer {
    pub(super) transaction: usize,
    /// Whether it is the last that this transaction appends to that list.
    pub(super) last: bool,
}

/// All transactions of a history.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    pub(super) all: Vec<Transaction>,
    /// What the numbers of keys and elements stand for.
    pub(super) keys: Vec<Value>,
    pub(super) elements: HashMap<u32, Value>,
    /// Who appended which element to which list.
    pub(super) writers: HashMap<(u32, u32), Writer>,
}

#[derive(Default)]
struct Names {
    keys: HashMap<String, u32>,
    elements: Values,
}

impl Transactions {
    /// Those of a history.
    ///
    /// # Errors
    /// If one is not understood, or an element is appended to a list by two: then lists do not say whose it is.
    pub(super) fn of(history: &History) -> Result<Self, String> {
        let mut names = Names::default();
        let mut this = Self::default();
        for (number, call) in history.calls().iter().enumerate() {
            let invoke = history.invoke(call);
            if invoke.f != "txn" {
                continue;
            }
            let outcome = history.outcome(call);
            let done = history.end(call).filter(|_| outcome == Kind::Ok);
            let value = done.map_or(&invoke.value, |end| &end.value);
            let steps = this.steps(&mut names, value, outcome == Kind::Ok);
            let steps = steps.map_err(|what| format!("entry {}: {what}", invoke.index))?;
            let fate = match outcome {
                Kind::Ok => Fate::Committed,
                Kind::Fail => Fate::Aborted,
                Kind::Info | Kind::Invoke => Fate::Unknown,
            };
            let end = call.end.filter(|_| outcome == Kind::Ok);
            let (begin, index) = (call.invoke, invoke.index);
            this.all.push(Transaction { call: number, index, fate, begin, end, steps });
        }
        this.note_writers()?;
        this.note_seen();
        Ok(this)
    }

    fn steps(&mut self, names: &mut Names, value: &Value, read: bool) -> Result<Vec<Step>, String> {
        let Value::Array(steps) = value else { return Err(format!("a transaction is a list, not {value}")) };
        let mut done = Vec::with_capacity(steps.len());
        for step in steps {
            let [Value::String(verb), key, value] = step.as_array().map_or(&[][..], Vec::as_slice) else {
                return Err(format!("a step is [verb, key, value], not {step}"));
            };
            let key = self.key(names, key);
            done.push(match (verb.as_str(), value) {
                ("append", element) => Step::Append { key, element: self.element(names, element) },
                ("r", _) if !read => Step::Read { key, list: None },
                ("r", Value::Null) => Step::Read { key, list: Some(Vec::new()) },
                ("r", Value::Array(list)) => {
                    let list = list.iter().map(|element| self.element(names, element)).collect();
                    Step::Read { key, list: Some(list) }
                }
                ("r", other) => return Err(format!("a read finds a list, not {other}")),
                (other, _) => return Err(format!("a step is append or r, not `{other}`")),
            });
        }
        Ok(done)
    }

    fn key(&mut self, names: &mut Names, key: &Value) -> u32 {
        let next = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        *names.keys.entry(key.to_string()).or_insert_with(|| {
            self.keys.push(key.clone());
            next
        })
    }

    fn element(&mut self, names: &mut Names, element: &Value) -> u32 {
        let number = names.elements.number(element);
        self.elements.entry(number).or_insert_with(|| element.clone());
        number
    }

    fn note_writers(&mut self) -> Result<(), String> {
        for (number, transaction) in self.all.iter().enumerate() {
            let mut last: HashMap<u32, u32> = HashMap::new();
            for step in &transaction.steps {
                let Step::Append { key, element } = step else { continue };
                let writer = Writer { transaction: number, last: false };
                if let Some(before) = self.writers.insert((*key, *element), writer) {
                    let before = self.all[before.transaction].index;
                    return Err(format!(
                        "{} is appended to {} twice, by entries {before} and {}: each element has to be new",
                        self.element_name(*element),
                        self.key_name(*key),
                        transaction.index
                    ));
                }
                last.insert(*key, *element);
            }
            for place in last {
                if let Some(writer) = self.writers.get_mut(&place) {
                    writer.last = true;
                }
            }
        }
        Ok(())
    }

    /// What somebody saw has happened.
    fn note_seen(&mut self) {
        let mut seen = Vec::new();
        for transaction in self.all.iter().filter(|one| one.fate == Fate::Committed) {
            for step in &transaction.steps {
                let Step::Read { key, list: Some(list) } = step else { continue };
                let writers = list.iter().filter_map(|element| self.writers.get(&(*key, *element)));
                seen.extend(writers.map(|writer| writer.transaction));
            }
        }
        for number in seen {
            if let Some(transaction) = self.all.get_mut(number).filter(|one| one.fate == Fate::Unknown) {
                transaction.fate = Fate::Committed;
            }
        }
    }

    pub(super) fn key_name(&self, key: u32) -> String {
        self.keys.get(key as usize).map_or_else(String::new, Value::to_string)
    }

    pub(super) fn element_name(&self, element: u32) -> String {
        self.elements.get(&element).map_or_else(String::new, Value::to_string)
    }

    /// What people call it: by the index of its beginning.
    pub(super) fn name(&self, number: usize) -> String {
        self.all.get(number).map_or_else(String::new, |one| format!("T{}", one.index))
    }
}
