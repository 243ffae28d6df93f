//! Whose time comes when.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Boot;

/// At most one time for each of what is timed, in order.
#[derive(Clone, Debug)]
pub(crate) struct Timers<T> {
    order: BTreeSet<(Boot, T)>,
    due: BTreeMap<T, Boot>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { order: BTreeSet::new(), due: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Timers<T> {
    /// Sets or takes away the time of one.
    pub(crate) fn set(&mut self, timer: T, at: Option<Boot>) {
        if self.due.get(&timer).copied() == at {
            return;
        }
        if let Some(old) = self.due.remove(&timer) {
            self.order.remove(&(old, timer.clone()));
        }
        if let Some(at) = at {
            self.due.insert(timer.clone(), at);
            self.order.insert((at, timer));
        }
    }

    /// The earliest time.
    pub(crate) fn next(&self) -> Option<Boot> {
        self.order.first().map(|(at, _)| *at)
    }

    /// One whose time has come; it has none any more.
    pub(crate) fn take_due(&mut self, now: Boot) -> Option<T> {
        let (at, _) = self.order.first()?;
        if *at > now {
            return None;
        }
        let (_, timer) = self.order.pop_first()?;
        self.due.remove(&timer);
        Some(timer)
    }

    /// Those whose time has come, in order; they keep it.
    pub(crate) fn due(&self, now: Boot) -> impl Iterator<Item = &T> {
        self.order.iter().take_while(move |(at, _)| *at <= now).map(|(_, timer)| timer)
    }
}
