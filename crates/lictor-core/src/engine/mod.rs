//! The engine: owns the state of a node's decisions and steps it.

mod adopt;
mod decide;
mod drive;
mod judge;
mod lease;
mod orders;
mod read;
mod role;
mod stop;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::check::{Check, Status, Value};
use crate::condition::{Condition, Facts};
use crate::event::{Event, What};
use crate::flood::Flood;
use crate::holding::Holding;
use crate::incident::Incident;
use crate::name::{CheckName, IncidentId, LeaseName, RemedyName, RunId, ServiceName, Target, ValueName};
use crate::plan::{CheckSource, Plan, Remedy, StepKind, Trigger};
use crate::rate::Points;
use crate::reading::Reading;
use crate::role::{Role, Roles};
use crate::run::{Order, Run, RunState};
use crate::step::{Command, Effect, Input, Output, Refusal, Row, RowKey};
use crate::time::{Boot, Now};
use crate::timers::Timers;

/// Ended runs and closed incidents that stay rows; older ones are only in the ledger.
const KEPT: usize = 200;

/// An engine that is called so much later than it asked for was asleep.
const ASLEEP: Duration = Duration::from_secs(5);

/// Owns the state and decides.
///
/// Every call returns what has to be recorded and, once that is durable, done. The
/// caller must not lose an [`Output`]: the engine already counts on it.
#[derive(Clone, Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    /// Shared with who looks at them meanwhile; one that changes is then a new one.
    checks: BTreeMap<CheckName, Arc<Check>>,
    floods: BTreeMap<RemedyName, Flood>,
    runs: BTreeMap<RunId, Run>,
    incidents: BTreeMap<IncidentId, Incident>,
    /// How far watchers have read, and what of it counts.
    readings: BTreeMap<CheckName, Reading>,
    /// What part this node has in clustered services, and what followed when that changed.
    roles: BTreeMap<ServiceName, Roles>,
    /// The services whose role was told since this start of the agent. Not stored.
    told_roles: BTreeSet<ServiceName>,
    /// The last known values that a trigger looks at. As of a restart: those of the rows.
    known: BTreeMap<(CheckName, ValueName), Value>,
    /// What rates are made of. Not stored: after a restart a rate is not known at first.
    rates: BTreeMap<(CheckName, ValueName), Points>,
    index: Index,
    timers: Timers<Timer>,
    /// Nothing is started: it is not known yet what an earlier store of this node left.
    withheld: bool,
    /// Nothing is ordered any more: the agent stops.
    closing: bool,
    /// What is known of the order that a run awaits: since this start of the agent.
    orders: BTreeMap<RunId, Ordered>,
    /// Who holds which lease; what is not here is not known yet. Not stored.
    leases: BTreeMap<LeaseName, Holding>,
    /// Numbers that runs and incidents of earlier stores of this node had at most.
    floors: (u64, u64),
}

/// The way of an order out of the engine. Not stored.
#[derive(Clone, Copy, Debug, Default)]
struct Ordered {
    /// When it was handed over to be carried out. Recording it takes time before that, on
    /// a full disk for ever: only from here on it can be overdue.
    handed_over: Option<Boot>,
    /// When the deadline of its run had it stopped.
    stopped: Option<Boot>,
}

/// What follows from plan and rows, kept for speed.
#[derive(Clone, Debug, Default)]
struct Index {
    /// Composite checks by member.
    composites: BTreeMap<CheckName, Vec<CheckName>>,
    /// Remedies that name a check anywhere.
    readers: BTreeMap<CheckName, Vec<RemedyName>>,
    /// Values of a check whose change is a trigger.
    watched: BTreeMap<CheckName, BTreeSet<ValueName>>,
    /// The open incident of a check.
    open: BTreeMap<CheckName, IncidentId>,
    /// Unfinished runs.
    live: BTreeSet<RunId>,
    /// The unfinished run that has a target.
    busy: BTreeMap<Target, RunId>,
    /// The remedies of each target.
    sharing: BTreeMap<Target, Vec<RemedyName>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Check(CheckName),
    Remedy(RemedyName),
    Run(RunId),
    Reading(CheckName),
}

/// What one step gathers.
struct Turn {
    now: Now,
    dirty: BTreeSet<RowKey>,
    gone: BTreeSet<RowKey>,
    events: Vec<Event>,
    effects: Vec<Effect>,
    /// Remedies whose trigger is to be looked at again.
    look: BTreeSet<RemedyName>,
    /// Runs that may go on.
    advance: BTreeSet<RunId>,
}

impl Turn {
    fn new(now: Now) -> Self {
        Self {
            now,
            dirty: BTreeSet::new(),
            gone: BTreeSet::new(),
            events: Vec::new(),
            effects: Vec::new(),
            look: BTreeSet::new(),
            advance: BTreeSet::new(),
        }
    }

    fn note(&mut self, incident: Option<IncidentId>, run: Option<RunId>, what: What) {
        self.events.push(Event { at: self.now, incident, run, what });
    }
}

impl Engine {
    /// An engine over the rows of a store; without rows, a new one. Runs that were
    /// under way are looked at before anything is repeated.
    pub fn restore(plan: Arc<Plan>, rows: Vec<Row>, now: Now) -> (Self, Output) {
        let mut engine = Self {
            plan,
            checks: BTreeMap::new(),
            floods: BTreeMap::new(),
            runs: BTreeMap::new(),
            incidents: BTreeMap::new(),
            readings: BTreeMap::new(),
            roles: BTreeMap::new(),
            told_roles: BTreeSet::new(),
            known: BTreeMap::new(),
            rates: BTreeMap::new(),
            index: Index::default(),
            timers: Timers::default(),
            withheld: false,
            closing: false,
            orders: BTreeMap::new(),
            leases: BTreeMap::new(),
            floors: (0, 0),
        };
        for row in rows {
            match row {
                Row::Check(name, mut check) => {
                    check.watched_since = now.boot;
                    let seen = check.last.iter().filter(|(_, sample)| sample.status != Status::Unknown);
                    for (value, found) in seen.flat_map(|(_, sample)| &sample.values) {
                        engine.known.insert((name.clone(), value.clone()), found.clone());
                    }
                    engine.checks.insert(name, Arc::new(check));
                }
                Row::Flood(name, flood) => {
                    engine.floods.insert(name, flood);
                }
                Row::Run(run) => {
                    engine.runs.insert(run.id, run);
                }
                Row::Incident(incident) => {
                    engine.incidents.insert(incident.id, incident);
                }
                Row::Reading(name, reading) => {
                    engine.readings.insert(name, reading);
                }
                Row::Role(service, roles) => {
                    engine.roles.insert(service, roles);
                }
            }
        }
        let mut turn = Turn::new(now);
        engine.take_up(&mut turn);
        engine.forgive_silence(&turn);
        engine.resume_runs(&mut turn);
        let output = engine.finish(turn);
        (engine, output)
    }

    /// Takes one input in.
    pub fn step(&mut self, input: Input, now: Now) -> Output {
        let mut turn = Turn::new(now);
        let mut answer = None;
        self.wake_up(&mut turn);
        let heard = match &input {
            Input::Observed { check, .. } => Some(check),
            _ => None,
        };
        self.wake_checks(heard, &mut turn);
        match input {
            Input::Observed { check, sample } => self.observed(&check, sample, &mut turn),
            Input::Read { source, matches, position } => self.read(&source, matches, position, &mut turn),
            Input::Outcome { run, step, attempt, outcome } => {
                self.outcome(run, &step, attempt, outcome, &mut turn);
            }
            Input::Prepared { run, step, attempt, note } => {
                self.prepared(run, &step, attempt, note, &mut turn);
            }
            Input::HandedOver { run } => self.handed_over(run, &mut turn),
            Input::Withdrawn { run, step, attempt, why } => {
                self.withdrawn(run, &step, attempt, why, &mut turn);
            }
            Input::Command(command) => answer = Some(self.command(&command, &mut turn)),
            Input::Tick => {}
            Input::Note(event) => turn.events.push(event),
            Input::Adopt(adoption) => self.adopt(adoption, &mut turn),
            Input::Lease { lease, holding } => self.leased(lease, holding, &mut turn),
            Input::Role { service, role } => self.role(service, role, &mut turn),
            Input::TakeOver(taken) => self.take_over(*taken, &mut turn),
        }
        let mut output = self.finish(turn);
        output.answer = answer;
        output
    }

    /// Puts another plan in force. What did not change keeps its state; what is gone
    /// loses it; a run whose definition changed is parked, when the action that is under
    /// way has ended.
    pub fn reload(&mut self, plan: Arc<Plan>, now: Now) -> Output {
        let mut turn = Turn::new(now);
        self.wake_up(&mut turn);
        let old = std::mem::replace(&mut self.plan, plan);
        self.take_up(&mut turn);
        self.renew(&old, &mut turn);
        self.wake_checks(None, &mut turn);
        self.park_changed(false, &mut turn);
        self.finish(turn)
    }

    /// Lets what is judged otherwise than before begin anew.
    fn renew(&mut self, old: &Plan, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        for (name, check) in &mut self.checks {
            if old.checks.get(name) != plan.checks.get(name) {
                // Its watcher is a new one: the silence of the old one is not its own.
                Arc::make_mut(check).watched_since = turn.now.boot;
            }
        }
        for name in plan.checks.keys() {
            self.arm_check(name);
        }
    }

    /// Whether [`Engine::close`] was called.
    pub fn closed(&self) -> bool {
        self.closing
    }

    /// Whether an action is still to be carried out. What was decided while its recording took
    /// long may have been given up meanwhile.
    pub fn wants(&self, order: &Order) -> bool {
        let Some(run) = self.runs.get(&order.run) else { return false };
        let stopping = run.cancelled.is_some() && !run.cleaning;
        run.step == order.step
            && !stopping
            && !self.closing
            && matches!(run.state, RunState::Preparing { attempt, .. } | RunState::Acting { attempt, .. }
                if attempt == order.attempt)
    }

    /// From now on nothing is ordered: what comes to an action stays queued for the next
    /// start. For an agent that stops.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// When `step` wants to be called with [`Input::Tick`] at the latest.
    pub fn next_wake(&self) -> Option<Boot> {
        self.timers.next()
    }

    /// The plan in force.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The checks.
    pub fn checks(&self) -> &BTreeMap<CheckName, Arc<Check>> {
        &self.checks
    }

    /// The flood control of each remedy.
    pub fn floods(&self) -> &BTreeMap<RemedyName, Flood> {
        &self.floods
    }

    /// Runs: the unfinished ones and the latest finished ones.
    pub fn runs(&self) -> &BTreeMap<RunId, Run> {
        &self.runs
    }

    /// How far watchers have read.
    pub fn readings(&self) -> &BTreeMap<CheckName, Reading> {
        &self.readings
    }

    /// Incidents: the open ones and the latest closed ones.
    pub fn incidents(&self) -> &BTreeMap<IncidentId, Incident> {
        &self.incidents
    }

    fn command(&mut self, command: &Command, turn: &mut Turn) -> Result<String, Refusal> {
        let incident = match command {
            Command::Retry(run) | Command::Cancel(run) => self.runs.get(run).and_then(|run| run.incident),
            Command::Start(_) => None,
        };
        let run = match command {
            Command::Retry(run) | Command::Cancel(run) => Some(*run),
            Command::Start(_) => None,
        };
        let before = turn.events.len();
        let answer = match command {
            Command::Retry(run) => self.retry(*run, turn),
            Command::Cancel(run) => self.cancel(*run, "a person asked for it", turn),
            Command::Start(remedy) => self.start_by_hand(remedy, turn),
        };
        if answer.is_ok() {
            let what = What::Commanded { command: command.to_string() };
            turn.events.insert(before, Event { at: turn.now, incident, run, what });
        }
        answer
    }

    /// Brings the checks up to now before anything is decided by them; the one that was just
    /// heard is not silent.
    fn wake_checks(&mut self, heard: Option<&CheckName>, turn: &mut Turn) {
        let due: Vec<_> = self
            .timers
            .due(turn.now.boot)
            .filter_map(|timer| match timer {
                Timer::Check(name) => Some(name.clone()),
                Timer::Remedy(_) | Timer::Run(_) | Timer::Reading(_) => None,
            })
            .filter(|name| heard != Some(name))
            .collect();
        for name in due {
            self.wake_check(&name, turn);
        }
    }

    /// Begins anew with what has to last, after a time in which nobody looked at all: the
    /// machine was suspended, or the agent stalled. That was not the silence of a watcher.
    fn wake_up(&mut self, turn: &mut Turn) {
        let now = turn.now.boot;
        if self.timers.next().is_none_or(|due| now.since(due) < ASLEEP) {
            return;
        }
        for check in self.checks.values_mut() {
            let check = Arc::make_mut(check);
            check.watched_since = now;
            check.streak = None;
        }
        for name in self.plan.clone().checks.keys() {
            self.arm_check(name);
        }
        self.forgive_silence(turn);
        self.compose_all(turn);
        self.break_holds(turn);
    }

    /// Brings rows and index in line with the plan.
    fn take_up(&mut self, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let removed: Vec<_> =
            self.checks.keys().filter(|name| !plan.checks.contains_key(*name)).cloned().collect();
        for name in removed {
            self.checks.remove(&name);
            self.timers.set(Timer::Check(name.clone()), None);
            turn.gone.insert(RowKey::Check(name));
        }
        let removed: Vec<_> =
            self.floods.keys().filter(|name| !plan.remedies.contains_key(*name)).cloned().collect();
        for name in removed {
            self.floods.remove(&name);
            self.timers.set(Timer::Remedy(name.clone()), None);
            turn.gone.insert(RowKey::Flood(name));
        }
        let gone = |service: &ServiceName, known: &Roles| {
            known.seen == Role::Standby && !plan.services.contains_key(service)
        };
        let removed: Vec<_> = self.roles.iter().filter(|(service, known)| gone(service, known)).collect();
        let removed: Vec<_> = removed.into_iter().map(|(service, _)| service.clone()).collect();
        for service in removed {
            self.roles.remove(&service);
            turn.gone.insert(RowKey::Role(service));
        }
        // Appended, because a map that grows by one in order of name stays half empty.
        let new = plan.checks.keys().filter(|name| !self.checks.contains_key(*name));
        let mut new = new.map(|name| (name.clone(), Arc::new(Check::new(turn.now)))).collect();
        self.checks.append(&mut new);
        for (name, remedy) in &plan.remedies {
            let flood = self.floods.entry(name.clone()).or_default();
            if flood.take_up(remedy, plan.mode) {
                turn.dirty.insert(RowKey::Flood(name.clone()));
            }
        }
        self.index = Index::new(&plan, &self.runs, &self.incidents);
        let watched = &self.index.watched;
        self.known
            .retain(|(check, value), _| watched.get(check).is_some_and(|values| values.contains(value)));
        self.take_up_readings(turn);
        self.rates.retain(|(check, rate), _| {
            plan.checks.get(check).is_some_and(|check| check.rates.iter().any(|one| one.name == *rate))
        });
        self.close_orphans(turn);
        for name in plan.checks.keys() {
            self.arm_check(name);
        }
        self.compose_all(turn);
        turn.look.extend(plan.remedies.keys().cloned());
        turn.advance.extend(self.index.live.iter().copied());
    }

    /// Lets time pass and consequences follow until nothing changes any more.
    fn finish(&mut self, mut turn: Turn) -> Output {
        loop {
            if let Some(run) = turn.advance.pop_first() {
                self.advance(run, &mut turn);
            } else if let Some(remedy) = turn.look.pop_first() {
                self.look(&remedy, &mut turn);
            } else if let Some(timer) = self.timers.take_due(turn.now.boot) {
                match timer {
                    Timer::Check(check) => self.wake_check(&check, &mut turn),
                    Timer::Remedy(remedy) => {
                        turn.look.insert(remedy);
                    }
                    Timer::Run(run) => {
                        turn.advance.insert(run);
                    }
                    Timer::Reading(source) => self.wake_reading(&source, &mut turn),
                }
            } else if !self.follow_roles(&mut turn) {
                break;
            }
        }
        self.prune(&mut turn);
        let rows = turn
            .dirty
            .iter()
            .filter(|key| !turn.gone.contains(*key))
            .filter_map(|key| self.row(key))
            .collect();
        Output {
            rows,
            gone: turn.gone.into_iter().collect(),
            events: turn.events,
            effects: turn.effects,
            answer: None,
        }
    }

    fn row(&self, key: &RowKey) -> Option<Row> {
        match key {
            RowKey::Check(name) => Some(Row::Check(name.clone(), Check::clone(self.checks.get(name)?))),
            RowKey::Flood(name) => Some(Row::Flood(name.clone(), self.floods.get(name)?.clone())),
            RowKey::Run(id) => Some(Row::Run(self.runs.get(id)?.clone())),
            RowKey::Incident(id) => Some(Row::Incident(self.incidents.get(id)?.clone())),
            RowKey::Reading(name) => Some(Row::Reading(name.clone(), self.readings.get(name)?.clone())),
            RowKey::Role(service) => Some(Row::Role(service.clone(), self.roles.get(service)?.clone())),
        }
    }

    fn next_run(&self) -> RunId {
        RunId(self.runs.last_key_value().map_or(0, |(id, _)| id.0).max(self.floors.0) + 1)
    }

    fn next_incident(&self) -> IncidentId {
        IncidentId(self.incidents.last_key_value().map_or(0, |(id, _)| id.0).max(self.floors.1) + 1)
    }

    /// Forgets the oldest of what is over. The newest always stays, so numbers are
    /// never given twice.
    fn prune(&mut self, turn: &mut Turn) {
        while self.runs.len() - self.index.live.len() > KEPT {
            let Some(id) = self.runs.values().find(|run| run.ended()).map(|run| run.id) else { break };
            self.runs.remove(&id);
            turn.gone.insert(RowKey::Run(id));
        }
        while self.incidents.len() - self.index.open.len() > KEPT {
            let Some(id) = self.incidents.values().find(|one| one.closed.is_some()).map(|one| one.id) else {
                break;
            };
            self.incidents.remove(&id);
            turn.gone.insert(RowKey::Incident(id));
        }
    }
}

impl Index {
    fn new(plan: &Plan, runs: &BTreeMap<RunId, Run>, incidents: &BTreeMap<IncidentId, Incident>) -> Self {
        let mut index = Self::default();
        for (name, check) in &plan.checks {
            if let CheckSource::Checks { of, .. } = &check.source {
                for member in of {
                    index.composites.entry(member.clone()).or_default().push(name.clone());
                }
            }
        }
        for (name, remedy) in &plan.remedies {
            index.sharing.entry(remedy.target.clone()).or_default().push(name.clone());
            for check in named(remedy) {
                // A composite moves when a member does, also in its freshness.
                for basis in bases(plan, &check) {
                    let readers = index.readers.entry(basis).or_default();
                    if !readers.contains(name) {
                        readers.push(name.clone());
                    }
                }
            }
        }
        for (name, check) in plan.checks.iter().filter(|(_, check)| !check.tell.is_empty()) {
            index.watched.entry(name.clone()).or_default().extend(check.tell.iter().cloned());
        }
        for trigger in plan.remedies.values().flat_map(|remedy| &remedy.on) {
            if let Trigger::Changed { check, value, .. } = trigger {
                index.watched.entry(check.clone()).or_default().insert(value.clone());
            }
        }
        for run in runs.values().filter(|run| !run.ended()) {
            index.live.insert(run.id);
            index.busy.insert(run.target.clone(), run.id);
        }
        for incident in incidents.values().filter(|incident| incident.closed.is_none()) {
            index.open.insert(incident.check.clone(), incident.id);
        }
        index
    }
}

/// Every check that a remedy names in any place.
fn named(remedy: &Remedy) -> BTreeSet<CheckName> {
    let mut names = BTreeSet::new();
    let mut add = |condition: &Condition| names.extend(condition.checks());
    for trigger in &remedy.on {
        match trigger {
            Trigger::When(condition) => add(condition),
            Trigger::Changed { .. } | Trigger::Match { .. } => {}
        }
    }
    remedy.guard.iter().chain(&remedy.cancel).chain(&remedy.until).for_each(&mut add);
    for step in &remedy.steps {
        step.skip_when.iter().for_each(&mut add);
        match &step.kind {
            StepKind::Act { verify: Some(verify), .. } => add(&verify.condition),
            StepKind::Act { verify: None, .. } => {}
            StepKind::Wait { condition, .. } => add(condition),
        }
    }
    for trigger in &remedy.on {
        if let Trigger::Changed { check, .. } = trigger {
            names.insert(check.clone());
        }
    }
    names
}

/// A check and, for a composite, everything it is made of.
fn bases(plan: &Plan, check: &CheckName) -> BTreeSet<CheckName> {
    let mut found = BTreeSet::from([check.clone()]);
    let mut open = vec![check.clone()];
    while let Some(name) = open.pop() {
        if let Some(CheckSource::Checks { of, .. }) = plan.checks.get(&name).map(|check| &check.source) {
            open.extend(of.iter().filter(|member| found.insert((*member).clone())).cloned());
        }
    }
    found
}

impl Engine {
    /// The last reported value, unless the last result was no data.
    fn measured(&self, check: &CheckName, value: &ValueName) -> Option<&Value> {
        let check = self.checks.get(check)?;
        let (at, sample) = check.last.as_ref()?;
        // What the rows remember was seen when the status last changed, long ago perhaps.
        if sample.status == Status::Unknown || at.boot < check.watched_since {
            return None;
        }
        sample.value(value)
    }
}

impl Facts for Engine {
    fn status(&self, check: &CheckName) -> Status {
        self.checks.get(check).map_or(Status::Unknown, |check| check.status)
    }

    fn judged(&self, check: &CheckName) -> bool {
        self.checks.get(check).is_some_and(|check| check.judged())
    }

    fn value(&self, check: &CheckName, value: &ValueName) -> Option<f64> {
        match self.measured(check, value)? {
            Value::Number(number) => Some(*number).filter(|number| !number.is_nan()),
            Value::Text(_) => None,
        }
    }

    fn text(&self, check: &CheckName, value: &ValueName) -> Option<String> {
        self.measured(check, value).map(ToString::to_string)
    }

    fn seen(&self, check: &CheckName) -> Option<Boot> {
        match &self.plan.checks.get(check)?.source {
            CheckSource::Watcher => {
                let check = self.checks.get(check)?;
                let (at, sample) = check.last.as_ref()?;
                // What the rows remember was seen before the restart, long ago perhaps.
                (at.boot >= check.watched_since).then(|| at.boot.before(sample.took))
            }
            // Only as fresh as its stalest member.
            CheckSource::Checks { of, .. } => {
                of.iter().map(|member| self.seen(member)).collect::<Option<Vec<_>>>()?.into_iter().min()
            }
        }
    }
}
