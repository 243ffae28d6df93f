//! The machine the agent runs on: feeds the engine, records, and only then lets effects
//! out; is killed and started again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::{
    Boot, Command, Effect, Engine, Input, Match, Now, Order, Outcome, Output, Plan, RemedyName, Row, RowKey,
    RunId, StepKind, Wall, What,
};

use super::operation::{Operation, Script, Stage};
use super::rules::{Cause, Entry, Rules, stored};
use super::witness::Witness;
use super::world::{Due, World};
use super::{Report, plans, probes};

/// The time limit of an action whose definition is gone.
const ORPHAN: Duration = Duration::from_secs(5);

/// An engine that is woken so late was asleep.
const ASLEEP: Duration = Duration::from_secs(5);

/// The machine, the agent on it, and what is watched of both.
pub(super) struct Host<'s> {
    script: &'s Script,
    world: World,
    now: Now,
    plan: Arc<Plan>,
    engine: Option<Engine>,
    /// Since when the agent has run without a break.
    awake: Boot,
    rules: Rules,
    witness: Witness,
    pending: Vec<Entry>,
    flying: Vec<Entry>,
    /// How long a commit takes.
    latency: Duration,
    armed: Option<(u32, Stage, u64)>,
    /// Whether what was only observed may never be acted on.
    observed: bool,
    report: Report,
    log: Option<Vec<String>>,
}

impl<'s> Host<'s> {
    pub(super) fn new(script: &'s Script, log: bool) -> Self {
        let plan = script.plans.first().map(Arc::clone).unwrap_or_default();
        let observes = |plan: &Arc<Plan>| {
            let modes = plan.remedies.values().map(|remedy| remedy.mode);
            modes.chain([plan.mode]).any(|mode| mode == lictor_core::Mode::Observe)
        };
        Self {
            script,
            world: World::new(script.seed, script.services),
            now: Now { boot: Boot::from_millis(1_000_000), wall: Wall::from_unix_millis(1_700_000_000_000) },
            plan,
            engine: None,
            awake: Boot::default(),
            rules: Rules::default(),
            witness: Witness::default(),
            pending: Vec::new(),
            flying: Vec::new(),
            latency: Duration::ZERO,
            armed: None,
            observed: script.plans.iter().any(observes),
            report: Report { plays: 1, ..Report::default() },
            log: log.then(Vec::new),
        }
    }

    /// Plays the script to its end.
    pub(super) fn play(&mut self) -> Result<(), String> {
        self.start()?;
        for operation in &self.script.operations {
            self.say(|| format!("* {operation}"));
            self.operate(operation)?;
        }
        self.say(|| "* all is well from now on".to_owned());
        (self.armed, self.latency) = (None, Duration::ZERO);
        self.world.heal();
        self.pass(self.now.boot.after(Duration::from_secs(60)))?;
        self.settled()
    }

    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    pub(super) fn log(self) -> Vec<String> {
        self.log.unwrap_or_default()
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(line());
        }
    }

    fn operate(&mut self, operation: &Operation) -> Result<(), String> {
        let up = self.engine.is_some();
        match *operation {
            Operation::Pass(millis) => self.pass(self.after(millis)),
            Operation::PassToWake(by) => {
                let Some(wake) = self.engine.as_ref().and_then(Engine::next_wake) else { return Ok(()) };
                let at = wake.as_millis().saturating_add_signed(by);
                // A wake that is far away would make the play long.
                let at = at.clamp(self.now.boot.as_millis(), self.after(120_000).as_millis());
                self.pass(Boot::from_millis(at))
            }
            Operation::Freeze(millis) => {
                self.go_to(self.after(millis));
                self.awake = self.now.boot;
                let wake = self.engine.as_ref().and_then(Engine::next_wake);
                if wake.is_some_and(|at| self.now.boot.since(at) >= ASLEEP) {
                    self.witness.blink();
                }
                self.pass(self.now.boot)
            }
            Operation::Set(service, status) => {
                self.world.set(service, status);
                Ok(())
            }
            Operation::Blind(service, yes) => {
                self.world.blind(service, yes);
                Ok(())
            }
            Operation::Mute(service, yes) => {
                self.world.mute(service, yes);
                Ok(())
            }
            Operation::Load(service, load) => {
                self.world.load(service, load);
                Ok(())
            }
            Operation::Line(service) if up => {
                let matches = vec![Match::new(plans::pattern(), "out of memory")];
                self.step(Input::Read { source: plans::check(service), matches, position: None })
            }
            Operation::Retry(run) if up => match self.unfinished(run) {
                Some(run) => self.step(Input::Command(Command::Retry(run))),
                None => Ok(()),
            },
            Operation::Cancel(run) if up => match self.unfinished(run) {
                Some(run) => self.step(Input::Command(Command::Cancel(run))),
                None => Ok(()),
            },
            Operation::Start(remedy) if up => match self.remedy(remedy) {
                Some(remedy) => self.step(Input::Command(Command::Start(remedy))),
                None => Ok(()),
            },
            Operation::Stray(run) if up => match self.stray(run) {
                Some(input) => self.step(input),
                None => Ok(()),
            },
            Operation::Store(millis) => {
                self.latency = Duration::from_millis(millis);
                Ok(())
            }
            Operation::KillAtCommit(commits, stage, down) if up => {
                self.armed = Some((commits, stage, down));
                Ok(())
            }
            Operation::Kill(arrives, down) if up => {
                self.flush(arrives)?;
                self.kill(down);
                Ok(())
            }
            Operation::PowerCut(arrives, down) if up => {
                self.flush(arrives)?;
                self.world.power_cut(self.now.boot);
                self.kill(down);
                Ok(())
            }
            Operation::StepWall(by) => {
                self.now.wall = Wall::from_unix_millis(self.now.wall.as_unix_millis().saturating_add(by));
                Ok(())
            }
            Operation::Reload(plan) if up => self.reload(plan),
            Operation::Edit(plan) => {
                self.plan = self.script.plans.get(plan).map_or_else(|| Arc::clone(&self.plan), Arc::clone);
                // What is only known from the old plan is not known after a restart.
                self.observed = true;
                Ok(())
            }
            Operation::Line(_)
            | Operation::Retry(_)
            | Operation::Cancel(_)
            | Operation::Start(_)
            | Operation::Stray(_)
            | Operation::KillAtCommit(..)
            | Operation::Kill(..)
            | Operation::PowerCut(..)
            | Operation::Reload(_) => Ok(()),
        }
    }

    fn after(&self, millis: u64) -> Boot {
        self.now.boot.after(Duration::from_millis(millis))
    }

    fn unfinished(&self, nth: usize) -> Option<RunId> {
        let runs = self.engine.as_ref()?.runs();
        let live: Vec<_> = runs.values().filter(|run| !run.ended()).map(|run| run.id).collect();
        live.get(nth.checked_rem(live.len())?).copied()
    }

    fn remedy(&self, nth: usize) -> Option<RemedyName> {
        let remedies = &self.engine.as_ref()?.plan().remedies;
        remedies.keys().nth(nth.checked_rem(remedies.len())?).cloned()
    }

    fn stray(&self, nth: usize) -> Option<Input> {
        let id = self.unfinished(nth)?;
        let step = self.engine.as_ref()?.runs().get(&id)?.step.clone();
        let outcome = Outcome::Done { detail: "nobody asked".into() };
        Some(Input::Outcome { run: id, step, attempt: 1_000, outcome })
    }

    fn go_to(&mut self, at: Boot) {
        let passed = i64::try_from(at.since(self.now.boot).as_millis()).unwrap_or(i64::MAX);
        self.now.wall = Wall::from_unix_millis(self.now.wall.as_unix_millis().saturating_add(passed));
        self.now.boot = self.now.boot.max(at);
    }

    /// Lets time pass: the world does what is due, the engine is woken when it asks for it.
    fn pass(&mut self, end: Boot) -> Result<(), String> {
        loop {
            let wake = self.engine.as_ref().and_then(Engine::next_wake);
            let due = self.world.queue.next();
            let next = wake.into_iter().chain(due).min().filter(|at| *at <= end);
            self.tick_early(next.unwrap_or(end), wake)?;
            let Some(next) = next else {
                self.go_to(end);
                return Ok(());
            };
            self.go_to(next);
            let woken = wake.is_some_and(|at| at <= self.now.boot);
            // Which of two things of one instant comes first is nobody's promise.
            let first = self.script.seed.is_multiple_of(2) || due.is_none_or(|at| at > self.now.boot);
            if woken && first {
                self.step(Input::Tick)?;
            } else if let Some(due) = self.world.queue.take(self.now.boot) {
                self.happens(due)?;
            } else {
                self.step(Input::Tick)?;
            }
        }
    }

    /// A tick before the engine asked for it changes nothing.
    fn tick_early(&mut self, next: Boot, wake: Option<Boot>) -> Result<(), String> {
        let before = next.min(wake.unwrap_or(next)).as_millis().saturating_sub(1);
        let Some(engine) = self.engine.as_mut().filter(|_| before > self.now.boot.as_millis()) else {
            return Ok(());
        };
        let now = Now { boot: Boot::from_millis(before), wall: self.now.wall };
        let output = engine.step(Input::Tick, now);
        if output.is_empty() {
            return Ok(());
        }
        Err(format!("a tick at {now:?}, before the engine wants to be woken at {wake:?}, gives {output:?}"))
    }

    fn happens(&mut self, due: Due) -> Result<(), String> {
        let now = self.now.boot;
        match due {
            Due::Look(service, life) if life == self.world.life => self.world.look(service, now),
            Due::Say(life, input) if life == self.world.life => return self.step(input),
            Due::Durable(life) if life == self.world.life => {
                self.flush(true)?;
                return self.record();
            }
            Due::Look(..) | Due::Say(..) | Due::Durable(_) => {}
            Due::Ends(identity) => {
                self.say(|| format!("  {identity} ends"));
                self.world.ends(&identity, now);
            }
            Due::Lands(service, status) => {
                self.say(|| format!("  service {service} becomes {status}"));
                self.world.set(service, status);
            }
            // It was killed twice, and came back already.
            Due::Starts if self.engine.is_some() => {}
            Due::Starts => return self.start(),
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), String> {
        self.say(|| "  the agent starts".to_owned());
        let rows = self.rules.rows.values().cloned().collect();
        let (engine, output) = Engine::restore(Arc::clone(&self.plan), rows, self.now);
        self.engine = Some(engine);
        self.witness = Witness::default();
        self.world.begin(self.now.boot);
        self.report.starts += 1;
        self.awake = self.now.boot;
        self.decided(Cause::Started, false, output)
    }

    fn reload(&mut self, plan: usize) -> Result<(), String> {
        let (Some(plan), Some(engine)) = (self.script.plans.get(plan), &mut self.engine) else {
            return Ok(());
        };
        self.plan = Arc::clone(plan);
        let output = engine.reload(Arc::clone(plan), self.now);
        self.decided(Cause::Reloaded, false, output)
    }

    fn step(&mut self, input: Input) -> Result<(), String> {
        let now = self.now;
        let Some(engine) = &mut self.engine else { return Ok(()) };
        self.report.steps += 1;
        let bad = probes::too_many_bad(engine);
        let output = if self.report.steps.is_multiple_of(64) {
            let mut twin = engine.clone();
            let output = engine.step(input.clone(), now);
            probes::same(engine, &output, &twin.step(input.clone(), now), &twin)?;
            output
        } else {
            engine.step(input.clone(), now)
        };
        self.decided(Cause::Input(input), bad, output)
    }

    /// The engine said something: it is looked at, recorded, and carried out.
    fn decided(&mut self, cause: Cause, bad: bool, output: Output) -> Result<(), String> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let by_hand = matches!(cause, Cause::Input(Input::Command(_)));
        if let Some(log) = &mut self.log {
            for event in &output.events {
                let at = Duration::from_millis(event.at.boot.as_millis());
                let of = event.run.map_or_else(String::new, |run| format!(" [{run}]"));
                log.push(format!("  {:.3}{of} {}", at.as_secs_f64(), event.what));
            }
            for effect in &output.effects {
                log.push(format!("    {}", effect_text(effect)));
            }
        }
        probes::always(engine, self.now, self.awake)?;
        probes::nothing_waits(engine, self.now, self.observed)?;
        probes::starts(bad, engine, &output, by_hand)?;
        self.witness.see(engine, &output, self.now)?;
        if self.report.steps.is_multiple_of(32)
            || (!output.is_empty() && self.report.entries.is_multiple_of(8))
        {
            probes::nothing_is_missed(engine, self.now)?;
        }
        let told = !output.is_empty() || output.answer.is_some();
        if told {
            let plan = Arc::clone(engine.plan());
            self.pending.push(Entry { now: self.now, cause, plan, output });
            if self.report.entries % 8 == 4 {
                self.probe_restore()?;
            }
            self.report.entries += 1;
        }
        self.record()
    }

    /// What a restart would find if everything decided so far were durable.
    fn probe_restore(&self) -> Result<(), String> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let mut rows: BTreeMap<RowKey, Row> = self.rules.rows.clone();
        for entry in self.flying.iter().chain(&self.pending) {
            rows.extend(entry.output.rows.iter().map(|row| (row.key(), stored(row))));
            rows.retain(|key, _| !entry.output.gone.contains(key));
        }
        probes::restores(engine, rows.into_values().collect(), self.now)
    }

    /// Begins to record what is pending, unless a commit is in flight.
    fn record(&mut self) -> Result<(), String> {
        if !self.flying.is_empty() || self.pending.is_empty() {
            return Ok(());
        }
        self.flying = std::mem::take(&mut self.pending);
        self.report.commits += 1;
        if let Some((commits, stage, down)) = self.armed {
            if commits > 1 {
                self.armed = Some((commits - 1, stage, down));
            } else {
                return self.killed_at(stage, down);
            }
        }
        if self.latency.is_zero() {
            return self.flush(true);
        }
        self.world.queue.add(self.now.boot.after(self.latency), Due::Durable(self.world.life));
        Ok(())
    }

    fn killed_at(&mut self, stage: Stage, down: u64) -> Result<(), String> {
        self.report.killed[stage as usize] += 1;
        let effects: Vec<_> = self.flying.iter().flat_map(|entry| entry.output.effects.clone()).collect();
        match stage {
            Stage::Before => self.flying.clear(),
            Stage::After => self.durable()?,
            Stage::During => {
                self.durable()?;
                for effect in effects.iter().take(effects.len().div_ceil(2)) {
                    self.carry_out(effect)?;
                }
            }
        }
        self.kill(down);
        Ok(())
    }

    /// Ends the commit in flight; its effects are carried out if it arrives.
    fn flush(&mut self, arrives: bool) -> Result<(), String> {
        if !arrives {
            self.flying.clear();
            return Ok(());
        }
        let effects: Vec<_> = self.flying.iter().flat_map(|entry| entry.output.effects.clone()).collect();
        self.durable()?;
        effects.iter().try_for_each(|effect| self.carry_out(effect))
    }

    fn durable(&mut self) -> Result<(), String> {
        for entry in std::mem::take(&mut self.flying) {
            for event in &entry.output.events {
                self.report.count(&event.what);
                if let (Some(run), What::Intent { step, .. }) = (event.run, &event.what)
                    && let Some(until) = self.world.landing(run, step)
                {
                    self.rules.runs.landing.insert((run, step.clone()), until);
                }
            }
            self.rules.commit(&entry)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: &Effect) -> Result<(), String> {
        let now = self.now.boot;
        match effect {
            Effect::Act(order) if self.engine.as_ref().is_some_and(|engine| engine.wants(order)) => {
                self.report.acts += 1;
                self.world.act(order, self.limit(order), now)?;
                self.step(Input::HandedOver { run: order.run })
            }
            Effect::Prepare(order) if self.engine.as_ref().is_some_and(|engine| engine.wants(order)) => {
                self.report.prepares += 1;
                self.world.prepare(order, now);
                self.step(Input::HandedOver { run: order.run })
            }
            Effect::Prepare(order) | Effect::Act(order) => {
                let (run, step, attempt) = (order.run, order.step.clone(), order.attempt);
                let why = "it is not wanted any more".to_owned();
                self.step(Input::Withdrawn { run, step, attempt, why })
            }
            Effect::Inspect(order) => {
                self.report.inspects += 1;
                self.world.inspect(order, now);
                self.step(Input::HandedOver { run: order.run })
            }
            Effect::Abort(order) => {
                self.report.aborts += 1;
                self.world.abort(order, now);
                Ok(())
            }
        }
    }

    fn limit(&self, order: &Order) -> Duration {
        let remedy = self.plan.remedies.get(&order.remedy);
        let step = remedy.and_then(|remedy| remedy.steps.iter().find(|step| step.name == order.step));
        match step.map(|step| &step.kind) {
            Some(StepKind::Act { limit, .. }) => *limit,
            Some(StepKind::Wait { .. }) | None => ORPHAN,
        }
    }

    fn kill(&mut self, down: u64) {
        self.say(|| "  the agent is dead".to_owned());
        self.engine = None;
        self.pending.clear();
        self.flying.clear();
        self.armed = None;
        self.world.orphan(self.now.boot);
        self.world.queue.add(self.after(down), Due::Starts);
    }

    /// At the end ledger and rows agree on what is unfinished.
    fn settled(&self) -> Result<(), String> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let live = engine.runs().values().filter(|run| !run.ended()).map(|run| run.id);
        if live.eq(self.rules.runs.unfinished()) {
            return Ok(());
        }
        Err(format!("unfinished in the ledger: {:?}", self.rules.runs.unfinished().collect::<Vec<_>>()))
    }
}

fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Prepare(order) => format!("-> prepare {order}"),
        Effect::Act(order) => format!("-> act {order}"),
        Effect::Inspect(order) => format!("-> inspect {order}"),
        Effect::Abort(order) => format!("-> abort {order}"),
    }
}
