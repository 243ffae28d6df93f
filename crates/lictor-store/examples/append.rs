//! `append DIR WRITERS SECONDS`: durable appends to the ledger, for the benchmark. Each
//! writer waits for its entry to be durable before it sends the next. Prints the appends a
//! second and the 99th percentile of one append in milliseconds.

#![expect(clippy::print_stdout, reason = "a program of its own")]
#![expect(clippy::disallowed_methods, reason = "it measures real time and needs no task module")]

use std::time::{Duration, Instant};

use lictor_core::{Event, Now, What};
use lictor_store::{Batch, NodeStore, Options};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, writers, seconds] = args.as_slice() else {
        return Err("usage: append DIR WRITERS SECONDS".into());
    };
    let (writers, seconds): (usize, u64) = (writers.parse()?, seconds.parse()?);
    let store = NodeStore::open(Options::new(dir, "bench"))?.store;
    let end = Instant::now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..writers).map(|_| tokio::spawn(write(store.clone(), end))).collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    println!("{} {}", times.len() as f64 / seconds as f64, p99.as_secs_f64() * 1_000.0);
    Ok(())
}

async fn write(store: NodeStore, end: Instant) -> Result<Vec<Duration>, lictor_store::NotRecorded> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        let mut batch = Batch::default();
        // 300 bytes, as an entry has on average.
        let what = What::Commanded { command: "x".repeat(200) };
        batch.note(Event { at: Now::default(), incident: None, run: None, what });
        store.commit(batch).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}
