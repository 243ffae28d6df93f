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
use lictor_consul::{Client, Consistency, Error, Index, Query};
use serde_json::{Value, json};

use super::store::Store;
use super::{Actor, Call, Hand, Outcome, Wishes, Workload};

/// How many actors work on a key.
const GROUP: usize = 5;

/// Of a hundred operations, so many read; half of the rest write.
const READS: u64 = 50;

/// The workload.
#[derive(Debug)]
pub struct Register {
    store: Store,
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
    /// Keys, for so many actors.
    #[must_use]
    pub fn plain(wishes: Wishes) -> Self {
        Self::new(Store::Plain, wishes)
    }

    /// Keys whose index has to grow with each write.
    #[must_use]
    pub fn versioned(wishes: Wishes) -> Self {
        Self::new(Store::Versioned, wishes)
    }

    /// Several keys in the place of one, which transactions keep the same.
    #[must_use]
    pub fn spread(wishes: Wishes) -> Self {
        Self::new(Store::Spread, wishes)
    }

    fn new(store: Store, wishes: Wishes) -> Self {
        let group = |number| Group::new(number, wishes.per_key);
        Self { store, groups: (0..wishes.actors.div_ceil(GROUP)).map(group).collect(), wishes }
    }
}

#[async_trait]
impl Workload for Register {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn checks(&self) -> Vec<String> {
        let check = match self.store {
            Store::Plain | Store::Spread => "register",
            Store::Versioned => "versioned-register",
        };
        vec![check.to_owned()]
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        // There are groups for all actors that were wished for.
        let group = self.groups.get(hand.number / GROUP).or(self.groups.first());
        let group = group.map_or_else(|| Group::new(0, self.wishes.per_key), Arc::clone);
        let (store, reads) = (self.store, self.wishes.reads);
        Box::new(Clerk { hand, store, group, reads, expected: Vec::new(), done: false })
    }
}

/// An actor of this workload.
struct Clerk {
    hand: Hand,
    store: Store,
    group: Arc<Mutex<Group>>,
    reads: Consistency,
    /// What the compare-and-set that is next is bound to.
    expected: Vec<Index>,
    /// Whether it has read for the last time.
    done: bool,
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
        let held = self.store.get(&self.hand.client, &key, &Query::new().consistent()).await;
        // Without a value there is nothing to compare with.
        let held = held.ok()??;
        self.expected = held.indexes;
        Some(Call::new("cas", json!([held.value, new])).on(key))
    }

    async fn perform(&mut self, call: &Call) -> Outcome {
        let key = call.key.as_ref().and_then(Value::as_str).unwrap_or_default();
        let (store, client) = (self.store, &self.hand.client);
        let with = |value: &Value, index: Option<Index>| Outcome::Ok {
            value: value.clone(),
            index: index.map(|index| index.0),
        };
        match call.f {
            "cas" => {
                let new = call.value.get(1).map(ToString::to_string).unwrap_or_default();
                match store.cas(client, key, &new, &self.expected).await {
                    Ok((true, index)) => with(&call.value, index),
                    Ok((false, _)) => Outcome::Fail("the index is another".to_owned()),
                    Err(error) => Outcome::of(&error),
                }
            }
            "write" => match store.put(client, key, &call.value.to_string()).await {
                Ok(index) => with(&call.value, index),
                Err(error) => Outcome::of(&error),
            },
            _ => match store.get(client, key, &Query::new().consistency(self.reads)).await {
                Ok(Some(held)) => with(&held.value, held.indexes.first().copied()),
                Ok(None) => with(&Value::Null, None),
                Err(error) => Outcome::of(&error),
            },
        }
    }

    async fn last(&mut self) -> Option<Call> {
        let (key, _) = self.group.lock().unwrap_or_else(PoisonError::into_inner).draw();
        (!std::mem::replace(&mut self.done, true)).then(|| Call::new("read", Value::Null).on(key))
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
}
