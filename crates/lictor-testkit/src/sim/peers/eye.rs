//! What a node was shown of another one, kept apart from the mesh: what must be known follows from it.

use lictor_core::Status;

use super::script::{Millis, Rules};

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Well,
    /// It says that this one of its checks fails.
    Ill(u8),
    Silent,
}

/// Answers of discovery in a row that must leave a peer out until it counts as vanished.
const MISSING: u32 = 3;

/// So many looks are remembered: more than must ever be alike.
const ROW: usize = 8;

/// What a node was shown of another one.
#[derive(Clone, Debug, Default)]
pub(super) struct Eye {
    /// What the last looks found since the node started, or began to watch it.
    looks: Vec<Found>,
    /// When the row of looks began that are all well, or all not.
    row: Millis,
    /// Whether it counts as well.
    pub(super) well: Option<bool>,
    /// When the row began that made it so.
    pub(super) since: Millis,
    /// Answers of discovery in a row that left it out.
    pub(super) missing: u32,
}

impl Eye {
    /// Of one that so many answers of discovery in a row have left out.
    pub(super) fn new(missing: u32) -> Self {
        Self { missing, ..Self::default() }
    }

    /// A look found that.
    pub(super) fn look(&mut self, found: Found, rules: &Rules, now: Millis) {
        let goes_on = self.last().is_some_and(|last| (*last == Found::Well) == (found == Found::Well));
        if !goes_on {
            self.row = now;
        }
        if self.looks.len() == ROW {
            self.looks.remove(0);
        }
        self.looks.push(found);
        let in_a_row = |well: bool| {
            let row = self.looks.iter().rev().take_while(|found| (**found == Found::Well) == well);
            u32::try_from(row.count()).unwrap_or(u32::MAX)
        };
        let turned = match self.well {
            None if in_a_row(true) > 0 => true,
            Some(false) if in_a_row(true) >= rules.pass_after.get() => true,
            None | Some(true) if in_a_row(false) >= rules.fail_after.get() => false,
            None | Some(_) => return,
        };
        (self.well, self.since) = (Some(turned), self.row);
    }

    pub(super) const fn has_vanished(&self) -> bool {
        self.missing >= MISSING
    }

    /// The node was started anew: how it stood is remembered, and what was seen is not.
    pub(super) fn restart(&mut self) {
        self.looks.clear();
        // That it is no longer named is remembered.
        self.missing = if self.has_vanished() { MISSING } else { 0 };
    }

    /// What the last look found.
    pub(super) fn last(&self) -> Option<&Found> {
        self.looks.last()
    }

    /// What must be told of it where nobody else is asked; `None` leaves what was told before.
    pub(super) fn told(&self) -> Option<(Status, String)> {
        let well = self.well?;
        if self.has_vanished() {
            return Some((Status::Warning, "vanished".to_owned()));
        }
        let last = self.last()?;
        match (well, last) {
            (true, Found::Well) => Some((Status::Passing, "up".to_owned())),
            (false, Found::Silent) => Some((Status::Critical, "down".to_owned())),
            (false, Found::Ill(which)) => Some((Status::Critical, format!("failing {}", url(*which)))),
            // It is turning.
            (true, Found::Silent | Found::Ill(_)) | (false, Found::Well) => None,
        }
    }
}

/// The check of a node that fails.
pub(super) fn url(which: u8) -> String {
    format!("https://check{which}/")
}
