//! Measures the store in a directory: `cargo run --release -p lictor-store --example measure -- DIR`.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::collections::BTreeMap;
use std::time::Duration;

use lictor_core::{Boot, Check, CheckName, Event, IncidentId, Now, Row, Sample, Status, Wall, What};
use lictor_store::{Batch, LedgerQuery, NodeStore, Options};
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let dir = std::env::args().nth(1).ok_or("say in which directory")?;
    let dir = tempfile::tempdir_in(dir)?;
    let store = NodeStore::open(Options::new(dir.path(), "node1"))?.store;

    let mut batch = Batch::default();
    for number in 0..10_000 {
        batch.put(check(number)?);
    }
    let began = Instant::now();
    store.commit(batch).await?;
    println!("10,000 rows in one commit: {:.1?}", began.elapsed());
    store.close().await;
    let (mut starts, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let (began, used) = (Instant::now(), cpu());
        let opened = NodeStore::open(Options::new(dir.path(), "node1"))?;
        starts.push(began.elapsed());
        cpus.push(cpu() - used);
        assert_eq!(opened.rows.len(), 10_000);
        opened.store.close().await;
    }
    let (start, used) = (middle(&mut starts), middle(&mut cpus));
    println!("start with 10,000 rows: {start:.1?}, of CPU {used:.1?} (medians of 7)");

    let store = NodeStore::open(Options::new(dir.path(), "node1"))?.store;
    for size in [1, 10, 100] {
        let mut times = Vec::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3) {
            let one = Instant::now();
            store.commit(work(times.len() as u64, size)?).await?;
            times.push(one.elapsed());
        }
        let rate = times.len() as f64 / began.elapsed().as_secs_f64();
        times.sort();
        let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
        let p50 = middle(&mut times);
        println!("{size} entries and rows a commit: {rate:.0} commits/s, p50 {p50:.2?}, p99 {p99:.2?}");
    }

    let waiting = (0..2_000).map(|number| work(number, 1).map(|batch| store.commit(batch)));
    let waiting = waiting.collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    let done = futures::future::join_all(waiting).await;
    let commits: std::collections::BTreeSet<u64> = done.into_iter().flatten().map(|one| one.commit).collect();
    println!("2,000 batches at once: {:.1?}, {} transactions", began.elapsed(), commits.len());

    while store
        .ledger(&LedgerQuery { limit: 1, ..LedgerQuery::default() })?
        .entries
        .iter()
        .all(|e| e.seq < 700_000)
    {
        store.commit(work(7, 5_000)?).await?;
    }
    let began = Instant::now();
    let found = store.ledger(&LedgerQuery { incident: Some(IncidentId(3)), ..LedgerQuery::default() })?;
    println!(
        "100 entries of one incident of 700,000: {:.2?} ({} found)",
        began.elapsed(),
        found.entries.len()
    );
    let size = std::fs::metadata(dir.path().join("state.redb"))?.len();
    println!("the file then: {} MiB", size >> 20);
    store.close().await;
    let began = Instant::now();
    let opened = NodeStore::open(Options::new(dir.path(), "node1"))?;
    println!("start with that ledger: {:.1?}", began.elapsed());
    opened.store.close().await;
    Ok(())
}

fn now() -> Now {
    Now { boot: Boot::from_millis(86_400_000), wall: Wall::from_unix_millis(1_700_000_000_000) }
}

fn check(number: u64) -> Result<Row, Failure> {
    let mut check = Check::new(now());
    let sample = Sample::new(Status::Passing, "200 OK in 12 ms, 5120 bytes, certificate valid for 43 days");
    let value = lictor_core::Value::Number(12.3);
    check.last = Some((now(), sample.with("total_seconds".parse()?, value)));
    Ok(Row::Check(CheckName::new(&format!("http.service-{number}"))?, check))
}

fn work(number: u64, size: u64) -> Result<Batch, Failure> {
    let mut batch = Batch::default();
    let rows: BTreeMap<u64, ()> = (0..size).map(|part| ((number * size + part) % 10_000, ())).collect();
    for row in rows.into_keys() {
        batch.put(check(row)?);
    }
    for part in 0..size {
        let what = What::Commanded { command: "x".repeat(200) };
        batch.note(Event { at: now(), incident: Some(IncidentId(part)), run: None, what });
    }
    Ok(batch)
}

fn middle(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// CPU time of this process: what other programs do meanwhile does not count.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
