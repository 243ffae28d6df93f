//! What becomes of requests.

use lictor_core::lease::{Answer, Effect, Input, Question, Reading, Record, Written};

use super::super::super::dice::Dice;
use super::super::Mistake;
use super::super::eyes::Basis;
use super::super::script::{Micros, SECOND, micros};
use super::{Delivery, Event, Request, World};

/// What is sent late lands at most so late.
const LATE: Micros = 10 * SECOND;

/// What becomes of a request.
enum Fate {
    /// It is certainly not done.
    Refused,
    /// It is never done, and nobody says so.
    Lost,
    /// Something went wrong, it is said at once, and it is done all the same.
    Unclear { lands: Micros },
    /// It gets there; `None`: the answer does not get back.
    Arrives { after: Micros, back: Option<Micros> },
}

impl World<'_> {
    pub(super) fn send(&mut self, node: usize, effect: Effect) {
        self.report.requests += 1;
        let (now, life) = (self.now, self.nodes[node].life);
        let outside = &mut self.outside[node];
        outside.requests += 1;
        let number = outside.requests;
        outside.waits = Some((number, effect == Effect::Read));
        let request = match effect {
            Effect::Read => Request::Read,
            Effect::Write { expect, record } => {
                let basis = self.nodes[node].basis(&record);
                let expect = match self.mistake {
                    Mistake::ReplacesWhatItReadAgain if basis.is_some() => self.register.revision(),
                    _ => expect,
                };
                self.nodes[node].sends(&record);
                Request::Write { expect, record, sent: now, basis }
            }
        };
        self.say(|world| format!("{} -> {request:?}", world.nodes[node].name));
        let limit = self.nodes[node].clock.lasts(self.nodes[node].params.request());
        self.at(now + limit, Event::Deliver(node, life, Delivery::GivenUp(number)));
        match self.fate(node, limit) {
            Fate::Refused => {
                let why = "refused".to_owned();
                let input = match request {
                    Request::Read => Input::Read(Reading::Failed { why }),
                    Request::Write { .. } => Input::Written(Written::NotDone { why }),
                };
                self.at(now + 1_000, Event::Deliver(node, life, Delivery::Answer(number, input)));
            }
            Fate::Lost => {}
            Fate::Unclear { lands } => {
                let why = "no leader".to_owned();
                let input = match request {
                    Request::Read => Input::Read(Reading::Failed { why }),
                    Request::Write { .. } => Input::Written(Written::Unclear { why }),
                };
                self.at(now + 1_000, Event::Deliver(node, life, Delivery::Answer(number, input)));
                self.at(now + lands, Event::Arrive { node, life, number, request, back: None });
            }
            Fate::Arrives { after, back } => {
                self.at(now + after, Event::Arrive { node, life, number, request, back });
            }
        }
    }

    /// A holder asks the others.
    pub(super) fn ask(&mut self, from: usize, question: &Question) {
        let life = self.nodes[from].life;
        for to in 0..self.nodes.len() {
            if !question.to.contains(&self.nodes[to].name) {
                continue;
            }
            if let Some(after) = self.passes(from, to, "ask") {
                self.at(self.now + after, Event::Ask { from, life, to, question: question.clone() });
            }
        }
    }

    /// A node is asked.
    pub(super) fn asked(&mut self, node: usize, from: usize, life: u64, question: &Question) {
        let Some(promises) = self.nodes[node].promise(question, self.now) else { return };
        self.say(|world| format!("{} promises to {}: {promises}", world.nodes[node].name, question.token));
        self.report.promises += u64::from(promises);
        let answer = Answer { number: question.number, by: self.nodes[node].name.clone(), promises };
        if let Some(after) = self.passes(node, from, "answer") {
            let said = Delivery::Said(answer, question.to.clone());
            self.at(self.now + after, Event::Deliver(from, life, said));
        }
    }

    /// How long a message from one node to another takes; `None`: it is lost.
    fn passes(&self, from: usize, to: usize, what: &str) -> Option<Micros> {
        let mut dice = self.dice(from, &format!("{what} {to} {}", self.now));
        if self.outside[from].alone > self.now || self.outside[to].alone > self.now {
            return None;
        }
        if self.rough > self.now || dice.chance(2) {
            return dice.pick(&[Some(0), Some(SECOND / 2), Some(SECOND), Some(5 * SECOND), None]);
        }
        Some(200 + dice.below(2_000))
    }

    fn fate(&self, node: usize, limit: Micros) -> Fate {
        let mut dice = self.dice(node, "request");
        let quick = |dice: &mut Dice| 500 + dice.below(4_000);
        if self.healed {
            return Fate::Arrives { after: quick(&mut dice), back: Some(quick(&mut dice)) };
        }
        let lands = [0, limit - 1_000, limit + 1_000, 3 * SECOND, 7 * SECOND, LATE];
        if self.outside[node].cut > self.now {
            return match dice.below(10) {
                0..4 => Fate::Refused,
                4..8 => Fate::Lost,
                _ => Fate::Arrives { after: quick(&mut dice), back: None },
            };
        }
        if self.down > self.now {
            return match dice.below(10) {
                0..4 => Fate::Lost,
                4..7 => Fate::Arrives { after: dice.pick(&lands), back: None },
                7 => Fate::Refused,
                _ => Fate::Unclear { lands: dice.pick(&lands) },
            };
        }
        if self.outside[node].slow > self.now {
            return Fate::Arrives { after: 0, back: Some(limit - 1_000) };
        }
        if self.rough > self.now || dice.chance(2) {
            let after = dice.pick(&[0, 1_000, limit / 2, limit - 1_000, limit + 1_000, 5 * SECOND, LATE]);
            let back = dice.pick(&[Some(0), Some(limit / 2), Some(limit - 1_000), None]);
            // Right in time is a corner too.
            let back = if dice.chance(30) { Some(limit.saturating_sub(after + 100)) } else { back };
            return Fate::Arrives { after, back };
        }
        Fate::Arrives { after: quick(&mut dice), back: Some(quick(&mut dice)) }
    }

    /// A request is at the register.
    pub(super) fn arrives(&mut self, node: usize, life: u64, number: u64, request: Request) -> Input {
        let (expect, record, sent, basis) = match request {
            Request::Read => {
                return Input::Read(match self.register.state() {
                    Some((record, revision)) => {
                        Reading::Found { record: record.clone(), revision: *revision }
                    }
                    None => Reading::Absent,
                });
            }
            Request::Write { expect, record, sent, basis } => (expect, record, sent, basis),
        };
        let (token, rests) = (record.token, self.rests_on_a_restore(&record, node, sent, basis.as_ref()));
        let written = self.register.write(expect, record, !rests);
        self.say(|world| format!("   {} writes: {written:?}", world.nodes[node].name));
        let Some(revision) = written else { return Input::Written(Written::Conflict) };
        if rests {
            self.nodes[node].restored = Some(token);
        }
        let waits = self.outside[node].waits.is_some_and(|(waits, _)| waits == number);
        if self.nodes[node].life != life || !waits {
            self.report.late += 1;
        }
        Input::Written(Written::Done { revision })
    }

    /// Whether what is written replaces what a restore had put back, or what came of that,
    /// without anybody having waited since.
    ///
    /// Nobody can know that the register was put back: a wait that began before proves as little
    /// then as what else would make one needless.
    fn rests_on_a_restore(&self, record: &Record, node: usize, sent: Micros, basis: Option<&Basis>) -> bool {
        let Some(restored) = self.register.restored() else { return false };
        let params = self.nodes[node].params;
        let drift = u64::from(params.drift_ppm());
        let shortest = micros(params.length()) * 1_000_000 / (1_000_000 + drift);
        sent < restored
            || basis.is_some_and(|basis| {
                basis.since < restored || (basis.needs_no_wait && sent < basis.since + shortest)
            })
            || self.nodes[node].restored == Some(record.token)
    }
}
