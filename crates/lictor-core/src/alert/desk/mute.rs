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
            // Of two that mute each other the first is told.
            let parent = of.keys().find(|one| *one != key && !(key < *one && self.mutes(case, one)))?;
            Some(Mute::Inhibited(parent.clone()))
        })
    }

    fn mutes(&self, case: &Case, other: &SubjectKey) -> bool {
        let Some(other) = self.cases.get(other).filter(|_| case.live == Status::Critical) else {
            return false;
        };
        self.plan.inhibitions.iter().any(|rule| {
            rule.source.hold(&case.subject)
                && rule.target.hold(&other.subject)
                && values(rule, &case.subject) == values(rule, &other.subject)
        })
    }

    /// How long the first word of a case waits, because its parent may take longer to be seen.
    pub(super) fn parent_wait(&self, subject: &Subject) -> Duration {
        let rules = self.plan.inhibitions.iter().filter(|rule| rule.target.hold(subject));
        rules.map(|rule| rule.wait).max().unwrap_or_default()
    }

    /// Finds out anew what inhibits.
    pub(super) fn find_parents(&mut self, now: Boot) {
        self.parents = vec![Parents::default(); self.plan.inhibitions.len()];
        let subjects: Vec<_> = self
            .cases
            .values()
            .filter(|case| case.live == Status::Critical)
            .map(|case| case.subject.clone())
            .collect();
        for subject in subjects {
            self.note_parent(&subject, true, now);
        }
    }

    /// A report says how a possible parent stands.
    pub(super) fn parent_seen(&mut self, subject: &Subject, status: Status, turn: &mut Turn) {
        for (rule, values) in self.note_parent(subject, status == Status::Critical, turn.now.boot) {
            self.look_below(rule, &values, turn);
        }
    }

    pub(super) fn parent_gone(&mut self, key: &SubjectKey, turn: &mut Turn) {
        if let Some(subject) = self.cases.get(key).map(|case| case.subject.clone()) {
            self.parent_seen(&subject, Status::Passing, turn);
        }
    }

    /// Notes whether a possible parent is critical, and gives where that is news.
    fn note_parent(&mut self, subject: &Subject, critical: bool, now: Boot) -> Vec<(usize, Vec<String>)> {
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
                    let until = now.after(LINGER);
                    of.insert(subject.key.clone(), Some(until));
                    self.timers.set(Timer::Parent(place, wanted.clone()), Some(until));
                }
            }
            if parents.get(&wanted).is_some_and(BTreeMap::is_empty) {
                parents.remove(&wanted);
            }
        }
        news
    }

    pub(super) fn parent_over(&mut self, rule: usize, values: &[String], turn: &mut Turn) {
        let Some(parents) = self.parents.get_mut(rule) else { return };
        let Some(of) = parents.get_mut(values) else { return };
        of.retain(|_, until| until.is_none_or(|until| until > turn.now.boot));
        let next = of.values().flatten().min().copied();
        if of.is_empty() {
            parents.remove(values);
        }
        self.timers.set(Timer::Parent(rule, values.to_vec()), next);
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

    pub(super) fn silence_over(&mut self, id: &str, turn: &mut Turn) {
        let Some(silence) = self.silences.remove(id) else { return };
        self.timers.set(Timer::Silence(id.to_owned()), None);
        turn.dirty.insert(RowKey::Silence(id.to_owned()));
        turn.note(What::Silenced { id: id.to_owned(), when: silence.when.to_string(), until: None });
        let freed = self.cases.values().filter(|case| silence.when.hold(&case.subject));
        turn.look.extend(freed.map(|case| case.subject.key.clone()));
    }
}

fn values(rule: &Inhibition, subject: &Subject) -> Vec<String> {
    rule.equal.iter().map(|name| subject.label(name).to_owned()).collect()
}
