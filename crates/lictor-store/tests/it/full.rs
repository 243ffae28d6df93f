//! A disk that is full, for real: a small file system of its own. Needs root to mount one.

use std::fs;
use std::path::Path;
use std::process::Command;

use lictor_store::{Batch, Health, LedgerQuery, NodeStore, Options, Start, StoreError, Warning};

use crate::support::*;

/// A small file system on a temporary directory, unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "lictor-test"])
            .arg(dir.path())
            .status()
            .is_ok_and(|status| status.success());
        if mounted {
            return Some(Self(dir));
        }
        assert!(!rustix::process::geteuid().is_root(), "root cannot mount a tmpfs here");
        eprintln!("SKIPPED: a full disk is not tried, mounting a small file system needs root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.0.path()).status();
        if !done.as_ref().is_ok_and(std::process::ExitStatus::success) {
            eprintln!("cannot unmount {}: {done:?}", self.0.path().display());
        }
    }
}

/// Fills what is left of a file system.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path.join("filler")).unwrap();
    let block = vec![7; 64 << 10];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&[7]).is_ok() {}
}

fn note(text: &str, urgent: bool) -> Batch {
    let mut batch = Batch::default();
    batch.urgent = urgent;
    batch.note(event(1, text));
    batch
}

fn texts(store: &NodeStore) -> Vec<String> {
    let query = LedgerQuery { limit: 10_000, ..LedgerQuery::default() };
    let entries = store.ledger(&query).unwrap().entries;
    let text = |event: &lictor_core::Event| event.what.to_string().chars().take(40).collect();
    entries.iter().rev().map(|entry| text(&entry.event)).collect()
}

#[tokio::test]
async fn a_full_disk_leaves_room_for_one_last_word_and_is_recovered_from() {
    let Some(small) = Small::mount(24) else { return };
    let mut options = Options::new(small.path().join("state"), "node1");
    options.reserve = 8 << 20;
    let store = NodeStore::open(options.clone()).unwrap().store;
    store.commit(note("before", false)).await.unwrap();
    fill(small.path());

    // Commits go on in what the file has free inside, until it would have to grow.
    let mut recorded = 0;
    let refused = loop {
        match store.commit(note(&"x".repeat(20_000), false)).await {
            Ok(_) => recorded += 1,
            Err(refused) => break refused,
        }
        assert!(recorded < 2_000, "the disk never filled");
    };
    assert!(matches!(refused.why, StoreError::Full), "{}", refused.why);
    assert_eq!(refused.batch.events().len(), 1, "the batch comes back");
    assert_eq!(store.health(), Health::Full);
    assert_eq!(texts(&store).len(), 1 + recorded, "nothing of the refused batch is there");

    // The reserve was given to the disk: for urgent things only.
    let usual = store.commit(note("usual", false)).await.unwrap_err();
    assert!(matches!(usual.why, StoreError::Full));
    store.commit(note(&"last word".repeat(1_000), true)).await.unwrap();
    assert_eq!(store.health(), Health::Full);
    assert!(!options.dir.join("reserve").exists());

    // An agent that starts now still knows everything, and says that it cannot record.
    store.close().await;
    fill(small.path());
    let opened = NodeStore::open(options.clone()).unwrap();
    assert_eq!(opened.start, Start::Recovered);
    assert_eq!(opened.warnings, [Warning::Full]);
    let store = opened.store;
    assert_eq!(texts(&store).len(), 2 + recorded);
    assert!(store.commit(note("still full", false)).await.is_err());

    // Space is back: the batch that was given back is recorded with the next one.
    fs::remove_file(small.path().join("filler")).unwrap();
    let mut batch = *refused.batch;
    batch.absorb(note("after", false));
    store.commit(batch).await.unwrap();
    assert_eq!(store.health(), Health::Good);
    assert!(options.dir.join("reserve").exists());
    let all = texts(&store);
    assert_eq!(all.len(), 4 + recorded);
    assert_eq!(all.last().unwrap(), "asked for: after");
    store.close().await;
    assert_eq!(NodeStore::open(options).unwrap().warnings, []);
}

#[tokio::test]
async fn an_urgent_batch_gets_through_at_the_very_commit_that_fills_the_disk() {
    let Some(small) = Small::mount(24) else { return };
    let mut options = Options::new(small.path().join("state"), "node1");
    options.reserve = 8 << 20;
    let store = NodeStore::open(options).unwrap().store;
    fill(small.path());
    for _ in 0..200 {
        store.commit(note(&"x".repeat(20_000), true)).await.unwrap();
        if store.health() == Health::Full {
            break;
        }
    }
    assert_eq!(store.health(), Health::Full);
    store.close().await;
}
