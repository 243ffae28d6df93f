//! The simulator: the engine of `lictor-core` in virtual time, with a world that fails, a
//! store that keeps what was committed, and an agent that is killed between any two
//! records. Whatever is decided is held against what must be true of it.
//!
//! ```text
//! seed ─▶ Script { plans, operations } ─▶ Host ─▶ Engine ─▶ commit ─▶ Rules (ledger, rows)
//!                                          ▲ │                 └────▶ effects ─▶ World
//!                                          │ └▶ probes: the live engine itself    │
//!                                          └──────── outcomes, results ◀──────────┘
//! ```
//!
//! Everything follows from the seed; a failure prints it with the shortest script found
//! that still fails, and what the engine said.

mod clock;
mod dice;
mod host;
pub mod lease;
mod operation;
pub mod peers;
mod plans;
mod probes;
mod rules;
pub mod service;
mod witness;
mod world;

use std::fmt;

use lictor_core::What;

pub use operation::{Operation, Script, Stage};

use self::host::Host;

/// What happened in one play, or in several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Plays.
    pub plays: u64,
    /// Inputs given to an engine.
    pub steps: u64,
    /// Outputs that had something to record.
    pub entries: u64,
    /// Commits begun.
    pub commits: u64,
    /// Starts of the agent.
    pub starts: u64,
    /// Kills at a commit: before it, after it, amid its effects.
    pub killed: [u64; 3],
    /// Actions carried out.
    pub acts: u64,
    /// Attempts inspected.
    pub inspects: u64,
    /// Looks at what an action would change.
    pub prepares: u64,
    /// Attempts aborted.
    pub aborts: u64,
    /// Entries of the ledger by kind.
    pub events: std::collections::BTreeMap<&'static str, u64>,
}

impl Report {
    fn count(&mut self, what: &What) {
        *self.events.entry(what.kind()).or_default() += 1;
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.plays += other.plays;
        self.steps += other.steps;
        self.entries += other.entries;
        self.commits += other.commits;
        self.starts += other.starts;
        self.acts += other.acts;
        self.inspects += other.inspects;
        self.prepares += other.prepares;
        self.aborts += other.aborts;
        for (mine, theirs) in self.killed.iter_mut().zip(other.killed) {
            *mine += theirs;
        }
        for (kind, count) in &other.events {
            *self.events.entry(kind).or_default() += count;
        }
    }
}

/// Something that must be true was not.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed of the script.
    pub seed: u64,
    /// What was not true.
    pub why: String,
    /// The shortest script found that still fails.
    pub script: Script,
    /// What happened in it.
    pub log: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.why)?;
        for (number, plan) in self.script.plans.iter().enumerate() {
            writeln!(f, "plan {number}: {plan:#?}")?;
        }
        for line in &self.log {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.why)
    }
}

impl std::error::Error for Failure {}

/// Plays the script of a seed.
///
/// # Errors
/// Something was not as it must be.
pub fn run(seed: u64) -> Result<Report, Box<Failure>> {
    let script = Script::new(seed);
    play(&script).map_err(|_unexplained| Box::new(explain(script)))
}

/// Plays a script.
///
/// # Errors
/// Says what was not as it must be.
pub fn play(script: &Script) -> Result<Report, String> {
    let mut host = Host::new(script, false);
    host.play()?;
    Ok(host.report().clone())
}

/// Makes a failing script shorter while it still fails, and tells what happens in it.
fn explain(mut script: Script) -> Failure {
    let mut size = script.operations.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from < script.operations.len() {
            let mut shorter = script.clone();
            let end = (from + size).min(shorter.operations.len());
            shorter.operations.drain(from..end);
            if play(&shorter).is_err() {
                script = shorter;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    let mut host = Host::new(&script, true);
    let why = host.play().err().unwrap_or_else(|| "it fails only sometimes".to_owned());
    let log = host.log();
    Failure { seed: script.seed, why, script, log }
}
