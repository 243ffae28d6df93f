//! The engine in virtual time: what is due comes when it is due, and no clock is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lictor_core::{
    Boot, CheckName, Effect, Engine, Event, Input, Match, Now, Order, Outcome, Output, Plan, RemedyName,
    RunId, Sample, Span, StepKind, Wall,
};

use super::tally::Tally;

/// Where the boot axis of a play begins: late enough that what happened before it fits in front.
const ORIGIN: Boot = Boot::from_millis(365 * 86_400_000);

/// How actions end.
#[derive(Clone, Debug, Default)]
pub struct Acting {
    /// How long each takes.
    pub takes: Duration,
    /// Rules, remedies or steps (`remedy/step`) whose actions fail.
    pub fail: BTreeSet<String>,
}

impl Acting {
    fn fails(&self, order: &Order) -> bool {
        let named = |name: &str| self.fail.contains(name);
        named(order.remedy.as_str()) || order.action.as_ref().is_some_and(|action| named(action.as_str()))
    }
}

/// What comes at a time by itself.
#[derive(Debug)]
enum Due {
    /// An action ends.
    Ends(Order, Outcome),
    /// A watcher looks again, unless it has said something else since.
    Looks(CheckName, u64),
}

/// What a watcher says at each of its looks until it says something else.
#[derive(Debug)]
struct Repeated {
    sample: Sample,
    every: Duration,
    /// Of which time it is the word.
    number: u64,
}

/// Takes each event as it happens.
pub type OnEvent<'a> = Box<dyn FnMut(&Event) + 'a>;

/// An engine that is played.
pub struct Play<'a> {
    engine: Engine,
    acting: Acting,
    /// The wall clock at the origin, milliseconds.
    wall: i64,
    now: Boot,
    due: BTreeMap<(Boot, u64), Due>,
    count: u64,
    repeated: BTreeMap<CheckName, Repeated>,
    tally: Tally,
    on_event: OnEvent<'a>,
}

impl std::fmt::Debug for Play<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Play").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl<'a> Play<'a> {
    /// Begins at that time with nothing known.
    pub fn new(plan: Arc<Plan>, acting: Acting, begin: Wall, on_event: OnEvent<'a>) -> Self {
        let now = Now { boot: ORIGIN, wall: begin };
        let tally = Tally::new(&plan);
        let (engine, first) = Engine::restore(plan, Vec::new(), now);
        let mut play = Self {
            engine,
            acting,
            wall: begin.as_unix_millis(),
            now: ORIGIN,
            due: BTreeMap::new(),
            count: 0,
            repeated: BTreeMap::new(),
            tally,
            on_event,
        };
        play.take(first);
        play
    }

    /// The present of the play.
    pub fn now(&self) -> Now {
        let passed = self.now.as_millis().saturating_sub(ORIGIN.as_millis());
        let wall = self.wall.saturating_add_unsigned(passed);
        Now { boot: self.now, wall: Wall::from_unix_millis(wall) }
    }

    /// What happened so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Lets the time come; one that has passed is the present.
    pub fn until(&mut self, wall: Wall) {
        let passed = wall.as_unix_millis().saturating_sub(self.wall);
        let to = ORIGIN.after(Duration::from_millis(u64::try_from(passed).unwrap_or(0))).max(self.now);
        self.advance(to);
    }

    /// Lets so much time pass since the beginning.
    pub fn until_after(&mut self, passed: Duration) {
        self.advance(ORIGIN.after(passed).max(self.now));
    }

    fn advance(&mut self, to: Boot) {
        loop {
            // What asks for the past is asked again a moment later, or time would stand still.
            let wake = self.engine.next_wake().map(|at| if at > self.now { at } else { next(self.now) });
            let due = self.due.first_key_value().map(|((at, _), _)| (*at).max(self.now));
            match (due, wake) {
                (Some(at), wake) if at <= to && wake.is_none_or(|wake| at <= wake) => {
                    self.now = at;
                    if let Some((_, due)) = self.due.pop_first() {
                        self.comes(due);
                    }
                }
                (_, Some(at)) if at <= to => {
                    self.now = at;
                    self.step(Input::Tick);
                }
                _ => break,
            }
        }
        self.now = to;
    }

    /// A watcher has read lines that match.
    pub fn read(&mut self, source: &CheckName, matches: Vec<Match>) {
        self.step(Input::Read { source: source.clone(), matches, position: None });
        self.advance(self.now);
    }

    /// A watcher has a result, once.
    pub fn observed(&mut self, check: &CheckName, sample: Sample) {
        self.repeated.remove(check);
        self.step(Input::Observed { check: check.clone(), sample });
        self.advance(self.now);
    }

    /// A watcher has a result, now and at each look from now on.
    pub fn keeps(&mut self, check: &CheckName, sample: Sample, every: Duration) {
        self.count += 1;
        let number = self.count;
        self.step(Input::Observed { check: check.clone(), sample: sample.clone() });
        self.repeated.insert(check.clone(), Repeated { sample, every, number });
        self.add(self.now.after(every), Due::Looks(check.clone(), number));
        self.advance(self.now);
    }

    /// A watcher says nothing more.
    pub fn silent(&mut self, check: &CheckName) {
        self.repeated.remove(check);
    }

    fn add(&mut self, at: Boot, due: Due) {
        self.count += 1;
        self.due.insert((at, self.count), due);
    }

    fn comes(&mut self, due: Due) {
        match due {
            Due::Ends(order, outcome) => self.step(ended(&order, outcome)),
            Due::Looks(check, number) => {
                let Some(one) = self.repeated.get(&check).filter(|one| one.number == number) else { return };
                let (sample, next) = (one.sample.clone(), self.now.after(one.every));
                self.add(next, Due::Looks(check.clone(), number));
                self.step(Input::Observed { check, sample });
            }
        }
    }

    fn step(&mut self, input: Input) {
        let output = self.engine.step(input, self.now());
        self.take(output);
    }

    /// Notes what happened and does what is to be done, as the decide loop would.
    fn take(&mut self, output: Output) {
        for event in &output.events {
            self.tally.note(event);
            (self.on_event)(event);
        }
        self.tally.floods(self.engine.floods());
        for effect in output.effects {
            match effect {
                Effect::Prepare(order) | Effect::Act(order) if !self.engine.wants(&order) => {
                    let (run, step, attempt) = (order.run, order.step, order.attempt);
                    let why = "it was not wanted any more".to_owned();
                    self.step(Input::Withdrawn { run, step, attempt, why });
                }
                Effect::Prepare(order) => {
                    self.step(Input::HandedOver { run: order.run });
                    let (run, step, attempt) = (order.run, order.step, order.attempt);
                    self.step(Input::Prepared { run, step, attempt, note: String::new() });
                }
                Effect::Act(order) => self.act(order),
                Effect::Inspect(order) => {
                    self.step(Input::HandedOver { run: order.run });
                    let detail = "nobody can tell in a play".to_owned();
                    self.step(ended(&order, Outcome::Unknown { detail }));
                }
                Effect::Abort(order) => self.abort(order.run),
            }
        }
    }

    fn act(&mut self, order: Order) {
        self.step(Input::HandedOver { run: order.run });
        let limit = self.limit(&order.remedy, &order);
        let takes = self.acting.takes;
        let (after, outcome) = if self.acting.fails(&order) {
            (takes.min(limit), Outcome::Failed { detail: "it was to fail".to_owned() })
        } else if takes > limit {
            let detail = format!("ended at its time limit, {}", Span(limit));
            (limit, Outcome::Unknown { detail })
        } else {
            (takes, Outcome::Done { detail: "taken as done".to_owned() })
        };
        self.add(self.now.after(after), Due::Ends(order, outcome));
    }

    /// What is under way ends now, and nobody knows how far it came.
    fn abort(&mut self, run: RunId) {
        let found = self.due.iter().find(|(_, due)| matches!(due, Due::Ends(order, _) if order.run == run));
        let Some(key) = found.map(|(key, _)| *key) else { return };
        if let Some(Due::Ends(order, _)) = self.due.remove(&key) {
            let outcome = Outcome::Unknown { detail: "it was stopped".to_owned() };
            self.add(self.now, Due::Ends(order, outcome));
        }
    }

    fn limit(&self, remedy: &RemedyName, order: &Order) -> Duration {
        let remedy = self.engine.plan().remedies.get(remedy);
        let step = remedy.and_then(|remedy| remedy.steps.iter().find(|step| step.name == order.step));
        match step.map(|step| &step.kind) {
            Some(StepKind::Act { limit, .. }) => *limit,
            Some(StepKind::Wait { .. }) | None => Duration::MAX,
        }
    }
}

fn next(at: Boot) -> Boot {
    at.after(Duration::from_millis(1))
}

fn ended(order: &Order, outcome: Outcome) -> Input {
    Input::Outcome { run: order.run, step: order.step.clone(), attempt: order.attempt, outcome }
}
