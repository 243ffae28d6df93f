//! Looks for patterns in a log, as `watch "file"` does: `lines PATTERNS LOG`, a regular expression on each line of
//! PATTERNS. Prints MB per second of CPU, MB of memory at most, lines, lines that matched, and patterns that did.

#![expect(clippy::print_stdout, reason = "a program of its own")]

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use lictor_agent::lines::files::Hint;
use lictor_agent::lines::{Files, Matcher};
use lictor_config::Pattern;
use lictor_core::Boot;
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(patterns), Some(log)) = (arguments.next(), arguments.next()) else {
        return Err("usage: lines PATTERNS LOG".into());
    };
    let patterns: Vec<Pattern> = fs::read_to_string(patterns)?
        .lines()
        .enumerate()
        .map(|(number, text)| {
            Ok(Pattern { name: format!("p{number}").parse()?, regex: regex::Regex::new(text)? })
        })
        .collect::<Result<_, Box<dyn std::error::Error>>>()?;
    let size = fs::metadata(&log)?.len();
    let begun = cpu();
    let mut files = Files::new(
        &[fs::canonicalize(log)?.display().to_string()],
        None,
        Arc::new(Matcher::new(&patterns)),
        true,
        None,
    );
    let (mut hint, mut matched) = (Hint::Anywhere, BTreeSet::new());
    loop {
        let turn = files.turn(&hint, Boot::from_millis(0));
        hint = Hint::Names(BTreeSet::new());
        matched.extend(turn.matches.into_iter().map(|found| found.pattern));
        if !turn.more {
            break;
        }
    }
    let megabytes = size as f64 / 1e6;
    let counts = files.counts();
    println!(
        "{:.1} {:.1} {} {} {}",
        megabytes / (cpu() - begun),
        memory()?,
        counts.lines,
        counts.matched,
        matched.len()
    );
    Ok(())
}

/// Seconds of CPU so far.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Resident memory at most, MB.
fn memory() -> Result<f64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    Ok(peak.ok_or("no VmHWM")? * 1_024.0 / 1e6)
}
