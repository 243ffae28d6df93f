//! Power cuts, on a disk that loses, keeps or tears what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use lictor_core::{Boot, Check, CheckName, Event, Now, Row, Wall, What};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use redb::StorageBackend;

use super::{Batch, Health, LedgerOrder, LedgerQuery, NodeStore, Opened, Options, StoreError};

/// A disk with a cache that a power cut empties.
#[derive(Clone, Debug)]
struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug)]
struct Platter {
    /// What the computer sees.
    seen: Vec<u8>,
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// Writes since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Operations until the power goes.
    left: u64,
    /// The operation that fails, once, counted down.
    fails_in: Option<(u64, io::ErrorKind)>,
    /// Whether a sync is a lie: to see that the test can fail.
    lies: bool,
}

impl Platter {
    fn use_up(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("the power is gone"))?;
        match &mut self.fails_in {
            Some((0, kind)) => {
                let error = (*kind).into();
                self.fails_in = None;
                Err(error)
            }
            Some((count, _)) => {
                *count -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What is on the disk when the power is back: of each write not synced all, nothing,
    /// or the first sectors.
    fn after_the_cut(&self, random: &mut StdRng) -> Vec<u8> {
        let mut image = self.durable.clone();
        for (offset, data) in &self.unsynced {
            let kept = match random.random_range(0..3) {
                0 => 0,
                1 => data.len(),
                _ => random.random_range(0..=data.len()) / 512 * 512,
            };
            if image.len() < offset + kept {
                image.resize(offset + kept, 0);
            }
            image[*offset..offset + kept].copy_from_slice(&data[..kept]);
        }
        image
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let found = platter.seen.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        platter.use_up()?;
        let len = usize::try_from(len).unwrap();
        platter.seen.resize(len, 0);
        // The length is the file system's own, and journaled.
        platter.durable.resize(len, 0);
        platter.unsynced.retain(|(offset, data)| offset + data.len() <= len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        platter.use_up()?;
        if !platter.lies {
            for (start, data) in std::mem::take(&mut platter.unsynced) {
                platter.durable[start..start + data.len()].copy_from_slice(&data);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        platter.use_up()?;
        let start = usize::try_from(offset).unwrap();
        platter.seen[start..start + data.len()].copy_from_slice(data);
        platter.unsynced.push((start, data.to_vec()));
        Ok(())
    }
}

/// A directory in memory where there is one: these disks are not real anyway.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn options(dir: &Path) -> Options {
    Options { reserve: 0, ..Options::new(dir, "node1") }
}

/// Commit number `n`: a row and an entry that say so.
fn batch(n: u64) -> Batch {
    let at = Now { boot: Boot::from_millis(n), wall: Wall::from_unix_millis(0) };
    let mut batch = Batch::default();
    batch.put(Row::Check(CheckName::new(&format!("c{}", n % 5)).unwrap(), Check::new(at)));
    let what = What::Commanded { command: "x".repeat(usize::try_from(n % 40).unwrap() * 40) };
    batch.note(Event { at, incident: None, run: None, what });
    batch
}

/// The present after `n` such commits.
fn present(n: u64) -> BTreeMap<String, u64> {
    (1..=n).map(|n| (format!("c{}", n % 5), n)).collect()
}

fn found(opened: &Opened) -> (BTreeMap<String, u64>, Vec<u64>) {
    let rows = opened.rows.iter().filter_map(|row| match row {
        Row::Check(name, check) => Some((name.to_string(), check.created.as_millis())),
        Row::Flood(..) | Row::Run(_) | Row::Incident(_) | Row::Reading(..) | Row::Role(..) => None,
    });
    let all = LedgerQuery { limit: 1_000, order: LedgerOrder::OldestFirst, ..LedgerQuery::default() };
    let entries = opened.store.ledger(&all).unwrap().entries;
    (rows.collect(), entries.iter().map(|entry| entry.event.at.boot.as_millis()).collect())
}

/// An empty store of a directory on such a disk.
async fn on_disk(dir: &Path, left: u64, lies: bool) -> (Disk, Options) {
    NodeStore::open(options(dir)).unwrap().store.close().await;
    let image = std::fs::read(dir.join("state.redb")).unwrap();
    let (seen, durable, unsynced) = (image.clone(), image, Vec::new());
    let platter = Platter { seen, durable, unsynced, left, fails_in: None, lies };
    let disk = Disk(Arc::new(Mutex::new(platter)));
    let same = disk.clone();
    let maker: super::disk::Maker = Arc::new(move |_| {
        same.0.lock().unwrap().use_up()?;
        Ok(Box::new(same.clone()))
    });
    (disk, Options { maker, ..options(dir) })
}

/// Runs into one power cut; says whether everything that was acknowledged is there.
async fn survives(seed: u64, lies: bool) -> bool {
    let mut random = StdRng::seed_from_u64(seed);
    let dir = scratch();
    let path = dir.path().join("state.redb");
    let (disk, on_it) = on_disk(dir.path(), random.random_range(20..600), lies).await;
    let Ok(opened) = NodeStore::open(on_it) else { return true };
    let mut acknowledged = 0;
    while opened.store.commit(batch(acknowledged + 1)).await.is_ok() {
        acknowledged += 1;
    }
    opened.store.close().await;

    let after = disk.0.lock().unwrap().after_the_cut(&mut random);
    std::fs::write(&path, after).unwrap();
    let opened = NodeStore::open(options(dir.path())).unwrap();
    let (rows, entries) = found(&opened);
    let count = entries.len() as u64;
    let whole = opened.warnings.is_empty()
        && (count == acknowledged || count == acknowledged + 1)
        && rows == present(count)
        && entries == (1..=count).collect::<Vec<_>>();
    opened.store.close().await;
    whole
}

#[tokio::test]
async fn no_acknowledged_commit_is_lost_to_a_power_cut() {
    for seed in 0..120 {
        assert!(survives(seed, false).await, "seed {seed}");
    }
}

#[tokio::test]
async fn a_disk_that_lies_is_found_out_by_the_same_test() {
    let mut lost = 0;
    for seed in 0..30 {
        lost += u64::from(!survives(seed, true).await);
    }
    assert!(lost > 10, "{lost} of 30");
}

#[tokio::test]
async fn each_operation_may_fail_once_and_the_store_goes_on() {
    let mut refused = 0;
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        for point in 0.. {
            let dir = scratch();
            let (disk, on_it) = on_disk(dir.path(), u64::MAX, false).await;
            let opened = NodeStore::open(on_it.clone()).unwrap();
            opened.store.commit(batch(1)).await.unwrap();
            disk.0.lock().unwrap().fails_in = Some((point, kind));
            let outcome = opened.store.commit(batch(2)).await;
            let reached = disk.0.lock().unwrap().fails_in.take().is_none();
            if let Err(error) = outcome {
                let full = matches!(error.why, StoreError::Full);
                assert_eq!(full, kind == io::ErrorKind::StorageFull, "{error}");
                assert_eq!(*error.batch, batch(2));
                refused += 1;
                opened.store.commit(*error.batch).await.unwrap();
            }
            opened.store.commit(batch(3)).await.unwrap();
            assert_eq!(opened.store.health(), Health::Good);
            opened.store.close().await;
            let again = NodeStore::open(on_it).unwrap();
            let expected = (present(3), vec![1, 2, 3]);
            assert_eq!(found(&again), expected, "{kind} at operation {point}");
            again.store.close().await;
            if !reached {
                break;
            }
        }
    }
    assert!(refused > 10, "{refused}");
}
