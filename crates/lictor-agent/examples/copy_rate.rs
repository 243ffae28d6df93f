//! Keys of one Consul server copied to another: what `cargo xtask bench replicate` measures. Each word prints numbers.
//!
//! ```text
//! copy_rate fill URL KEYS BYTES            writes so many keys under bench/; keys a second
//! copy_rate raw URL KEYS BYTES             the same under raw/, by transactions of 64 on eight connections; keys a second
//! copy_rate copy URL KEYS                  copies bench/ of dc1 to copy/ of the server's datacenter, once; keys a second
//! copy_rate list URL TIMES                 lists bench/ of dc1 so often; p50 and p99 of the milliseconds
//! copy_rate visible URL1 URL2 CHANGES RATE changes a key at one so often a second; p50 and p99 of the milliseconds until
//!                                          the other one has it
//! ```

#![expect(clippy::print_stdout, reason = "a program of its own")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use lictor_agent::replicate::{Alone, Means};
use lictor_agent::{Clock, Tasks};
use lictor_config::{Consul, Notes, Replicate, Tls};
use lictor_consul::{Client, Config, Index, Operation, Query};
use lictor_core::replicate::{Limit, Locks};
use tokio::time::{Instant, sleep_until};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["fill", url, keys, bytes] => {
            println!("{}", write(url, "bench/", keys.parse()?, bytes.parse()?).await?);
        }
        ["raw", url, keys, bytes] => println!("{}", write(url, "raw/", keys.parse()?, bytes.parse()?).await?),
        ["copy", url, keys] => println!("{}", copy(url, keys.parse()?).await?),
        ["list", url, times] => {
            let (middle, tail) = list(url, times.parse()?).await?;
            println!("{middle} {tail}");
        }
        ["visible", one, other, changes, rate] => {
            let (middle, tail) = visible(one, other, changes.parse()?, rate.parse()?).await?;
            println!("{middle} {tail}");
        }
        _ => return Err("see the beginning of this example's source".into()),
    }
    Ok(())
}

fn client(url: &str) -> Outcome<Client> {
    Ok(Client::new(Config { address: url.parse()?, ..Config::default() })?)
}

/// A value that no other key has.
fn value(number: usize, bytes: usize) -> Vec<u8> {
    let mut value = format!("{number:08}-").into_bytes();
    value.extend(
        (value.len()..bytes).map(|place| b'a' + u8::try_from((place * 7 + number) % 26).unwrap_or_default()),
    );
    value
}

async fn write(url: &str, prefix: &str, keys: usize, bytes: usize) -> Outcome<f64> {
    let client = client(url)?;
    client.kv().delete_tree(prefix).await?;
    // What fits into 512 KiB of JSON.
    let some = 64.min((380 << 10) / (bytes + 120)).max(1);
    let begun = Instant::now();
    let batches = stream::iter((0..keys).step_by(some)).map(|first| {
        let client = client.clone();
        async move {
            let numbers = first..(first + some).min(keys);
            let operations: Vec<Operation> = numbers
                .map(|number| {
                    Operation::set(format!("{prefix}{}/{number:07}", number % 100), value(number, bytes))
                })
                .collect();
            client.txn().run(&operations).await.map(drop)
        }
    });
    let done: Vec<_> = batches.buffer_unordered(8).collect().await;
    for one in done {
        one?;
    }
    Ok(keys as f64 / begun.elapsed().as_secs_f64())
}

async fn copy(url: &str, keys: usize) -> Outcome<f64> {
    let there = client(url)?;
    there.kv().delete_tree("copy/").await?;
    let settings = Consul {
        address: url.to_owned(),
        token: None,
        datacenter: None,
        namespace: None,
        prefix: "lictor/".to_owned(),
        register: None,
        tls: Tls::default(),
    };
    let config = Arc::new(Replicate {
        name: "bench".parse()?,
        prefixes: vec!["bench/@dc1:copy/".parse()?],
        to: Vec::new(),
        excludes: Vec::new(),
        delete: false,
        limit: Limit::Percent(10),
        confirm: Duration::from_secs(3),
        canary: None,
        repair: true,
        locks: Locks::Skip,
        wait: None,
        max_stale: None,
        parallel: 8,
        dry_run: false,
        service: None,
        // Without a lease: what is measured is the copying.
        pauses: Replicate::PAUSES,
        approved: Vec::new(),
        notes: Some(Notes { directory: "notes/".to_owned(), keys: vec!["notes/bench".to_owned()] }),
    });
    there.kv().delete("notes/bench").await?;
    let means = Means { node: "bench".to_owned(), clock: Clock::fresh(), tasks: Tasks::new() };
    let begun = Instant::now();
    let alone = Alone::new(&config, &settings, &there, &means, &[], Some(0));
    let copies = alone.copies();
    alone.run().await?;
    let took = begun.elapsed();
    let written = copies.all().first().map_or(0, |copy| copy.state.tally.written);
    if written != keys as u64 {
        return Err(format!("{written} keys were copied, not {keys}").into());
    }
    Ok(keys as f64 / took.as_secs_f64())
}

/// How long the source takes to give all its keys to an agent of the other datacenter, milliseconds.
async fn list(url: &str, count: usize) -> Outcome<(f64, f64)> {
    let source = client(url)?.in_datacenter("dc1");
    let mut times = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let mut rows = source.kv().rows("bench/", &Query::new()).await?;
        while rows.next(|_pair| ()).await? {}
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(shares(times))
}

/// The median, and what 99 of 100 are below.
fn shares(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

async fn visible(one: &str, other: &str, changes: usize, rate: u64) -> Outcome<(f64, f64)> {
    let (source, there) = (client(one)?, client(other)?);
    let key = |number: usize| format!("{}/{number:07}", number % 100);
    let mut times = Vec::new();
    let mut due = Instant::now();
    for number in 0..changes {
        let (here, copied) = (format!("bench/{}", key(number)), format!("copy/{}", key(number)));
        let new = format!("changed {number} {:x}", rand::random::<u64>());
        let mut index = there.kv().get(&copied, &Query::new()).await?.meta.index.unwrap_or(Index::ZERO);
        due += Duration::from_millis(1_000 / rate.max(1));
        sleep_until(due).await;
        let begun = Instant::now();
        source.kv().put(&here, new.clone()).await?;
        loop {
            let wait = Query::new().index(index).wait(Duration::from_secs(30));
            let answer = there.kv().get(&copied, &wait).await?;
            index = answer.meta.index.unwrap_or(Index::ZERO);
            if answer.value.is_some_and(|pair| pair.value == new.as_bytes()) {
                break;
            }
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(format!("{copied} never changes").into());
            }
        }
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(shares(times))
}
