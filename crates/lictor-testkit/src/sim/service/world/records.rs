//! The records, and how requests and messages get there.

use std::time::Duration;

use lictor_core::lease::{self, Effect, Question, Reading, Revision, Written};
use lictor_core::service::member::Input;
use lictor_core::service::operation::{Phase, What};

use super::super::super::clock::Micros;
use super::super::super::dice::Dice;
use super::super::machine::Units;
use super::super::script::SECOND;
use super::{Delivery, Event, Request, World, late};

/// How long a request may take.
const LIMIT: Micros = SECOND;

/// What is sent late lands at most so late.
const LATE: Micros = 7 * SECOND;

impl World<'_> {
    pub(super) fn send_lease(&mut self, number: usize, effect: Effect) {
        let request = match effect {
            Effect::Read => Request::Read,
            Effect::Write { expect, record } => Request::Write(expect, record),
        };
        self.send(number, request);
    }

    pub(super) fn send(&mut self, number: usize, request: Request) {
        let now = self.now;
        let mut dice = self.dice(number);
        let machine = &mut self.machines[number];
        machine.draws += 1;
        let (life, waits) = (machine.life, machine.draws);
        if !matches!(request, Request::Note(..)) {
            machine.waits = Some(waits);
        }
        let limit = machine.clock.lasts(Duration::from_micros(LIMIT));
        let (cut, slow) = (machine.cut > now, machine.slow > now);
        self.say(|_| format!("n{number} -> {request:?}"));
        let given_up = match late(&request) {
            Input::Noted(written) => Delivery::Operation(Some(written)),
            input => Delivery::GivenUp(waits, input),
        };
        let quick = |dice: &mut Dice| 500 + dice.below(4_000);
        let (lands, back) = if self.healed {
            (Some(quick(&mut dice)), Some(quick(&mut dice)))
        } else if cut {
            (Some(quick(&mut dice)).filter(|_| dice.chance(20)), None)
        } else if self.down > now {
            (Some(dice.pick(&[0, limit, 3 * SECOND, LATE])).filter(|_| dice.chance(50)), None)
        } else if slow {
            (Some(0), Some(limit - 1_000))
        } else if self.rough > now || dice.chance(1) {
            let lands = dice.pick(&[0, 1_000, limit / 2, limit - 1_000, limit + 1_000, LATE]);
            (Some(lands), dice.pick(&[Some(0), Some(limit / 2), None]))
        } else {
            (Some(quick(&mut dice)), Some(quick(&mut dice)))
        };
        if let Some(lands) = lands {
            self.at(now + lands, Event::Arrive(number, life, waits, request.clone(), back));
        }
        // A note has its answer or none: who gets both takes the first for the last.
        let answered = lands.zip(back).is_some_and(|(lands, back)| lands + back < limit);
        if !answered || !matches!(request, Request::Note(..)) {
            self.at(now + limit, Event::Deliver(number, life, given_up));
        }
    }

    /// A request is at the records.
    pub(super) fn arrives(&mut self, request: &Request) -> Input {
        match request {
            Request::Read => {
                let (record, revision) = self.lease.clone();
                Input::Lease(lease::Input::Read(Reading::Found { record, revision }))
            }
            Request::Write(expect, record) => {
                if *expect != Some(self.lease.1) {
                    return Input::Lease(lease::Input::Written(Written::Conflict));
                }
                let shown =
                    (record.holder != self.lease.0.holder) || record.released != self.lease.0.released;
                if record.token == self.lease.0.token && record.incarnation != self.lease.0.incarnation {
                    self.report.resumed += 1;
                }
                self.index += 1;
                self.lease = (record.clone(), Revision(self.index));
                self.say(|world| format!("   the lease is {:?}", world.lease));
                if shown {
                    self.announce();
                }
                Input::Lease(lease::Input::Written(Written::Done { revision: Revision(self.index) }))
            }
            Request::Note(operation, expect) => {
                if self.operation.as_ref().map(|(_, revision)| *revision) != Some(*expect) {
                    return Input::Noted(Written::Conflict);
                }
                match operation.phase {
                    Phase::Done => {
                        self.report.done += 1;
                        let runs = self.machines.iter().position(|machine| machine.units != Units::Stopped);
                        if operation.what == What::Stop
                            && let Some(number) = runs
                        {
                            self.untrue = Some(format!("it is said to be stopped, and runs on n{number}"));
                        }
                    }
                    Phase::Failed { .. } => self.report.failed += 1,
                    Phase::Asked | Phase::Ready | Phase::Stopping { .. } | Phase::Handed => {}
                }
                self.index += 1;
                self.operation = Some((operation.clone(), Revision(self.index)));
                self.say(|world| format!("   the operation is {:?}", world.operation));
                self.announce();
                Input::Noted(Written::Done { revision: Revision(self.index) })
            }
        }
    }

    /// All who look hear that something has changed.
    pub(super) fn announce(&mut self) {
        for number in 0..self.machines.len() {
            let after = 500 + self.dice(number).below(5_000);
            let life = self.machines[number].life;
            self.at(self.now + after, Event::Deliver(number, life, Delivery::Operation(None)));
        }
    }

    /// A holder asks the others.
    pub(super) fn ask(&mut self, number: usize, question: &Question) {
        let life = self.machines[number].life;
        for to in 0..self.machines.len() {
            if question.to.contains(&self.machines[to].name)
                && let Some(after) = self.passes(number, to)
            {
                self.at(self.now + after, Event::Ask(number, life, to, question.clone()));
            }
        }
    }

    /// How long a message from one machine to another takes; `None`: it is lost.
    pub(super) fn passes(&mut self, from: usize, to: usize) -> Option<Micros> {
        let mut dice = self.dice(from);
        if self.machines[from].alone > self.now || self.machines[to].alone > self.now {
            return None;
        }
        match !self.healed && (self.rough > self.now || dice.chance(1)) {
            true => dice.pick(&[Some(0), Some(SECOND / 2), Some(3 * SECOND), None]),
            false => Some(200 + dice.below(2_000)),
        }
    }
}
