//! Flood control: what a remedy has done lately and what that forbids.

use std::collections::VecDeque;

use crate::event::Hold;
use crate::plan::{Mode, Remedy};
use crate::reading::Captures;
use crate::time::Boot;

/// Starts that are kept whatever the budget is.
const STARTS: usize = 32;

/// The flood control of one remedy (and so of its target): a row of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flood {
    /// Whether its conditions held when last looked at: it starts when this turns true.
    pub held: bool,
    /// A trigger waits for what holds it back to be over; why it was triggered.
    pub deferred: Option<String>,
    /// What the line of that trigger was taken apart into.
    pub captures: Captures,
    /// Starts that cooldown and budget still look at, oldest first.
    pub starts: VecDeque<Boot>,
    /// Starts since its condition was last false: those that did not help.
    pub unhelpful: u32,
    /// Whether it gave up.
    pub gave_up: bool,
    /// Whether the present exhaustion of the budget was told.
    pub told: bool,
    /// What held the last trigger back; cleared by a start. Recorded only when it
    /// changes, so that a flood of triggers is not a flood of records.
    pub held_by: Option<Hold>,
    /// Triggers held back since the last start.
    pub suppressed: u64,
    /// A deferred trigger needs results of this time and later: what was seen before
    /// the end of the last run does not speak against it.
    pub fresh_from: Boot,
    /// What this rests on. `None`: nobody has taken it up yet.
    pub basis: Option<Basis>,
}

/// What the state of flood control rests on: another one begins anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// What starts the remedy, as the configuration writes it.
    pub on: String,
    /// Whether it acts or only observes.
    pub mode: Mode,
}

impl Flood {
    /// Until when the budget holds a start back.
    pub fn spent_until(&self, remedy: &Remedy, now: Boot) -> Option<Boot> {
        let budget = remedy.budget?;
        let runs = budget.runs.get() as usize;
        let oldest = self.starts.len().checked_sub(runs).and_then(|index| self.starts.get(index))?;
        let until = oldest.after(budget.per);
        (until > now).then_some(until)
    }

    /// The condition is false, or another one: what it had led to is over.
    pub fn ready(&mut self) {
        self.held = false;
        self.deferred = None;
        self.captures = Captures::default();
        self.unhelpful = 0;
        self.gave_up = false;
        self.told = false;
        self.held_by = None;
    }

    /// Comes under a definition, at a start or a reload. One that starts by something else
    /// than before, or acts where it only observed, begins anew. Whether the row changed.
    pub fn take_up(&mut self, remedy: &Remedy, mode: Mode) -> bool {
        let on: Vec<_> = remedy.on.iter().map(ToString::to_string).collect();
        let basis = Basis { on: on.join("; "), mode: mode.max(remedy.mode) };
        if self.basis.as_ref() == Some(&basis) {
            return false;
        }
        let old = self.basis.replace(basis);
        let now = self.basis.as_ref();
        let acts = now.is_some_and(|now| now.mode == Mode::Act);
        if old
            .is_some_and(|old| now.is_some_and(|now| now.on != old.on) || (acts && old.mode == Mode::Observe))
        {
            self.ready();
        }
        true
    }

    /// Notes a start.
    pub fn start(&mut self, remedy: &Remedy, now: Boot) {
        self.starts.push_back(now);
        // Some more than this budget needs, for the one that a reload brings.
        let keep = remedy.budget.map_or(0, |budget| budget.runs.get() as usize).max(STARTS);
        while self.starts.len() > keep {
            self.starts.pop_front();
        }
    }
}

/// Until when its cooldown holds a start of a remedy back, by the starts of the remedies that share
/// its target (it is one of them).
pub fn cooling_until<'a>(
    remedy: &Remedy,
    sharing: impl IntoIterator<Item = &'a Flood>,
    now: Boot,
) -> Option<Boot> {
    let last = sharing.into_iter().filter_map(|flood| flood.starts.back()).max()?;
    let until = last.after(remedy.cooldown);
    (until > now).then_some(until)
}
