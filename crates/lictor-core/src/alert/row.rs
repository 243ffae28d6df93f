//! What the desk remembers: the rows of its state.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use super::message::{Failing, Gone, Item, Occasion, Tells};
use super::plan::Matchers;
use super::subject::{Source, Subject, SubjectKey};
use crate::check::Status;
use crate::name::{DeliveryId, NotifierName, RouteName};
use crate::time::{Boot, Now, Wall};

/// A subject that is wrong, may come to be, or of which somebody still believes it: kept until
/// everybody who was told that it is wrong was told that it is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it is about.
    pub subject: Subject,
    /// Who reports it.
    pub source: Source,
    /// The status that counts.
    pub settled: Status,
    /// Since when.
    pub since: Now,
    /// When it began to be wrong, the last time.
    pub opened: Now,
    /// The status as it was reported last.
    pub live: Status,
    /// Since when it is reported so.
    pub live_since: Now,
    /// Since when it is reported as good, or as bad.
    pub side_since: Now,
    /// Its source judged it: what it reports counts at once.
    pub judged: bool,
    /// See [`Report::news`](super::subject::Report::news).
    pub news: Option<u64>,
    /// What the check printed.
    pub output: String,
    /// What its owner wrote beside it.
    pub notes: String,
    /// Somebody works on it and told the source so.
    pub maintenance: bool,
    /// Why it is over although it was not seen to be well.
    pub gone: Option<Gone>,
    /// Who looks after it.
    pub acknowledged: Option<Acknowledged>,
    /// Who was told what.
    pub told: BTreeMap<NotifierName, Told>,
    /// When the status that counts changed, as far as flap detection looks back.
    pub changes: VecDeque<Now>,
    /// Whether it flaps: then it counts as bad until it was good for long.
    pub flapping: bool,
    /// When it ceased to be critical, while what follows of it is still given time to recover.
    pub was_critical: Option<Now>,
}

/// What a receiver was told last of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// This status.
    pub status: Status,
    /// Whether they may believe that it is wrong: then they are owed the word that it is over.
    pub firing: bool,
    /// When.
    pub at: Now,
    /// So many reminders followed.
    pub reminders: u32,
    /// The news that it was, if it has such.
    pub news: Option<u64>,
}

/// Somebody looks after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Who.
    pub by: String,
    /// What they say.
    pub comment: String,
    /// Since when.
    pub at: Now,
    /// So long at most. `None`: until it is over.
    pub lasting: Option<Duration>,
}

/// A message on its way to a notifier: it is kept until it was accepted or given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its number.
    pub id: DeliveryId,
    /// By whom.
    pub notifier: NotifierName,
    /// The route that wanted it; none for a digest.
    pub route: Option<RouteName>,
    /// Why.
    pub occasion: Occasion,
    /// What it tells.
    pub items: Vec<Item>,
    /// What it tells besides, without words.
    pub rest: Vec<Rest>,
    /// The news of those that have such.
    pub news: BTreeMap<SubjectKey, u64>,
    /// How many were wrong in all when it was made.
    pub failing: Failing,
    /// When it was made.
    pub created: Now,
    /// How it stands.
    pub state: Sending,
    /// So many attempts were begun.
    pub attempts: u32,
    /// An attempt may have been accepted though nobody said so.
    pub unclear: bool,
    /// What the last attempt that was not accepted said.
    pub error: Option<String>,
}

/// A subject that a message only counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The subject.
    pub key: SubjectKey,
    /// What is told.
    pub tells: Tells,
    /// How it stands.
    pub status: Status,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// It waits for its turn, and until so long after `since`.
    Waiting {
        /// When the wait began.
        since: Now,
        /// How long it lasts.
        pause: Duration,
    },
    /// An attempt is under way.
    Under,
}

impl Delivery {
    /// Every subject it tells, with what is told and how it stands.
    pub fn subjects(&self) -> impl Iterator<Item = (&SubjectKey, Tells, Status)> {
        let items = self.items.iter().map(|item| (&item.key, item.tells, item.status));
        items.chain(self.rest.iter().map(|rest| (&rest.key, rest.tells, rest.status)))
    }

    /// When it may be tried; `None` while it is.
    pub fn due(&self) -> Option<Boot> {
        match self.state {
            Sending::Waiting { since, pause } => Some(since.boot.after(pause)),
            Sending::Under => None,
        }
    }
}

/// Nobody is told of some alerts for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// Which alerts.
    pub when: Matchers,
    /// Since when.
    pub from: Now,
    /// How long.
    pub lasting: Duration,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub comment: String,
}

impl Silence {
    /// Who wants those of the configuration.
    pub const CONFIGURATION: &str = "the configuration";

    /// When it ends.
    pub fn ends(&self) -> Boot {
        self.from.boot.after(self.lasting)
    }

    /// When it ends, as the wall clock shows it.
    pub(super) fn until(&self) -> Wall {
        let lasting = i64::try_from(self.lasting.as_millis()).unwrap_or(i64::MAX);
        Wall::from_unix_millis(self.from.wall.as_unix_millis().saturating_add(lasting))
    }
}

/// What was counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Deliveries that were made.
    pub deliveries: u64,
    /// Silences that were made without an id of their own.
    pub silences: u64,
    /// Attempts of the notifiers that have a rate, as far as it looks back, oldest first.
    pub used: BTreeMap<NotifierName, VecDeque<Used>>,
    /// When each digest was made last, by its name.
    pub digests: BTreeMap<String, Wall>,
    /// Silences of the configuration that a person ended before their time, by their ids.
    pub ended: BTreeMap<String, Ended>,
}

/// A silence that a person ended before its time: it does not come back in that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Who.
    pub by: String,
    /// When it would have ended.
    pub until: Wall,
}

/// Attempts of a notifier, close to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// When the last of them began.
    pub at: Now,
    /// So many.
    pub times: u32,
}

impl Counters {
    /// Attempts of one notifier that are kept apart. Of a rate that allows more, those of such a
    /// part of its time count as the last of them.
    const APART: u32 = 64;

    /// Counts an attempt, and forgets those that the rate does not look back to.
    pub(super) fn use_one(&mut self, notifier: &NotifierName, rate: (NonZeroU32, Duration), now: Now) {
        let (most, per) = rate;
        let used = self.used.entry(notifier.clone()).or_default();
        while used.front().is_some_and(|one| now.boot.since(one.at.boot) >= per) {
            used.pop_front();
        }
        let part = u64::try_from((per / Self::APART).as_millis()).unwrap_or(u64::MAX).max(1);
        let close = |one: &&mut Used| one.at.boot.as_millis() / part == now.boot.as_millis() / part;
        match used.back_mut().filter(|_| most.get() > Self::APART).filter(close) {
            Some(last) => *last = Used { at: now, times: last.times.saturating_add(1) },
            None => used.push_back(Used { at: now, times: 1 }),
        }
    }

    /// When a notifier may be used again by its rate; in the past when it may be now.
    pub(super) fn free_at(&self, notifier: &NotifierName, rate: (NonZeroU32, Duration), now: Boot) -> Boot {
        let (most, per) = rate;
        let used = self.used.get(notifier).into_iter().flatten();
        let used: Vec<_> = used.filter(|one| now.since(one.at.boot) < per).collect();
        let mut left: u64 = used.iter().map(|one| u64::from(one.times)).sum();
        let mut free = Boot::default();
        for one in used {
            if left < u64::from(most.get()) {
                break;
            }
            left -= u64::from(one.times);
            free = one.at.boot.after(per);
        }
        free
    }
}
