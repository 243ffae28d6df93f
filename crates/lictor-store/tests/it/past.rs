//! How checks stood: kept in parts of time, so many of each, over restarts and in copies.

use std::fs;
use std::sync::Arc;

use lictor_core::Wall;
use lictor_store::{Grain, NodeStore, Slot, Start, Stood, check_copy};

use crate::support::*;

fn slot(grain: Grain, number: u32, passing: u64) -> Slot {
    let stood = Stood { passing, looks: 1, took: 7, ..Stood::default() };
    Slot { grain, number, checks: [(check("web"), stood)].into() }
}

/// The beginning of a minute.
fn minute(number: u32) -> Wall {
    Wall::from_unix_millis(i64::from(number) * 60_000)
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
    store
        .record_past(Arc::new(vec![slot(Grain::Minute, 9, 1_000), slot(Grain::Hour, 9, 5)]), minute(9))
        .await
        .unwrap();
    store.mark_clean().await.unwrap();
    store.close().await;
    let opened = open(dir.path());
    let more = vec![slot(Grain::Minute, 9, 500), slot(Grain::Minute, 10, 1)];
    opened.store.record_past(Arc::new(more), minute(10)).await.unwrap();
    assert_eq!(opened.store.past_numbers(Grain::Minute).unwrap(), [9, 10]);
    assert_eq!(kept(&opened.store, Grain::Minute), [(9, 1_500), (10, 1)]);
    assert_eq!(kept(&opened.store, Grain::Hour), [(9, 5)]);
    let [minute, _] = &opened.store.past(Grain::Minute, 0..u32::MAX).unwrap()[..] else { panic!() };
    let stood = minute.checks[&check("web")];
    assert_eq!((stood.looks, stood.took, stood.critical), (2, 14, 0));
    assert_eq!(opened.store.past(Grain::Minute, 10..11).unwrap().len(), 1);
}

#[tokio::test]
async fn so_many_are_kept_and_no_more() {
    let dir = scratch();
    let store = open(dir.path()).store;
    for number in 1_000..1_200 {
        let slots = vec![slot(Grain::Minute, number, 1), slot(Grain::Day, number, 1)];
        store.record_past(Arc::new(slots), minute(number)).await.unwrap();
    }
    let minutes = kept(&store, Grain::Minute);
    assert_eq!((minutes.len(), minutes.last()), (Grain::Minute.kept(), Some(&(1_199, 1))));
    assert_eq!(kept(&store, Grain::Day).len(), Grain::Day.kept());
}

/// The numbers of minutes that are kept when some are written one by one.
async fn minutes_after(runs: impl IntoIterator<Item = std::ops::Range<u32>>) -> Vec<u32> {
    let dir = scratch();
    let store = open(dir.path()).store;
    for number in runs.into_iter().flatten() {
        store.record_past(Arc::new(vec![slot(Grain::Minute, number, 1)]), minute(number)).await.unwrap();
    }
    store.past_numbers(Grain::Minute).unwrap()
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_two_hours_costs_nothing_of_what_comes_after() {
    let kept = minutes_after([2_000..2_200, 1_000..1_130]).await;
    let (right, ahead): (Vec<u32>, Vec<u32>) = kept.iter().partition(|number| **number < 2_000);
    assert_eq!(right, (1_010..1_130).collect::<Vec<_>>());
    assert!(ahead.len() <= Grain::Minute.kept(), "it grows");
}

#[tokio::test]
async fn a_clock_that_is_behind_for_a_while_costs_nothing_of_what_was_known() {
    let kept = minutes_after([2_000..2_120, 5..10, 2_120..2_125]).await;
    assert_eq!(kept, (2_005..2_125).collect::<Vec<_>>());
}

#[tokio::test]
async fn it_is_in_copies_and_no_word_after_an_orderly_stop() {
    let (dir, other) = (scratch(), scratch());
    let store = open(dir.path()).store;
    store.mark_clean().await.unwrap();
    store.record_past(Arc::new(vec![slot(Grain::Day, 7, 3)]), minute(7 * 1_440)).await.unwrap();
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
