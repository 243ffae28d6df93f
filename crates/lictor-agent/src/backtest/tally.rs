//! What rules and remedies did in a play, counted.

use std::collections::BTreeMap;

use lictor_core::{Ending, Event, Flood, Hold, Mode, Outcome, Plan, RemedyName, RunId, Target, Wall, What};

/// What happened, by rule or remedy.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    remedies: BTreeMap<RemedyName, Counted>,
    /// What was known of flood control before the present step: triggers held back since the last
    /// start, and whether one of them waits.
    floods: BTreeMap<RemedyName, (u64, bool)>,
    /// Whose a run is.
    runs: BTreeMap<RunId, RemedyName>,
    /// Who started in the present step.
    started: Vec<RemedyName>,
}

/// What one rule or remedy did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What it works on.
    pub target: Target,
    /// Times it was to start.
    pub fired: u64,
    /// Times it started.
    pub ran: u64,
    /// How many of those only said what they would do.
    pub observed: u64,
    /// Times it was held back, by what.
    pub held_back: BTreeMap<Hold, u64>,
    /// Actions that were done.
    pub done: u64,
    /// Actions that failed, or of which nobody knows.
    pub failed: u64,
    /// Runs that ended well.
    pub ended: u64,
    /// Runs that did not.
    pub ended_badly: u64,
    /// Runs that wait for a person.
    pub parked: u64,
    /// Times it could do no more and said that a person is needed.
    pub escalated: u64,
    /// When it first started.
    pub first: Option<Wall>,
    /// When it last did.
    pub last: Option<Wall>,
}

impl Counted {
    /// Times it was held back, by whatever.
    pub fn held(&self) -> u64 {
        self.held_back.values().sum()
    }
}

impl Tally {
    /// Nothing has happened yet.
    pub(super) fn new(plan: &Plan) -> Self {
        let none = |target: &Target| Counted {
            target: target.clone(),
            fired: 0,
            ran: 0,
            observed: 0,
            held_back: BTreeMap::new(),
            done: 0,
            failed: 0,
            ended: 0,
            ended_badly: 0,
            parked: 0,
            escalated: 0,
            first: None,
            last: None,
        };
        let remedies = plan.remedies.iter().map(|(name, remedy)| (name.clone(), none(&remedy.target)));
        Self { remedies: remedies.collect(), ..Self::default() }
    }

    /// The rules and remedies with what they did.
    pub fn remedies(&self) -> &BTreeMap<RemedyName, Counted> {
        &self.remedies
    }

    pub(super) fn note(&mut self, event: &Event) {
        match &event.what {
            What::RunStarted { remedy, mode, .. } => {
                self.started.push(remedy.clone());
                if let Some(run) = event.run {
                    self.runs.insert(run, remedy.clone());
                }
                let wall = event.at.wall;
                self.count(remedy, |one| {
                    one.ran += 1;
                    one.observed += u64::from(*mode == Mode::Observe);
                    one.first.get_or_insert(wall);
                    one.last = Some(wall);
                });
            }
            What::Outcome { outcome, .. } => {
                let Some(remedy) = event.run.and_then(|run| self.runs.get(&run)).cloned() else { return };
                self.count(&remedy, |one| match outcome {
                    Outcome::Done { .. } => one.done += 1,
                    Outcome::Failed { .. } | Outcome::NotStarted { .. } | Outcome::Unknown { .. } => {
                        one.failed += 1;
                    }
                });
            }
            What::RunEnded { remedy, ending, .. } => {
                if let Some(run) = event.run {
                    self.runs.remove(&run);
                }
                self.count(remedy, |one| match ending {
                    Ending::Done => one.ended += 1,
                    Ending::Failed { .. } | Ending::Cancelled { .. } => one.ended_badly += 1,
                });
            }
            What::Parked { remedy, .. } => self.count(remedy, |one| one.parked += 1),
            What::Escalated { remedy, .. } => self.count(remedy, |one| one.escalated += 1),
            _ => {}
        }
    }

    /// Counts what was held back. The ledger has only the first of a row of those, so that a flood of
    /// triggers is not one of records; flood control counts them all.
    pub(super) fn floods(&mut self, floods: &BTreeMap<RemedyName, Flood>) {
        for (name, flood) in floods {
            let now = (flood.suppressed, flood.deferred.is_some());
            let starts = if self.started.is_empty() {
                0
            } else {
                self.started.iter().filter(|started| *started == name).count() as u64
            };
            let before = self.floods.get(name).copied().unwrap_or_default();
            if starts == 0 && now == before {
                continue;
            }
            // A start sets the count back.
            let held = if starts > 0 { now.0 } else { now.0.saturating_sub(before.0) };
            // One that had waited for its time was counted when it was held back.
            let waited = u64::from(before.1 && starts > 0);
            let by = flood.held_by.unwrap_or(Hold::Cooldown);
            self.count(name, |one| {
                one.fired += held + starts.saturating_sub(waited);
                if held > 0 {
                    *one.held_back.entry(by).or_default() += held;
                }
            });
            self.floods.insert(name.clone(), now);
        }
        self.started.clear();
    }

    fn count(&mut self, remedy: &RemedyName, each: impl FnOnce(&mut Counted)) {
        if let Some(one) = self.remedies.get_mut(remedy) {
            each(one);
        }
    }
}
