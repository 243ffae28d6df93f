//! The play: true time, the records, the network, and what must be true.

mod faults;
mod judge;
mod records;
mod units;

use std::collections::BTreeMap;
use std::time::Duration;

use lictor_core::lease::{self, Answer, Next, Question, Reading, Record, Revision, Roll, Written};
use lictor_core::service::member::{Input, Local, Order, Output};
use lictor_core::service::operation::Operation;

use super::super::clock::Micros;
use super::super::dice::Dice;
use super::machine::{Machine, Units};
use super::script::{Fault, SECOND, Script};
use super::{Mistake, Report};

/// How often an agent looks at the operation although nobody said that it has changed.
const LOOK: Micros = SECOND;

/// How long after all is well everything has come right: two long leases, an operation, a rest.
const SETTLE: Micros = 90 * SECOND;

#[derive(Clone, Debug)]
enum Event {
    Start(usize),
    /// Something for the agent of that life.
    Deliver(usize, u64, Delivery),
    /// A request is at the records; the answer gets back so much later, or never.
    Arrive(usize, u64, u64, Request, Option<Micros>),
    /// An agent of that life asks another to wait.
    Ask(usize, u64, usize, Question),
    /// The units change, if nothing else happened to them.
    Units(usize, u64, Units),
    /// The agent looks whether and how it sees the units.
    Seen(usize),
    /// An agent that ends when nothing is under way is started anew, if it is still of that life.
    Replace(usize, u64),
    /// The guard looks.
    Guard(usize),
    /// It hears that this is not believed any more.
    Disarm(usize, lease::Belief),
    Fault(Fault),
    Thaw(usize),
    Exit(usize, u64),
    Heal,
    Check(Option<Option<usize>>),
}

#[derive(Clone, Debug)]
enum Delivery {
    Wake(u64),
    Answer(u64, Input),
    GivenUp(u64, Input),
    Input(Input),
    /// What is told of the operation, or what became of writing it.
    Operation(Option<Written>),
    Look,
    Asked(usize, u64, Question),
    /// An order is over, with that outcome.
    Ended(Order, Result<(), String>),
    /// An order is carried out.
    Carry(Order),
}

#[derive(Clone, Debug)]
enum Request {
    Read,
    Write(Option<Revision>, Record),
    Note(Operation, Revision),
}

/// A play.
#[derive(Debug)]
pub(super) struct World<'a> {
    script: &'a Script,
    mistake: Mistake,
    now: Micros,
    queue: BTreeMap<(Micros, u64), Event>,
    events: u64,
    lease: (Record, Revision),
    operation: Option<(Operation, Revision)>,
    index: u64,
    machines: Vec<Machine>,
    backlog: Vec<Vec<(u64, Delivery)>>,
    down: Micros,
    rough: Micros,
    healed: bool,
    asked: u64,
    /// Something was said that is not so.
    untrue: Option<String>,
    /// The highest token under which the service was started, and where.
    highest: Option<(u64, usize)>,
    pub(super) report: Report,
    pub(super) log: Option<Vec<String>>,
}

impl<'a> World<'a> {
    pub(super) fn new(script: &'a Script, mistake: Mistake, tell: bool) -> Self {
        let machines: Vec<Machine> =
            script.clocks.iter().enumerate().map(|(number, &ppm)| Machine::new(number, ppm)).collect();
        let nodes = machines.iter().map(|machine| machine.name.clone()).collect();
        let record = Record {
            holder: "n0".to_owned(),
            incarnation: "made".to_owned(),
            token: 1,
            beat: 0,
            length: script.params.0.length(),
            released: Some(Next::Anyone),
            roll: Some(Roll { nodes, boot: "made".to_owned() }),
        };
        let mut world = Self {
            script,
            mistake,
            now: 0,
            queue: BTreeMap::new(),
            events: 0,
            lease: (record, Revision(7)),
            operation: None,
            index: 7,
            backlog: machines.iter().map(|_| Vec::new()).collect(),
            machines,
            down: 0,
            rough: 0,
            healed: false,
            asked: 0,
            untrue: None,
            highest: None,
            report: Report { plays: 1, ..Report::default() },
            log: tell.then(Vec::new),
        };
        for number in 0..world.machines.len() {
            world.at(0, Event::Start(number));
        }
        for &(at, fault) in &script.faults {
            world.at(at, Event::Fault(fault));
        }
        world.at(script.heal, Event::Heal);
        world.at(script.heal + SETTLE, Event::Check(None));
        world
    }

    /// Plays to the end.
    pub(super) fn play(&mut self) -> Result<(), String> {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            if let Some(why) = self.untrue.take() {
                return Err(why);
            }
            match event {
                Event::Check(None) => {
                    let runs = self.check()?;
                    self.at(at + 20 * SECOND, Event::Check(Some(runs)));
                }
                Event::Check(Some(before)) => {
                    let runs = self.check()?;
                    return match runs == before {
                        true => Ok(()),
                        false => Err(format!("{before:?} became {runs:?} although all is well")),
                    };
                }
                event => self.happens(event)?,
            }
        }
        Err("the play ended early".to_owned())
    }

    fn happens(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Start(number) => self.start(number),
            Event::Deliver(number, life, delivery) => self.deliver(number, life, delivery),
            Event::Arrive(number, life, waits, request, back) => {
                let answer = self.arrives(&request);
                if let Some(back) = back {
                    self.at(self.now + back, Event::Deliver(number, life, answered(waits, answer)));
                }
                Ok(())
            }
            Event::Ask(from, life, to, question) => {
                self.deliver(to, self.machines[to].life, Delivery::Asked(from, life, question))
            }
            Event::Units(number, change, units) => {
                if self.machines[number].change == change {
                    return self.units(number, units);
                }
                Ok(())
            }
            Event::Seen(number) => self.sees(number),
            Event::Replace(number, life) => self.replace(number, life),
            Event::Guard(number) => self.guard(number),
            Event::Disarm(number, belief) => self.disarm(number, belief),
            Event::Fault(fault) => self.goes_wrong(fault),
            Event::Thaw(number) => self.thaw(number),
            Event::Exit(number, life) => {
                if self.machines[number].life == life {
                    self.machines[number].end();
                }
                Ok(())
            }
            Event::Heal => self.heal(),
            Event::Check(_) => Ok(()),
        }
    }

    fn start(&mut self, number: usize) -> Result<(), String> {
        let machine = &mut self.machines[number];
        if machine.off > self.now || machine.member.is_some() {
            return Ok(());
        }
        machine.start(number, self.script, self.mistake, self.now);
        let life = machine.life;
        self.say(|world| format!("n{number} starts as life {}", world.machines[number].life));
        self.backlog[number].clear();
        self.at(self.now + 2_000, Event::Deliver(number, life, Delivery::Look));
        self.sees(number)
    }

    /// The agent sees how the units are, and whether they could run.
    fn sees(&mut self, number: usize) -> Result<(), String> {
        let (now, life) = (self.now, self.machines[number].life);
        // Who finds the way to a guard tells it what it believes.
        if let Some(belief) = self.machines[number].belief(now) {
            self.tell_guard(number, belief);
        }
        let able = match self.machines[number].is_hidden(now) {
            true => Err("the units cannot be reached".to_owned()),
            false => Ok(()),
        };
        self.deliver(number, life, Delivery::Input(Input::Able(able)))?;
        // What it finds is read when it is delivered.
        self.deliver(number, life, Delivery::Input(Input::Local(Local::Unknown)))
    }

    /// One that ends in order is started anew when nothing is under way any more.
    fn replace(&mut self, number: usize, life: u64) -> Result<(), String> {
        let now = self.now;
        let machine = &mut self.machines[number];
        if machine.life != life || machine.member.is_none() {
            return Ok(());
        }
        if machine.frozen > now || machine.order.is_some() || machine.waits.is_some() {
            self.at(now + SECOND / 50, Event::Replace(number, life));
            return Ok(());
        }
        machine.end();
        self.start(number)
    }

    fn deliver(&mut self, number: usize, life: u64, delivery: Delivery) -> Result<(), String> {
        let now = self.now;
        let machine = &mut self.machines[number];
        if machine.life != life || machine.member.is_none() {
            return Ok(());
        }
        if machine.frozen > now {
            self.backlog[number].push((life, delivery));
            return Ok(());
        }
        let input = match delivery {
            Delivery::Wake(wake) if wake == machine.wakes => Input::Tick,
            Delivery::Answer(waits, input) | Delivery::GivenUp(waits, input)
                if machine.waits == Some(waits) =>
            {
                machine.waits = None;
                input
            }
            Delivery::Wake(_) | Delivery::Answer(..) | Delivery::GivenUp(..) => return Ok(()),
            // Read anew by then: what was told may be old.
            Delivery::Input(Input::Local(_)) => Input::Local(machine.local(self.mistake, now)),
            Delivery::Input(input) => input,
            Delivery::Operation(written) => {
                if let Some(written) = written {
                    self.feed(number, Input::Noted(written))?;
                }
                if self.machines[number].cut > now || self.down > now {
                    return Ok(());
                }
                self.feed(number, Input::Lease(lease::Input::Hint))?;
                Input::Operation(self.operation.clone())
            }
            Delivery::Look => {
                self.at(now + LOOK, Event::Deliver(number, life, Delivery::Look));
                return self.deliver(number, life, Delivery::Operation(None));
            }
            Delivery::Asked(from, there, question) => {
                let stamp = machine.stamp(now);
                let Some(member) = &mut machine.member else { return Ok(()) };
                let promises = member.promise(question.token, question.length, stamp);
                let answer = Answer { number: question.number, by: machine.name.clone(), promises };
                let said = Delivery::Input(Input::Lease(lease::Input::Answered(answer)));
                if let Some(after) = self.passes(number, from) {
                    self.at(now + after, Event::Deliver(from, there, said));
                }
                return Ok(());
            }
            Delivery::Ended(order, outcome) => {
                machine.order = None;
                if outcome.is_err() {
                    machine.begun = None;
                }
                if let (Order::Start { token }, Units::Running { token: Some(runs) }, Ok(())) =
                    (order, machine.units, &outcome)
                    && token != runs
                {
                    return Err(format!(
                        "it is said to run under token {token} on n{number}, and has {runs}"
                    ));
                }
                self.at(
                    now + 600,
                    Event::Deliver(number, life, Delivery::Input(Input::Local(Local::Unknown))),
                );
                self.say(|_| format!("n{number}: {order:?} is over: {outcome:?}"));
                Input::Ended(outcome)
            }
            Delivery::Carry(order) => return self.carry(number, order),
        };
        self.feed(number, input)
    }

    /// Hands an agent something and does what it asks for.
    fn feed(&mut self, number: usize, input: Input) -> Result<(), String> {
        self.say(|_| format!("n{number} <- {input:?}"));
        let (now, before) = (self.now, self.machines[number].belief(self.now));
        let stamp = self.machines[number].stamp(now);
        let Some(member) = &mut self.machines[number].member else { return Ok(()) };
        let Output { lease, question, order, operation } = member.step(input, stamp);
        let blind = member.is_blind(stamp);
        let was = std::mem::replace(&mut self.machines[number].blind, blind);
        self.report.blind += u64::from(blind && !was && self.machines[number].is_hidden(now));
        let belief = self.machines[number].belief(now);
        if belief != before {
            self.say(|_| format!("n{number} believes {belief:?}"));
        }
        // Before anything is sent or done.
        if let Some(belief) = belief {
            self.tell_guard(number, belief);
        } else if before.is_some() && self.mistake.tells_the_guard() && self.machines[number].barred <= now {
            // It was given back, or is over.
            let after = self.dice(number).pick(&[0, 100_000, 1_000_000]);
            if let Some(belief) = self.machines[number].guard {
                self.at(now + after, Event::Disarm(number, belief));
            }
        }
        if let Some(effect) = lease {
            self.send_lease(number, effect);
        }
        if let Some((operation, revision)) = operation {
            self.send(number, Request::Note(operation, revision));
        }
        if let Some(question) = question {
            self.ask(number, &question);
        }
        if let Some(order) = order {
            if order == Order::Kill && self.machines[number].is_at_work(now) {
                let units = self.machines[number].units;
                return Err(format!("{units:?} on n{number} is killed although it holds the lease for that"));
            }
            self.machines[number].order = Some(order);
            let life = self.machines[number].life;
            let after = self.dice(number).pick(&[0, 1_000, 20_000, 400_000]);
            self.at(now + after, Event::Deliver(number, life, Delivery::Carry(order)));
        }
        let Some(member) = &self.machines[number].member else { return Ok(()) };
        let wait = member.wait(stamp).max(Duration::from_millis(1));
        let machine = &mut self.machines[number];
        machine.wakes += 1;
        let (wake, life) = (machine.wakes, machine.life);
        let tired = self.dice(number).pick(&[0, 0, 0, 1_000, 100_000]);
        let at = now + self.machines[number].clock.lasts(wait) + tired;
        self.at(at, Event::Deliver(number, life, Delivery::Wake(wake)));
        Ok(())
    }

    fn dice(&mut self, number: usize) -> Dice {
        let machine = &mut self.machines[number];
        machine.draws += 1;
        Dice::of(self.script.seed, &format!("{number} {} {}", machine.life, machine.draws))
    }

    fn at(&mut self, at: Micros, event: Event) {
        self.events += 1;
        self.queue.insert((at.max(self.now), self.events), event);
    }

    fn say(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.log.is_some() {
            let line = format!("{:>12.6} {}", self.now as f64 / 1e6, what(self));
            self.log.get_or_insert_default().push(line);
        }
    }
}

/// An answer as the agent gets it: what became of an operation is nothing that it waits for.
fn answered(waits: u64, answer: Input) -> Delivery {
    match answer {
        Input::Noted(written) => Delivery::Operation(Some(written)),
        answer => Delivery::Answer(waits, answer),
    }
}

/// What an agent makes of no answer in time.
fn late(request: &Request) -> Input {
    let why = "no answer in time".to_owned();
    match request {
        Request::Read => Input::Lease(lease::Input::Read(Reading::Failed { why })),
        Request::Write(..) => Input::Lease(lease::Input::Written(Written::Unclear { why })),
        Request::Note(..) => Input::Noted(Written::Unclear { why }),
    }
}
