//! The model of a clustered service: several machines with a `Member` each, the records that they
//! share, the units that run, the guard that kills them, and people who ask for things.
//!
//! ```text
//! seed ─▶ Script { parts, clocks, faults } ─▶ World ─▶ Machine: Member, units, guard
//!                                              │  ▲
//!                        reads, writes, orders ▼  │ answers: late, lost, unclear
//!                              the lease, the operation
//! ```
//!
//! *Safety*: units of two machines never run at once, and each start has a higher token than all before
//! it, or the same one on the same machine. *Progress*: when all is well again the service runs on one machine
//! and stays there, or on none if somebody has asked for that; and nothing that was asked for stays open.
//!
//! A [`Mistake`] is planted into what drives the members, to see that the play finds it.

mod machine;
mod script;
mod world;

use std::fmt;

pub use script::{Fault, Script};

use self::world::World;

/// Something easily got wrong by who drives a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// None.
    None,
    /// Nobody kills what runs when this program does not.
    NoGuard,
    /// A stop is taken for done when it was ordered, and the guard does not hear that the lease was
    /// given back.
    TakesAStopForDone,
    /// A start is carried out however old the order is.
    StartsOnAnOldOrder,
    /// What cannot be seen counts as stopped.
    TakesTheUnseenForStopped,
    /// Who cannot see the units keeps the lease for as long as it likes, and goes on with that of others before.
    HoldsOnBlindly,
    /// What an earlier process has begun is not told from what has failed.
    KillsWhatOthersBegan,
}

impl Mistake {
    /// All that can be planted.
    pub const ALL: [Self; 6] = [
        Self::NoGuard,
        Self::TakesAStopForDone,
        Self::StartsOnAnOldOrder,
        Self::TakesTheUnseenForStopped,
        Self::HoldsOnBlindly,
        Self::KillsWhatOthersBegan,
    ];

    /// Whether the guard hears that something is not believed any more.
    const fn tells_the_guard(self) -> bool {
        !matches!(self, Self::TakesAStopForDone | Self::TakesTheUnseenForStopped)
    }

    /// What the play says of it, or something like that.
    pub const fn says(self) -> &'static [&'static str] {
        match self {
            Self::HoldsOnBlindly => &["it runs on [] although all is well"],
            Self::KillsWhatOthersBegan => &["although it holds the lease for that"],
            Self::None
            | Self::NoGuard
            | Self::TakesAStopForDone
            | Self::StartsOnAnOldOrder
            | Self::TakesTheUnseenForStopped => &["at once", "it starts on"],
        }
    }
}

/// What happened in one play, or in several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Plays.
    pub plays: u64,
    /// Starts of the service.
    pub starts: u64,
    /// Starts that failed.
    pub failed_starts: u64,
    /// Times the guard killed it.
    pub guarded: u64,
    /// Times it was killed since nobody had a lease for it.
    pub kills: u64,
    /// Operations asked for.
    pub asked: u64,
    /// Operations done.
    pub done: u64,
    /// Operations that failed.
    pub failed: u64,
    /// Times the service came to another machine.
    pub moves: u64,
    /// Times a process went on with what an earlier one had started.
    pub resumed: u64,
    /// Starts and stops that an earlier process had begun and another one has brought to their end.
    pub carried_on: u64,
    /// Times a machine was blind: its agent could not see the units for too long.
    pub blind: u64,
}

impl Report {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.plays += other.plays;
        self.starts += other.starts;
        self.failed_starts += other.failed_starts;
        self.guarded += other.guarded;
        self.kills += other.kills;
        self.asked += other.asked;
        self.done += other.done;
        self.failed += other.failed;
        self.moves += other.moves;
        self.resumed += other.resumed;
        self.carried_on += other.carried_on;
        self.blind += other.blind;
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
    Failure { why, log: world.log.unwrap_or_default(), script }
}
