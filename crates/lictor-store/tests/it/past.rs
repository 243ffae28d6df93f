//! How checks stood: kept in parts of time, so many of each, over restarts and in copies.

use std::fs;

use lictor_store::{Grain, NodeStore, Slot, Start, Stood, check_copy};

use crate::support::*;

fn slot(grain: Grain, number: u32, passing: u64) -> Slot {
    let stood = Stood { passing, looks: 1, took: 7, ..Stood::default() };
    Slot { grain, number, checks: [(check("web"), stood)].into() }
}

fn kept(store: &NodeStore, grain: Grain) -> Vec<(u32, u64)> {
    let slots = store.past(grain, 0..u32::MAX).unwrap();
    slots.iter().map(|slot| (slot.number, slot.checks[&check("web")].passing)).collect()
}

#[tokio::test]
async fn what_comes_later_of_a_part_of_time_is_added_to_it_also_after_a_restart() {
    let dir = scratch();
    let store = open(dir.path()).store;
    assert_eq!(kept(&store, Grain::Minute), []);
    store.record_past(vec![slot(Grain::Minute, 9, 1_000), slot(Grain::Hour, 9, 5)]).await.unwrap();
    store.mark_clean().await.unwrap();
    store.close().await;
    let opened = open(dir.path());
    opened.store.record_past(vec![slot(Grain::Minute, 9, 500), slot(Grain::Minute, 10, 1)]).await.unwrap();
    assert_eq!(kept(&opened.store, Grain::Minute), [(9, 1_500), (10, 1)]);
    assert_eq!(kept(&opened.store, Grain::Hour), [(9, 5)]);
    let [minute, _] = &opened.store.past(Grain::Minute, 0..u32::MAX).unwrap()[..] else { panic!() };
    let stood = minute.checks[&check("web")];
    assert_eq!((stood.looks, stood.took, stood.critical), (2, 14, 0));
    assert_eq!(opened.store.past(Grain::Minute, 10..11).unwrap().len(), 1);
}

#[tokio::test]
async fn so_many_are_kept_and_no_more_whatever_the_clock_says() {
    let dir = scratch();
    let store = open(dir.path()).store;
    // A clock that was wrong for a minute.
    store.record_past(vec![slot(Grain::Minute, 4_000_000_000, 1)]).await.unwrap();
    for number in 1_000..1_200 {
        store.record_past(vec![slot(Grain::Minute, number, 1), slot(Grain::Day, number, 1)]).await.unwrap();
    }
    let minutes = kept(&store, Grain::Minute);
    assert_eq!(minutes.len(), Grain::Minute.kept());
    assert_eq!(minutes.last(), Some(&(4_000_000_000, 1)));
    assert_eq!(minutes[minutes.len() - 2], (1_199, 1), "a wrong clock has cost what was known");
    assert_eq!(kept(&store, Grain::Day).len(), Grain::Day.kept());
}

#[tokio::test]
async fn it_is_in_copies_and_no_word_after_an_orderly_stop() {
    let (dir, other) = (scratch(), scratch());
    let store = open(dir.path()).store;
    store.mark_clean().await.unwrap();
    store.record_past(vec![slot(Grain::Day, 7, 3)]).await.unwrap();
    let copy = other.path().join("state.redb");
    store.copy_to(&copy).unwrap();
    check_copy(&copy).unwrap();
    store.close().await;
    let opened = open(dir.path());
    assert_eq!(opened.start, Start::Opened, "a start is no recovery because of it");
    let copied = open(other.path()).store;
    assert_eq!(kept(&copied, Grain::Day), [(7, 3)]);
    assert!(fs::metadata(&copy).unwrap().len() > 0);
}
