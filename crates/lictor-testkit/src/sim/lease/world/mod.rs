//! The play: true time, the network, and what must be true.

mod judge;
mod network;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::lease::{
    Answer, Belief, Input, Next, Params, Question, Reading, Record, Revision, Roll, Written,
};

use super::super::dice::Dice;
use super::eyes::Basis;
use super::node::Node;
use super::register::Register;
use super::script::{Fault, Micros, SECOND, Script, Who, micros};
use super::{Mistake, Report};

/// How long an orderly stop may take.
const STOP: Micros = 2 * SECOND;

/// How long a node has, after everything is well again and two lengths have passed.
const SETTLE: Micros = 20 * SECOND;

#[derive(Clone, Debug)]
enum Event {
    Start(usize),
    /// Something for the process of that life.
    Deliver(usize, u64, Delivery),
    /// A request gets to the register; the answer gets back so much later, or never.
    Arrive {
        node: usize,
        life: u64,
        number: u64,
        request: Request,
        back: Option<Micros>,
    },
    Fault(Fault),
    Thaw(usize),
    Exit(usize, u64),
    Heal,
    Check(Option<Belief>),
    /// A process of that life asks a node to wait.
    Ask {
        from: usize,
        life: u64,
        to: usize,
        question: Question,
    },
}

#[derive(Clone, Debug)]
enum Delivery {
    Wake(u64),
    Answer(u64, Input),
    GivenUp(u64),
    Asked { from: usize, life: u64, question: Question },
    Said(Answer, BTreeSet<String>),
    Stop,
}

#[derive(Clone, Debug)]
enum Request {
    Read,
    /// With a basis it takes the lease; else it renews its own, or gives it back.
    Write {
        expect: Option<Revision>,
        record: Record,
        sent: Micros,
        basis: Option<Basis>,
    },
}

/// What the world knows of a node beside its process.
#[derive(Debug, Default)]
struct Outside {
    cut: Micros,
    slow: Micros,
    /// Until then the other nodes cannot be reached.
    alone: Micros,
    frozen: Micros,
    asleep: Micros,
    backlog: Vec<(u64, Delivery)>,
    /// The request that the process waits for, and whether it is a read.
    waits: Option<(u64, bool)>,
    requests: u64,
    wakes: u64,
}

/// A play.
#[derive(Debug)]
pub(super) struct World<'a> {
    script: &'a Script,
    mistake: Mistake,
    now: Micros,
    queue: BTreeMap<(Micros, u64), Event>,
    events: u64,
    register: Register,
    nodes: Vec<Node>,
    outside: Vec<Outside>,
    down: Micros,
    rough: Micros,
    healed: bool,
    /// The highest token, and whose it is.
    highest: (u64, usize),
    report: Report,
    log: Option<Vec<String>>,
}

impl<'a> World<'a> {
    pub(super) fn new(script: &'a Script, mistake: Mistake, tell: bool) -> Self {
        let longest = script
            .params
            .iter()
            .chain(&script.among)
            .copied()
            .max_by_key(Params::length)
            .unwrap_or(Params::STEADY);
        let names = named(&script.first);
        let first = (script.left_over || script.among.is_some()).then(|| Record {
            holder: "gone".to_owned(),
            incarnation: "life 0".to_owned(),
            token: 3,
            beat: 9,
            length: longest.length(),
            released: Some(Next::Anyone).filter(|_| !script.left_over),
            roll: script.among.map(|_| Roll { nodes: names.clone(), boot: "boot".to_owned() }),
        });
        let node = |(number, (&ppm, &params))| {
            Node::new(number, ppm, params, (script.among, names.clone()), mistake)
        };
        let nodes: Vec<Node> = script.clocks.iter().zip(&script.params).enumerate().map(node).collect();
        let mut world = Self {
            script,
            mistake,
            now: 0,
            queue: BTreeMap::new(),
            events: 0,
            register: Register::new(first),
            outside: nodes.iter().map(|_| Outside::default()).collect(),
            nodes,
            down: 0,
            rough: 0,
            healed: false,
            highest: (0, 0),
            report: Report { plays: 1, ..Report::default() },
            log: tell.then(Vec::new),
        };
        for (node, &at) in script.starts.iter().enumerate() {
            world.at(at, Event::Start(node));
        }
        for (at, fault) in &script.faults {
            world.at(*at, Event::Fault(fault.clone()));
        }
        world.at(script.heal, Event::Heal);
        world.at(script.heal + 2 * micros(longest.length()) + SETTLE, Event::Check(None));
        world
    }

    pub(super) fn report(&self) -> Report {
        self.report
    }

    pub(super) fn log(self) -> Vec<String> {
        self.log.unwrap_or_default()
    }

    /// Plays to the end.
    pub(super) fn play(&mut self) -> Result<(), String> {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            if let Event::Check(before) = event {
                match (before, self.check()?) {
                    (None, claim) => {
                        let later = self.now + SETTLE;
                        self.at(later, Event::Check(Some(claim)));
                    }
                    (Some(before), claim) if before.token == claim.token => return Ok(()),
                    (Some(before), claim) => {
                        return Err(format!(
                            "token {} became {} although all is well",
                            before.token, claim.token
                        ));
                    }
                }
            } else {
                self.happens(event)?;
            }
        }
        Err("the play ended early".to_owned())
    }

    fn happens(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Start(node) => self.start(node),
            Event::Deliver(node, life, delivery) => self.deliver(node, life, delivery),
            Event::Arrive { node, life, number, request, back } => {
                let answer = self.arrives(node, life, number, request);
                if let Some(back) = back {
                    self.at(self.now + back, Event::Deliver(node, life, Delivery::Answer(number, answer)));
                }
                Ok(())
            }
            Event::Fault(fault) => self.goes_wrong(fault),
            Event::Thaw(node) => self.thaw(node),
            Event::Exit(node, life) => {
                if self.nodes[node].life == life {
                    self.end(node);
                }
                Ok(())
            }
            Event::Heal => self.heal(),
            Event::Ask { from, life, to, question } => {
                let there = self.nodes[to].life;
                self.deliver(to, there, Delivery::Asked { from, life, question })
            }
            Event::Check(_) => Ok(()),
        }
    }

    fn start(&mut self, node: usize) -> Result<(), String> {
        let frozen = self.outside[node].frozen;
        if frozen > self.now {
            self.at(frozen, Event::Start(node));
            return Ok(());
        }
        if !self.nodes[node].runs() {
            self.say(|world| format!("{} starts as life {}", world.nodes[node].name, world.nodes[node].life));
            self.nodes[node].start();
            return self.feed(node, Input::Tick);
        }
        Ok(())
    }

    fn end(&mut self, node: usize) {
        self.say(|world| format!("{} ends", world.nodes[node].name));
        self.nodes[node].end();
        let outside = &mut self.outside[node];
        outside.waits = None;
        outside.backlog.clear();
        outside.frozen = outside.asleep;
    }

    fn deliver(&mut self, node: usize, life: u64, delivery: Delivery) -> Result<(), String> {
        if self.nodes[node].life != life || !self.nodes[node].runs() {
            return Ok(());
        }
        let (now, outside) = (self.now, &mut self.outside[node]);
        if outside.frozen > now {
            outside.backlog.push((life, delivery));
            return Ok(());
        }
        let input = match delivery {
            Delivery::Wake(number) if number == outside.wakes => Input::Tick,
            Delivery::Answer(number, input) if outside.waits.is_some_and(|(waits, _)| waits == number) => {
                outside.waits = None;
                input
            }
            Delivery::GivenUp(number) => match outside.waits {
                Some((waits, read)) if waits == number => {
                    outside.waits = None;
                    let why = "no answer in time".to_owned();
                    match read {
                        true => Input::Read(Reading::Failed { why }),
                        false => Input::Written(Written::Unclear { why }),
                    }
                }
                Some(_) | None => return Ok(()),
            },
            Delivery::Stop => {
                // Nothing that it began is going on any more.
                self.nodes[node].danger = None;
                self.at(now + STOP, Event::Exit(node, life));
                Input::Release { next: Next::Anyone, stay: false }
            }
            Delivery::Asked { from, life, question } => {
                self.asked(node, from, life, &question);
                return Ok(());
            }
            Delivery::Said(answer, asked) => {
                self.nodes[node].hears(&answer, &asked, now);
                Input::Answered(answer)
            }
            Delivery::Wake(_) | Delivery::Answer(..) => return Ok(()),
        };
        self.feed(node, input)
    }

    /// Hands a process something, judges what it believes then, and sends what it asks for.
    fn feed(&mut self, node: usize, input: Input) -> Result<(), String> {
        self.say(|world| format!("{} <- {input:?}", world.nodes[node].name));
        if self.nodes[node].told.is_some() && self.nodes[node].claim(self.now).is_none() {
            self.nodes[node].forgets();
        }
        match &input {
            Input::Written(Written::Done { .. }) => self.report.done += 1,
            Input::Written(Written::Conflict) => self.report.conflicts += 1,
            Input::Written(Written::Unclear { .. }) => self.report.unclear += 1,
            Input::Release { .. } => {
                self.report.releases += u64::from(self.nodes[node].claim(self.now).is_some());
            }
            Input::Read(reading) => {
                let state = match reading {
                    Reading::Found { record, revision } => Some(Some((record.clone(), *revision))),
                    Reading::Absent => Some(None),
                    Reading::Unreadable { .. } | Reading::Failed { .. } => None,
                };
                if let Some(state) = state {
                    self.nodes[node].sees(state, self.now);
                }
            }
            Input::Tick
            | Input::Written(Written::NotDone { .. })
            | Input::Wish(_)
            | Input::Hint
            | Input::Answered(_) => {}
        }
        let released = matches!(input, Input::Release { .. });
        let proven = matches!(input, Input::Answered(_)).then(|| self.nodes[node].claim(self.now)).flatten();
        let effect = self.nodes[node].step(input, self.now);
        let question = self.nodes[node].question(self.now);
        self.report.carried += u64::from(proven.is_some() && proven != self.nodes[node].claim(self.now));
        self.judge(node, released)?;
        if let Some(question) = question {
            self.ask(node, &question);
        }
        if let Some(effect) = effect {
            self.send(node, effect);
        }
        if self.nodes[node].has_left() {
            self.end(node);
            return Ok(());
        }
        self.outside[node].wakes += 1;
        let (number, life) = (self.outside[node].wakes, self.nodes[node].life);
        let wait = self.nodes[node].wait(self.now).max(Duration::from_millis(1));
        let tired = self.dice(node, "wake").pick(&[0, 0, 0, 1_000, SECOND / 2]);
        let at = self.now + self.nodes[node].clock.lasts(wait) + tired;
        self.at(at, Event::Deliver(node, life, Delivery::Wake(number)));
        Ok(())
    }

    fn goes_wrong(&mut self, fault: Fault) -> Result<(), String> {
        self.say(|_| format!("** {fault:?}"));
        let now = self.now;
        match fault {
            Fault::Cut(who, span) => {
                let node = self.who(who);
                self.outside[node].cut = self.outside[node].cut.max(now + span);
            }
            Fault::Slow(who, span) => {
                let node = self.who(who);
                self.outside[node].slow = self.outside[node].slow.max(now + span);
            }
            Fault::Alone(who, span) => {
                let node = self.who(who);
                self.outside[node].alone = self.outside[node].alone.max(now + span);
            }
            Fault::Enroll(who, nodes) => {
                let node = self.who(who);
                self.nodes[node].enroll(named(&nodes));
            }
            Fault::Hand(to) => {
                let node = self.who(Who::Holder);
                if self.nodes[node].claim(now).is_some() && self.outside[node].frozen <= now {
                    // It has stopped all it began.
                    self.nodes[node].danger = None;
                    let next = to.map_or(Next::Anyone, |to| Next::Node(name(to)));
                    self.feed(node, Input::Release { next, stay: true })?;
                }
            }
            Fault::Down(span) => self.down = self.down.max(now + span),
            Fault::Rough(span) => self.rough = self.rough.max(now + span),
            Fault::Freeze(who, span) => {
                let node = self.who(who);
                if self.nodes[node].runs() {
                    self.outside[node].frozen = self.outside[node].frozen.max(now + span);
                    self.at(self.outside[node].frozen, Event::Thaw(node));
                }
            }
            Fault::Sleep(who, span) => {
                let node = self.who(who);
                self.nodes[node].clock.fall_asleep(now);
                let outside = &mut self.outside[node];
                outside.asleep = outside.asleep.max(now + span);
                outside.frozen = outside.frozen.max(outside.asleep);
                let (awake, thawed) = (outside.asleep, outside.frozen);
                self.at(awake, Event::Thaw(node));
                self.at(thawed, Event::Thaw(node));
            }
            Fault::Kill(who, span) => {
                let node = self.who(who);
                if self.nodes[node].runs() {
                    self.end(node);
                    self.at(now + span, Event::Start(node));
                }
            }
            Fault::Stop(who, span) => {
                let node = self.who(who);
                if self.nodes[node].runs() {
                    self.at(now + STOP + span, Event::Start(node));
                    self.deliver(node, self.nodes[node].life, Delivery::Stop)?;
                }
            }
            Fault::Restore(back) => {
                self.report.restores += 1;
                self.register.restore(back, now);
            }
        }
        Ok(())
    }

    fn thaw(&mut self, node: usize) -> Result<(), String> {
        let outside = &mut self.outside[node];
        if outside.asleep <= self.now {
            self.nodes[node].clock.wake_up(self.now);
        }
        if outside.frozen > self.now {
            return Ok(());
        }
        let mut backlog = std::mem::take(&mut outside.backlog);
        // Which of the things that came meanwhile is noticed first is anybody's guess.
        if self.dice(node, "thaw").chance(50) {
            backlog.reverse();
        }
        backlog.into_iter().try_for_each(|(life, delivery)| self.deliver(node, life, delivery))
    }

    fn heal(&mut self) -> Result<(), String> {
        self.say(|_| "** all is well".to_owned());
        (self.healed, self.down, self.rough) = (true, 0, 0);
        for node in 0..self.nodes.len() {
            let outside = &mut self.outside[node];
            (outside.cut, outside.alone, outside.frozen, outside.asleep) = (0, 0, 0, 0);
            self.thaw(node)?;
            self.start(node)?;
        }
        Ok(())
    }

    fn who(&self, who: Who) -> usize {
        match who {
            Who::Node(node) => node,
            Who::Holder => {
                self.nodes.iter().position(|node| node.claim(self.now).is_some()).unwrap_or_default()
            }
        }
    }

    fn dice(&self, node: usize, what: &str) -> Dice {
        let Outside { requests, wakes, .. } = self.outside[node];
        let life = self.nodes[node].life;
        Dice::of(self.script.seed, &format!("{what} {node} {life} {requests} {wakes}"))
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

/// What a node is called.
pub(super) fn name(number: usize) -> String {
    format!("n{number}")
}

fn named(nodes: &BTreeSet<usize>) -> BTreeSet<String> {
    nodes.iter().copied().map(name).collect()
}
