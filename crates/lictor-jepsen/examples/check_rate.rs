//! How fast histories of a register are judged: prints how many operations a second were judged, how many were read from lines of JSON,
//! and how many MB the process had at most, before it judged and then.
//!
//! `cargo run --release -p lictor-jepsen --example check_rate CALLS CLIENTS KEYS`

use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use lictor_jepsen::check::Verdict;
use lictor_jepsen::check::linear::{Linearizable, model};
use lictor_jepsen::history::{Format, History};
use lictor_jepsen::sim::Sim;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut number =
        || args.next().ok_or("CALLS CLIENTS KEYS are wanted")?.parse::<u64>().map_err(Box::<dyn Error>::from);
    let sim = Sim { seed: 7, calls: number()?, clients: number()?, keys: number()?, ..Sim::default() };
    let text = History::new(sim.register())?.render(Format::Json);
    let (history, reading) = timed(|| History::parse(&text, Format::Json));
    let history = history?;
    let before = most_memory()?;
    let (analysis, judging) = timed(|| Linearizable::new(model::Register).analyse(&history));
    if analysis.verdict() != Verdict::Valid {
        return Err(format!("a history that is valid was judged {}", analysis.verdict()).into());
    }
    let after = most_memory()?;
    tell(&[rate(sim.calls, judging), rate(sim.calls, reading), before, after]);
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    #[expect(clippy::disallowed_methods, reason = "the time is what is measured")]
    let begun = Instant::now();
    (work(), begun.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(calls: u64, time: Duration) -> f64 {
    calls as f64 / time.as_secs_f64()
}

/// The most that was resident, MB.
fn most_memory() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the kernel does not say")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1_024.0 / 1e6)
}

#[expect(clippy::print_stdout, reason = "the result")]
fn tell(figures: &[f64; 4]) {
    println!("{}", figures.map(|figure| format!("{figure:.1}")).join(" "));
}
