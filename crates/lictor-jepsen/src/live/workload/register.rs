//! Registers: keys that are read, written, and compared and set. What a key holds has to be explained by one order of all
//! that was done to it.
//!
//! The actors work in groups, each on one key at a time, until it has seen so many operations; then on another. So what
//! is to be explained stays small. Each value is written once, so that a read says whose write it saw.
//!
//! Compare-and-set is Consul's by index: what the key holds is read first, surely, and the write is bound to that index. The
//! call is the write alone; if the index is the same, so is the value.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use lictor_consul::{Client, Consistency, Error, Index, Query};
use serde_json::{Value, json};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};

/// How many actors work on a key.
const GROUP: usize = 5;

/// Of a hundred operations, so many read; half of the rest write.
const READS: u64 = 50;

/// The workload.
#[derive(Debug)]
pub struct Register {
    wishes: Wishes,
    groups: Vec<Arc<Mutex<Group>>>,
}

/// The key that a group of actors works on.
#[derive(Debug)]
struct Group {
    number: usize,
    /// How many keys it had.
    keys: u32,
    /// How many operations are left on this one.
    left: u32,
    per_key: u32,
    /// The last value that was drawn.
    value: u64,
}

impl Register {
    /// A workload for so many actors.
    #[must_use]
    pub fn new(wishes: Wishes) -> Self {
        let group = |number| Group::new(number, wishes.per_key);
        Self { groups: (0..wishes.actors.div_ceil(GROUP)).map(group).collect(), wishes }
    }
}

#[async_trait]
impl Workload for Register {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        // There are groups for all actors that were wished for.
        let group = self.groups.get(hand.number / GROUP).or(self.groups.first());
        let group = group.map_or_else(|| Group::new(0, self.wishes.per_key), Arc::clone);
        Box::new(Clerk { hand, group, reads: self.wishes.reads, expected: None })
    }
}

/// An actor of this workload.
struct Clerk {
    hand: Hand,
    group: Arc<Mutex<Group>>,
    reads: Consistency,
    /// What the compare-and-set that is next is bound to.
    expected: Option<Index>,
}

#[async_trait]
impl Actor for Clerk {
    async fn next(&mut self) -> Option<Call> {
        let drawn = self.hand.dice.below(100);
        let (key, new) = self.group.lock().unwrap_or_else(PoisonError::into_inner).draw();
        if drawn < READS {
            return Some(Call::new("read", Value::Null).on(key));
        }
        if drawn < READS + (100 - READS) / 2 {
            return Some(Call::new("write", json!(new)).on(key));
        }
        let found = self.hand.client.kv().get(&path(&key), &Query::new().consistent()).await.ok()?;
        // Without a value there is nothing to compare with.
        let pair = found.value?;
        self.expected = Some(pair.modify_index);
        Some(Call::new("cas", json!([number(&pair.value), new])).on(key))
    }

    async fn perform(&mut self, call: &Call) -> Outcome {
        let key = path(call.key.as_ref().and_then(Value::as_str).unwrap_or_default());
        let kv = self.hand.client.kv();
        match (call.f, self.expected.take()) {
            ("cas", Some(index)) => {
                let new = call.value.get(1).map(ToString::to_string).unwrap_or_default();
                match kv.cas(&key, new, index).await {
                    Ok(true) => Outcome::ok(call.value.clone()),
                    Ok(false) => Outcome::Fail("the index is another".to_owned()),
                    Err(error) => Outcome::of(&error),
                }
            }
            ("write", _) => match kv.put(&key, call.value.to_string()).await {
                Ok(()) => Outcome::ok(call.value.clone()),
                Err(error) => Outcome::of(&error),
            },
            _ => match kv.get(&key, &Query::new().consistency(self.reads)).await {
                Ok(answer) => {
                    let index = answer.value.as_ref().map(|pair| pair.modify_index.0);
                    Outcome::Ok { value: answer.value.map_or(Value::Null, |pair| number(&pair.value)), index }
                }
                Err(error) => Outcome::of(&error),
            },
        }
    }

    async fn last(&mut self) -> Option<Call> {
        None
    }
}

impl Group {
    fn new(number: usize, per_key: u32) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { number, keys: 1, left: per_key, per_key, value: 0 }))
    }

    /// The key of the next operation, and a value that was never drawn for it.
    fn draw(&mut self) -> (String, u64) {
        if self.left == 0 {
            (self.keys, self.left) = (self.keys + 1, self.per_key);
        }
        self.left = self.left.saturating_sub(1);
        self.value += 1;
        (format!("r{}-{}", self.number, self.keys), self.value)
    }
}

fn path(key: &str) -> String {
    format!("jepsen/register/{key}")
}

/// What a value says: a number, or its text if that is none.
fn number(value: &Bytes) -> Value {
    let text = String::from_utf8_lossy(value);
    text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_sees_so_many_operations_and_no_value_twice() {
        let mut group = Group { number: 2, keys: 1, left: 3, per_key: 3, value: 0 };
        let drawn: Vec<_> = (0..7).map(|_| group.draw()).collect();
        let keys: Vec<_> = drawn.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["r2-1", "r2-1", "r2-1", "r2-2", "r2-2", "r2-2", "r2-3"]);
        assert!(drawn.iter().is_sorted_by(|one, other| one.1 < other.1));
    }

    #[test]
    fn a_value_that_is_no_number_is_shown_as_it_is() {
        assert_eq!(number(&Bytes::from_static(b"17")), json!(17));
        assert_eq!(number(&Bytes::from_static(b"x")), json!("x"));
    }
}
