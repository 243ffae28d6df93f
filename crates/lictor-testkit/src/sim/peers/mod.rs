//! The mesh of `lictor-core`, simulated: up to thirty nodes with a `Mesh` each, and everything that can
//! come between them.
//!
//! ```text
//! seed ─▶ Script { rules, faults } ─▶ World ─▶ nodes: Mesh ──changes──▶ Ledger: what those who are told know
//!                                      │  ▲                                │
//!                               looks  ▼  │ answers, late or never         ▼
//!                                    network ──what each look found──▶ Eye: what must be known
//! ```
//!
//! What a node tells is held against what it was shown, after each round:
//!
//! - Where each node tells what it sees by itself, exactly that is known of each peer, from the round on in
//!   which it could be: each outage once, and its end once.
//! - Where others must agree, nothing is told that not so many have seen, unless it is said that they
//!   could not be asked; and a way that is cut is never told as a node that is down.
//! - A node that says that it told did.
//!
//! And when all faults are over, all is well everywhere within some rounds. Then some nodes die for good: all
//! others come to know it, or are known to know it. Then those come back, and all is well again.
//!
//! A [`Mistake`] is planted into what drives the meshes, to see that the play finds it. [`big`] is something
//! else: fleets too large for this, by their numbers only.

pub mod big;
mod eye;
mod judge;
mod script;
mod world;

use std::fmt;

pub use script::{Fault, Rules, Script};

use self::world::World;

/// Something easily got wrong by who drives a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// None.
    None,
    /// What was known is not kept over a restart.
    ForgetsAtARestart,
    /// A look that timed out is counted for each address that was tried.
    CountsALookTwice,
    /// A failed discovery is taken for one that names nobody.
    TakesNoAnswerForNobody,
    /// What a peer says of others is not handed on.
    AsksNobody,
    /// What is no longer watched stays as it was told.
    KeepsWhatIsGone,
}

/// What happened in one play, or in several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Plays.
    pub plays: u64,
    /// Rounds that were judged.
    pub rounds: u64,
    /// Looks.
    pub looks: u64,
    /// Looks that found nobody.
    pub silent: u64,
    /// Starts after a kill.
    pub restarts: u64,
    /// Times that a node told that a peer is down, or not well.
    pub told: u64,
    /// Of these, because too few could be asked.
    pub unconfirmed: u64,
    /// Times that a node told that a peer is well again.
    pub ended: u64,
    /// Times that a node told how a peer stands before its round was over.
    pub early: u64,
    /// Times that a node told that discovery no longer names a peer.
    pub vanished: u64,
    /// Times that a node handed over to others what it had watched and judged.
    pub handed_over: u64,
    /// Times that a node said that it is cut off.
    pub cut_off: u64,
    /// Rounds in which a node saw a peer down and others, who see it, kept it from telling.
    pub disputed: u64,
    /// Dead nodes of which one of those that hear each other was to tell.
    pub lost_for_one: u64,
    /// Nodes that told of those.
    pub told_by_one: u64,
}

impl Report {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.plays += other.plays;
        self.rounds += other.rounds;
        self.looks += other.looks;
        self.silent += other.silent;
        self.restarts += other.restarts;
        self.told += other.told;
        self.unconfirmed += other.unconfirmed;
        self.ended += other.ended;
        self.early += other.early;
        self.vanished += other.vanished;
        self.handed_over += other.handed_over;
        self.cut_off += other.cut_off;
        self.disputed += other.disputed;
        self.lost_for_one += other.lost_for_one;
        self.told_by_one += other.told_by_one;
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

/// Plays a script, and explains it if it fails.
///
/// # Errors
/// Something was not as it must be.
pub fn run(script: Script) -> Result<Report, Box<Failure>> {
    play(&script, Mistake::None).map_err(|_unexplained| Box::new(explain(script, Mistake::None)))
}

/// Plays a script, with something planted.
///
/// # Errors
/// Says what was not as it must be.
pub fn play(script: &Script, mistake: Mistake) -> Result<Report, String> {
    let mut world = World::new(script, mistake, false);
    world.play()?;
    Ok(world.report)
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
    Failure { why, log: world.log, script }
}
