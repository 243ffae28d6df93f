//! What the harness costs: prints how many operations a second clients do that only ask, and those of a run whose every
//! operation is written down, on five servers of Consul and without faults.
//!
//! `LICTOR_CONSUL_BIN=… cargo run --release -p lictor-jepsen --example cost [SECONDS [CLIENTS]]`

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_consul::{Client, Consistency, Query};
use lictor_jepsen::live::cell;
use lictor_jepsen::live::client::connect;
use lictor_jepsen::live::nemesis::schedule::Order;
use lictor_jepsen::live::runner::{Plan, play};
use lictor_jepsen::live::say::Say;
use lictor_jepsen::live::scratch::Scratch;
use lictor_jepsen::live::workload::{Kind, Wishes};
use lictor_jepsen::live::world::server::Setup;
use lictor_jepsen::live::world::{Places, World};
use tokio::task::JoinSet;
use tokio::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const NODES: usize = 5;

/// What is measured, on servers of its own each time.
#[derive(Clone, Copy)]
struct Measure {
    seconds: u64,
    clients: usize,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, or: u64| args.get(at).map_or(Ok(or), |text| text.parse::<u64>());
    let measure = Measure { seconds: number(0, 10)?, clients: usize::try_from(number(1, 15)?)? };
    match (args.get(2).map(String::as_str), args.get(3)) {
        (Some("bare"), Some(scratch)) => measure.bare(Path::new(scratch)).await,
        (Some(_), Some(scratch)) => measure.run(Path::new(scratch)).await,
        _ => measure.both().await,
    }
}

impl Measure {
    async fn both(self) -> Outcome<()> {
        for what in ["bare", "run"] {
            let scratch = Scratch::make(&std::env::temp_dir())?;
            let (seconds, clients) = (self.seconds.to_string(), self.clients.to_string());
            let args = [seconds.into(), clients.into(), what.into(), scratch.path().as_os_str().to_owned()];
            let ended = cell::enclose(&args as &[OsString], scratch.path(), async || ()).await;
            scratch.remove()?;
            if ended? != 0 {
                return Err("the inner process failed".into());
            }
        }
        Ok(())
    }

    /// Clients that only ask: as many reads as writes, as the workload does, without a rest.
    async fn bare(self, scratch: &Path) -> Outcome<()> {
        let logs = scratch.join("logs");
        let mut world = World::make(NODES, &setup()?, Places { scratch, logs: &logs }, false).await?;
        world.start().await?;
        let end = Instant::now() + Duration::from_secs(self.seconds);
        let mut clients = JoinSet::new();
        for number in 0..self.clients {
            let client = connect(number % NODES, Duration::from_secs(5))?;
            clients.spawn(ask(client, number, end));
        }
        let mut sum = 0;
        while let Some(count) = clients.join_next().await {
            sum += count??;
        }
        tell(sum, self.seconds);
        Ok(())
    }

    /// A run.
    async fn run(self, scratch: &Path) -> Outcome<()> {
        let wishes = Wishes {
            actors: self.clients,
            nodes: NODES,
            faults: false,
            spared: true,
            left: scratch.join("left"),
            reads: Consistency::Default,
            per_key: 300,
        };
        let plan = Plan {
            nodes: NODES,
            actors: self.clients,
            time: Duration::from_secs(self.seconds),
            settle: Duration::ZERO,
            faults: Vec::new(),
            order: Order::Fixed,
            interval: Duration::from_secs(10),
            ballast: 0,
            rest: Some(Duration::ZERO),
            seed: 1,
            setup: setup()?,
            agents: None,
        };
        let logs = scratch.join("logs");
        let (places, history) = (Places { scratch, logs: &logs }, scratch.join("history.jsonl"));
        let workload = Kind::Register.workload(wishes);
        let played = play(&plan, &workload, places, &history, Say { quiet: true }).await?;
        tell(played.tally.sums().into_iter().sum(), self.seconds);
        Ok(())
    }
}

/// What the workload does, in the same shares: reads, writes, and a read before each compare-and-set.
async fn ask(client: Client, number: usize, end: Instant) -> Outcome<u64> {
    let (kv, mut count) = (client.kv(), 0_u64);
    let sure = Query::new().consistent();
    while Instant::now() < end {
        let key = format!("jepsen/bare/{}", number / 5);
        match count % 4 {
            0 | 2 => drop(kv.get(&key, &Query::new()).await?),
            1 => kv.put(&key, count.to_string()).await?,
            _ => {
                if let Some(pair) = kv.get(&key, &sure).await?.value {
                    // Another one was quicker, or not: both are an operation.
                    kv.cas(&key, count.to_string(), pair.modify_index).await.map(|_| ())?;
                }
            }
        }
        count += 1;
    }
    Ok(count)
}

fn setup() -> Outcome<Setup> {
    let program =
        std::env::var_os("LICTOR_CONSUL_BIN").ok_or("LICTOR_CONSUL_BIN names no program of Consul")?;
    Ok(Setup { program: PathBuf::from(program), raft_multiplier: 1, more: String::new(), datacenters: 1 })
}

#[expect(clippy::print_stdout, reason = "the result")]
fn tell(operations: u64, seconds: u64) {
    println!("{}", operations / seconds.max(1));
}
