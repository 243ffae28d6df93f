//! The units of the service: what the agent orders, and what the guard does.

use std::time::Duration;

use lictor_core::lease;
use lictor_core::service::member::{Input, Local, Order};

use super::super::super::clock::Micros;
use super::super::Mistake;
use super::super::machine::{Begun, Units};
use super::super::script::SECOND;
use super::{Delivery, Event, World};

/// How long the guard takes to kill what runs, at most, by its machine's clock; less than the margin of the lease.
const GUARD: Duration = Duration::from_millis(1_500);

impl World<'_> {
    pub(super) fn tell_guard(&mut self, number: usize, belief: lease::Belief) {
        let machine = &mut self.machines[number];
        if machine.guard == Some(belief) || machine.barred > self.now {
            return;
        }
        machine.guard = Some(belief);
        let left = belief.left(machine.clock.read(self.now));
        let ends = self.now + machine.clock.lasts(left);
        let slow = self.dice(number).pick(&[Duration::ZERO, GUARD / 2, GUARD]);
        let at = ends + self.machines[number].clock.lasts(slow);
        self.at(at, Event::Guard(number));
    }

    /// The guard has heard that a belief is over.
    pub(super) fn disarm(&mut self, number: usize, belief: lease::Belief) -> Result<(), String> {
        if self.machines[number].guard == Some(belief) {
            self.machines[number].guard = None;
            self.guard(number)?;
        }
        Ok(())
    }

    pub(super) fn guard(&mut self, number: usize) -> Result<(), String> {
        if self.machines[number].is_guarded(self.now) || self.mistake == Mistake::NoGuard {
            return Ok(());
        }
        if self.machines[number].units != Units::Stopped {
            self.report.guarded += 1;
            self.say(|_| format!("n{number}: the guard kills it"));
            self.units(number, Units::Stopped)?;
        }
        Ok(())
    }

    /// Carries an order out.
    pub(super) fn carry(&mut self, number: usize, order: Order) -> Result<(), String> {
        let (now, life) = (self.now, self.machines[number].life);
        let mut dice = self.dice(number);
        self.say(|_| format!("n{number}: {order:?}"));
        let over = |world: &mut Self, after: Micros, outcome: Result<(), String>| {
            world.at(now + after, Event::Deliver(number, life, Delivery::Ended(order, outcome)));
        };
        if self.machines[number].is_hidden(now) {
            let outcome = match (order, self.mistake) {
                (Order::Stop | Order::Kill, Mistake::TakesTheUnseenForStopped) => Ok(()),
                _ => Err("the units cannot be reached".to_owned()),
            };
            if order == Order::Kill && outcome.is_err() {
                self.kills_unseen(number);
            }
            over(self, 100_000, outcome);
            return Ok(());
        }
        match order {
            Order::Start { token } if self.goes_on_with(number, token) => {
                // What an earlier process has begun has its own end.
                self.report.carried_on += 1;
            }
            Order::Start { token } => {
                self.machines[number].armed = true;
                let current = self.machines[number].belief(now).is_some_and(|belief| belief.token == token);
                let bound = self.machines[number].is_guarded(now) || self.mistake == Mistake::NoGuard;
                if self.mistake != Mistake::StartsOnAnOldOrder && !(current && bound) {
                    over(self, 0, Err("the lease is over".to_owned()));
                    return Ok(());
                }
                let after = match self.machines[number].heavy > now {
                    true => dice.pick(&[4 * SECOND, 8 * SECOND]),
                    false => dice.pick(&[50_000, 300_000, SECOND, 2 * SECOND]),
                };
                if self.machines[number].broken > now {
                    self.report.failed_starts += 1;
                    over(self, after, Err("it does not start".to_owned()));
                    return Ok(());
                }
                self.report.starts += 1;
                self.units(number, Units::Starting { token: Some(token) })?;
                self.machines[number].begun = Some(Begun::Start(token));
                let change = self.machines[number].change;
                self.at(now + after, Event::Units(number, change, Units::Running { token: Some(token) }));
            }
            Order::Stop
                if self.machines[number].units == Units::Stopping
                    && self.machines[number].begun == Some(Begun::Stop) =>
            {
                self.report.carried_on += 1;
            }
            Order::Stop => {
                let slow = self.machines[number].sluggish > now;
                let after = if slow { 6 * SECOND } else { dice.pick(&[20_000, 300_000, 2 * SECOND]) };
                if self.machines[number].units == Units::Stopped {
                    self.machines[number].armed = false;
                    over(self, 0, Ok(()));
                    return Ok(());
                }
                self.units(number, Units::Stopping)?;
                self.machines[number].begun = Some(Begun::Stop);
                let change = self.machines[number].change;
                self.at(now + after, Event::Units(number, change, Units::Stopped));
                if self.mistake == Mistake::TakesAStopForDone {
                    over(self, 0, Ok(()));
                } else if slow {
                    over(self, 5 * SECOND, Err("it does not stop".to_owned()));
                }
            }
            Order::Kill => {
                self.report.kills += 1;
                // Nothing comes of what was under way.
                self.machines[number].begun = None;
                self.machines[number].change += 1;
                let change = self.machines[number].change;
                let after = dice.pick(&[1_000, 100_000, 200_000]);
                if self.machines[number].units == Units::Stopped {
                    self.machines[number].armed = false;
                    over(self, 0, Ok(()));
                } else {
                    self.at(now + after, Event::Units(number, change, Units::Stopped));
                }
            }
        }
        Ok(())
    }

    /// Whether a start under this token goes on with what an earlier process has begun.
    fn goes_on_with(&self, number: usize, token: u64) -> bool {
        let machine = &self.machines[number];
        let known = machine.begun == Some(Begun::Start(token));
        let believed = machine.belief(self.now).is_some_and(|belief| belief.token == token);
        known && believed && matches!(machine.units, Units::Starting { .. })
    }

    /// What runs is killed by the kernel, and nobody can say whether that is all of it.
    pub(super) fn kills_unseen(&mut self, number: usize) {
        let machine = &mut self.machines[number];
        if machine.barred > self.now || machine.units == Units::Stopped {
            return;
        }
        (machine.begun, machine.change) = (None, machine.change + 1);
        let change = machine.change;
        self.at(self.now + 200_000, Event::Units(number, change, Units::Stopped));
    }

    /// The units are so from now on.
    pub(super) fn units(&mut self, number: usize, units: Units) -> Result<(), String> {
        let machine = &mut self.machines[number];
        let before = std::mem::replace(&mut machine.units, units);
        machine.change += 1;
        if matches!(units, Units::Running { .. } | Units::Stopped) {
            machine.begun = None;
        }
        let (life, order) = (machine.life, machine.order);
        self.say(|_| format!("n{number}: {before:?} became {units:?}"));
        self.judge(number, before)?;
        let ended = match (order, units) {
            (Some(order @ Order::Start { .. }), Units::Running { .. }) => Some((order, Ok(()))),
            (Some(order @ Order::Start { .. }), Units::Stopped) => {
                Some((order, Err("it was killed".to_owned())))
            }
            (Some(order @ (Order::Stop | Order::Kill)), Units::Stopped) => Some((order, Ok(()))),
            _ => None,
        };
        if let Some((Order::Stop | Order::Kill, _)) = ended {
            self.machines[number].armed = false;
        }
        let news = match ended {
            Some((order, outcome)) => Delivery::Ended(order, outcome),
            None => Delivery::Input(Input::Tick),
        };
        self.at(self.now + 500, Event::Deliver(number, life, news));
        let local = Delivery::Input(Input::Local(Local::Unknown));
        self.at(self.now + 600, Event::Deliver(number, life, local));
        if let Units::Running { token: Some(_) } = units {
            self.runs(number)?;
        }
        Ok(())
    }

    /// The roles follow where it runs, a little later.
    pub(super) fn runs(&mut self, number: usize) -> Result<(), String> {
        for other in 0..self.machines.len() {
            let machine = &mut self.machines[other];
            machine.active = other == number;
            let (life, part) = (machine.life, machine.part(other, self.script));
            self.at(self.now + SECOND, Event::Deliver(other, life, Delivery::Input(Input::Part(part))));
        }
        Ok(())
    }
}
