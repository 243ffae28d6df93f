//! What goes wrong, and what is asked for.

use std::time::Duration;

use lictor_core::lease::Revision;
use lictor_core::service::member::Input;
use lictor_core::service::operation::{Operation, Phase, What};

use super::super::machine::Units;
use super::super::script::{Fault, SECOND};
use super::{Delivery, Event, World};

impl World<'_> {
    pub(super) fn goes_wrong(&mut self, fault: Fault) -> Result<(), String> {
        self.say(|_| format!("** {fault:?}"));
        let now = self.now;
        match fault {
            Fault::Kill(who, span) => {
                let number = self.who(who);
                self.machines[number].end();
                self.at(now + span, Event::Start(number));
            }
            Fault::Quit(who, span) => {
                let number = self.who(who);
                if self.machines[number].frozen <= now {
                    let life = self.machines[number].life;
                    self.feed(number, Input::Quit)?;
                    let after = self.dice(number).pick(&[0, SECOND / 2, 2 * SECOND]);
                    self.at(now + after, Event::Exit(number, life));
                    self.at(now + after + span, Event::Start(number));
                }
            }
            Fault::Freeze(who, span) => {
                let number = self.who(who);
                let machine = &mut self.machines[number];
                if machine.member.is_some() {
                    machine.frozen = machine.frozen.max(now + span);
                    let until = machine.frozen;
                    self.at(until, Event::Thaw(number));
                }
            }
            Fault::PowerCut(who, span) => {
                let number = self.who(who);
                let before = self.machines[number].units;
                self.machines[number].power_off(now + span);
                self.judge(number, before)?;
                self.at(now + span, Event::Start(number));
            }
            Fault::Cut(who, span) => {
                let number = self.who(who);
                self.machines[number].cut = now + span;
            }
            Fault::Slow(who, span) => {
                let number = self.who(who);
                self.machines[number].slow = now + span;
                self.at(now + span, Event::Fault(Fault::Kill(Some(number), 5 * SECOND)));
            }
            Fault::Alone(who, span) => {
                let number = self.who(who);
                self.machines[number].alone = now + span;
            }
            Fault::Down(span) => self.down = now + span,
            Fault::Rough(span) => self.rough = now + span,
            Fault::Broken(number, span) => self.machines[number].broken = now + span,
            Fault::Sluggish(number, span) => self.machines[number].sluggish = now + span,
            Fault::Heavy(number, span) => self.machines[number].heavy = now + span,
            Fault::Hidden(who, span) => {
                let number = self.who(who);
                let machine = &mut self.machines[number];
                machine.hidden = machine.hidden.max(now + span);
                let (order, life, until) = (machine.order, machine.life, machine.hidden);
                if let Some(order) = order
                    && matches!(machine.units, Units::Starting { .. } | Units::Stopping)
                {
                    // Its end is not heard of, and so it is given up.
                    let why = Err("the connection is lost".to_owned());
                    self.at(now + 100_000, Event::Deliver(number, life, Delivery::Ended(order, why)));
                    self.kills_unseen(number);
                }
                self.sees(number)?;
                self.at(until, Event::Seen(number));
            }
            Fault::Barred(who, span) => {
                let number = self.who(who);
                let machine = &mut self.machines[number];
                if machine.off <= now {
                    machine.end();
                    machine.barred = machine.barred.max(now + span);
                    let until = machine.barred;
                    self.at(now + SECOND / 10, Event::Start(number));
                    self.at(until, Event::Seen(number));
                }
            }
            Fault::Reload(who) => {
                let number = self.who(who);
                if self.machines[number].frozen <= now {
                    let life = self.machines[number].life;
                    self.feed(number, Input::Quit)?;
                    self.at(now, Event::Replace(number, life));
                }
            }
            Fault::Dies => {
                let number = self.who(None);
                if let Units::Running { .. } = self.machines[number].units {
                    self.units(number, Units::Stopped)?;
                }
            }
            Fault::Started(number) => {
                // Bound to the guard as it is, it starts only where that lets it.
                let free = self.machines[number].units == Units::Stopped && self.machines[number].off <= now;
                if free && self.machines[number].is_guarded(now) {
                    self.units(number, Units::Running { token: None })?;
                }
            }
            Fault::Switchover(number) => self.asks(What::Switchover { to: format!("n{number}") }),
            Fault::Take(number) => self.asks(What::Take { to: format!("n{number}") }),
            Fault::Stop => self.asks(What::Stop),
        }
        Ok(())
    }

    /// Somebody asks for something, if nothing else is open.
    pub(super) fn asks(&mut self, what: What) {
        if self.operation.as_ref().is_some_and(|(operation, _)| !operation.is_over()) {
            return;
        }
        (self.asked, self.report.asked) = (self.asked + 1, self.report.asked + 1);
        let holder = self.lease.0.holder.clone();
        let operation = Operation {
            id: format!("o{}", self.asked),
            what,
            from: Some(holder).filter(|_| self.lease.0.released.is_none()),
            by: "somebody".to_owned(),
            deadline: Duration::from_secs(10),
            phase: Phase::Asked,
        };
        self.index += 1;
        self.operation = Some((operation, Revision(self.index)));
        self.announce();
    }

    pub(super) fn thaw(&mut self, number: usize) -> Result<(), String> {
        if self.machines[number].frozen > self.now {
            return Ok(());
        }
        let mut backlog = std::mem::take(&mut self.backlog[number]);
        // Which of the things that came meanwhile is noticed first is anybody's guess.
        if self.dice(number).chance(50) {
            backlog.reverse();
        }
        backlog.into_iter().try_for_each(|(life, delivery)| self.deliver(number, life, delivery))
    }

    pub(super) fn heal(&mut self) -> Result<(), String> {
        self.say(|_| "** all is well".to_owned());
        (self.healed, self.down, self.rough) = (true, 0, 0);
        for number in 0..self.machines.len() {
            let machine = &mut self.machines[number];
            (machine.cut, machine.slow, machine.alone, machine.frozen, machine.off) = (0, 0, 0, 0, 0);
            (machine.broken, machine.sluggish, machine.heavy) = (0, 0, 0);
            if self.script.blind != Some(number) {
                (machine.hidden, machine.barred) = (0, 0);
            }
            self.thaw(number)?;
            self.start(number)?;
            self.sees(number)?;
        }
        Ok(())
    }

    /// Which machine: the one that runs the service, if none is named.
    pub(super) fn who(&self, who: Option<usize>) -> usize {
        let runs = || self.machines.iter().position(|machine| machine.units != Units::Stopped);
        who.or_else(runs).unwrap_or_default()
    }
}
