//! The local home, used as the agent does.

use lictor_core::{IncidentId, RowKey};
use lictor_store::{Batch, LedgerOrder, LedgerQuery, Start};

use crate::support::*;

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let dir = scratch();
    let opened = open(dir.path());
    assert_eq!(opened.start, Start::Fresh);
    assert!(opened.rows.is_empty() && opened.anchor.is_none() && opened.warnings.is_empty());
    let lineage = opened.store.lineage();

    let mut batch = Batch::default();
    batch.put(check_row("web", 1));
    batch.put(incident(5, true));
    batch.put(lictor_core::Row::Run(acting(17)));
    batch.put(check_row("gone", 1));
    batch.remove(RowKey::Check(check("gone")));
    batch.note(event_of(1, 5, "look"));
    batch.position(check("journal"), "s=abc;i=5");
    batch.anchor = Some(anchor(1));
    let committed = opened.store.commit(batch).await.unwrap();
    assert_eq!((committed.commit, committed.seqs), (1, 1..2));
    opened.store.mark_clean().await.unwrap();
    opened.store.close().await;

    let opened = open(dir.path());
    assert_eq!(opened.start, Start::Opened);
    assert_eq!(opened.store.lineage(), lineage);
    assert_eq!(opened.anchor, Some(anchor(1)));
    assert_eq!(opened.positions, [(check("journal"), "s=abc;i=5".to_owned())]);
    let mut rows = vec![check_row("web", 1), incident(5, true), lictor_core::Row::Run(acting(17))];
    rows.sort_by_key(lictor_core::Row::key);
    let mut found = opened.rows;
    found.sort_by_key(lictor_core::Row::key);
    assert_eq!(found, rows);
    assert_eq!(opened.store.rows().unwrap().len(), 3);
    let page = opened.store.ledger(&LedgerQuery::default()).unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!((page.entries[0].seq, &page.entries[0].event), (1, &event_of(1, 5, "look")));
    opened.store.close().await;
}

#[tokio::test]
async fn a_stop_that_was_not_orderly_is_told() {
    let dir = scratch();
    let store = open(dir.path()).store;
    store.mark_clean().await.unwrap();
    let mut batch = Batch::default();
    batch.note(event(1, "more"));
    store.commit(batch).await.unwrap();
    store.close().await;
    assert_eq!(open(dir.path()).start, Start::Recovered);
}

#[tokio::test]
async fn the_ledger_is_read_by_subject_and_in_both_orders() {
    let dir = scratch();
    let store = open(dir.path()).store;
    let mut batch = Batch::default();
    for number in 1..=30 {
        batch.note(event_of(number, number % 3, &format!("n{number}")));
    }
    store.commit(batch).await.unwrap();
    let numbers = |query: &LedgerQuery| {
        let page = store.ledger(query).unwrap();
        (page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), page.next)
    };
    let query = LedgerQuery { limit: 3, ..LedgerQuery::default() };
    assert_eq!(numbers(&query), (vec![30, 29, 28], Some(28)));
    assert_eq!(numbers(&LedgerQuery { before: Some(3), ..query.clone() }), (vec![2, 1], None));
    let onward = LedgerQuery { order: LedgerOrder::OldestFirst, ..query.clone() };
    assert_eq!(numbers(&onward), (vec![1, 2, 3], Some(3)));
    assert_eq!(numbers(&LedgerQuery { after: Some(28), ..onward.clone() }), (vec![29, 30], None));
    let of_two = LedgerQuery { incident: Some(IncidentId(2)), ..onward.clone() };
    assert_eq!(numbers(&of_two), (vec![2, 5, 8], Some(8)));
    let last_of_two = LedgerQuery { before: Some(12), order: LedgerOrder::NewestFirst, ..of_two };
    assert_eq!(numbers(&last_of_two), (vec![11, 8, 5], Some(5)));
    let none = LedgerQuery { kinds: ["transition".to_owned()].into(), ..query };
    assert_eq!(numbers(&none), (vec![], None));
}

#[tokio::test]
async fn batches_that_wait_together_become_durable_together() {
    let dir = scratch();
    let store = open(dir.path()).store;
    let waiting = (0..40).map(|number| {
        let mut batch = Batch::default();
        batch.note(event(number, "one of many"));
        store.commit(batch)
    });
    let commits = futures::future::join_all(waiting).await;
    let numbers: Vec<_> = commits.into_iter().map(|done| done.unwrap()).collect();
    let mut seqs: Vec<u64> = numbers.iter().flat_map(|done| done.seqs.clone()).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=40).collect::<Vec<_>>(), "each event has its own number");
    let transactions: std::collections::BTreeSet<u64> = numbers.iter().map(|done| done.commit).collect();
    assert!(transactions.len() < 20, "{} transactions", transactions.len());
    assert_eq!(*store.commits().borrow(), *transactions.last().unwrap());
    store.close().await;
}

#[tokio::test]
async fn nothing_is_recorded_after_the_store_was_closed() {
    let dir = scratch();
    let store = open(dir.path()).store;
    store.clone().close().await;
    let mut batch = Batch::default();
    batch.note(event(1, "late"));
    let refused = store.commit(batch).await.unwrap_err();
    assert_eq!(
        (refused.why.to_string(), refused.batch.events().len()),
        ("the store is closed".to_owned(), 1)
    );
    assert!(store.rows().is_err());
    // Another may have the directory although this handle is still there.
    open(dir.path()).store.close().await;
}

#[tokio::test]
async fn a_batch_that_absorbs_another_is_both() {
    let mut first = Batch::default();
    first.put(check_row("a", 1));
    first.put(check_row("b", 1));
    first.note(event(1, "first"));
    first.position(check("w"), "1");
    first.anchor = Some(anchor(1));
    let mut second = Batch::default();
    second.put(check_row("a", 2));
    second.remove(RowKey::Check(check("b")));
    second.note(event(2, "second"));
    second.forget_position(check("w"));
    first.absorb(second);

    let dir = scratch();
    let store = open(dir.path()).store;
    store.commit(first).await.unwrap();
    store.close().await;
    let opened = open(dir.path());
    assert_eq!(opened.rows, [check_row("a", 2)]);
    assert_eq!((opened.positions, opened.anchor), (vec![], Some(anchor(1))));
    assert_eq!(opened.store.ledger(&LedgerQuery::default()).unwrap().entries.len(), 2);
    opened.store.close().await;
}
