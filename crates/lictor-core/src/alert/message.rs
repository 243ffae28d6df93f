//! What a notifier is given to tell, and what it says became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::subject::SubjectKey;
use crate::check::Status;
use crate::name::NotifierName;
use crate::time::Wall;

/// What an item of a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tells {
    /// Something is wrong, or is wrong in another way than was told before.
    Firing,
    /// It is still wrong.
    Reminder,
    /// It is over.
    Resolved,
}

impl Tells {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Reminder => "reminder",
            Self::Resolved => "resolved",
        }
    }
}

/// Why what an item tells is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Over {
    /// It was seen to be well.
    Recovered,
    /// It is still wrong, but in a status that this receiver does not hear of.
    Milder,
    /// It was not seen to be well, and is not looked at any more.
    Gone(Gone),
}

/// Why something is over that was not seen to be well. What its check printed last is of no use then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gone {
    /// Its source no longer has it.
    Deregistered,
    /// Of a service, no instance is left.
    NoInstance,
    /// The configuration says to ignore it.
    Ignored,
    /// Its source is no longer watched.
    Unwatched,
    /// The notifier that it is about is no longer configured.
    Unconfigured,
}

impl Gone {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Deregistered, Self::NoInstance, Self::Ignored, Self::Unwatched, Self::Unconfigured];

    /// What people are told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deregistered => "it is no longer registered",
            Self::NoInstance => "no instance is registered any more",
            Self::Ignored => "it is ignored by the configuration",
            Self::Unwatched => "it is no longer watched",
            Self::Unconfigured => "the notifier is no longer configured",
        }
    }
}

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// Something changed.
    Change,
    /// It is time to say that it is still so.
    Reminder,
    /// The regular summary of everything that is wrong.
    Digest,
    /// A person tries the notifier.
    Test,
    /// We live: that this stays out is noticed by whoever hears it.
    LifeSign,
}

impl Occasion {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Reminder => "reminder",
            Self::Digest => "digest",
            Self::Test => "test",
            Self::LifeSign => "life_sign",
        }
    }
}

/// One subject in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is about.
    pub key: SubjectKey,
    /// Identifies the subject to services that keep an incident of each: the same in the firing,
    /// each reminder and the resolved message, also after a restart, on another node and when they
    /// are repeated. At most 200 bytes of visible ASCII. With `opened` it identifies this one
    /// time of its being wrong.
    pub incident: String,
    /// The subject for people.
    pub title: String,
    /// Its labels; see [`super::label`].
    pub labels: BTreeMap<String, String>,
    /// The tags of its service.
    pub tags: BTreeSet<String>,
    /// What is told.
    pub tells: Tells,
    /// Why it is over; `None` while it is not.
    pub over: Option<Over>,
    /// How it stands now. That of a resolved one is `passing`, or something better than what the
    /// receiver wants to hear of.
    pub status: Status,
    /// What the receiver was told before; `None` when this is the first of the incident.
    pub before: Option<Status>,
    /// Since when it has the status.
    pub since: Wall,
    /// Since when it has been wrong, or was.
    pub opened: Wall,
    /// How long it was wrong, whatever the clock did meanwhile; `None` while it is, or where nobody knows.
    pub lasted: Option<Duration>,
    /// What the check printed; at most 4 KiB.
    pub output: String,
    /// What its owner wrote beside the check; or why it is over, when it did not simply recover.
    pub notes: String,
    /// How often it was reminded of, this time included; 0 for the others.
    pub reminders: u32,
}

impl Item {
    /// The value of a label; empty when it has none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// What a notifier tells at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Identifies the delivery: the same each time it is tried. Visible ASCII.
    pub id: String,
    /// By whom.
    pub notifier: NotifierName,
    /// Why.
    pub occasion: Occasion,
    /// Which of several equal installations speaks: the name of the datacenter or what the
    /// configuration says.
    pub cluster: String,
    /// What it tells; empty in a digest when all is well and in a sign of life.
    pub items: Vec<Item>,
    /// So many more had no room.
    pub omitted: usize,
    /// How many are wrong in all when it was made, of those that this receiver hears of: by
    /// status critical, warning and unknown.
    pub failing: Failing,
    /// When it was made.
    pub at: Wall,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

/// How many subjects are wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    /// So many are critical.
    pub critical: usize,
    /// So many are warning.
    pub warning: usize,
    /// Of so many nobody knows.
    pub unknown: usize,
}

impl Failing {
    /// All of them.
    pub const fn total(self) -> usize {
        self.critical + self.warning + self.unknown
    }

    /// Counts one more; a passing one counts nowhere.
    pub const fn add(&mut self, status: Status) {
        match status {
            Status::Critical => self.critical += 1,
            Status::Warning => self.warning += 1,
            Status::Unknown => self.unknown += 1,
            Status::Passing => {}
        }
    }
}

impl Message {
    /// The worst status among what it tells.
    pub fn worst(&self) -> Status {
        self.items.iter().map(|item| item.status).max().unwrap_or(Status::Passing)
    }

    /// Whether all it tells is over.
    pub fn resolved(&self) -> bool {
        self.items.iter().all(|item| item.tells == Tells::Resolved)
    }
}

/// What became of an attempt to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was accepted.
    Accepted,
    /// It was definitely not accepted.
    Refused {
        /// Why.
        why: String,
        /// Not before so long is it of use to try again, as the service itself says.
        retry_after: Option<Duration>,
        /// This message will not be accepted however often it is tried, while others may be.
        for_good: bool,
    },
    /// Nobody knows whether it was accepted: no answer came, or one that does not say.
    Unclear {
        /// What is known.
        why: String,
        /// Not before so long is it of use to try again, as the service itself says.
        retry_after: Option<Duration>,
    },
}
