//! State files that are not as they were left.

use std::fs;
use std::path::{Path, PathBuf};

use lictor_store::{
    Batch, LedgerOrder, LedgerQuery, NodeStore, OpenError, Opened, Start, StoreError, Warning,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::support::*;

/// A directory with a store of 40 rows and 200 entries, closed in order.
async fn filled() -> (tempfile::TempDir, PathBuf) {
    let dir = scratch();
    let store = open(dir.path()).store;
    for round in 0..10 {
        let mut batch = Batch::default();
        for number in 0..4 {
            batch.put(check_row(&format!("check-{round}-{number}"), round));
        }
        for number in 0..20 {
            batch.note(event_of(round, number % 3, &"x".repeat(200)));
        }
        store.commit(batch).await.unwrap();
    }
    store.mark_clean().await.unwrap();
    store.close().await;
    let path = dir.path().join("state.redb");
    (dir, path)
}

/// Asserts that the file was kept as `bytes` and that a new store was begun.
fn begun_anew(dir: &Path, number: u32, bytes: &[u8]) -> Opened {
    let opened = open(dir);
    assert_eq!(opened.start, Start::Fresh);
    assert!(opened.rows.is_empty());
    let kept = dir.join(format!("state.redb.unreadable-{number}"));
    let [Warning::Unreadable { kept: told, .. }] = &opened.warnings[..] else {
        panic!("{:?}", opened.warnings);
    };
    assert_eq!(told, &kept);
    assert_eq!(fs::read(&kept).unwrap().get(..bytes.len().min(4096)), bytes.get(..bytes.len().min(4096)));
    opened
}

#[tokio::test]
async fn a_file_cut_anywhere_is_moved_aside_and_kept() {
    let (source, path) = filled().await;
    let whole = fs::read(&path).unwrap();
    let mut number = 0;
    for part in [0, 1, 8, 9, 100, 4096, whole.len() / 4, whole.len() / 2, whole.len() - 1] {
        number += 1;
        let cut = whole.get(..part).unwrap();
        fs::write(&path, cut).unwrap();
        let lineage = begun_anew(source.path(), number, cut).store;
        let id = lineage.lineage();
        lineage.close().await;
        let again = open(source.path());
        assert_eq!((again.start, again.store.lineage()), (Start::Recovered, id), "cut to {part}");
        again.store.close().await;
    }
}

#[tokio::test]
async fn a_file_of_another_program_is_never_written_to() {
    let dir = scratch();
    let foreign = b"SQLite format 3\0 and more".repeat(1000);
    fs::write(dir.path().join("state.redb"), &foreign).unwrap();
    let opened = begun_anew(dir.path(), 1, &foreign);
    assert_eq!(fs::read(dir.path().join("state.redb.unreadable-1")).unwrap(), foreign);
    opened.store.close().await;
    fs::write(dir.path().join("state.redb"), b"again").unwrap();
    begun_anew(dir.path(), 2, b"again").store.close().await;
    assert_eq!(fs::read(dir.path().join("state.redb.unreadable-1")).unwrap(), foreign, "the first is kept");
}

#[tokio::test]
async fn flipped_bytes_are_noticed_or_do_no_harm() {
    let (source, path) = filled().await;
    let whole = fs::read(&path).unwrap();
    let before = open(source.path());
    let mut rows = before.rows.clone();
    rows.sort_by_key(lictor_core::Row::key);
    let all = LedgerQuery { limit: 1000, order: LedgerOrder::OldestFirst, ..LedgerQuery::default() };
    let entries = before.store.ledger(&all).unwrap().entries;
    before.store.close().await;
    let mut random = StdRng::seed_from_u64(7);
    let (mut noticed, mut harmless) = (0, 0);
    for _ in 0..150 {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] ^= random.random_range(1..=255_u8);
        }
        let dir = scratch();
        fs::write(dir.path().join("state.redb"), &bytes).unwrap();
        let opened = match NodeStore::open(options(dir.path())) {
            Ok(opened) => opened,
            // A flipped schema number may look like one of the future.
            Err(OpenError::Newer { .. }) => continue,
            Err(other) => panic!("{other}"),
        };
        if opened.warnings.is_empty() {
            harmless += 1;
            let mut found = opened.rows.clone();
            found.sort_by_key(lictor_core::Row::key);
            assert_eq!(found, rows);
            match opened.store.ledger(&all) {
                Ok(page) => {
                    let strange = page.entries.iter().find(|entry| !entries.contains(entry));
                    assert_eq!(strange, None);
                }
                Err(StoreError::Damaged { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        } else {
            noticed += 1;
            assert!(opened.rows.is_empty());
            assert!(dir.path().join("state.redb.unreadable-1").exists());
        }
        opened.store.close().await;
    }
    assert!(noticed >= 3 && harmless >= 3, "{noticed} noticed, {harmless} harmless");
}

#[tokio::test]
async fn two_processes_cannot_have_one_directory() {
    let dir = scratch();
    let store = open(dir.path()).store;
    let Err(OpenError::InUse { holder, .. }) = NodeStore::open(options(dir.path())) else {
        panic!("it was opened twice");
    };
    assert_eq!(holder, std::process::id().to_string());
    store.close().await;
    open(dir.path()).store.close().await;
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let (dir, path) = filled().await;
    let database = redb::Database::create(&path).unwrap();
    let table = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let txn = database.begin_write().unwrap();
    {
        let mut table = txn.open_table(table).unwrap();
        let made = br#"{"v":2,"schema":7}"#;
        table.insert("made", sealed(b"made", made).as_slice()).unwrap();
    }
    txn.commit().unwrap();
    drop(database);
    let bytes = fs::read(&path).unwrap();
    let error = NodeStore::open(options(dir.path())).unwrap_err();
    assert!(matches!(error, OpenError::Newer { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap().len(), bytes.len());
    assert!(!dir.path().join("state.redb.unreadable-1").exists());
}

#[tokio::test]
async fn a_half_made_store_is_made_anew() {
    let dir = scratch();
    fs::write(dir.path().join("state.redb.new"), b"half").unwrap();
    let opened = open(dir.path());
    assert!(opened.warnings.is_empty());
    opened.store.close().await;
}

#[tokio::test]
async fn a_renamed_node_is_told_once() {
    let (dir, _) = filled().await;
    let renamed = || {
        let mut options = options(dir.path());
        options.node = "node2".into();
        NodeStore::open(options).unwrap()
    };
    let opened = renamed();
    assert_eq!(opened.warnings, [Warning::Renamed { was: "node1".into(), name: "node2".into() }]);
    opened.store.confirm().await.unwrap();
    opened.store.close().await;
    let again = renamed();
    assert!(again.warnings.is_empty() && again.store.confirmed());
    again.store.close().await;
}

/// A value as the store keeps it: CRC-32 (bit by bit here) of key and body, then the body.
fn sealed(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in key.iter().chain(body) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    [&(!crc).to_le_bytes()[..], body].concat()
}
