//! What goes into the desk and what comes out of it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::message::{Item, Verdict};
use super::plan::Matchers;
use super::row::{Case, Counters, Delivery, Sending, Silence};
use super::subject::{Report, Source, SubjectKey};
use crate::event::Event;
use crate::name::{DeliveryId, NotifierName};
use crate::step::Refusal;
use crate::time::{Now, Wall};

/// What the desk takes in.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A source says how subjects stand.
    Reports {
        /// The source.
        source: Source,
        /// Whether these are all it has: what is missing is gone.
        complete: bool,
        /// The subjects that are new or changed, or all of them.
        reports: Vec<Report>,
        /// Subjects that it no longer has.
        gone: Vec<SubjectKey>,
    },
    /// A source cannot be asked: how its subjects stand is not known.
    Lost {
        /// The source.
        source: Source,
        /// Why.
        why: String,
    },
    /// What the configuration watches: what came from elsewhere is over.
    Watched {
        /// The datacenters whose checks are watched; none for that of the Consul agent, whichever
        /// it is. `None`: Consul's checks are not.
        consul: Option<Vec<String>>,
    },
    /// What the calendar of the configuration has at present: its other silences are over.
    Planned {
        /// The ids of the silences of its maintenance windows in which it is now.
        silences: BTreeSet<String>,
    },
    /// What became of an attempt to send a message.
    Outcome {
        /// The delivery.
        delivery: DeliveryId,
        /// The attempt.
        attempt: u32,
        /// What the notifier said.
        verdict: Verdict,
    },
    /// A message was sent by a node that was no longer the one that tells: its receivers may believe
    /// it, whatever they were told since.
    Late {
        /// By this notifier.
        notifier: NotifierName,
        /// This was in it.
        items: Vec<Item>,
    },
    /// A person or the calendar asks for something.
    Command(Command),
    /// Only time has passed.
    Tick,
}

/// What a person, or the calendar of the configuration, asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Nobody is told of these until then. It is answered with the id.
    Silence {
        /// Its id; one that is there already is replaced, and one of the configuration that a
        /// person ended before its time is refused in that time. `None`: a new one.
        id: Option<String>,
        /// Which alerts.
        when: Matchers,
        /// So long, from now.
        lasting: Duration,
        /// Who wants it.
        by: String,
        /// Why.
        comment: String,
    },
    /// A silence ends now.
    Unsilence {
        /// Its id.
        id: String,
        /// Who wants it.
        by: String,
    },
    /// Somebody looks after it: no more reminders until it is over, or so long.
    Acknowledge {
        /// The subject.
        subject: SubjectKey,
        /// Who.
        by: String,
        /// What they say.
        comment: String,
        /// So long at most. `None`: until it is over.
        lasting: Option<Duration>,
    },
    /// Nobody looks after it any more.
    Unacknowledge {
        /// The subject.
        subject: SubjectKey,
        /// Who says so.
        by: String,
    },
    /// Tries waiting deliveries at once.
    Retry {
        /// Which.
        which: Deliveries,
        /// Who wants it.
        by: String,
    },
    /// Gives waiting deliveries up.
    Drop {
        /// Which.
        which: Deliveries,
        /// Who wants it.
        by: String,
    },
    /// Tells everything that is wrong, to these notifiers.
    Digest {
        /// The name of the digest.
        name: String,
        /// Which alerts.
        when: Matchers,
        /// To whom.
        to: Vec<NotifierName>,
        /// Whether it is sent when nothing is wrong.
        also_when_well: bool,
        /// When it was due: one that was made since is not made again.
        due: Due,
    },
}

/// When a digest was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Then, and that has come now.
    At(Wall),
    /// Then, when perhaps nobody ran. One that was never heard of begins now, and is not made up for.
    Missed(Wall),
}

/// Some deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deliveries {
    /// That one.
    One(DeliveryId),
    /// All of a notifier.
    Of(NotifierName),
    /// All.
    All,
}

/// A row of the desk's state.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// Something that is or was wrong.
    Case(Case),
    /// A message that is to be told.
    Delivery(Delivery),
    /// A silence.
    Silence(Silence),
    /// What was counted.
    Counters(Counters),
}

/// What identifies a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKey {
    /// A case by its subject.
    Case(SubjectKey),
    /// A delivery.
    Delivery(DeliveryId),
    /// A silence by its id.
    Silence(String),
    /// The counters.
    Counters,
}

impl Row {
    /// Times that are later than now are now: they are of another boot-time axis, and what waits
    /// for them would wait for the difference.
    pub(super) fn not_after(&mut self, now: Now) {
        self.each_time(|at| at.boot = at.boot.min(now.boot));
    }

    /// Puts its times on the axis of `now`, by what the wall clocks showed: for a row that another
    /// machine may have written. Two clocks that differ stretch or shorten what it waits for by
    /// their difference.
    pub fn rebase(&mut self, now: Now) {
        self.each_time(|at| {
            let age = now.wall.as_unix_millis().saturating_sub(at.wall.as_unix_millis());
            at.boot = now.boot.before(Duration::from_millis(u64::try_from(age).unwrap_or(0)));
        });
    }

    fn each_time(&mut self, mut change: impl FnMut(&mut Now)) {
        match self {
            Self::Case(case) => {
                for at in [&mut case.since, &mut case.opened, &mut case.live_since, &mut case.side_since] {
                    change(at);
                }
                case.changes.iter_mut().for_each(&mut change);
                case.told.values_mut().for_each(|told| change(&mut told.at));
                case.acknowledged.iter_mut().for_each(|one| change(&mut one.at));
                case.was_critical.iter_mut().for_each(&mut change);
            }
            Self::Delivery(delivery) => {
                change(&mut delivery.created);
                if let Sending::Waiting { since, .. } = &mut delivery.state {
                    change(since);
                }
            }
            Self::Silence(silence) => change(&mut silence.from),
            Self::Counters(counters) => {
                counters.used.values_mut().flatten().for_each(|used| change(&mut used.at));
            }
        }
    }

    /// What identifies it.
    pub fn key(&self) -> RowKey {
        match self {
            Self::Case(case) => RowKey::Case(case.subject.key.clone()),
            Self::Delivery(delivery) => RowKey::Delivery(delivery.id),
            Self::Silence(silence) => RowKey::Silence(silence.id.clone()),
            Self::Counters(_) => RowKey::Counters,
        }
    }
}

/// What a step gives: rows to be recorded, and, when they are, messages to be sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// Rows as they are now.
    pub rows: Vec<Row>,
    /// Rows that are no more.
    pub gone: Vec<RowKey>,
    /// What the ledger is told.
    pub events: Vec<Event>,
    /// What is to be sent when all that is recorded: the delivery as its row has it.
    pub send: Vec<DeliveryId>,
    /// The answer to a command.
    pub answer: Option<Result<String, Refusal>>,
}

impl Output {
    /// Whether there is nothing to record, to send or to answer.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.gone.is_empty()
            && self.events.is_empty()
            && self.send.is_empty()
            && self.answer.is_none()
    }
}
