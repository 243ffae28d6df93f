//! What somebody asked for.

use serde::{Deserialize, Serialize};

use super::Time;
use crate::{Act, ActEnd};

/// One entry of the record of acts. What it is chained by is the SHA-256 of its number, eight bytes with the highest
/// first, and of these bytes as they are stored, without the checksum before them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActEntry {
    /// When.
    pub at: Time,
    /// Who, as they say.
    pub by: String,
    /// The address it came from.
    pub from: String,
    /// What it came by: the page, the program, another program.
    pub door: String,
    /// What was asked for.
    pub what: String,
    /// With which words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What became of it.
    pub end: End,
    /// What was answered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
    /// The number of the entry whose end this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// The SHA-256 of the entry before, in hexadecimal; zeros for the first one.
    pub before: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the members are those of `ActEnd`")]
pub enum End {
    Begun,
    Done,
    Refused,
    Failed,
    Unclear,
}

impl ActEntry {
    /// The stored form of an act, behind the entry with that hash.
    pub(crate) fn new(act: &Act, before: &str) -> Self {
        let Act { at, by, from, door, what, detail, end, said, of } = act.clone();
        let end = match end {
            ActEnd::Begun => End::Begun,
            ActEnd::Done => End::Done,
            ActEnd::Refused => End::Refused,
            ActEnd::Failed => End::Failed,
            ActEnd::Unclear => End::Unclear,
        };
        Self { at: at.into(), by, from, door, what, detail, end, said, of, before: before.to_owned() }
    }

    /// The act that it is of.
    pub(crate) fn act(self) -> Act {
        let Self { at, by, from, door, what, detail, end, said, of, before: _ } = self;
        let end = match end {
            End::Begun => ActEnd::Begun,
            End::Done => ActEnd::Done,
            End::Refused => ActEnd::Refused,
            End::Failed => ActEnd::Failed,
            End::Unclear => ActEnd::Unclear,
        };
        Act { at: at.into(), by, from, door, what, detail, end, said, of }
    }
}

/// How far the record of acts goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActChain {
    /// The number of the last entry.
    pub last: u64,
    /// Its hash.
    pub hash: String,
    /// The last entry that was removed because there were too many; 0 if none was.
    #[serde(default)]
    pub cut: u64,
    /// Its hash: what the first that is left says of the one before.
    pub cut_hash: String,
}
