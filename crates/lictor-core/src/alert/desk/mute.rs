//! Why nobody is told of something that is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Timer, Turn};
use crate::alert::plan::Inhibition;
use crate::alert::row::Case;
use crate::alert::step::RowKey;
use crate::alert::subject::{Subject, SubjectKey};
use crate::check::Status;
use crate::event::What;
use crate::time::Boot;

/// What depends on something is given so long to recover after it.
const LINGER: Duration = Duration::from_secs(30);

/// Of one inhibition: what is critical of its sources, by the values that must be equal, and
/// until when those that are not any more still count.
pub(super) type Parents = BTreeMap<Vec<String>, BTreeMap<SubjectKey, Option<Boot>>>;

/// Why nobody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mute {
    /// Somebody works on it and told the source so.
    Maintenance,
    /// A silence.
    Silence(String),
    /// Something else is wrong of which this follows.
    Inhibited(SubjectKey),
    /// The instances of its service are judged together.
    Service,
}

impl fmt::Display for Mute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maintenance => f.write_str("it is in maintenance"),
            Self::Silence(id) => write!(f, "silence {id}"),
            Self::Inhibited(by) => write!(f, "{by} is wrong"),
            Self::Service => f.write_str("its service is judged as a whole"),
        }
    }
}

impl Desk {
    /// Why nobody is told of a case now; `None` when people are.
    pub fn muted(&self, case: &Case) -> Option<Mute> {
        if case.maintenance {
            return Some(Mute::Maintenance);
        }
        if let Some(silence) = self.silences.values().find(|one| one.when.hold(&case.subject)) {
            return Some(Mute::Silence(silence.id.clone()));
        }
        let instead = |plan: &&crate::alert::plan::ServicePlan| plan.instead && plan.when.hold(&case.subject);
        if super::services::is_instance(&case.subject) && self.plan.services.iter().any(|one| instead(&one)) {
            return Some(Mute::Service);
        }
        self.plan.inhibitions.iter().zip(&self.parents).find_map(|(rule, parents)| {
            if parents.is_empty() || !rule.target.hold(&case.subject) {
                return None;
            }
            let of = parents.get(&values(rule, &case.subject))?;
            let key = &case.subject.key;
            // Of those that mute each other, directly or by way of others, the first is told.
            let circles = self.circles.get_or_init(|| self.find_circles());
            let first = circles.get(key).filter(|first| *first == key);
            let follows = |one: &SubjectKey| first.is_some() && circles.get(one) == first;
            let parent = of.keys().find(|one| *one != key && !follows(one))?;
            Some(Mute::Inhibited(parent.clone()))
        })
    }

    /// How long the first word of a case waits, because its parent may take longer to be seen.
    pub(super) fn parent_wait(&self, subject: &Subject) -> Duration {
        let rules = self.plan.inhibitions.iter().filter(|rule| rule.target.hold(subject));
        rules.map(|rule| rule.wait).max().unwrap_or_default()
    }

    /// Finds out anew what inhibits.
    pub(super) fn find_parents(&mut self, turn: &mut Turn) {
        self.parents = vec![Parents::default(); self.plan.inhibitions.len()];
        self.circles_change(turn);
        let now = turn.now.boot;
        let found: Vec<_> = self
            .cases
            .values()
            .map(|case| (case.subject.clone(), case.live == Status::Critical, case.was_critical))
            .filter(|(_, critical, was)| *critical || was.is_some())
            .collect();
        for (subject, critical, was) in found {
            let ended = was.map(|at| at.boot).filter(|_| !critical);
            if ended.is_none_or(|at| at.after(LINGER) > now) {
                self.note_parent(&subject, true, now);
            }
            if let Some(at) = ended {
                self.note_parent(&subject, false, at);
            }
            self.remember_parent(&subject, turn);
        }
    }

    /// A report says how a possible parent stands.
    pub(super) fn parent_seen(&mut self, subject: &Subject, status: Status, turn: &mut Turn) {
        let critical = status == Status::Critical;
        let Some(news) = self.note_parent(subject, critical, turn.now.boot) else { return };
        self.circles_change(turn);
        self.remember_parent(subject, turn);
        if critical {
            for (rule, values) in news {
                self.look_below(rule, &values, turn);
            }
        }
    }

    pub(super) fn parent_gone(&mut self, key: &SubjectKey, turn: &mut Turn) {
        if let Some(subject) = self.cases.get(key).map(|case| case.subject.clone()) {
            self.parent_seen(&subject, Status::Passing, turn);
        }
    }

    /// Remembers of a parent that ceased to be critical when that was, while it still counts as one:
    /// it does so over a restart too.
    fn remember_parent(&mut self, subject: &Subject, turn: &mut Turn) {
        let lingers = self.plan.inhibitions.iter().zip(&self.parents).any(|(rule, parents)| {
            let of = parents.get(&values(rule, subject)).filter(|_| rule.source.hold(subject));
            of.and_then(|of| of.get(&subject.key)).is_some_and(Option::is_some)
        });
        let Some(case) = self.cases.get_mut(&subject.key) else { return };
        let was = lingers.then(|| case.was_critical.unwrap_or(turn.now));
        if case.was_critical != was {
            case.was_critical = was;
            turn.dirty.insert(RowKey::Case(subject.key.clone()));
        }
    }

    /// Notes whether a possible parent is critical, and gives where that is another than before;
    /// `None` when it is nowhere.
    fn note_parent(
        &mut self,
        subject: &Subject,
        critical: bool,
        now: Boot,
    ) -> Option<Vec<(usize, Vec<String>)>> {
        let plan = Arc::clone(&self.plan);
        let mut news = Vec::new();
        for (place, rule) in plan.inhibitions.iter().enumerate() {
            let Some(parents) = self.parents.get_mut(place) else { continue };
            if !rule.source.hold(subject) {
                continue;
            }
            let wanted = values(rule, subject);
            let of = parents.entry(wanted.clone()).or_default();
            let before = of.get(&subject.key).copied();
            match (critical, before) {
                (true, Some(None)) | (false, None | Some(Some(_))) => {}
                (true, _) => {
                    of.insert(subject.key.clone(), None);
                    news.push((place, wanted.clone()));
                }
                (false, Some(None)) => {
                    of.insert(subject.key.clone(), Some(now.after(LINGER)));
                    let next = of.values().flatten().min().copied();
                    self.timers.set(Timer::Parent(place, wanted.clone()), next);
                    news.push((place, wanted.clone()));
                }
            }
            if parents.get(&wanted).is_some_and(BTreeMap::is_empty) {
                parents.remove(&wanted);
            }
        }
        (!news.is_empty()).then_some(news)
    }

    pub(super) fn parent_over(&mut self, rule: usize, values: &[String], turn: &mut Turn) {
        let Some(parents) = self.parents.get_mut(rule) else { return };
        let Some(of) = parents.get_mut(values) else { return };
        let ended = |until: &Option<Boot>| until.is_some_and(|until| until <= turn.now.boot);
        let over: Vec<_> = of.iter().filter(|(_, until)| ended(until)).map(|(key, _)| key.clone()).collect();
        of.retain(|_, until| !ended(until));
        let next = of.values().flatten().min().copied();
        if of.is_empty() {
            parents.remove(values);
        }
        self.circles_change(turn);
        self.timers.set(Timer::Parent(rule, values.to_vec()), next);
        for key in over {
            if let Some(subject) = self.cases.get(&key).map(|case| case.subject.clone()) {
                self.remember_parent(&subject, turn);
                turn.look.insert(key);
            }
        }
        self.look_below(rule, values, turn);
    }

    fn look_below(&self, rule: usize, wanted: &[String], turn: &mut Turn) {
        let Some(rule) = self.plan.inhibitions.get(rule) else { return };
        let below = self
            .cases
            .values()
            .filter(|case| rule.target.hold(&case.subject) && values(rule, &case.subject) == wanted);
        turn.look.extend(below.map(|case| case.subject.key.clone()));
    }

    /// A silence is over: its time has come, or somebody wants it.
    pub(super) fn silence_over(&mut self, id: &str, by: &str, turn: &mut Turn) {
        let Some(silence) = self.silences.remove(id) else { return };
        self.timers.set(Timer::Silence(id.to_owned()), None);
        turn.dirty.insert(RowKey::Silence(id.to_owned()));
        let (id, when, by) = (id.to_owned(), silence.when.to_string(), by.to_owned());
        turn.note(What::Silenced { id, when, until: None, by });
        let freed = self.cases.values().filter(|case| silence.when.hold(&case.subject));
        turn.look.extend(freed.map(|case| case.subject.key.clone()));
    }
}

/// What a subject has of the labels that must be equal.
pub(super) fn values(rule: &Inhibition, subject: &Subject) -> Vec<String> {
    rule.equal.iter().map(|name| subject.label(name).to_owned()).collect()
}
