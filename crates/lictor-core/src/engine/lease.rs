//! Leases: where several nodes could act, the one that holds the lease does.

use std::sync::Arc;

use super::drive::attempt_of;
use super::orders::order_of;
use super::{Engine, Turn};
use crate::event::What;
use crate::holding::Holding;
use crate::name::{LeaseName, RunId};
use crate::plan::{Remedy, StepKind};
use crate::reading::Captures;
use crate::run::{Ending, Run, RunState};
use crate::step::{Effect, RowKey, TakeOver};

impl Engine {
    /// Whether this node may act for a remedy: it needs no lease, or holds it.
    pub(super) fn may_act(&self, remedy: &Remedy) -> bool {
        remedy.lease.as_ref().is_none_or(|lease| self.leases.get(lease) == Some(&Holding::Ours))
    }

    /// Who holds the leases, as far as is known.
    pub fn leases(&self) -> &std::collections::BTreeMap<LeaseName, Holding> {
        &self.leases
    }

    pub(super) fn lease_is(&self, lease: &LeaseName) -> String {
        let holding = self.leases.get(lease);
        holding.map_or_else(
            || format!("who holds the lease `{lease}` is not known yet"),
            |holding| format!("the lease `{lease}`: {holding}"),
        )
    }

    /// Takes in who holds a lease. The runs of one that another node has are not this
    /// node's any more; while nobody knows, they stay and nothing is ordered for them.
    pub(super) fn leased(&mut self, lease: LeaseName, holding: Holding, turn: &mut Turn) {
        if self.leases.get(&lease) == Some(&holding) {
            return;
        }
        let plan = Arc::clone(&self.plan);
        let named = plan.remedies.iter().filter(|(_, remedy)| remedy.lease.as_ref() == Some(&lease));
        let remedies: Vec<_> = named.map(|(name, _)| name.clone()).collect();
        turn.note(None, None, What::LeaseChanged { lease: lease.clone(), holding: holding.clone() });
        let ours: Vec<RunId> =
            self.live().filter(|run| remedies.contains(&run.remedy)).map(|run| run.id).collect();
        match &holding {
            Holding::Ours | Holding::Unknown { .. } => turn.advance.extend(ours),
            Holding::Other { node } => {
                let why = format!("{node} holds the lease now and goes on with it");
                ours.into_iter().for_each(|id| self.hand_on(id, &why, turn));
            }
        }
        self.leases.insert(lease, holding);
        turn.look.extend(remedies);
    }

    /// Ends a run that somebody else goes on with.
    fn hand_on(&mut self, id: RunId, why: &str, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let now = turn.now.boot;
        if let Some(run) = self.runs.get(&id).filter(|run| run.in_flight()) {
            let order = order_of(run, self.definition(&plan, id, None), attempt_of(run), now);
            turn.effects.push(Effect::Abort(order));
        }
        self.end(id, Ending::Cancelled { why: why.to_owned() }, turn);
    }

    /// Goes on with what another node or another program had begun. What it had ordered
    /// last is looked at, never repeated blindly.
    pub(super) fn take_over(&mut self, taken: TakeOver, turn: &mut Turn) {
        let TakeOver { remedy: name, from, run } = taken;
        let plan = Arc::clone(&self.plan);
        let Some(remedy) = plan.remedies.get(&name) else { return };
        let replaced: Vec<RunId> =
            self.live().filter(|run| run.target == remedy.target).map(|run| run.id).collect();
        for id in replaced {
            self.hand_on(id, &format!("{from} went on with it meanwhile"), turn);
        }
        let Some(begun) = run else { return };
        let Some(first) = remedy.steps.iter().find(|one| one.name == begun.step) else { return };
        let id = self.next_run();
        let noted = begun.notes.get(&begun.step).is_some_and(|note| !note.done);
        let attempt = begun.tally.get(&begun.step).map_or(1, |tally| tally.attempt.max(1));
        let incident = self.incident_of(remedy, None);
        let run = Run {
            id,
            remedy: name.clone(),
            definition: remedy.definition.clone(),
            target: remedy.target.clone(),
            cause: begun.cause,
            captures: Captures::default(),
            change: None,
            incident,
            started: turn.now,
            deadline: turn.now.boot.after(remedy.deadline),
            mode: self.plan.mode.max(remedy.mode),
            step: begun.step.clone(),
            cancelled: None,
            cleaning: false,
            visits: begun.visits,
            tally: begun.tally,
            notes: begun.notes,
            state: RunState::Queued { attempt },
        };
        self.index.live.insert(id);
        self.index.busy.insert(run.target.clone(), id);
        self.runs.insert(id, run);
        turn.dirty.insert(RowKey::Run(id));
        if let Some(flood) = self.floods.get_mut(&name) {
            flood.start(remedy, turn.now.boot);
            turn.dirty.insert(RowKey::Flood(name.clone()));
        }
        let what = What::TakenOver { remedy: name, step: begun.step.clone(), from };
        turn.note(incident, Some(id), what);
        match first.kind {
            // It may have been carried out: its note says what to look for.
            StepKind::Act { prepare: true, .. } if noted => {
                self.inspect(id, attempt, turn.now.boot, "another had ordered it", turn);
            }
            StepKind::Act { .. } if !begun.pause.is_zero() => {
                if let Some(run) = self.runs.get_mut(&id) {
                    let until = turn.now.boot.after(begun.pause);
                    run.state = RunState::BackingOff { attempt: attempt + 1, until };
                }
                turn.advance.insert(id);
            }
            StepKind::Act { .. } | StepKind::Wait { .. } => self.come_to(id, &begun.step, turn),
        }
    }
}
