//! A set: elements are added, each by a key of its own, and at the end all are read. What was acknowledged has to be there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Consistency, Error, Query};
use serde_json::{Value, json};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};

/// Where the keys lie.
const PREFIX: &str = "jepsen/set/";

/// Of a hundred operations, so many read all of the set.
const READS: u64 = 2;

/// How many times one reads at the end until it is answered.
const LAST: u32 = 5;

/// The workload.
#[derive(Debug)]
pub struct Set {
    reads: Consistency,
    next: Arc<AtomicU64>,
}

impl Set {
    /// A set whose reads are as sure as is wished for.
    #[must_use]
    pub fn new(wishes: Wishes) -> Self {
        Self { reads: wishes.reads, next: Arc::default() }
    }
}

#[async_trait]
impl Workload for Set {
    async fn prepare(&self, _: &Client) -> Result<(), Error> {
        Ok(())
    }

    fn checks(&self) -> Vec<String> {
        vec!["set".to_owned(), "linear-set".to_owned()]
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        Box::new(Collector {
            hand,
            reads: self.reads,
            next: Arc::clone(&self.next),
            last: LAST,
            ending: false,
        })
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(50)
    }
}

/// An actor of this workload.
struct Collector {
    hand: Hand,
    reads: Consistency,
    next: Arc<AtomicU64>,
    /// How many times more it reads at the end, if it is not answered.
    last: u32,
    /// Whether the end has come.
    ending: bool,
}

#[async_trait]
impl Actor for Collector {
    async fn next(&mut self) -> Option<Call> {
        if self.hand.dice.chance(READS) {
            return Some(Call::new("read", Value::Null));
        }
        Some(Call::new("add", json!(self.next.fetch_add(1, Ordering::Relaxed))))
    }

    async fn perform(&mut self, call: &Call) -> Outcome {
        let kv = self.hand.client.kv();
        if call.f == "add" {
            let element = call.value.to_string();
            return match kv.put(&format!("{PREFIX}{element}"), element).await {
                Ok(()) => Outcome::ok(call.value.clone()),
                Err(error) => Outcome::of(&error),
            };
        }
        match kv.keys(PREFIX, None, &Query::new().consistency(self.reads)).await {
            Ok(keys) => {
                if self.ending {
                    self.last = 0;
                }
                let mut elements: Vec<Value> = keys.value.iter().map(|key| element(key)).collect();
                // As numbers come, for whoever reads it.
                elements.sort_by_key(Value::as_u64);
                Outcome::ok(Value::Array(elements))
            }
            Err(error) => Outcome::of(&error),
        }
    }

    async fn last(&mut self) -> Option<Call> {
        self.ending = true;
        self.last = self.last.checked_sub(1)?;
        Some(Call::new("read", Value::Null))
    }
}

/// The element that a key stands for: a number, or the key if it is none.
fn element(key: &str) -> Value {
    let name = key.strip_prefix(PREFIX).unwrap_or(key);
    name.parse::<u64>().map_or_else(|_| json!(name), |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_for_no_element_is_shown_as_it_is() {
        assert_eq!(element("jepsen/set/17"), json!(17));
        assert_eq!(element("jepsen/set/"), json!(""));
        assert_eq!(element("elsewhere"), json!("elsewhere"));
    }
}
