//! The world: services that fail and recover, watchers that look at them, and children
//! that do what they were told, or not, and outlive the agent.

use std::collections::BTreeMap;
use std::time::Duration;

use lictor_core::{Boot, Input, Order, Outcome, RunId, Sample, Status, StepName, Value};

use super::dice::Dice;
use super::plans;

/// A write that was given up is applied no later than this after it was.
const LATE: u64 = 7_000;

/// Something that is due at a time.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// A watcher of that life of the agent looks.
    Look(usize, u64),
    /// Something is said to that life of the agent.
    Say(u64, Input),
    /// A child ends.
    Ends(String),
    /// What was done to a service shows, also when it had been given up.
    Lands(usize, Status),
    /// A commit of that life of the agent is durable.
    Durable(u64),
    /// The agent is started.
    Starts,
}

/// What is due, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    due: BTreeMap<(Boot, u64), Due>,
    count: u64,
}

impl Queue {
    pub(super) fn add(&mut self, at: Boot, due: Due) {
        self.count += 1;
        self.due.insert((at, self.count), due);
    }

    pub(super) fn next(&self) -> Option<Boot> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn take(&mut self, now: Boot) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|(_, due)| due)
    }
}

/// One service and the watcher that looks at it.
#[derive(Clone, Debug)]
struct Service {
    status: Status,
    load: u32,
    blind: bool,
    mute: bool,
    every: Duration,
    took: Duration,
}

/// One action under way or over.
#[derive(Clone, Debug)]
struct Child {
    order: Order,
    /// Has a shim that keeps how it ended; a request leaves no trace here.
    exec: bool,
    outcome: Outcome,
    /// Whether the agent that started it hears of its end.
    answers: bool,
    /// The service that gets another state with it.
    touches: Option<(usize, Status)>,
    /// Given up, and applied so much later.
    late: Option<u64>,
    life: u64,
    asked: Option<u64>,
    /// When it ends by itself.
    until: Boot,
    ended: bool,
    /// How it ended is not known to anybody.
    lost: bool,
}

/// The world.
#[derive(Clone, Debug)]
pub(super) struct World {
    seed: u64,
    services: Vec<Service>,
    children: BTreeMap<String, Child>,
    landing: BTreeMap<(RunId, StepName), Boot>,
    pub(super) queue: Queue,
    /// Each start of the agent is another life.
    pub(super) life: u64,
}

impl World {
    pub(super) fn new(seed: u64, services: usize) -> Self {
        let service = |index: usize| {
            let mut dice = Dice::of(seed, &format!("service {index}"));
            let every = dice.millis(&[2_000, 5_000, 5_000, 10_000]);
            let took = dice.millis(&[0, 0, 1, 500, 3_000, 12_000]);
            Service { status: Status::Passing, load: 0, blind: false, mute: false, every, took }
        };
        Self {
            seed,
            services: (0..services).map(service).collect(),
            children: BTreeMap::new(),
            landing: BTreeMap::new(),
            queue: Queue::default(),
            life: 0,
        }
    }

    pub(super) fn set(&mut self, service: usize, status: Status) {
        if let Some(service) = self.services.get_mut(service) {
            service.status = status;
        }
    }

    pub(super) fn blind(&mut self, service: usize, blind: bool) {
        if let Some(service) = self.services.get_mut(service) {
            service.blind = blind;
        }
    }

    pub(super) fn mute(&mut self, service: usize, mute: bool) {
        if let Some(service) = self.services.get_mut(service) {
            service.mute = mute;
        }
    }

    pub(super) fn load(&mut self, service: usize, load: u32) {
        if let Some(service) = self.services.get_mut(service) {
            service.load = load;
        }
    }

    /// Makes everything well: nothing fails any more by itself.
    pub(super) fn heal(&mut self) {
        for service in &mut self.services {
            (service.status, service.blind, service.mute) = (Status::Passing, false, false);
        }
    }

    /// A life of the agent begins: its watchers look at once and then regularly.
    pub(super) fn begin(&mut self, now: Boot) {
        for service in 0..self.services.len() {
            let spread = Dice::of(self.seed ^ self.life, &format!("first {service}")).below(2_000);
            self.queue.add(now.after(Duration::from_millis(spread)), Due::Look(service, self.life));
        }
    }

    pub(super) fn look(&mut self, index: usize, now: Boot) {
        let Some(service) = self.services.get(index) else { return };
        let (status, summary) = match service.blind {
            true => (Status::Unknown, "it cannot be seen".to_owned()),
            false => (service.status, format!("it is {}", service.status)),
        };
        let sample = Sample::new(status, summary).taking(service.took);
        let sample = match service.blind {
            true => sample,
            false => sample.with(plans::load(), Value::Number(f64::from(service.load))),
        };
        let input = Input::Observed { check: plans::check(index), sample };
        if !service.mute {
            self.queue.add(now.after(service.took), Due::Say(self.life, input));
        }
        self.queue.add(now.after(service.every.max(service.took)), Due::Look(index, self.life));
    }

    /// Says what an action would change, sooner or later, or that there is nothing to do.
    pub(super) fn prepare(&mut self, order: &Order, now: Boot) {
        let mut dice = Dice::of(self.seed, &format!("prepare {order} {}", self.life));
        let (run, step, attempt) = (order.run, order.step.clone(), order.attempt);
        let detail = "looked".to_owned();
        let said = match dice.below(100) {
            0..70 => Input::Prepared { run, step, attempt, note: format!("{order} {}", self.life) },
            70..80 => Input::Outcome { run, step, attempt, outcome: Outcome::Done { detail } },
            80..92 => Input::Outcome { run, step, attempt, outcome: Outcome::Failed { detail } },
            92..95 => Input::Outcome { run, step, attempt, outcome: Outcome::NotStarted { detail } },
            // Nobody ever answers.
            _ => return,
        };
        let after = Duration::from_millis(dice.pick(&[0, 0, 1, 500, 3_000]));
        self.queue.add(now.after(after), Due::Say(self.life, said));
    }

    /// Carries an action out.
    pub(super) fn act(&mut self, order: &Order, limit: Duration, now: Boot) -> Result<(), String> {
        let identity = order.to_string();
        if self.children.contains_key(&identity) {
            return Err(format!("{identity} is carried out twice"));
        }
        // Whoever asked for it, and whatever became of the agent meanwhile: never two at once.
        let mut others = self.children.values().filter(|one| one.order.target == order.target);
        if let Some(other) = others.find(|one| !one.ended && one.until > now) {
            return Err(format!("{identity} is begun beside {}, which is under way", other.order));
        }
        let mut dice = Dice::of(self.seed, &identity);
        let exec = is_exec(&mut dice);
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let mut takes = dice.pick(&[0, 1, 500, 2_000, limit.saturating_sub(1), limit]).min(limit);
        let detail = identity.clone();
        let (outcome, answers) = match dice.below(100) {
            0..55 => (Outcome::Done { detail }, true),
            55..68 => (Outcome::Failed { detail }, true),
            68..72 => (Outcome::NotStarted { detail }, true),
            72..84 => (Outcome::Unknown { detail }, true),
            84..92 => (Outcome::Done { detail }, false),
            _ => {
                takes = limit;
                (Outcome::Unknown { detail: "killed at its time limit".into() }, true)
            }
        };
        let service = dice.index(self.services.len());
        let status = dice.pick(&[Status::Passing, Status::Passing, Status::Passing, Status::Critical]);
        let late = matches!(outcome, Outcome::Unknown { .. }).then(|| dice.pick(&[0, 1, 3_000, LATE]));
        let acts = matches!(outcome, Outcome::Done { .. } | Outcome::Unknown { .. }) && dice.chance(60);
        let until = now.after(Duration::from_millis(takes));
        let child = Child {
            order: order.clone(),
            exec,
            outcome,
            answers,
            touches: acts.then_some((service, status)),
            late,
            life: self.life,
            asked: None,
            until,
            ended: false,
            lost: false,
        };
        self.children.insert(identity.clone(), child);
        self.queue.add(until, Due::Ends(identity));
        Ok(())
    }

    pub(super) fn ends(&mut self, identity: &str, now: Boot) {
        let Some(child) = self.children.get_mut(identity).filter(|child| !child.ended) else { return };
        child.ended = true;
        let heard = (child.answers && child.life == self.life).then_some(child.life);
        let heard = heard.or(child.asked.filter(|life| *life == self.life));
        if let Some((service, status)) = child.touches {
            let at = now.after(Duration::from_millis(child.late.unwrap_or_default()));
            self.landing.insert((child.order.run, child.order.step.clone()), at);
            self.queue.add(at, Due::Lands(service, status));
        }
        if let Some(life) = heard {
            let said = outcome_of(child);
            self.queue.add(now, Due::Say(life, said));
        }
    }

    /// Until when what was given up at a step may still be applied.
    pub(super) fn landing(&self, run: RunId, step: &StepName) -> Option<Boot> {
        self.landing.get(&(run, step.clone())).copied()
    }

    /// Tries to stop a child.
    pub(super) fn abort(&mut self, order: &Order, now: Boot) {
        let identity = order.to_string();
        let stops = Dice::of(self.seed, &format!("abort {identity}")).chance(70);
        let Some(child) = self.children.get_mut(&identity).filter(|child| !child.ended && stops) else {
            return;
        };
        child.outcome = Outcome::Unknown { detail: "it was killed".into() };
        child.late.get_or_insert(0);
        self.queue.add(now, Due::Ends(identity));
    }

    /// Says what became of an attempt, as far as one can know; sometimes nobody answers.
    pub(super) fn inspect(&mut self, order: &Order, now: Boot) {
        let identity = order.to_string();
        if Dice::of(self.seed, &format!("inspect {identity}")).chance(6) {
            return;
        }
        let exec = is_exec(&mut Dice::of(self.seed, &identity));
        let say = |outcome| Input::Outcome {
            run: order.run,
            step: order.step.clone(),
            attempt: order.attempt,
            outcome,
        };
        let unknown = |why: &str| say(Outcome::Unknown { detail: why.into() });
        let answer = match self.children.get_mut(&identity) {
            None if exec => say(Outcome::NotStarted { detail: "no trace of it".into() }),
            Some(child) if exec && !child.lost => {
                if !child.ended {
                    child.asked = Some(self.life);
                    return;
                }
                outcome_of(child)
            }
            Some(child) if exec && child.lost => unknown("the power was cut"),
            Some(_) | None => unknown("a request leaves no trace"),
        };
        self.queue.add(now, Due::Say(self.life, answer));
    }

    /// The agent is dead: requests break off, children live on.
    pub(super) fn orphan(&mut self, now: Boot) {
        self.life += 1;
        for child in self.children.values_mut().filter(|child| !child.exec && !child.ended) {
            child.ended = true;
            let after = Dice::of(self.seed, &format!("cut {}", child.order)).pick(&[0, 1, 3_000, LATE]);
            if let Some((service, status)) = child.touches {
                let at = now.after(Duration::from_millis(after));
                self.landing.insert((child.order.run, child.order.step.clone()), at);
                self.queue.add(at, Due::Lands(service, status));
            }
        }
    }

    /// The power is cut: everything that runs here is dead.
    pub(super) fn power_cut(&mut self, now: Boot) {
        self.orphan(now);
        for child in self.children.values_mut().filter(|child| !child.ended) {
            (child.ended, child.lost) = (true, true);
        }
    }
}

fn is_exec(dice: &mut Dice) -> bool {
    dice.chance(60)
}

fn outcome_of(child: &Child) -> Input {
    Input::Outcome {
        run: child.order.run,
        step: child.order.step.clone(),
        attempt: child.order.attempt,
        outcome: child.outcome.clone(),
    }
}
