//! Drives everything that parses with random input, on the stable toolchain.
//!
//! A *target* is a function that takes bytes and must not panic, hang, overflow
//! its stack or ask for gigabytes, whatever the bytes are. Each target runs in a
//! process of its own (so that an abort is survived and told), fed with mutated
//! files of its corpus. Input number `n` depends on the seed, `n` and the corpus
//! alone, so a printed seed repeats a run; the failing input itself is kept too.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal: its output is its purpose"
)]

mod driver;
mod input;
mod random;
mod targets;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::driver::{Plan, Verdict};
use crate::targets::Target;

#[derive(Debug, Parser)]
#[command(name = "lictor-fuzz", about = "Drives everything that parses with random input")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Name the targets
    List,
    /// Drive one target, or all
    Run {
        /// Only this target
        target: Option<String>,
        /// Time for each target
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u64,
        /// Repeat the run that printed this seed
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Where the corpus of each target is, in a directory of its name
        #[arg(long, value_name = "DIR", default_value = "fuzz/corpus")]
        corpus: PathBuf,
        /// Where failing inputs are kept, in a directory of the target's name
        #[arg(long, value_name = "DIR", default_value = "target/fuzz-failures")]
        failures: PathBuf,
    },
    /// Give a target one input, such as a failing one that was kept
    Replay {
        /// The target
        target: String,
        /// The input
        file: PathBuf,
    },
    /// What `run` starts for each target
    #[command(hide = true)]
    Work(worker::Job),
}

/// Why nothing could be driven, as opposed to a target that failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Not a name of the table.
    #[error("there is no target `{name}`; there are: {known}")]
    UnknownTarget {
        /// What was asked for.
        name: String,
        /// What could have been.
        known: String,
    },
    /// A file could not be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    File {
        /// What was attempted.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A limit of the worker's process could not be set.
    #[error("cannot limit the worker: {0}")]
    Limit(#[from] rustix::io::Errno),
}

impl Error {
    /// For `map_err` after a file operation.
    fn file(verb: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { verb, path, source }
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Exit status: 0 nothing found, 1 a target failed, 2 nothing could be driven.
fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::List => {
            for target in targets::TARGETS {
                println!("{}: {}", target.name, target.about);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { target, seconds, seed, corpus, failures } => {
            let chosen: Vec<&Target> = match &target {
                Some(name) => vec![targets::find(name)?],
                None => targets::TARGETS.iter().collect(),
            };
            let seed = seed.unwrap_or_else(random::fresh_seed);
            let plan = Plan { seed, time: Duration::from_secs(seconds), corpus, failures };
            let mut sound = true;
            for target in chosen {
                let verdict = driver::drive(target, &plan)?;
                println!("{}: {verdict}", target.name);
                if let Verdict::Failed(failure) = &verdict {
                    sound = false;
                    println!("  repeat with: cargo xtask fuzz {} --seed {seed}", target.name);
                    println!("  the input: {}", failure.kept.display());
                }
            }
            Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Replay { target, file } => {
            let target = targets::find(&target)?;
            let bytes = std::fs::read(&file).map_err(Error::file("read", &file))?;
            (target.run)(&bytes);
            println!("{}: {} bytes, no fault", target.name, bytes.len());
            Ok(ExitCode::SUCCESS)
        }
        Command::Work(job) => worker::work(&job).map(|()| ExitCode::SUCCESS),
    }
}
