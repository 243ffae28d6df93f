//! Runs: each goes through its steps in order and loses none, an attempt is ordered once,
//! what nobody knows is not repeated, and there is one end.

use std::collections::{BTreeMap, BTreeSet};

use lictor_core::{
    Boot, Command, Effect, Ending, IncidentId, Input, Mode, OnFailure, Order, Outcome, RemedyName,
    Repeatability, Row, RowKey, Run, RunId, RunState, Step, StepKind, StepName, Target, What,
};

use super::{Cause, Entry, demand};

/// What is known of every run there ever was.
#[derive(Debug, Default)]
pub(in crate::sim) struct Runs {
    of: BTreeMap<RunId, Told>,
    busy: BTreeMap<Target, RunId>,
    acts: BTreeSet<(RunId, StepName, u32)>,
    /// Attempts that were prepared.
    prepared: BTreeSet<(RunId, StepName, u32)>,
    /// Until when what was given up at a step may still be applied.
    pub(in crate::sim) landing: BTreeMap<(RunId, StepName), Boot>,
}

#[derive(Debug)]
struct Told {
    remedy: RemedyName,
    target: Target,
    incident: Option<IncidentId>,
    steps: Vec<Step>,
    on_cancel: Option<StepName>,
    deadline: Boot,
    at: At,
    cleaning: bool,
    parked: bool,
    visits: BTreeMap<StepName, u32>,
    attempts: BTreeMap<StepName, Attempt>,
    /// Steps that wrote a note.
    notes: BTreeSet<StepName>,
}

/// Where a run has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Step(usize),
    /// Past the last step.
    Through,
    /// A step failed for good.
    Failed,
    Over,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    number: u32,
    known: Known,
}

/// What is known of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Open,
    Done,
    Verified,
    NotDone,
    Unknown(Boot),
    /// A person said to make another.
    Asked,
}

impl Runs {
    pub(super) fn take(&mut self, entry: &Entry, rows: &BTreeMap<RowKey, Row>) -> Result<(), String> {
        self.commanded(entry);
        let mut intents = BTreeSet::new();
        for event in &entry.output.events {
            let Some(id) = event.run else { continue };
            if let What::RunStarted { remedy, target, .. } = &event.what {
                self.started(id, remedy, target, event.incident, entry)?;
                continue;
            }
            let row = match rows.get(&RowKey::Run(id)) {
                Some(Row::Run(run)) => Some(run),
                _ => None,
            };
            let landing = &self.landing;
            let told = self.of.get_mut(&id).ok_or_else(|| format!("{id} was never started"))?;
            demand!(event.incident == told.incident, "`{}` of {id} is in another timeline", event.what);
            let over = told.at == At::Over;
            demand!(!over || matches!(event.what, What::Outcome { .. }), "{id} is over, but: {}", event.what);
            if let What::Outcome { step, attempt, outcome } = &event.what
                && self.prepared.contains(&(id, step.clone(), *attempt))
                && !self.acts.contains(&(id, step.clone(), *attempt))
            {
                told.looked(step, *attempt, outcome);
            }
            told.take(id, &event.what, row, entry, landing).map_err(|why| format!("{id}: {why}"))?;
            if let What::Intent { step, attempt, .. } = &event.what {
                intents.insert((id, step.clone(), *attempt));
            }
            if told.at == At::Over && !over {
                self.busy.remove(&told.target);
            }
        }
        self.ordered(entry, &intents, rows)?;
        for key in &entry.output.gone {
            if let RowKey::Run(id) = key {
                demand!(self.of.get(id).is_some_and(|told| told.at == At::Over), "{id} is forgotten alive");
            }
        }
        for row in &entry.output.rows {
            if let Row::Run(run) = row {
                let told = self.of.get_mut(&run.id).ok_or_else(|| format!("{} was never started", run.id))?;
                told.agrees(run).map_err(|why| format!("{}: {why}; {run:?}", run.id))?;
            }
        }
        Ok(())
    }

    /// Whether every run that a row has is unfinished in the ledger as well.
    pub(in crate::sim) fn unfinished(&self) -> impl Iterator<Item = RunId> {
        self.of.iter().filter(|(_, told)| told.at != At::Over).map(|(id, _)| *id)
    }

    fn commanded(&mut self, entry: &Entry) {
        let (Cause::Input(Input::Command(command)), Some(Ok(_))) = (&entry.cause, &entry.output.answer)
        else {
            return;
        };
        let (Command::Retry(id) | Command::Cancel(id)) = command else { return };
        let Some(told) = self.of.get_mut(id) else { return };
        let remedy = entry.plan.remedies.get(&told.remedy);
        if let (true, Some(remedy)) = (told.parked, remedy) {
            told.deadline = entry.now.boot.after(remedy.deadline);
        }
        told.parked = false;
        if let (Command::Retry(_), Some(remedy)) = (command, remedy) {
            let name = told.step().map(|step| step.name.clone());
            told.steps.clone_from(&remedy.steps);
            told.on_cancel.clone_from(&remedy.on_cancel);
            if let Some(at) = name.and_then(|name| told.index(&name)) {
                told.at = At::Step(at);
            }
            if let Some(attempt) =
                told.step().map(|step| step.name.clone()).and_then(|name| told.attempts.get_mut(&name))
            {
                attempt.known = Known::Asked;
            }
        }
    }

    fn started(
        &mut self,
        id: RunId,
        remedy: &RemedyName,
        target: &Target,
        incident: Option<IncidentId>,
        entry: &Entry,
    ) -> Result<(), String> {
        demand!(self.of.keys().all(|older| *older < id), "{id} was started after a later one");
        let busy = self.busy.insert(target.clone(), id);
        demand!(busy.is_none(), "{id} was started on {target}, which {busy:?} has");
        let plan = entry.plan.remedies.get(remedy).ok_or("a remedy that is in no plan was started")?;
        let told = Told {
            remedy: remedy.clone(),
            target: target.clone(),
            incident,
            steps: plan.steps.clone(),
            on_cancel: plan.on_cancel.clone(),
            deadline: entry.now.boot.after(plan.deadline),
            at: At::Step(0),
            cleaning: false,
            parked: false,
            visits: BTreeMap::new(),
            attempts: BTreeMap::new(),
            notes: BTreeSet::new(),
        };
        self.of.insert(id, told);
        Ok(())
    }

    /// Each act has its intent in the same commit, and its identity once for ever.
    fn ordered(
        &mut self,
        entry: &Entry,
        intents: &BTreeSet<(RunId, StepName, u32)>,
        rows: &BTreeMap<RowKey, Row>,
    ) -> Result<(), String> {
        let key = |order: &Order| (order.run, order.step.clone(), order.attempt);
        let mut acts = BTreeSet::new();
        for effect in &entry.output.effects {
            match effect {
                Effect::Act(order) => {
                    demand!(self.acts.insert(key(order)), "{order} is ordered twice");
                    demand!(intents.contains(&key(order)), "{order} is ordered without an intent");
                    self.noted(order, rows)?;
                    acts.insert(key(order));
                }
                Effect::Prepare(order) => {
                    demand!(!self.acts.contains(&key(order)), "{order} is prepared after it was ordered");
                    self.prepared.insert(key(order));
                }
                Effect::Abort(order) if self.prepared.contains(&key(order)) => {}
                Effect::Inspect(order) | Effect::Abort(order) => {
                    demand!(self.acts.contains(&key(order)), "{order} was never ordered: {effect:?}");
                }
            }
        }
        demand!(acts.len() == intents.len(), "an intent without an act: {intents:?}");
        Ok(())
    }
}

impl Runs {
    /// What an act goes by is in the row that is recorded with its order, and what a run
    /// noted once it keeps.
    fn noted(&mut self, order: &Order, rows: &BTreeMap<RowKey, Row>) -> Result<(), String> {
        let Some(Row::Run(run)) = rows.get(&RowKey::Run(order.run)) else {
            return Err(format!("{order} is ordered by a run that has no row"));
        };
        demand!(run.notes == order.notes, "{order} goes by notes that are not recorded");
        let Some(told) = self.of.get_mut(&order.run) else { return Ok(()) };
        let step = told.steps.iter().find(|step| step.name == order.step);
        if let Some(StepKind::Act { prepare: true, .. }) = step.map(|step| &step.kind) {
            let note = order.notes.get(&order.step);
            let own = note.is_some_and(|note| note.text.starts_with(&format!("{order} ")) && !note.done);
            demand!(own, "{order} is ordered by a note that is not its own: {note:?}");
        }
        let kept = told.notes.iter().all(|step| order.notes.contains_key(step));
        demand!(kept, "{order} has lost a note: {:?}, {:?}", told.notes, order.notes);
        told.notes.extend(order.notes.keys().cloned());
        Ok(())
    }
}

impl Told {
    /// An attempt that was only looked at has an outcome.
    fn looked(&mut self, step: &StepName, number: u32, outcome: &Outcome) {
        if self.attempts.get(step).is_none_or(|last| last.number < number) {
            let known = if matches!(outcome, Outcome::Done { .. }) { Known::Done } else { Known::NotDone };
            self.attempts.insert(step.clone(), Attempt { number, known });
        }
    }

    fn step(&self) -> Option<&Step> {
        match self.at {
            At::Step(at) => self.steps.get(at),
            At::Through | At::Failed | At::Over => None,
        }
    }

    fn index(&self, name: &StepName) -> Option<usize> {
        self.steps.iter().position(|step| step.name == *name)
    }

    fn take(
        &mut self,
        id: RunId,
        what: &What,
        row: Option<&Run>,
        entry: &Entry,
        landing: &BTreeMap<(RunId, StepName), Boot>,
    ) -> Result<(), String> {
        if let What::StepSkipped { step, .. }
        | What::StepDone { step }
        | What::StepFailed { step, .. }
        | What::Retrying { step, .. } = what
        {
            self.cleans(step, row);
        }
        match what {
            What::Intent { step, attempt, .. } => {
                self.comes_to(step, row)?;
                self.acts(step, *attempt, entry.now.boot)?;
                let known =
                    self.attempts.insert(step.clone(), Attempt { number: *attempt, known: Known::Open });
                let until = landing.get(&(id, step.clone()));
                let lands = until.is_some_and(|until| *until > entry.now.boot);
                let unknown = known.is_some_and(|last| matches!(last.known, Known::Unknown(_)));
                let harmless = self.repeat(step) == Some(Repeatability::Idempotent);
                demand!(
                    !lands || !unknown || harmless,
                    "{step} is repeated while the last attempt may still land"
                );
            }
            What::Waiting { step, .. } => self.comes_to(step, row)?,
            What::Outcome { step, attempt, outcome } => self.outcome(step, *attempt, outcome, entry.now.boot),
            What::Verified { step } => {
                if let Some(attempt) = self.attempts.get_mut(step) {
                    attempt.known = Known::Verified;
                }
            }
            What::StepDone { step } => self.done(step)?,
            What::StepSkipped { step, .. } => self.skipped(step)?,
            What::StepFailed { step, .. } => self.failed(step)?,
            What::Retrying { step, attempt, .. } => {
                demand!(self.step().is_some_and(|now| now.name == *step), "{step} is retried out of turn");
                let last = self.attempts.get(step).map_or(0, |last| last.number);
                demand!(*attempt > last, "{step} is retried as attempt {attempt} after {last}");
            }
            What::Parked { .. } => self.parked = true,
            // One that was outlived by many younger ones is forgotten together with its end.
            What::RunEnded { .. } if entry.output.gone.contains(&RowKey::Run(id)) => self.at = At::Over,
            What::RunEnded { ending, .. } => self.ended(ending, row, entry)?,
            _ => {}
        }
        Ok(())
    }

    fn repeat(&self, step: &StepName) -> Option<Repeatability> {
        self.steps.iter().find(|one| one.name == *step).and_then(|one| match &one.kind {
            StepKind::Act { repeat, .. } => Some(*repeat),
            StepKind::Wait { .. } => None,
        })
    }

    /// A run that was cancelled may go on with the step that is named for this.
    fn comes_to(&mut self, step: &StepName, row: Option<&Run>) -> Result<(), String> {
        demand!(!self.parked, "it goes on with {step} although it is parked");
        let here = self.step().is_some_and(|now| now.name == *step);
        if self.cleans(step, row) {
            return Ok(());
        }
        demand!(here, "it comes to {step} but is at {:?} of {:?}", self.at, self.steps);
        Ok(())
    }

    /// Whether it comes with this step to what a cancelled run still goes through.
    fn cleans(&mut self, step: &StepName, row: Option<&Run>) -> bool {
        let cleans = row.is_some_and(|run| run.cleaning) && !self.cleaning;
        // What is here already may be from before the cancelling, in the same commit.
        let here = self.step().is_some_and(|now| now.name == *step);
        let named = cleans && !here && self.on_cancel.as_ref() == Some(step);
        if named {
            self.cleaning = true;
            self.at = self.index(step).map_or(At::Failed, At::Step);
        }
        named
    }

    /// Whether a new attempt may be made.
    fn acts(&self, name: &StepName, number: u32, now: Boot) -> Result<(), String> {
        let Some(last) = self.attempts.get(name) else { return Ok(()) };
        demand!(number > last.number, "attempt {number} at {name} comes after {}", last.number);
        let step = self.steps.iter().find(|step| step.name == *name);
        let Some(StepKind::Act { repeat, verify, .. }) = step.map(|step| &step.kind) else {
            return Err(format!("{name} is no action"));
        };
        match (last.known, repeat, verify) {
            (Known::Open, _, _) => Err(format!("{name} is done again before its outcome is known")),
            (Known::Unknown(_), Repeatability::Neither, _) => {
                Err(format!("{name} is done again although nobody knows whether it was"))
            }
            (Known::Unknown(since), Repeatability::Verifiable, Some(verify)) => {
                let passed = now.since(since);
                demand!(passed >= verify.settle, "{name} is done again {passed:?} after an unclear answer");
                Ok(())
            }
            (Known::Unknown(_), Repeatability::Verifiable, None) => {
                Err(format!("{name} is done again, but nothing can show that it was not"))
            }
            (Known::Unknown(_), Repeatability::Idempotent, _)
            | (Known::Done | Known::Verified | Known::NotDone | Known::Asked, _, _) => Ok(()),
        }
    }

    fn outcome(&mut self, step: &StepName, number: u32, outcome: &Outcome, now: Boot) {
        let Some(attempt) = self.attempts.get_mut(step).filter(|attempt| attempt.number == number) else {
            return;
        };
        attempt.known = match (attempt.known, outcome) {
            (Known::Open | Known::Unknown(_), Outcome::Done { .. }) => Known::Done,
            (Known::Open | Known::Unknown(_), Outcome::Failed { .. } | Outcome::NotStarted { .. }) => {
                Known::NotDone
            }
            (Known::Open, Outcome::Unknown { .. }) => Known::Unknown(now),
            (known, _) => known,
        };
    }

    fn done(&mut self, name: &StepName) -> Result<(), String> {
        let Some(step) = self.step().filter(|step| step.name == *name) else {
            return Err(format!("{name} is done out of turn, at {:?}", self.at));
        };
        if let StepKind::Act { verify, .. } = &step.kind {
            let known = self.attempts.get(name).map(|attempt| attempt.known);
            let wanted = if verify.is_some() { Known::Verified } else { Known::Done };
            demand!(known == Some(wanted), "{name} counts as done, but it is {known:?}");
        }
        self.goes_on(name);
        Ok(())
    }

    fn skipped(&mut self, name: &StepName) -> Result<(), String> {
        let here = self.step().filter(|step| step.name == *name);
        demand!(here.is_some_and(|step| step.skip_when.is_some()), "{name} is left out at {:?}", self.at);
        self.goes_on(name);
        Ok(())
    }

    fn goes_on(&mut self, name: &StepName) {
        let named = self.steps.iter().find(|step| step.name == *name).and_then(|step| step.next.clone());
        let next = match named {
            Some(next) => self.index(&next).unwrap_or(usize::MAX),
            None => self.index(name).map_or(0, |at| at + 1),
        };
        self.at = if next < self.steps.len() { At::Step(next) } else { At::Through };
    }

    fn failed(&mut self, name: &StepName) -> Result<(), String> {
        let Some(step) = self.step().filter(|step| step.name == *name).cloned() else {
            return Err(format!("{name} failed out of turn, at {:?}", self.at));
        };
        match &step.on_failure {
            OnFailure::GoTo { step: to, visits, then } => {
                let count = self.visits.entry(to.clone()).or_default();
                let goes = (*count < *visits).then_some(to).or(then.as_ref());
                *count += u32::from(goes == Some(to) && *count < *visits);
                self.at = goes.and_then(|to| self.index(to)).map_or(At::Failed, At::Step);
            }
            OnFailure::Fail => self.at = At::Failed,
            // It stays there until a person decides.
            OnFailure::Park => {}
        }
        Ok(())
    }

    fn ended(&mut self, ending: &Ending, row: Option<&Run>, entry: &Entry) -> Result<(), String> {
        let cancelled = row.is_some_and(|run| run.cancelled.is_some());
        match ending {
            Ending::Done => demand!(self.at == At::Through && !cancelled, "it is done at {:?}", self.at),
            Ending::Cancelled { .. } => demand!(cancelled, "it was cancelled, but its row does not say so"),
            Ending::Failed { .. } => {
                let late = entry.now.boot >= self.deadline;
                demand!(late || self.at == At::Failed, "it failed at {:?} before its deadline", self.at);
                demand!(!cancelled, "it failed although it was cancelled");
            }
        }
        self.at = At::Over;
        Ok(())
    }

    /// Whether a row says what the ledger said.
    fn agrees(&mut self, run: &Run) -> Result<(), String> {
        demand!(run.mode == Mode::Act, "it has a row although it only observes");
        demand!(run.target == self.target && run.remedy == self.remedy, "it is another run");
        demand!(run.deadline == self.deadline, "its deadline is {:?}, not {:?}", run.deadline, self.deadline);
        demand!(!self.cleaning || run.cleaning, "it does not clean up any more");
        if run.cleaning && !self.cleaning && self.at != At::Over {
            self.cleaning = true;
            if self.step().is_none_or(|now| now.name != run.step) {
                self.at = self.on_cancel.clone().and_then(|to| self.index(&to)).map_or(At::Failed, At::Step);
            }
        }
        let over = matches!(run.state, RunState::Ended(..));
        demand!(over == (self.at == At::Over), "its row and the ledger do not agree that it is over");
        if over {
            return Ok(());
        }
        let parked = matches!(run.state, RunState::Parked { .. });
        demand!(parked || !self.parked, "it is not parked any more and nobody asked");
        demand!(!parked || self.parked, "it is parked and nobody was told");
        let here = self.step().map(|step| &step.name);
        demand!(here == Some(&run.step), "it is at {}, the ledger says {here:?}", run.step);
        Ok(())
    }
}
