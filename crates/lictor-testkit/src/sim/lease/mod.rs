//! The model of the lease: several nodes with a `Candidate` each, one register with
//! compare-and-set between them, and everything that can go wrong with either.
//!
//! ```text
//! seed ─▶ Script { times, clocks, faults } ─▶ World ─▶ Node: Candidate + a copy of its driver
//!                                              │  ▲
//!                                    requests  ▼  │  answers: late, lost, unclear
//!                                            Register
//! ```
//!
//! Two things must be true. *Safety*: when a node begins to believe that it holds the lease, or
//! goes on believing it, nobody else's belief can have ended less than the margin ago.
//! *Progress*: when all is well again, one node holds it after two lengths and some seconds, and
//! keeps it.
//!
//! The clocks run as wrong as is allowed, the leases are as short as is allowed, and most delays
//! and pauses are right at a limit. Everything follows from the seed. A [`Mistake`] is planted
//! into the copy of the driver, or into the world, to see that the model finds it.

mod eyes;
mod node;
mod register;
mod script;
mod world;

use std::fmt;

pub use script::{Fault, Script, Who};

use self::world::World;

/// Something easily got wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// None.
    None,
    /// Belief is counted from when a renewal was answered, not from before it was sent.
    CountsFromTheAnswer,
    /// After an unclear answer, belief is counted from the read that shows our record.
    CountsFromTheRead,
    /// What is seen for the first time is taken for old.
    DoesNotWaitAtFirstSight,
    /// A take-over replaces what is there when it is sent, not what was timed.
    ReplacesWhatItReadAgain,
    /// A renewal writes what is there already.
    KeepsTheBeat,
    /// A holder past its belief renews what it wrote last.
    RemembersPastItsBelief,
    /// What runs under the lease ends later than the margin says.
    StopsTooSlowly,
    /// The clocks are worse than the drift says.
    DriftsTooMuch,
    /// A node acts on until its task notices that its belief is over.
    ActsUntilItNotices,
    /// One promise is taken for those of all.
    OnePromiseIsEnough,
    /// A promise is given and forgotten.
    ForgetsItsPromise,
    /// Only those are asked that are configured now, not those that the record may still name.
    AsksWhomItKnows,
    /// A longer length is believed in before it is certainly written.
    LengthensTooEarly,
    /// A shorter length is written before it is believed in.
    ShortensTooLate,
}

impl Mistake {
    /// All that can be planted.
    pub const ALL: [Self; 14] = [
        Self::CountsFromTheAnswer,
        Self::CountsFromTheRead,
        Self::DoesNotWaitAtFirstSight,
        Self::ReplacesWhatItReadAgain,
        Self::KeepsTheBeat,
        Self::RemembersPastItsBelief,
        Self::StopsTooSlowly,
        Self::DriftsTooMuch,
        Self::ActsUntilItNotices,
        Self::OnePromiseIsEnough,
        Self::ForgetsItsPromise,
        Self::AsksWhomItKnows,
        Self::LengthensTooEarly,
        Self::ShortensTooLate,
    ];
}

/// What happened in one play, or in several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Plays.
    pub plays: u64,
    /// Requests that nodes sent.
    pub requests: u64,
    /// Renewals and takings that a node learned to be done.
    pub done: u64,
    /// Writes that were not as expected.
    pub conflicts: u64,
    /// Writes whose outcome a node did not learn.
    pub unclear: u64,
    /// Writes done after their node had given them up.
    pub late: u64,
    /// Times the lease passed to another node or to another process of the same one.
    pub takings: u64,
    /// Beliefs that ended without a release.
    pub lapses: u64,
    /// Leases given back.
    pub releases: u64,
    /// Promises that were given.
    pub promises: u64,
    /// Times a holder went on because of promises alone.
    pub carried: u64,
    /// Times the register was put back to an older state.
    pub restores: u64,
    /// Overlaps that no rule can exclude: somebody took what a restore had put back without
    /// having waited since.
    pub after_restores: u64,
}

impl Report {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.plays += other.plays;
        self.requests += other.requests;
        self.done += other.done;
        self.conflicts += other.conflicts;
        self.unclear += other.unclear;
        self.late += other.late;
        self.takings += other.takings;
        self.lapses += other.lapses;
        self.releases += other.releases;
        self.promises += other.promises;
        self.carried += other.carried;
        self.restores += other.restores;
        self.after_restores += other.after_restores;
    }
}

/// Something that must be true was not.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was not true.
    pub why: String,
    /// The shortest script found that still fails.
    pub script: Script,
    /// What happened in it.
    pub log: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.script.seed, self.why)?;
        writeln!(f, "{:#?}", self.script)?;
        for line in &self.log {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}: {}", self.script.seed, self.why)
    }
}

impl std::error::Error for Failure {}

/// Plays the script of a seed.
///
/// # Errors
/// Something was not as it must be.
pub fn run(seed: u64) -> Result<Report, Box<Failure>> {
    let script = Script::new(seed);
    play(&script, Mistake::None).map_err(|_unexplained| Box::new(explain(script, Mistake::None)))
}

/// Plays a script, with something planted.
///
/// # Errors
/// Says what was not as it must be.
pub fn play(script: &Script, mistake: Mistake) -> Result<Report, String> {
    let mut world = World::new(script, mistake, false);
    world.play()?;
    Ok(world.report())
}

/// Makes a failing script shorter while it still fails, and tells what happens in it.
pub fn explain(mut script: Script, mistake: Mistake) -> Failure {
    let mut at = 0;
    while at < script.faults.len() {
        let mut shorter = script.clone();
        shorter.faults.remove(at);
        if play(&shorter, mistake).is_err() {
            script = shorter;
        } else {
            at += 1;
        }
    }
    let mut world = World::new(&script, mistake, true);
    let why = world.play().err().unwrap_or_else(|| "it fails only sometimes".to_owned());
    Failure { why, log: world.log(), script }
}
