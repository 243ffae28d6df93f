//! How the copies stand, for whoever asks.

use std::sync::Arc;

use lictor_config::Replicate;
use lictor_core::replicate::{Held, Prefix, Tally};
use lictor_core::{Boot, Wall};

/// Refused keys that are named.
pub(super) const NAMED: usize = 20;

/// One prefix on its way to one datacenter.
#[derive(Clone, Debug)]
pub struct CopyView {
    /// The block it is from.
    pub config: Arc<Replicate>,
    /// What is copied.
    pub prefix: Prefix,
    /// The datacenter it is copied to.
    pub to: String,
    /// How it stands.
    pub state: CopyState,
}

/// How a copy stands.
#[derive(Clone, Debug, Default)]
pub struct CopyState {
    /// What is being done.
    pub phase: Phase,
    /// Whether this node knows how it stands: it has gone through it, or another node is known to copy.
    pub known: bool,
    /// What was done since this node took it up.
    pub tally: Tally,
    /// Keys at the destination.
    pub copies: usize,
    /// Keys of the present listing that wait to be written.
    pub pending: u64,
    /// How many keys could not be copied, and the first of them with the reason.
    pub refused: (usize, Vec<(String, String)>),
    /// Deletes that wait for a person.
    pub held: Option<Held>,
    /// Keys that stay although the source does not have them, because a person said so.
    pub kept: usize,
    /// When everything was last as it should be.
    pub latest: Option<Wall>,
    /// Since when something is not copied that should be.
    pub behind: Option<Boot>,
    /// Up to which index of the source everything was copied.
    pub copied: Option<u64>,
    /// How long the latest copying took, from the news to the last answer of the destination, milliseconds.
    pub took_ms: Option<u64>,
    /// What would be done, if it is only to be told.
    pub would: Would,
}

/// What a dry run would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Would {
    /// Keys it would write.
    pub write: u64,
    /// Keys it would delete.
    pub delete: u64,
}

/// What is being done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Another node copies, or nobody is known to.
    Standby(String),
    /// The destination's keys are read.
    #[default]
    Loading,
    /// Keys are compared and written.
    Copying,
    /// It waits for changes.
    Following,
    /// It is tried again soon.
    Failing(String),
    /// It will not be done as it is configured.
    Refused(String),
}

impl Phase {
    /// One word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Standby(_) => "standby",
            Self::Loading => "loading",
            Self::Copying => "copying",
            Self::Following => "following",
            Self::Failing(_) => "failing",
            Self::Refused(_) => "refused",
        }
    }

    /// Why, if it is not as it should be.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Standby(why) | Self::Failing(why) | Self::Refused(why) => Some(why),
            Self::Loading | Self::Copying | Self::Following => None,
        }
    }
}
