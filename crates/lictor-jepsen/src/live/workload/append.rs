//! Transactions on lists: each reads some and appends to some. What the lists show has to be explained by one order of
//! the transactions.
//!
//! A list is a key with JSON in it. A transaction reads all lists it is about at once, works on what it read, and writes by one
//! transaction of Consul, which is bound to the index of each list it read. If one has changed, nothing is written
//! and it failed. One that only reads is the first half alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Consistency, Error, Index, Operation, Query};
use serde_json::{Value, json};

use super::{Actor, Call, Hand, Outcome, Wishes, Workload};
use crate::dice::Dice;

/// How many lists are worked on at a time.
const ACTIVE: usize = 5;

/// How many lists there are. They are made before, empty: Consul reads no key in a transaction that is not there.
const LISTS: u32 = 2_000;

/// Most steps of a transaction.
const STEPS: u64 = 4;

/// How many operations one of Consul's transactions may have.
const BATCH: usize = 64;

/// The workload.
#[derive(Debug)]
pub struct Append {
    reads: Consistency,
    lists: Arc<Mutex<Lists>>,
}

/// The lists that are worked on.
#[derive(Debug)]
struct Lists {
    /// Their keys, and how many elements were drawn for each.
    active: Vec<(u32, u32)>,
    next: u32,
    per_key: u32,
}

impl Append {
    /// Lists that so many elements are appended to.
    #[must_use]
    pub fn new(wishes: Wishes) -> Self {
        let active = (0..).take(ACTIVE).map(|key| (key, 0)).collect::<Vec<_>>();
        let next = u32::try_from(active.len()).unwrap_or(u32::MAX);
        let lists = Lists { active, next, per_key: wishes.per_key.min(100) };
        Self { reads: wishes.reads, lists: Arc::new(Mutex::new(lists)) }
    }
}

#[async_trait]
impl Workload for Append {
    async fn prepare(&self, client: &Client) -> Result<(), Error> {
        let keys: Vec<u32> = (0..LISTS).collect();
        for batch in keys.chunks(BATCH) {
            let sets: Vec<_> = batch.iter().map(|&key| Operation::set(path(key), "[]")).collect();
            client.txn().run(&sets).await?;
        }
        Ok(())
    }

    fn checks(&self) -> Vec<String> {
        vec!["append".to_owned()]
    }

    fn actor(&self, hand: Hand) -> Box<dyn Actor> {
        Box::new(Author { hand, reads: self.reads, lists: Arc::clone(&self.lists), last: ACTIVE })
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(30)
    }
}

/// An actor of this workload.
struct Author {
    hand: Hand,
    reads: Consistency,
    lists: Arc<Mutex<Lists>>,
    /// How many lists it still reads at the end.
    last: usize,
}

/// A list as it was read.
type Found = BTreeMap<u32, (Vec<Value>, Index)>;

#[async_trait]
impl Actor for Author {
    async fn next(&mut self) -> Option<Call> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Call::new("txn", lists.draw(&mut self.hand.dice)))
    }

    async fn perform(&mut self, call: &Call) -> Outcome {
        let steps: Vec<Step> = call.value.as_array().into_iter().flatten().filter_map(Step::of).collect();
        let found = match read(&self.hand.client, &steps, self.reads).await {
            Ok(found) => found,
            // Nothing is written yet.
            Err(why) => return Outcome::Fail(why),
        };
        let (value, writes) = play(&steps, found);
        if writes.is_empty() {
            return Outcome::ok(value);
        }
        match self.hand.client.txn().run(&writes).await {
            Ok(_) => Outcome::ok(value),
            Err(error) => Outcome::of(&error),
        }
    }

    async fn last(&mut self) -> Option<Call> {
        self.last = self.last.checked_sub(1)?;
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, _) = lists.active.get(self.last)?;
        Some(Call::new("txn", json!([["r", key, null]])))
    }
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Read(u32),
    Append(u32, Value),
}

impl Step {
    fn of(value: &Value) -> Option<Self> {
        let key = u32::try_from(value.get(1)?.as_u64()?).ok()?;
        match value.get(0)?.as_str()? {
            "append" => Some(Self::Append(key, value.get(2)?.clone())),
            _ => Some(Self::Read(key)),
        }
    }

    fn key(&self) -> u32 {
        match self {
            Self::Read(key) | Self::Append(key, _) => *key,
        }
    }
}

impl Lists {
    /// The steps of a transaction on some of the lists, with elements that were never drawn for them.
    fn draw(&mut self, dice: &mut Dice) -> Value {
        let steps = 1 + dice.below(STEPS);
        (0..steps).map(|_| self.step(dice)).collect()
    }

    fn step(&mut self, dice: &mut Dice) -> Value {
        let place = dice.index(self.active.len());
        let Some((key, elements)) = self.active.get_mut(place) else { return Value::Null };
        if dice.chance(50) {
            return json!(["r", *key, null]);
        }
        *elements += 1;
        let drawn = json!(["append", *key, *elements]);
        if *elements >= self.per_key && self.next < LISTS {
            (*key, *elements, self.next) = (self.next, 0, self.next + 1);
        }
        drawn
    }
}

/// All lists that the steps are about, at one moment.
async fn read(client: &Client, steps: &[Step], reads: Consistency) -> Result<Found, String> {
    let mut keys: Vec<u32> = steps.iter().map(Step::key).collect();
    keys.sort_unstable();
    keys.dedup();
    let gets: Vec<_> = keys.iter().map(|&key| Operation::get(path(key))).collect();
    let answer = client.txn().run_with(&gets, &Query::new().consistency(reads)).await;
    let pairs = answer.map_err(|error| error.to_string())?.value;
    if pairs.len() != keys.len() {
        return Err(format!("{} lists were asked for, and {} are answered", keys.len(), pairs.len()));
    }
    let mut found = Found::new();
    for (key, pair) in keys.into_iter().zip(pairs) {
        let list = serde_json::from_slice(&pair.value);
        let list = list.map_err(|error| format!("what lies at {} is no list: {error}", pair.key))?;
        found.insert(key, (list, pair.modify_index));
    }
    Ok(found)
}

/// What the steps see, and what has to be written for them if anything has.
fn play(steps: &[Step], mut found: Found) -> (Value, Vec<Operation>) {
    let mut written = BTreeMap::new();
    let mut seen = Vec::new();
    for step in steps {
        let key = step.key();
        let (list, index) = found.entry(key).or_default();
        match step {
            Step::Read(_) => seen.push(json!(["r", key, list])),
            Step::Append(_, element) => {
                list.push(element.clone());
                written.insert(key, *index);
                seen.push(json!(["append", key, element]));
            }
        }
    }
    if written.is_empty() {
        return (Value::Array(seen), Vec::new());
    }
    let operations = found.into_iter().map(|(key, (list, index))| match written.get(&key) {
        Some(_) => Operation::cas(path(key), Value::Array(list).to_string(), index),
        None => Operation::check_index(path(key), index),
    });
    (Value::Array(seen), operations.collect())
}

fn path(key: u32) -> String {
    format!("jepsen/append/{key}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_transaction_sees_what_it_has_appended_and_is_bound_to_all_it_read() {
        let found = Found::from([(1, (vec![json!(7)], Index(3))), (2, (vec![], Index(4)))]);
        let steps = [Step::Read(1), Step::Append(1, json!(8)), Step::Read(1), Step::Read(2)];
        let (value, writes) = play(&steps, found);
        assert_eq!(value, json!([["r", 1, [7]], ["append", 1, 8], ["r", 1, [7, 8]], ["r", 2, []]]));
        assert_eq!(
            writes,
            [Operation::cas(path(1), "[7,8]", Index(3)), Operation::check_index(path(2), Index(4))]
        );
    }

    #[test]
    fn what_only_reads_writes_nothing() {
        let (value, writes) = play(&[Step::Read(1)], Found::from([(1, (vec![json!(7)], Index(3)))]));
        assert_eq!((value, writes), (json!([["r", 1, [7]]]), vec![]));
    }

    #[test]
    fn no_element_is_drawn_twice_for_a_list_and_full_ones_are_replaced() {
        let wishes = Wishes {
            actors: 1,
            nodes: 1,
            faults: false,
            spared: true,
            left: "left".into(),
            reads: Consistency::Consistent,
            per_key: 10,
        };
        let append = Append::new(wishes);
        let mut lists = append.lists.lock().unwrap();
        let mut dice = Dice::new(1);
        let drawn: Vec<Step> = (0..500)
            .flat_map(|_| {
                lists.draw(&mut dice).as_array().unwrap().iter().filter_map(Step::of).collect::<Vec<_>>()
            })
            .collect();
        let appended: Vec<_> = drawn
            .iter()
            .filter_map(|step| match step {
                Step::Append(key, element) => Some((*key, element.as_u64().unwrap())),
                Step::Read(_) => None,
            })
            .collect();
        let different: BTreeSet<_> = appended.iter().collect();
        assert_eq!(different.len(), appended.len());
        assert!(appended.iter().all(|&(_, element)| element <= 10));
        assert!(appended.iter().map(|&(key, _)| key).max() > Some(20));
    }
}
