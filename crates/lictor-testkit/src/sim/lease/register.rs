//! The one record, as Consul keeps it.

use lictor_core::lease::{Record, Revision};

use super::script::Micros;

/// What is in the register.
pub(super) type State = Option<(Record, Revision)>;

/// A register with compare-and-set that can be put back to an older state.
#[derive(Debug)]
pub(super) struct Register {
    state: State,
    /// All states there were, the present one last.
    past: Vec<State>,
    index: u64,
    /// When the register was put back, if nobody has waited since for what is there now.
    restored: Option<Micros>,
}

impl Register {
    pub(super) fn new(first: Option<Record>) -> Self {
        // An index is never 1 for anything but the first write.
        let state = first.map(|record| (record, Revision(7)));
        Self { past: vec![state.clone()], state, index: 7, restored: None }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn revision(&self) -> Option<Revision> {
        self.state.as_ref().map(|(_, revision)| *revision)
    }

    pub(super) fn restored(&self) -> Option<Micros> {
        self.restored
    }

    /// Writes if the record is as expected.
    pub(super) fn write(
        &mut self,
        expect: Option<Revision>,
        record: Record,
        waited: bool,
    ) -> Option<Revision> {
        if expect != self.revision() {
            return None;
        }
        // Consul takes what is there already for done, and its index stays.
        if let Some((present, revision)) = &self.state
            && *present == record
        {
            return Some(*revision);
        }
        self.index += 1;
        let revision = Revision(self.index);
        self.state = Some((record, revision));
        self.past.push(self.state.clone());
        self.restored = self.restored.filter(|_| !waited);
        Some(revision)
    }

    /// Puts the state of so many writes ago back. Later writes have higher revisions all the
    /// same.
    pub(super) fn restore(&mut self, back: usize, now: Micros) {
        let at = self.past.len().saturating_sub(1 + back);
        self.state = self.past.get(at).cloned().flatten();
        self.past.push(self.state.clone());
        self.restored = Some(now);
    }
}
