//! A new store of an old name: the node decides but does not act until it is known what
//! the store before it had under way, and what that was is never resumed blindly.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::drive::{attempt_of, repeatable};
use super::{Engine, Turn};
use crate::check::Status;
use crate::event::What;
use crate::incident::Incident;
use crate::name::{IncidentId, RunId, StepName};
use crate::plan::{Remedy, Step, StepKind};
use crate::run::{Run, RunState};
use crate::step::{Adoption, RowKey};

impl Engine {
    /// From now on nothing is started, until [`Input::Adopt`](crate::Input::Adopt) comes.
    /// Call it right after [`Engine::restore`].
    pub fn withhold(&mut self) {
        self.withheld = true;
    }

    /// Whether nothing is started at present.
    pub fn withheld(&self) -> bool {
        self.withheld
    }

    /// Takes over what an earlier store of this node left, and begins to act.
    pub(super) fn adopt(&mut self, adoption: Adoption, turn: &mut Turn) {
        self.withheld = false;
        self.floors.0 = self.floors.0.max(adoption.highest_run);
        self.floors.1 = self.floors.1.max(adoption.highest_incident);
        turn.note(
            None,
            None,
            What::Adopted { runs: adoption.runs.len(), incidents: adoption.incidents.len() },
        );
        let mut numbers = BTreeMap::new();
        for incident in adoption.incidents {
            let was = incident.id;
            if let Some(now) = self.adopt_incident(incident, turn) {
                numbers.insert(was, now);
            }
        }
        for run in adoption.runs {
            self.adopt_run(run, &numbers, turn);
        }
        turn.look.extend(self.plan.remedies.keys().cloned());
    }

    fn adopt_incident(&mut self, mut incident: Incident, turn: &mut Turn) -> Option<IncidentId> {
        let check = incident.check.clone();
        if let Some(open) = self.index.open.get(&check) {
            // The same fault, seen anew before this was known.
            return Some(*open);
        }
        let status = self.checks.get(&check)?.status;
        if self.incidents.contains_key(&incident.id) {
            incident.id = self.next_incident();
        }
        let id = incident.id;
        self.incidents.insert(id, incident);
        self.index.open.insert(check, id);
        turn.dirty.insert(RowKey::Incident(id));
        if status == Status::Passing {
            self.close_incident(id, Some("it had ended while the store was lost".into()), turn);
        }
        Some(id)
    }

    fn adopt_run(&mut self, mut run: Run, incidents: &BTreeMap<IncidentId, IncidentId>, turn: &mut Turn) {
        if run.ended() || self.index.busy.contains_key(&run.target) {
            return;
        }
        if self.runs.contains_key(&run.id) {
            run.id = RunId(self.next_run().0);
        }
        let id = run.id;
        if let Some(change) = run.change.clone() {
            self.adopt_role(change, id, turn);
        }
        run.incident = run.incident.and_then(|was| incidents.get(&was).copied());
        let attempt = attempt_of(&run);
        let parked = matches!(run.state, RunState::Parked { .. });
        // Nobody has this state: it is replaced below, before anything can look at it.
        run.state = RunState::Queued { attempt };
        let (name, step) = (run.remedy.clone(), run.step.clone());
        self.index.live.insert(id);
        self.index.busy.insert(run.target.clone(), id);
        let definition = run.definition.clone();
        let stopping = run.cancelled.clone().filter(|_| !run.cleaning);
        self.runs.insert(id, run);
        turn.dirty.insert(RowKey::Run(id));
        let plan = Arc::clone(&self.plan);
        let remedy = plan.remedies.get(&name).filter(|remedy| remedy.definition == definition);
        let lost = "the store that knew what was done last is lost";
        match remedy {
            Some(remedy) if !parked && stopping.is_some() => match repeatable_at(remedy, &step) {
                true => self.clean(id, &stopping.unwrap_or_default(), turn),
                false => {
                    self.park_at(id, attempt, format!("{lost}; it was being cancelled at `{step}`"), turn);
                }
            },
            Some(remedy) if !parked && harmless_from(remedy, &step) => {
                // The copy may be behind: this step may have been done, and others after it.
                let kind = remedy.steps.iter().find(|one| one.name == step).map(|one| &one.kind);
                let noted = |run: &Run| run.notes.get(&step).is_some_and(|note| !note.done);
                if matches!(kind, Some(StepKind::Act { prepare: true, .. }))
                    && self.runs.get(&id).is_some_and(noted)
                {
                    // Its note says what to look for.
                    self.inspect(id, attempt, turn.now.boot, lost, turn);
                    return;
                }
                let state = match kind {
                    Some(StepKind::Act { verify: Some(_), .. }) => {
                        Some(RunState::Verifying { attempt, since: turn.now.boot, done: false })
                    }
                    _ => None,
                };
                match (state, self.runs.get_mut(&id)) {
                    (Some(state), Some(run)) => {
                        run.state = state;
                        turn.advance.insert(id);
                    }
                    _ => self.enter(id, &step, attempt + 1, turn),
                }
            }
            Some(_) => self.park_at(id, attempt, format!("{lost}; it was at step `{step}`"), turn),
            None => self.park_at(id, attempt, format!("{lost}, and its definition changed"), turn),
        }
    }
}

/// Whether this step may be done again or is seen to have been done, and all after it may be
/// done again: the copy may be behind by any of them.
fn harmless_from(remedy: &Remedy, step: &StepName) -> bool {
    let mut rest = remedy.steps.iter().skip_while(|one| one.name != *step);
    let seen = |one: &Step| matches!(one.kind, StepKind::Act { verify: Some(_), .. });
    rest.next().is_some_and(|first| repeatable(first) || seen(first)) && rest.all(repeatable)
}

fn repeatable_at(remedy: &Remedy, step: &StepName) -> bool {
    remedy.steps.iter().find(|one| one.name == *step).is_some_and(repeatable)
}
