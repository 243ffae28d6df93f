//! What a process has seen of the register: told by the world, to judge what a taking rests on.

use lictor_core::lease::Record;

use super::register::State;
use super::script::Micros;

/// What a process has seen.
#[derive(Debug, Default)]
pub(super) struct Eyes {
    saw: Option<(State, Basis)>,
    /// The highest token it saw or wrote.
    token: u64,
    /// The highest beat of its own that it saw, or knows to be written.
    beat: u64,
    sent: Option<(u64, u64)>,
    /// The token under which it holds the lease, or held it last.
    held: Option<u64>,
}

/// What somebody rests on who takes the lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Basis {
    /// Since when it had seen what it replaces.
    pub(super) since: Micros,
    /// Whether that says, for all that it can know, that nobody acts.
    pub(super) needs_no_wait: bool,
}

impl Eyes {
    pub(super) fn see(&mut self, state: State, name: &str, incarnation: &str, now: Micros) {
        if self.saw.as_ref().is_some_and(|(before, _)| *before == state) {
            return;
        }
        let mut needs_no_wait = false;
        if let Some((record, _)) = &state {
            let own = record.holder == name;
            let late = own && (record.incarnation != incarnation || record.beat > self.beat);
            needs_no_wait = record.token >= self.token && (record.released.is_some() || late);
            self.token = self.token.max(record.token);
            if own && record.incarnation == incarnation {
                self.beat = self.beat.max(record.beat);
            }
        }
        self.saw = Some((state, Basis { since: now, needs_no_wait }));
    }

    pub(super) fn send(&mut self, record: &Record) {
        self.sent = Some((record.token, record.beat));
    }

    /// What was sent last is written.
    pub(super) fn done(&mut self) {
        if let Some((token, beat)) = self.sent {
            (self.token, self.beat) = (self.token.max(token), self.beat.max(beat));
            self.held = Some(token);
        }
    }

    /// A belief is over: what was seen before counts no more.
    pub(super) fn forget(&mut self) {
        self.saw = None;
    }

    pub(super) fn basis(&self, record: &Record) -> Option<Basis> {
        let taking = record.released.is_none() && self.held != Some(record.token);
        let nothing = Basis { since: 0, needs_no_wait: false };
        taking.then(|| self.saw.as_ref().map_or(nothing, |(_, basis)| *basis))
    }
}
