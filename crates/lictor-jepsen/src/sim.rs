//! Histories of things that do not exist: what clients would have seen of a system that keeps its promises, with delays,
//! refusals and answers that never come. The verdict is known, so that checkers can be tested and measured.
//!
//! The same seed gives the same history. [`plant`] breaks a promise in one.

pub mod plant;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use serde_json::{Value, json};

pub use crate::dice::Dice;
use crate::history::{Kind, Op, Process};

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Sim {
    /// What everything that goes by dice follows from.
    pub seed: u64,
    /// How many clients work at a time.
    pub clients: u64,
    /// How many things there are.
    pub keys: u64,
    /// How many calls are made.
    pub calls: u64,
    /// In how many of a thousand calls nobody learns what came of it.
    pub unknown: u64,
    /// How many of a thousand calls are refused.
    pub refused: u64,
    /// Values are below that; 0: each is new.
    pub values: u64,
}

impl Default for Sim {
    fn default() -> Self {
        Self { seed: 1, clients: 5, keys: 1, calls: 100, unknown: 20, refused: 20, values: 0 }
    }
}

/// What clients do and what a thing makes of it.
trait Thing {
    /// The next call of a client: what, on which key, with what.
    fn call(&mut self, dice: &mut Dice, client: u64) -> (&'static str, Option<Value>, Value);

    /// Does it: what is found, or none if it is refused.
    fn act(&mut self, op: &Op) -> Option<(Value, Option<u64>)>;

    /// What the client is told.
    fn told(&mut self, _client: u64, _op: &Op) {}
}

/// What happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Begin(u64),
    Act(u64),
    End(u64),
}

/// A call under way.
struct Under {
    invoke: Op,
    found: Option<(Value, Option<u64>)>,
    kind: Kind,
}

impl Sim {
    /// A register of each key: read, written, changed by `cas`. The indexes are those of a Consul that answers each write
    /// with the index it made.
    #[must_use]
    pub fn register(&self) -> Vec<Op> {
        self.run(&mut Registers { sim: *self, next: 0, index: 10, values: BTreeMap::new() })
    }

    /// A set: elements are added and all of it is read.
    #[must_use]
    pub fn set(&self) -> Vec<Op> {
        self.run(&mut Elements { next: 0, added: Vec::new() })
    }

    /// A lock of each key: each client acquires it and releases it when it has it.
    #[must_use]
    pub fn lock(&self) -> Vec<Op> {
        self.run(&mut Locks {
            sim: *self,
            index: 10,
            next: 0,
            holders: BTreeMap::new(),
            mine: BTreeMap::new(),
            lost: BTreeMap::new(),
        })
    }

    /// Transactions of up to four steps that read lists and append to them.
    #[must_use]
    pub fn append(&self) -> Vec<Op> {
        self.run(&mut Lists { sim: *self, next: BTreeMap::new(), lists: BTreeMap::new() })
    }

    fn run(&self, thing: &mut impl Thing) -> Vec<Op> {
        let mut dice = Dice::new(self.seed);
        let mut ops: Vec<Op> = Vec::new();
        let mut events = BinaryHeap::new();
        let mut under: BTreeMap<u64, Under> = BTreeMap::new();
        // The number under which each client goes on, and which client a number is.
        let mut processes: Vec<u64> = (0..self.clients).collect();
        let mut calls = 0;
        let mut number = self.clients;
        for client in 0..self.clients {
            events.push(Reverse((dice.below(1_000_000), Event::Begin(client))));
        }
        let mut append = |mut op: Op| {
            op.index = ops.len() as u64;
            ops.push(op);
        };
        // Calls go by a number of their own, which is that of the client in the lower half.
        let client_of = |call: u64| call % self.clients.max(1);
        while let Some(Reverse((now, event))) = events.pop() {
            match event {
                Event::Begin(client) => {
                    if calls == self.calls {
                        continue;
                    }
                    let call = calls * self.clients + client;
                    calls += 1;
                    let (f, key, value) = thing.call(&mut dice, client);
                    let process = processes.get(usize::try_from(client).unwrap_or_default()).copied();
                    let invoke = Op::invoke(now, Process::Client(process.unwrap_or_default()), f, key, value)
                        .at(&format!("n{}", client % 5 + 1));
                    append(invoke.clone());
                    let kind = match dice.below(1000) {
                        roll if roll < self.unknown => Kind::Info,
                        roll if roll < self.unknown + self.refused => Kind::Fail,
                        _ => Kind::Ok,
                    };
                    let acts = now + 1 + dice.below(1_000_000);
                    // What nobody learns of may happen much later, or never.
                    let (acts, ends) = match kind {
                        Kind::Info => (acts + dice.below(20_000_000), now + 5_000_000),
                        _ => (acts, acts + 1 + dice.below(1_000_000)),
                    };
                    let happens = kind == Kind::Ok || (kind == Kind::Info && dice.happens(600));
                    if happens {
                        events.push(Reverse((acts, Event::Act(call))));
                    }
                    events.push(Reverse((ends, Event::End(call))));
                    under.insert(call, Under { invoke, found: None, kind });
                }
                Event::Act(call) => {
                    if let Some(under) = under.get_mut(&call) {
                        under.found = thing.act(&under.invoke);
                    }
                }
                Event::End(call) => {
                    let client = client_of(call);
                    let Some(Under { invoke, found, kind }) = under.get(&call) else { continue };
                    let end = match (kind, found) {
                        (Kind::Ok, Some((value, index))) => {
                            let end = invoke.complete(now, Kind::Ok, value.clone());
                            Op { consul_index: *index, ..end }
                        }
                        (Kind::Info, _) => {
                            if let Some(process) =
                                usize::try_from(client).ok().and_then(|client| processes.get_mut(client))
                            {
                                *process = number;
                                number += 1;
                            }
                            invoke
                                .complete(now, Kind::Info, invoke.value.clone())
                                .because("no answer within 5s")
                        }
                        _ => invoke.complete(now, Kind::Fail, invoke.value.clone()).because("refused"),
                    };
                    thing.told(client, &end);
                    append(end);
                    if *kind != Kind::Info {
                        under.remove(&call);
                    }
                    events.push(Reverse((now + 1 + dice.below(300_000), Event::Begin(client))));
                }
            }
        }
        ops
    }

    fn key(&self, dice: &mut Dice) -> Value {
        Value::String(format!("k{}", dice.below(self.keys)))
    }
}

struct Registers {
    sim: Sim,
    next: u64,
    index: u64,
    /// Of each key its value and index.
    values: BTreeMap<String, (Value, u64)>,
}

impl Registers {
    fn value(&mut self, dice: &mut Dice) -> u64 {
        self.next += 1;
        if self.sim.values == 0 { self.next } else { dice.below(self.sim.values) }
    }
}

impl Thing for Registers {
    fn call(&mut self, dice: &mut Dice, _client: u64) -> (&'static str, Option<Value>, Value) {
        let key = self.sim.key(dice);
        match dice.below(10) {
            0..5 => ("read", Some(key), Value::Null),
            5..8 => ("write", Some(key), json!(self.value(dice))),
            _ => {
                // What is there now, so that some succeed.
                let there = self.values.get(key.as_str().unwrap_or_default());
                let from = there.map_or(Value::Null, |(value, _)| value.clone());
                let to = self.value(dice);
                ("cas", Some(key), json!([from, to]))
            }
        }
    }

    fn act(&mut self, op: &Op) -> Option<(Value, Option<u64>)> {
        let key = op.key.as_ref().and_then(Value::as_str).unwrap_or_default();
        let there = self.values.get(key).cloned();
        if op.f == "read" {
            let (value, index) = there.map_or((Value::Null, None), |(value, index)| (value, Some(index)));
            return Some((value, index));
        }
        let new = match op.value.as_array().map(Vec::as_slice) {
            Some([from, to]) => {
                let value = there.map_or(Value::Null, |(value, _)| value);
                if value != *from {
                    return None;
                }
                to.clone()
            }
            _ => op.value.clone(),
        };
        self.index += 1;
        self.values.insert(key.to_owned(), (new, self.index));
        Some((op.value.clone(), Some(self.index)))
    }
}

struct Elements {
    next: u64,
    added: Vec<Value>,
}

impl Thing for Elements {
    fn call(&mut self, dice: &mut Dice, _client: u64) -> (&'static str, Option<Value>, Value) {
        if dice.happens(200) {
            return ("read", None, Value::Null);
        }
        self.next += 1;
        ("add", None, json!(self.next))
    }

    fn act(&mut self, op: &Op) -> Option<(Value, Option<u64>)> {
        if op.f == "read" {
            return Some((Value::Array(self.added.clone()), None));
        }
        self.added.push(op.value.clone());
        Some((op.value.clone(), None))
    }
}

struct Locks {
    sim: Sim,
    index: u64,
    next: u64,
    holders: BTreeMap<String, Value>,
    /// Of each client the lock it holds and its session.
    mine: BTreeMap<u64, (Value, Value)>,
    /// Of each client what it does not know to hold; its session is destroyed.
    lost: BTreeMap<u64, (Value, Value)>,
}

impl Thing for Locks {
    fn call(&mut self, dice: &mut Dice, client: u64) -> (&'static str, Option<Value>, Value) {
        if let Some((key, session)) = self.lost.get(&client) {
            return ("expire", Some(key.clone()), session.clone());
        }
        if let Some((key, session)) = self.mine.get(&client) {
            return ("release", Some(key.clone()), session.clone());
        }
        self.next += 1;
        ("acquire", Some(self.sim.key(dice)), json!(format!("s{}", self.next)))
    }

    fn act(&mut self, op: &Op) -> Option<(Value, Option<u64>)> {
        let key = op.key.as_ref().and_then(Value::as_str).unwrap_or_default();
        if op.f == "acquire" {
            if self.holders.contains_key(key) {
                return None;
            }
            self.holders.insert(key.to_owned(), op.value.clone());
            self.index += 1;
            return Some((op.value.clone(), Some(self.index)));
        }
        if self.holders.get(key) == Some(&op.value) {
            self.holders.remove(key);
        } else if op.f == "release" {
            return None;
        }
        Some((op.value.clone(), None))
    }

    fn told(&mut self, client: u64, op: &Op) {
        match (op.f.as_str(), op.kind) {
            ("acquire", Kind::Ok) => {
                let key = op.key.clone().unwrap_or_default();
                self.mine.insert(client, (key, op.value.clone()));
            }
            ("acquire" | "release", Kind::Info) => {
                self.mine.remove(&client);
                self.lost.insert(client, (op.key.clone().unwrap_or_default(), op.value.clone()));
            }
            ("release", Kind::Ok) => {
                self.mine.remove(&client);
            }
            ("expire", Kind::Ok) => {
                self.lost.remove(&client);
            }
            _ => {}
        }
    }
}

struct Lists {
    sim: Sim,
    next: BTreeMap<String, u64>,
    lists: BTreeMap<String, Vec<Value>>,
}

impl Thing for Lists {
    fn call(&mut self, dice: &mut Dice, _client: u64) -> (&'static str, Option<Value>, Value) {
        let steps = (0..=dice.below(4)).map(|_| {
            let key = self.sim.key(dice);
            if dice.happens(500) {
                return json!(["r", key, null]);
            }
            let next = self.next.entry(key.as_str().unwrap_or_default().to_owned()).or_default();
            *next += 1;
            json!(["append", key, *next])
        });
        let steps: Vec<Value> = steps.collect();
        ("txn", None, Value::Array(steps))
    }

    fn act(&mut self, op: &Op) -> Option<(Value, Option<u64>)> {
        let mut done = Vec::new();
        for step in op.value.as_array()? {
            let [verb, key, element] = step.as_array()?.as_slice() else { return None };
            let list = self.lists.entry(key.as_str()?.to_owned()).or_default();
            if verb == "append" {
                list.push(element.clone());
                done.push(step.clone());
            } else {
                done.push(json!(["r", key, list]));
            }
        }
        Some((Value::Array(done), None))
    }
}
