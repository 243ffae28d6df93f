//! What is noted before something is done to a unit.

use serde::{Deserialize, Serialize};

use crate::systemd::UnitState;

const VERSION: u32 = 1;

/// How the unit was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The version of this form.
    v: u32,
    /// The boot in which it was so.
    boot: String,
    /// Which start of the unit was the present one.
    pub(super) invocation: String,
    /// When its state had last changed, on the monotonic clock.
    pub(super) changed: u64,
    /// A job that an earlier attempt may have asked for was under way: which start of the unit was the
    /// present one before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

impl Note {
    /// How the unit is. With `earlier`, one of its jobs is under way that an attempt with that note
    /// may have asked for.
    pub(super) fn of(boot: String, state: &UnitState, earlier: Option<&Self>) -> Self {
        let before =
            earlier.map(|earlier| earlier.before.clone().unwrap_or_else(|| earlier.invocation.clone()));
        Self { v: VERSION, boot, invocation: state.invocation.clone(), changed: state.changed, before }
    }

    /// The start of the unit before a job that is to be waited for.
    pub(super) fn waits_for(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// Whether it was made in this boot.
    pub(super) fn is_of(&self, boot: &str) -> bool {
        self.boot == boot
    }

    /// As it is recorded.
    pub(super) fn to_text(&self) -> String {
        // Texts and numbers: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None` for what is no such note, or one of a later version.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|note: &Self| note.v == VERSION)
    }
}
