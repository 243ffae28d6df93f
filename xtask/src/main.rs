//! The project's own commands: `cargo xtask COMMAND`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal: its output is its purpose"
)]

mod bench;
mod dist;
mod docs;
mod error;
mod fuzz;
mod jepsen;
mod lint;
mod long;
mod policy;
mod process;
mod setup;
mod stages;
mod suites;
mod table;
mod test;
mod tool;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::setup::Host;
use crate::workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what the tests need: Debian packages, and Consul beside the build output
    Setup,
    /// Run everything that must hold: set up, lint, tests, documentation, fuzz targets
    Test {
        /// Succeed although some suites cannot run on this machine
        #[arg(long)]
        partial: bool,
        /// Run suites up to this tier: 0 needs nothing, 1 real servers, 2 clusters and hosts
        #[arg(long, value_name = "N", default_value_t = suites::TIERS, value_parser = clap::value_parser!(u8).range(..=i64::from(suites::TIERS)))]
        tier: u8,
        /// Run only the tests that go by dice, in release, for some hours
        #[arg(long, conflicts_with = "tier")]
        long: bool,
        #[command(flatten)]
        dice: Dice,
    },
    /// Check formatting, dependencies and clippy's lints
    Lint,
    /// Make the documentation
    Docs,
    /// Measure against what one would otherwise run, and print one table
    Bench {
        /// Only this benchmark
        name: Option<String>,
        /// So many rounds of each failover; for a look at it a few do
        #[arg(long, value_name = "N", default_value_t = bench::ROUNDS, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
    },
    /// Test the consistency of real servers while faults are done to them, in the manner of Jepsen
    Jepsen {
        /// All runs, on five servers; summaries are put into docs/jepsen.md
        #[arg(long)]
        long: bool,
        /// What all that is drawn begins with
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Only the runs with this in their names, which begin with `consul: ` or `lictor: `
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// How long the clients of each run work
        #[arg(long, value_name = "N", default_value_t = jepsen::SECONDS, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
    },
    /// Drive the fuzz targets; a failing input is kept and its seed printed
    Fuzz {
        /// Only this target
        target: Option<String>,
        /// Time for each target
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u64,
        /// Repeat the run that printed this seed
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
    },
    /// Build what is given away: an archive, packages for Debian and for rpm, and their checksums
    Dist {
        /// Pack this program in place of building one
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
    },
}

/// What a long run may be told.
#[derive(Debug, clap::Args)]
struct Dice {
    /// Repeat the long run that printed this seed
    #[arg(long, value_name = "N", requires = "long", value_parser = clap::value_parser!(u64).range(..1_000_000_000))]
    seed: Option<u64>,
    /// So many faults of the three machines in a long run
    #[arg(long, value_name = "N", requires = "long", default_value_t = long::FAULTS)]
    faults: u64,
    /// Only the stages of a long run with this in their names
    #[arg(long, value_name = "TEXT", requires = "long")]
    only: Option<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup => setup::report(&setup::setup(&workspace, &Host::here())?),
        Command::Test { partial, long: true, dice: Dice { seed, faults, only }, .. } => {
            long::long(&workspace, &long::Plan { seed, faults, only, partial })
        }
        Command::Test { partial, tier, .. } => test::test(&workspace, tier, partial),
        Command::Lint => lint::lint(&workspace),
        Command::Docs => docs::docs(&workspace),
        Command::Bench { name, rounds } => bench::bench(&workspace, name.as_deref(), rounds),
        Command::Jepsen { long, seed, only, seconds } => {
            jepsen::jepsen(&workspace, &jepsen::Plan { long, seed, only, seconds })
        }
        Command::Fuzz { target, seconds, seed } => {
            let plan = fuzz::Plan { target: target.as_deref(), each: Duration::from_secs(seconds), seed };
            fuzz::fuzz(&workspace, &plan).map(drop)
        }
        Command::Dist { program } => dist::dist(&workspace, program.as_deref()),
    }
}
