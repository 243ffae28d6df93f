//! What sources report, and when it counts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Timer, Turn};
use crate::alert::message::Gone;
use crate::alert::row::Case;
use crate::alert::step::RowKey;
use crate::alert::subject::{Report, Source, Subject, SubjectKey, label, text};
use crate::check::Status;
use crate::event::What;
use crate::time::Boot;

/// Longest output that is kept, bytes.
const OUTPUT: usize = 4 << 10;

/// Longest note.
const NOTES: usize = 1 << 10;

impl Desk {
    pub(super) fn reports(
        &mut self,
        source: &Source,
        complete: bool,
        reports: Vec<Report>,
        gone: Vec<SubjectKey>,
        turn: &mut Turn,
    ) {
        let state = self.sources.entry(source.clone()).or_default();
        let returned = complete && (!state.known || state.lost.is_some());
        if complete {
            state.known = true;
            if state.lost.take().is_some() {
                turn.note(What::AlertSource { source: source.to_string(), lost: None });
            }
        }
        let mut present = std::collections::BTreeSet::new();
        for report in reports {
            let ignored = self.plan.ignored.iter().any(|one| one.hold(&report.subject));
            let key = report.subject.key.clone();
            if ignored {
                self.over(&key, Gone::Ignored, turn);
                continue;
            }
            if complete {
                present.insert(key);
            }
            self.services.take(&self.plan, &report);
            self.report(source, report, turn);
        }
        for key in gone {
            self.services.forget(&key);
            self.left(&key, source.departure(), turn);
        }
        if complete {
            let missing: Vec<_> = self
                .cases
                .values()
                .filter(|case| case.source == *source && !present.contains(&case.subject.key))
                .map(|case| case.subject.key.clone())
                .collect();
            self.services.retain(source, &present);
            let services = services_of(source);
            for case in self.cases.values().filter(|case| case.source == services) {
                self.services.again(&case.subject);
            }
            for key in missing {
                self.left(&key, source.departure(), turn);
            }
            if returned {
                self.about_source(source, None, turn);
            }
        }
        self.judge_services(source, turn);
        if returned {
            // Their time did not run while nobody could look.
            let services = services_of(source);
            let held = self.cases.values().filter(|case| case.source == *source || case.source == services);
            for key in held.map(|case| case.subject.key.clone()).collect::<Vec<_>>() {
                self.ripen(&key, turn);
                turn.look.insert(key);
            }
        }
    }

    /// What comes from a source that is not watched is over. How the others stand is not known until
    /// they report.
    pub(super) fn watched(&mut self, consul: Option<&[String]>, turn: &mut Turn) {
        let watched = |source: &str| {
            let Some(datacenter) = source.trim_start_matches("services of ").strip_prefix("consul/") else {
                return true;
            };
            consul.is_some_and(|names| names.is_empty() || names.iter().any(|name| name == datacenter))
        };
        let stray = |case: &&Case| match case.source.as_str() {
            "lictor" => {
                let about = case.subject.label(label::CHECK).strip_prefix("source ");
                about.is_some_and(|source| !watched(source) || (source == "consul" && consul.is_none()))
            }
            source => !watched(source),
        };
        let over: Vec<_> = self.cases.values().filter(stray).map(|case| case.subject.key.clone()).collect();
        for key in over {
            self.over(&key, Gone::Unwatched, turn);
        }
        self.sources.retain(|source, _| watched(source.as_str()));
        // Whatever looked at them before does so no more: nothing ripens until all was reported anew.
        let of_consul =
            |source: &Source| source.as_str().trim_start_matches("services of ").starts_with("consul/");
        for (_, state) in self.sources.iter_mut().filter(|(source, _)| of_consul(source)) {
            state.known = false;
        }
    }

    pub(super) fn lost(&mut self, source: &Source, why: String, turn: &mut Turn) {
        let state = self.sources.entry(source.clone()).or_default();
        if state.lost.as_ref() == Some(&why) {
            return;
        }
        state.known = false;
        state.lost = Some(why.clone());
        if let Some(services) = self.sources.get_mut(&services_of(source)) {
            services.known = false;
        }
        turn.note(What::AlertSource { source: source.to_string(), lost: Some(why.clone()) });
        self.about_source(source, Some(why), turn);
    }

    /// What is wrong with a source is an alert itself.
    fn about_source(&mut self, source: &Source, lost: Option<String>, turn: &mut Turn) {
        let check = format!("source {source}");
        let status = if lost.is_some() { Status::Critical } else { Status::Passing };
        let output = lost.unwrap_or_else(|| "it can be asked again".to_owned());
        self.about_ourselves(&check, status, output, turn);
    }

    /// Reports something about the alerts themselves.
    pub(super) fn about_ourselves(&mut self, check: &str, status: Status, output: String, turn: &mut Turn) {
        let own = Source::new("lictor");
        self.sources.entry(own.clone()).or_default().known = true;
        let labels = text(&[(label::SOURCE, "lictor"), (label::CHECK, check)]);
        let subject = Subject { key: SubjectKey::of(&["lictor", check]), labels, tags: [].into() };
        let report = Report { judged: true, ..Report::new(subject, status, output) };
        self.report(&own, report, turn);
    }

    pub(super) fn report(&mut self, source: &Source, report: Report, turn: &mut Turn) {
        let Report { subject, status, mut output, mut notes, maintenance, judged, news, told } = report;
        let key = subject.key.clone();
        cut(&mut output, OUTPUT);
        cut(&mut notes, NOTES);
        if self.cases.get(&key).is_some_and(|case| case.subject != subject) {
            self.parent_gone(&key, turn);
            self.circles_change(turn);
        }
        self.parent_seen(&subject, status, turn);
        match self.cases.get_mut(&key) {
            // Unless somebody was told elsewhere that it is wrong.
            None if status == Status::Passing && news.is_none() && !told.values().any(|told| told.firing) => {
                return;
            }
            None => {
                let now = turn.now;
                let case = Case {
                    subject,
                    source: source.clone(),
                    settled: Status::Passing,
                    since: now,
                    opened: now,
                    live: status,
                    live_since: now,
                    side_since: now,
                    judged,
                    news,
                    output,
                    notes,
                    maintenance,
                    gone: None,
                    acknowledged: None,
                    told: [].into(),
                    changes: VecDeque::new(),
                    flapping: false,
                    was_critical: None,
                };
                self.cases.insert(key.clone(), case);
                turn.dirty.insert(RowKey::Case(key.clone()));
            }
            Some(case) => {
                let changed = case.live != status
                    || case.maintenance != maintenance
                    || case.subject != subject
                    || case.news != news
                    || case.gone.is_some();
                if changed {
                    turn.dirty.insert(RowKey::Case(key.clone()));
                }
                if case.live != status {
                    case.live_since = turn.now;
                    if (case.live == Status::Passing) != (status == Status::Passing) {
                        case.side_since = turn.now;
                    }
                }
                // What a passing check prints does not explain what was wrong.
                case.output = output;
                (case.live, case.maintenance, case.judged) = (status, maintenance, judged);
                case.news = news;
                (case.subject, case.source, case.notes, case.gone) = (subject, source.clone(), notes, None);
            }
        }
        self.told_elsewhere(&key, told, turn);
        self.ripen(&key, turn);
        turn.look.insert(key);
    }

    /// A subject is no more: whoever was told that it is wrong is told that it is over.
    pub(super) fn over(&mut self, key: &SubjectKey, why: Gone, turn: &mut Turn) {
        self.left(key, why, turn);
        if self.cases.get(key).is_some_and(|case| case.settled != Status::Passing) {
            self.settle(key, Status::Passing, turn);
        }
    }

    /// A subject is no longer reported: it is over, and one that flaps when it stays away.
    pub(super) fn left(&mut self, key: &SubjectKey, why: Gone, turn: &mut Turn) {
        self.parent_gone(key, turn);
        let Some(case) = self.cases.get_mut(key) else { return };
        if case.gone.is_some() {
            return;
        }
        if case.live != Status::Passing {
            case.live = Status::Passing;
            (case.live_since, case.side_since) = (turn.now, turn.now);
        }
        case.gone = Some(why);
        turn.dirty.insert(RowKey::Case(key.clone()));
        self.ripen(key, turn);
        turn.look.insert(key.clone());
    }

    /// Lets count what has lasted long enough.
    pub(super) fn ripen(&mut self, key: &SubjectKey, turn: &mut Turn) {
        while let Some(to) = self.ripe(key, turn.now.boot) {
            self.settle(key, to, turn);
        }
    }

    /// The status that counts now, when that is another one.
    fn ripe(&self, key: &SubjectKey, now: Boot) -> Option<Status> {
        let case = self.cases.get(key)?;
        (self.ripe_at(case)? <= now).then_some(case.live)
    }

    /// When the status that is reported counts, if it does not yet.
    pub(super) fn ripe_at(&self, case: &Case) -> Option<Boot> {
        let known = self.sources.get(&case.source).is_some_and(|state| state.known);
        if case.live == case.settled || (!known && case.gone.is_none()) {
            return None;
        }
        let (bad_for, good_for) = if case.judged || case.gone.is_some() {
            (Duration::ZERO, Duration::ZERO)
        } else {
            self.plan.threshold(&case.subject)
        };
        let calm = self.plan.flap.filter(|_| case.flapping && !case.judged);
        let good_for = calm.map_or(good_for, |flap| good_for.max(flap.within));
        Some(match (case.settled, case.live) {
            (Status::Passing, _) => case.side_since.boot.after(bad_for),
            (_, Status::Passing) => case.side_since.boot.after(good_for),
            (counts, seen) if seen > counts => case.live_since.boot.after(bad_for),
            _ => case.live_since.boot.after(good_for),
        })
    }

    fn settle(&mut self, key: &SubjectKey, to: Status, turn: &mut Turn) {
        let flap = self.plan.flap;
        let Some(case) = self.cases.get_mut(key) else { return };
        let from = std::mem::replace(&mut case.settled, to);
        case.since = turn.now;
        if from == Status::Passing {
            case.opened = case.side_since;
        }
        if let Some(flap) = flap {
            case.changes.push_back(turn.now);
            let most = flap.changes.get() as usize;
            let old = |at: &crate::time::Now| turn.now.boot.since(at.boot) > flap.within;
            while case.changes.front().is_some_and(old) || case.changes.len() > most {
                case.changes.pop_front();
            }
            case.flapping = to != Status::Passing && (case.flapping || case.changes.len() >= most);
        }
        if to == Status::Passing {
            case.acknowledged = None;
        }
        turn.dirty.insert(RowKey::Case(key.clone()));
        turn.look.insert(key.clone());
        // A check of our own has its transition in the ledger already.
        if case.subject.label(label::SOURCE) != "own" {
            let summary = case.gone.map_or_else(|| case.output.clone(), |gone| gone.as_str().to_owned());
            let what = What::AlertChanged { subject: case.subject.title(), from, to, summary };
            turn.note(what);
        }
    }

    /// When something is to be seen to of a case.
    pub(super) fn arm_case(&mut self, key: &SubjectKey, ready: Option<Boot>, now: Boot) {
        let at = self.cases.get(key).and_then(|case| {
            let ends = case.acknowledged.as_ref().and_then(|one| Some(one.at.boot.after(one.lasting?)));
            let times = self.ripe_at(case).into_iter().chain(ends).chain(self.remind_at(case)).chain(ready);
            // What is due and not done waits for something else, which looks at it again.
            times.filter(|at| *at > now).min()
        });
        self.timers.set(Timer::Case(key.clone()), at);
    }

    fn judge_services(&mut self, source: &Source, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        if !self.sources.get(source).is_some_and(|state| state.known) {
            return;
        }
        let services = services_of(source);
        self.sources.entry(services.clone()).or_default().known = true;
        for (report, gone) in self.services.judge(&plan, source) {
            if gone {
                self.left(&report.subject.key, Gone::NoInstance, turn);
            } else {
                self.report(&services, report, turn);
            }
        }
    }
}

fn services_of(source: &Source) -> Source {
    Source::new(&format!("services of {source}"))
}

/// Cuts a text to so many bytes, at a character.
pub(super) fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let mut end = most;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}
