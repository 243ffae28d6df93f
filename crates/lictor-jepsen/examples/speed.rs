//! How fast histories are judged: simulated ones of one key, the worst case as keys are judged alone, by calls and clients.
//!
//! `cargo run --release -p lictor-jepsen --example speed [-- CALLS CLIENTS]`: with both, one line, which is for
//! measuring memory.
#![expect(clippy::print_stdout, reason = "a program prints")]
#![expect(clippy::disallowed_methods, reason = "time is what is measured")]

use std::error::Error;
use std::fs;
use std::num::NonZero;
use std::time::{Duration, Instant};

use lictor_jepsen::check::linear::model::{Kind, Lock, Register, Set, Versioned};
use lictor_jepsen::check::linear::{Limits, Linearizable};
use lictor_jepsen::history::{History, Op};
use lictor_jepsen::sim::{Dice, Sim, plant};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<u64> =
        std::env::args().skip(1).map(|number| number.parse()).collect::<Result<_, _>>()?;
    println!("history                          calls clients   verdict   seconds       ops/s  peak MiB");
    match arguments[..] {
        [calls, clients] => size(calls, clients)?,
        _ => {
            for calls in [10_000, 100_000] {
                for clients in [10, 30] {
                    size(calls, clients)?;
                }
            }
        }
    }
    Ok(())
}

fn size(calls: u64, clients: u64) -> Result<(), Box<dyn Error>> {
    let sim = Sim { seed: 1, calls, clients, unknown: 5, ..Sim::default() };
    line("register", &sim, Register, sim.register())?;
    let mut stale = sim.register();
    if plant::stale_read(&mut stale, &mut Dice::new(1)) {
        line("register, one stale read", &sim, Register, stale)?;
    }
    let few = Sim { values: 5, unknown: 1, ..sim };
    line("register, values 0 to 4", &few, Register, few.register())?;
    line("versioned register", &sim, Versioned, sim.register())?;
    line("lock", &sim, Lock::default(), sim.lock())?;
    let set = Sim { calls: calls.min(10_000), ..sim };
    line("set", &set, Set, set.set())
}

fn line<K: Kind>(name: &str, sim: &Sim, kind: K, ops: Vec<Op>) -> Result<(), Box<dyn Error>> {
    let history = History::new(ops)?;
    let limits =
        Limits { time: Duration::from_secs(120), threads: NonZero::<usize>::MIN, ..Limits::default() };
    let begin = Instant::now();
    let verdict = Linearizable { kind, limits }.analyse(&history).verdict();
    let took = begin.elapsed().as_secs_f64();
    let Sim { calls, clients, .. } = sim;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = *calls as f64 / took;
    println!("{name:30} {calls:>7} {clients:>7} {verdict:>9} {took:>9.3} {rate:>11.0} {:>9}", peak()?);
    Ok(())
}

/// The most memory this process ever had, in MiB.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
}
