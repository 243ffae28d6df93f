//! The ledger keeps to its bounds.

use std::time::Duration;

use lictor_core::{IncidentId, RunId};
use lictor_store::{Batch, Entry, LedgerLimits, LedgerOrder, LedgerQuery, NodeStore};

use crate::support::*;

const ALL: usize = 100_000;

fn entries(store: &NodeStore) -> Vec<Entry> {
    let query = LedgerQuery { limit: ALL, order: LedgerOrder::OldestFirst, ..LedgerQuery::default() };
    store.ledger(&query).unwrap().entries
}

async fn add(store: &NodeStore, seconds: u64, count: u64, of: Option<u64>) {
    add_sized(store, seconds, count, of, 100).await;
}

async fn add_sized(store: &NodeStore, seconds: u64, count: u64, of: Option<u64>, size: usize) {
    let mut batch = Batch::default();
    batch.anchor = Some(anchor(seconds));
    for _ in 0..count {
        batch.note(lictor_core::Event { incident: of.map(IncidentId), ..event(seconds, &"x".repeat(size)) });
    }
    store.commit(batch).await.unwrap();
}

#[tokio::test]
async fn old_entries_go_unless_their_incident_is_open() {
    let dir = scratch();
    let mut options = options(dir.path());
    options.ledger.age = Duration::from_secs(1000);
    let store = NodeStore::open(options.clone()).unwrap().store;
    let mut batch = Batch::default();
    batch.put(incident(5, true));
    batch.put(lictor_core::Row::Run(acting(9)));
    store.commit(batch).await.unwrap();
    add(&store, 10, 30, Some(5)).await;
    add(&store, 10, 500, None).await;
    let mut of_run = Batch::default();
    of_run.note(lictor_core::Event { run: Some(RunId(9)), ..event(10, "step") });
    store.commit(of_run).await.unwrap();

    for step in 0..9 {
        add(&store, 1000 + step, 1, None).await;
    }
    assert_eq!(entries(&store).len(), 540, "nothing is older than 1000 s");
    for step in 0..20 {
        add(&store, 1011 + step, 1, None).await;
    }
    let left = entries(&store);
    let old = left.iter().filter(|entry| entry.event.at == at(10));
    assert!(old.clone().all(|entry| entry.event.incident.is_some() || entry.event.run.is_some()));
    assert_eq!(old.count(), 31);
    store.close().await;

    // The same holds over a restart, until the incident is closed.
    let store = NodeStore::open(options).unwrap().store;
    add(&store, 1100, 1, None).await;
    let of_five = LedgerQuery { incident: Some(IncidentId(5)), limit: ALL, ..LedgerQuery::default() };
    assert_eq!(store.ledger(&of_five).unwrap().entries.len(), 30);
    let mut batch = Batch::default();
    batch.put(incident(5, false));
    store.commit(batch).await.unwrap();
    add(&store, 1101, 1, None).await;
    assert_eq!(store.ledger(&of_five).unwrap().entries.len(), 0);
    assert_eq!(entries(&store).first().unwrap().event.run, Some(RunId(9)));
    store.close().await;
}

#[tokio::test]
async fn the_size_is_bounded_and_the_file_with_it() {
    let dir = scratch();
    let mut options = options(dir.path());
    options.ledger = LedgerLimits { bytes: 1 << 20, ..LedgerLimits::default() };
    let store = NodeStore::open(options).unwrap().store;
    for round in 0..300 {
        add(&store, round, 100, None).await;
    }
    let left = entries(&store);
    assert!((3_000..8_000).contains(&left.len()), "{}", left.len());
    assert_eq!(left.last().unwrap().seq, 30_000, "the latest are kept");
    assert!(left.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "the oldest went first");
    let size = std::fs::metadata(dir.path().join("state.redb")).unwrap().len();
    assert!(size < 16 << 20, "{size}");
    store.close().await;
}

#[tokio::test]
async fn a_file_that_is_mostly_empty_is_compacted_at_start() {
    let dir = scratch();
    let mut options = options(dir.path());
    let store = NodeStore::open(options.clone()).unwrap().store;
    for round in 0..10 {
        add_sized(&store, round, 2_000, None, 2_000).await;
    }
    store.close().await;
    let size = || std::fs::metadata(dir.path().join("state.redb")).unwrap().len();
    let full = size();
    assert!(full > 40 << 20, "{full}");
    options.ledger.bytes = 1 << 20;
    let store = NodeStore::open(options.clone()).unwrap().store;
    for round in 0..20 {
        add(&store, 100 + round, 1_000, None).await;
    }
    let last = entries(&store);
    store.close().await;
    let store = NodeStore::open(options).unwrap().store;
    assert!(size() < full / 2, "{full} then {}", size());
    assert_eq!(entries(&store), last);
    store.close().await;
}
