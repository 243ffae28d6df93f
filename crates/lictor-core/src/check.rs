//! The check machine: results in, a judged status out.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::name::ValueName;
use crate::plan::{CheckPlan, CheckSource, Flap};
use crate::time::{Boot, Now};

/// The status of a result or of a check, in Consul's words; `Unknown` is "no data".
/// Ordered from best to worst for composing: what nobody knows is worse than a warning
/// and better than a fault that was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// All is well.
    Passing,
    /// Not well, but it works.
    Warning,
    /// No data, for a stated reason.
    #[default]
    Unknown,
    /// It does not work.
    Critical,
}

impl Status {
    /// Every status, from best to worst.
    pub const ALL: [Self; 4] = [Self::Passing, Self::Warning, Self::Unknown, Self::Critical];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a status: passing, warning, critical or unknown"))
    }
}

/// One result of a watcher.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What the watcher saw; `Unknown` when it could not look.
    pub status: Status,
    /// One line for people: what was seen, or why nothing was.
    pub summary: String,
    /// What was measured.
    pub values: Vec<(ValueName, Value)>,
    /// How long the look took: what it saw may be so old.
    pub took: Duration,
}

impl Sample {
    /// A result without values.
    pub fn new(status: Status, summary: impl Into<String>) -> Self {
        Self { status, summary: summary.into(), values: Vec::new(), took: Duration::ZERO }
    }

    /// The same, of a look that took this long.
    #[must_use]
    pub fn taking(mut self, took: Duration) -> Self {
        self.took = took;
        self
    }

    /// The same with one more value.
    #[must_use]
    pub fn with(mut self, name: ValueName, value: Value) -> Self {
        self.values.push((name, value));
        self
    }

    /// The value of that name.
    pub fn value(&self, name: &ValueName) -> Option<&Value> {
        self.values.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }
}

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number; its unit is in the value's name.
    Number(f64),
    /// A text.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A check as it stands: a row of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The judged status.
    pub status: Status,
    /// Whether it was ever judged: a new check is `Unknown` because nobody has looked,
    /// one that was judged `Unknown` has no data.
    pub judged: bool,
    /// Since when it has it.
    pub since: Now,
    /// When the check came to be.
    pub created: Boot,
    /// Whether it has passed since it came to be: then its grace is over.
    pub started: bool,
    /// The last result and when it came.
    pub last: Option<(Now, Sample)>,
    /// Whether it flaps.
    pub flapping: bool,
    /// When it changed, as far as flap detection looks back.
    pub changes: VecDeque<Boot>,
    /// Silence counts from here at the earliest: when the agent came to watch it. Not stored.
    pub watched_since: Boot,
    /// Results that speak for a change, not yet enough of them. Not stored: a restart
    /// starts a new streak.
    pub streak: Option<Streak>,
    /// The last few results before the present one, oldest first: the evidence of the
    /// next transition. Not stored.
    pub recent: VecDeque<(Now, Status, String)>,
}

/// Consecutive results of one side (passing or not) that differ from the judged status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streak {
    /// The latest of them.
    pub to: Status,
    /// How many.
    pub count: u32,
    /// How many of them saw a fault, and what the latest of those was. The others had no
    /// data, which speaks neither for a fault nor against the ones that were seen.
    pub bad: (u32, Status),
    /// When the first came.
    pub since: Boot,
}

/// A change of a check's status.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Before.
    pub from: Status,
    /// After.
    pub to: Status,
    /// What the result that decided it said.
    pub summary: String,
    /// Whether the check began or ceased to flap with it.
    pub flapping: Option<bool>,
    /// The results it rests on, oldest first.
    pub evidence: Vec<(Now, Status, String)>,
}

/// Results kept as evidence for a transition.
const EVIDENCE: usize = 5;

impl Check {
    /// A check that nobody has looked at.
    pub fn new(now: Now) -> Self {
        Self {
            status: Status::Unknown,
            judged: false,
            since: now,
            created: now.boot,
            started: false,
            last: None,
            flapping: false,
            changes: VecDeque::new(),
            watched_since: now.boot,
            streak: None,
            recent: VecDeque::new(),
        }
    }

    /// Takes a result in and says whether it changes the status.
    pub fn observe(&mut self, plan: &CheckPlan, sample: Sample, now: Now) -> Option<Transition> {
        let first = self.last.is_none();
        self.keep(now, sample.status, sample.summary.clone());
        let found = sample.status;
        self.last = Some((now, sample));

        if found == Status::Passing {
            self.started = true;
        } else if self.graced(plan, now) && plan.source == CheckSource::Watcher {
            return None;
        }
        if found == self.status && self.judged() {
            // No data leaves the faults that were seen before it; a composite sees all it is made of.
            let blind = found == Status::Unknown && plan.source == CheckSource::Watcher;
            self.streak = self.streak.filter(|streak| blind && streak.bad.0 > 0);
            return self.mature(plan, now);
        }
        let passes = found == Status::Passing;
        let new = Streak { to: found, count: 0, bad: (0, found), since: now.boot };
        let streak = self.streak.get_or_insert(new);
        if (streak.to == Status::Passing) != passes {
            *streak = new;
        }
        streak.to = found;
        streak.count = streak.count.saturating_add(1);
        if matches!(found, Status::Warning | Status::Critical) {
            streak.bad = (streak.bad.0.saturating_add(1), found);
        }
        if first && passes {
            // Nothing is known against it: one look is enough.
            return Some(self.change(found, plan, now));
        }
        self.mature(plan, now)
    }

    /// Keeps a result as evidence, the oldest goes.
    fn keep(&mut self, now: Now, status: Status, summary: String) {
        if self.recent.len() == EVIDENCE {
            self.recent.pop_front();
        }
        // No more room than is ever used: there are many checks.
        self.recent.reserve_exact(EVIDENCE - self.recent.len());
        self.recent.push_back((now, status, summary));
    }

    /// Whether its status is a judgement, and not only that nobody has looked yet.
    pub fn judged(&self) -> bool {
        self.judged || self.status != Status::Unknown
    }

    /// What the passing of time changes: no data for too long, or a streak that has
    /// lasted long enough. Silence that goes on counts as one more look without data for
    /// each `stale_after` of it.
    pub fn wake(&mut self, plan: &CheckPlan, now: Now) -> Option<Transition> {
        let Some(limit) = Self::silence(plan) else { return self.mature(plan, now) };
        let heard = self.heard();
        let silent = now.boot.since(heard);
        if silent < limit || self.graced(plan, now) {
            return self.mature(plan, now);
        }
        let known = self.status == Status::Unknown && self.judged();
        let lasting = if known { silent.max(now.boot.since(self.since.boot)) } else { silent };
        let summary = format!("no data for {}", crate::time::Span(lasting));
        self.last = Some((now, Sample::new(Status::Unknown, summary.clone()).taking(limit)));
        if known {
            self.streak = None;
            return None;
        }
        self.keep(now, Status::Unknown, summary);
        let bad = self.streak.filter(|streak| streak.to != Status::Passing);
        let bad = bad.map_or((0, Status::Unknown), |streak| streak.bad);
        self.streak = Some(Streak { to: Status::Unknown, count: u32::MAX, bad, since: heard });
        Some(self.change(Status::Unknown, plan, now))
    }

    /// When `wake` may have something to say.
    pub fn wake_at(&self, plan: &CheckPlan) -> Option<Boot> {
        let stale = Self::silence(plan).map(|limit| self.heard().after(limit).max(self.graced_until(plan)));
        let ripe = self.streak.zip(self.verdict(plan)).map(|(streak, to)| {
            let ripe = streak.since.after(self.lasting(plan, to));
            if to == Status::Passing { ripe } else { ripe.max(self.graced_until(plan)) }
        });
        stale.into_iter().chain(ripe).min()
    }

    /// Silence of this length is no data; composites are never silent.
    fn silence(plan: &CheckPlan) -> Option<Duration> {
        match plan.source {
            CheckSource::Watcher => plan.stale_after.map(|limit| limit.max(Duration::from_millis(1))),
            CheckSource::Checks { .. } => None,
        }
    }

    fn graced_until(&self, plan: &CheckPlan) -> Boot {
        if self.started { self.created } else { self.created.after(plan.grace) }
    }

    /// Whether bad results do not count yet.
    fn graced(&self, plan: &CheckPlan, now: Now) -> bool {
        now.boot < self.graced_until(plan)
    }

    fn heard(&self) -> Boot {
        self.last.as_ref().map_or(self.created, |(at, _)| at.boot).max(self.watched_since)
    }

    /// What the streak says when it has lasted long enough, if that is another status than
    /// the present one. A fault is one after `fail_after` results that saw it; with fewer of
    /// them, and others that saw nothing at all, nobody knows.
    fn verdict(&self, plan: &CheckPlan) -> Option<Status> {
        let streak = self.streak?;
        let to = match (&plan.source, streak.to) {
            // A composite is judged when a member changes, not again and again.
            (CheckSource::Checks { .. }, to) => Some(to),
            (CheckSource::Watcher, Status::Passing) => {
                (streak.count >= plan.pass_after.get()).then_some(Status::Passing)
            }
            (CheckSource::Watcher, Status::Warning | Status::Critical | Status::Unknown) => {
                let wanted = plan.fail_after.get();
                match streak.bad {
                    (bad, to) if bad >= wanted => Some(to),
                    _ => (streak.count >= wanted).then_some(Status::Unknown),
                }
            }
        };
        to.filter(|to| *to != self.status || !self.judged())
    }

    fn lasting(&self, plan: &CheckPlan, to: Status) -> Duration {
        match (to, plan.flap) {
            (Status::Passing, Some(flap)) if self.flapping => flap.within,
            (Status::Passing, _) => Duration::ZERO,
            (Status::Warning | Status::Critical | Status::Unknown, _) => plan.bad_for,
        }
    }

    fn mature(&mut self, plan: &CheckPlan, now: Now) -> Option<Transition> {
        let (streak, to) = self.streak.zip(self.verdict(plan))?;
        let enough = now.boot.since(streak.since) >= self.lasting(plan, to)
            && (to == Status::Passing || !self.graced(plan, now));
        enough.then(|| self.change(to, plan, now))
    }

    fn change(&mut self, to: Status, plan: &CheckPlan, now: Now) -> Transition {
        self.streak = self.streak.filter(|streak| to == Status::Unknown && streak.bad.0 > 0);
        let from = std::mem::replace(&mut self.status, to);
        self.since = now;
        self.judged = true;
        let flaps = plan.flap.is_some_and(|flap| self.flaps(flap, from != to, now));
        let flapping = (std::mem::replace(&mut self.flapping, flaps) != flaps).then_some(flaps);
        let summary = self.recent.back().map_or_else(String::new, |(_, _, summary)| summary.clone());
        Transition { from, to, summary, flapping, evidence: self.recent.iter().cloned().collect() }
    }

    /// Notes a change and says whether the check flaps with it.
    fn flaps(&mut self, flap: Flap, counts: bool, now: Now) -> bool {
        if counts {
            self.changes.push_back(now.boot);
        }
        let most = flap.changes.get() as usize;
        while self.changes.front().is_some_and(|at| now.boot.since(*at) > flap.within)
            || self.changes.len() > most
        {
            self.changes.pop_front();
        }
        let flaps = self.status != Status::Passing && (self.flapping || self.changes.len() >= most);
        if self.flapping && self.status == Status::Passing {
            // It has been steady for the whole window.
            self.changes.clear();
        }
        flaps
    }
}
