//! What every home of shared records keeps to: the same tests on all three.

use std::collections::BTreeSet;
use std::time::Duration;

use lictor_store::kv::{self, Kv, KvError, Op, Pair, Revision};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::support::*;

/// Longer than any watch in these tests should need.
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn memory_keeps_the_contract() {
    keeps_the_contract(&Kv::memory()).await;
}

#[tokio::test]
async fn the_local_store_keeps_the_contract_and_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    let kv = Kv::embedded(store.clone());
    keeps_the_contract(&kv).await;
    let before = kv.list("").await.unwrap();
    assert!(!before.pairs.is_empty());
    store.close().await;
    let gone = kv.txn(&[Op::put("late", "1")]).await;
    assert!(matches!(gone, Err(KvError::Unavailable { .. })), "{gone:?}");

    let store = open(dir.path()).store;
    assert_eq!(Kv::embedded(store.clone()).list("").await.unwrap(), before);
    store.close().await;
}

#[tokio::test]
async fn consul_keeps_the_contract() {
    let server = lictor_testkit::consul::shared();
    keeps_the_contract(&Kv::consul(client(&server.url()), prefix())).await;
}

/// The contract. The records must be empty.
pub(crate) async fn keeps_the_contract(kv: &Kv) {
    creates_replaces_and_deletes(kv).await;
    does_all_or_nothing(kv).await;
    lists_a_prefix_in_order(kv).await;
    refuses_what_can_never_be_done(kv).await;
    wakes_who_watches(kv).await;
    loses_no_update(kv).await;
}

async fn revision(kv: &Kv, key: &str) -> Revision {
    kv.get(key).await.unwrap().unwrap().revision
}

fn conflict(key: &str) -> Result<kv::Written, KvError> {
    Err(KvError::Conflict { key: key.to_owned() })
}

async fn creates_replaces_and_deletes(kv: &Kv) {
    assert_eq!(kv.get("one").await, Ok(None));
    let written = kv.txn(&[Op::create("one", "1")]).await.unwrap();
    let first = written[0].unwrap();
    let pair = Pair { key: "one".into(), value: b"1".to_vec(), revision: first };
    assert_eq!(kv.get("one").await, Ok(Some(pair)));
    assert_eq!(kv.txn(&[Op::create("one", "2")]).await, conflict("one"));

    let second = kv.txn(&[Op::replace("one", "2", first)]).await.unwrap()[0].unwrap();
    assert_ne!(first, second);
    assert_eq!(kv.txn(&[Op::replace("one", "3", first)]).await, conflict("one"));
    assert_eq!(kv.txn(&[Op::delete_at("one", first)]).await, conflict("one"));
    assert_eq!(kv.get("one").await.unwrap().unwrap().value, b"2");

    kv.txn(&[Op::put("one", "2")]).await.unwrap();
    let third = kv.txn(&[Op::put("one", "4")]).await.unwrap()[0].unwrap();
    assert_eq!(revision(kv, "one").await, third);
    assert_eq!(kv.txn(&[Op::delete_at("one", third)]).await, Ok(vec![None]));
    assert_eq!(kv.get("one").await, Ok(None));
    assert_eq!(kv.txn(&[Op::delete_at("one", third)]).await, conflict("one"));
    assert_eq!(kv.txn(&[Op::replace("one", "5", third)]).await, conflict("one"));
    assert_eq!(kv.txn(&[Op::delete("one")]).await, Ok(vec![None]));
    assert_ne!(kv.txn(&[Op::create("one", "1")]).await.unwrap()[0].unwrap(), first, "never used again");
    assert_eq!(kv.txn(&[]).await, Ok(vec![]));
}

async fn does_all_or_nothing(kv: &Kv) {
    kv.txn(&[Op::put("all/a", "1"), Op::put("all/b", "1")]).await.unwrap();
    let (a, b) = (revision(kv, "all/a").await, revision(kv, "all/b").await);
    let failing = [
        vec![Op::put("all/c", "2"), Op::create("all/a", "2")],
        vec![Op::delete("all/a"), Op::put("all/c", "2"), Op::absent("all/b")],
        vec![Op::replace("all/a", "2", a), Op::unchanged("all/b", Revision(b.0 + 1_000_000))],
        vec![Op::put("all/a", "2"), Op::unchanged("all/missing", b)],
        vec![Op::put("all/a", "2"), Op::delete_at("all/b", Revision(b.0 + 1_000_000))],
    ];
    for ops in failing {
        let outcome = kv.txn(&ops).await;
        assert!(matches!(outcome, Err(KvError::Conflict { .. })), "{ops:?}: {outcome:?}");
    }
    let listing = kv.list("all/").await.unwrap();
    let keys: Vec<_> = listing.pairs.iter().map(|pair| (pair.key.as_str(), pair.revision)).collect();
    assert_eq!(keys, [("all/a", a), ("all/b", b)]);

    let ops = [
        Op::replace("all/a", "2", a),
        Op::delete_at("all/b", b),
        Op::create("all/c", "2"),
        Op::absent("all/d"),
    ];
    let written = kv.txn(&ops).await.unwrap();
    assert_eq!(written[0], written[2]);
    assert_eq!((written[1], written[3], written.len()), (None, None, 4));
    assert_eq!(kv.list("all/").await.unwrap().pairs.len(), 2);
    assert_eq!(written[0], Some(revision(kv, "all/a").await));
    assert_eq!(kv.txn(&[Op::unchanged("all/a", written[0].unwrap())]).await, Ok(vec![None]));
}

async fn lists_a_prefix_in_order(kv: &Kv) {
    let bytes: Vec<u8> = (0..=255).collect();
    let ops = [
        Op::put("list/b", bytes.clone()),
        Op::put("list/a", Vec::new()),
        Op::put("list/a/c", "3"),
        Op::put("listing", "4"),
    ];
    kv.txn(&ops).await.unwrap();
    let listing = kv.list("list/").await.unwrap();
    let found: Vec<_> = listing.pairs.iter().map(|pair| (pair.key.as_str(), pair.value.clone())).collect();
    assert_eq!(found, [("list/a", vec![]), ("list/a/c", b"3".to_vec()), ("list/b", bytes)]);
    assert_eq!(kv.list("list").await.unwrap().pairs.len(), 4);
    assert_eq!(kv.list("lost/").await.unwrap().pairs, []);
    assert!(kv.list("").await.unwrap().pairs.len() > 4);
}

async fn refuses_what_can_never_be_done(kv: &Kv) {
    let many = |count: usize| (0..count).map(|n| Op::put(format!("many/{n}"), "x")).collect::<Vec<_>>();
    let refused = [
        many(65),
        vec![Op::put("large", vec![7; 520_000])],
        vec![Op::put("large/1", vec![7; 200_000]), Op::put("large/2", vec![7; 200_000])],
        vec![Op::put("twice", "1"), Op::delete("twice")],
        vec![Op::put("", "1")],
        vec![Op::put("/root", "1")],
        vec![Op::put("a b", "1")],
        vec![Op::put("x".repeat(600), "1")],
    ];
    for ops in refused {
        let outcome = kv.txn(&ops).await;
        assert!(matches!(outcome, Err(KvError::Refused { .. })), "{outcome:?}");
    }
    assert!(matches!(kv.get("a b").await, Err(KvError::Refused { .. })));
    kv.txn(&many(64)).await.unwrap();
    kv.txn(&[Op::put("large", vec![7; 380_000])]).await.unwrap();
    assert_eq!(kv.get("large").await.unwrap().unwrap().value.len(), 380_000);
    let deletions: Vec<_> = (0..64).map(|n| Op::delete(format!("many/{n}"))).chain([]).collect();
    kv.txn(&deletions).await.unwrap();
    assert_eq!(kv.list("many/").await.unwrap().pairs, []);
}

/// What a watch gives when it has seen that something is different from `before`.
async fn changed(kv: &Kv, prefix: &str, before: &[Pair], mut since: Revision) -> kv::Listing {
    let deadline = Instant::now() + LONG;
    loop {
        let listing = kv.watch(prefix, since, LONG).await.unwrap();
        if listing.pairs != before {
            return listing;
        }
        assert!(Instant::now() < deadline, "no change was seen");
        since = listing.revision;
    }
}

async fn wakes_who_watches(kv: &Kv) {
    let at_once = kv.watch("watch/", Revision::default(), LONG).await.unwrap();
    assert_eq!(at_once.pairs, []);

    // Nothing happens.
    let began = Instant::now();
    let mut same = at_once.clone();
    while began.elapsed() < Duration::from_millis(300) {
        same = kv.watch("watch/", same.revision, Duration::from_millis(300)).await.unwrap();
    }
    assert_eq!(same.pairs, []);

    // A record comes, changes and goes, each while somebody waits.
    let mut seen = same;
    for op in [Op::put("watch/a", "1"), Op::put("watch/a", "2"), Op::delete("watch/a")] {
        let write = async {
            tokio::task::yield_now().await;
            kv.txn(std::slice::from_ref(&op)).await.unwrap()
        };
        let (now, _) = tokio::join!(changed(kv, "watch/", &seen.pairs, seen.revision), write);
        seen = now;
        assert_eq!(seen.pairs.is_empty(), matches!(op, Op::Delete { .. }));
    }

    // A change between two calls is not missed.
    kv.txn(&[Op::put("watch/b", "1")]).await.unwrap();
    let late = timeout(LONG, changed(kv, "watch/", &seen.pairs, seen.revision)).await.unwrap();
    assert_eq!(late.pairs.len(), 1);
}

async fn loses_no_update(kv: &Kv) {
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let kv = kv.clone();
        tasks.spawn(async move {
            let mut seen = BTreeSet::new();
            while seen.len() < 15 {
                let now = kv.get("count").await.unwrap();
                let count = now.as_ref().map_or(0, |pair| text(&pair.value)) + 1;
                let op = match now {
                    Some(pair) => Op::replace("count", count.to_string(), pair.revision),
                    None => Op::create("count", count.to_string()),
                };
                match kv.txn(&[op]).await {
                    Ok(_) => assert!(seen.insert(count)),
                    Err(KvError::Conflict { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            seen
        });
    }
    let all: Vec<u64> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 120, "no number was given twice");
    assert_eq!(text(&kv.get("count").await.unwrap().unwrap().value), 120);
}
