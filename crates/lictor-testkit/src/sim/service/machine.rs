//! A machine: its clocks, its agent, the units of the service, and what guards them.

use std::collections::BTreeSet;
use std::time::Duration;

use lictor_core::lease::{Among, Belief, Candidate, Stamp, Wish};
use lictor_core::service::member::{Local, Member, Order, Part};

use super::super::clock::{Clock, Micros};
use super::Mistake;
use super::script::Script;

/// The units of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    Stopped,
    /// They do something already.
    Starting {
        token: Option<u64>,
    },
    Running {
        token: Option<u64>,
    },
    /// They still do something.
    Stopping,
}

/// What an agent has begun with the units, as it is written down beside them: who comes next goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    Start(u64),
    Stop,
}

/// A machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) clock: Clock,
    pub(super) member: Option<Member>,
    /// Each process of the agent is another life.
    pub(super) life: u64,
    boot: u64,
    pub(super) units: Units,
    /// Another number with each change of the units.
    pub(super) change: u64,
    pub(super) guard: Option<Belief>,
    /// The guard runs: without it nothing starts.
    pub(super) armed: bool,
    /// What the agent does with the units now.
    pub(super) order: Option<Order>,
    pub(super) begun: Option<Begun>,
    /// Whether it is the one that should run the service.
    pub(super) active: bool,
    pub(super) off: Micros,
    pub(super) frozen: Micros,
    pub(super) cut: Micros,
    pub(super) slow: Micros,
    pub(super) alone: Micros,
    pub(super) broken: Micros,
    pub(super) sluggish: Micros,
    pub(super) heavy: Micros,
    /// Its agent cannot reach the units.
    pub(super) hidden: Micros,
    /// Nor the guard.
    pub(super) barred: Micros,
    /// It could not see the units for too long when this was last looked at.
    pub(super) blind: bool,
    /// What a request or a message draws its fate from.
    pub(super) draws: u64,
    /// The request that the agent waits for.
    pub(super) waits: Option<u64>,
    pub(super) wakes: u64,
}

impl Machine {
    pub(super) fn new(number: usize, ppm: [i64; 2]) -> Self {
        Self {
            name: format!("n{number}"),
            clock: Clock::new(number, ppm),
            member: None,
            life: 0,
            boot: 0,
            units: Units::Stopped,
            change: 0,
            guard: None,
            armed: false,
            order: None,
            begun: None,
            active: number == 0,
            off: 0,
            frozen: 0,
            cut: 0,
            slow: 0,
            alone: 0,
            broken: 0,
            sluggish: 0,
            heavy: 0,
            hidden: 0,
            barred: 0,
            blind: false,
            draws: 0,
            waits: None,
            wakes: 0,
        }
    }

    /// The agent comes up.
    pub(super) fn start(&mut self, number: usize, script: &Script, mistake: Mistake, now: Micros) {
        let (fast, steady) = script.params;
        let nodes: BTreeSet<String> = (0..script.clocks.len()).map(|number| format!("n{number}")).collect();
        let boot = format!("boot {}", self.boot);
        let candidate = Candidate::new(self.name.clone(), format!("life {}", self.life), fast)
            .among(Among { nodes, boot, steady }, Wish::Watch);
        let stamp = self.clock.read(now);
        let guard = self.guard.filter(|_| self.barred <= now);
        let guarded = guard.map_or(Duration::ZERO, |belief| belief.left(stamp));
        let mut part = self.part(number, script);
        // It has something to wait for also where nothing is guarded.
        let guarded = match mistake {
            Mistake::HoldsOnBlindly => {
                part.blind = Duration::MAX;
                guarded.max(Duration::from_nanos(1))
            }
            _ => guarded,
        };
        self.member = Some(Member::new(self.name.clone(), candidate, part, guarded, stamp));
    }

    pub(super) fn part(&self, number: usize, script: &Script) -> Part {
        let rank = u32::try_from(number).unwrap_or_default();
        let after = if self.active { Duration::ZERO } else { Duration::from_millis(300) * (1 + rank) };
        let (rest, blind) = (Duration::from_secs(10), Duration::from_secs(6));
        Part { automatic: script.automatic, active: self.active, after, attempts: 2, rest, blind }
    }

    /// The agent is gone.
    pub(super) fn end(&mut self) {
        (self.member, self.order, self.waits, self.frozen) = (None, None, None, 0);
        self.life += 1;
    }

    /// The machine is.
    pub(super) fn power_off(&mut self, until: Micros) {
        self.end();
        (self.units, self.guard, self.armed, self.off) = (Units::Stopped, None, false, until);
        self.begun = None;
        (self.boot, self.change) = (self.boot + 1, self.change + 1);
    }

    pub(super) fn stamp(&self, now: Micros) -> Stamp {
        self.clock.read(now)
    }

    /// What its agent may act on.
    pub(super) fn belief(&self, now: Micros) -> Option<Belief> {
        self.member.as_ref()?.belief(self.stamp(now))
    }

    /// Whether the guard lets the units be.
    pub(super) fn is_guarded(&self, now: Micros) -> bool {
        self.armed && self.guard.is_some_and(|belief| belief.holds(self.stamp(now)))
    }

    /// What the agent sees of the units.
    pub(super) fn local(&self, mistake: Mistake, now: Micros) -> Local {
        if self.is_hidden(now) {
            return match mistake {
                Mistake::TakesTheUnseenForStopped => Local::Stopped,
                _ => Local::Unknown,
            };
        }
        match (self.units, self.begun) {
            (Units::Stopped, _) => Local::Stopped,
            (Units::Running { token }, _) => Local::Running { token },
            (Units::Starting { .. } | Units::Stopping, _) if mistake == Mistake::KillsWhatOthersBegan => {
                Local::Partly
            }
            (Units::Starting { .. }, Some(Begun::Start(token))) => Local::Starting { token },
            (Units::Stopping, Some(Begun::Stop)) => Local::Stopping,
            (Units::Starting { .. } | Units::Stopping, _) => Local::Partly,
        }
    }

    /// Whether it does something that an agent has begun under the lease that it holds.
    pub(super) fn is_at_work(&self, now: Micros) -> bool {
        let token = self.belief(now).map(|belief| belief.token);
        match (self.units, self.begun) {
            (Units::Starting { .. }, Some(Begun::Start(begun))) => token == Some(begun),
            (Units::Stopping, Some(Begun::Stop)) => token.is_some(),
            (Units::Stopped | Units::Starting { .. } | Units::Running { .. } | Units::Stopping, _) => false,
        }
    }

    /// Whether its agent sees nothing of the units.
    pub(super) const fn is_hidden(&self, now: Micros) -> bool {
        self.hidden > now || self.barred > now
    }
}
