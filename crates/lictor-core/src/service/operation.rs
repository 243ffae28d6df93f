//! What a person has asked for: a record that the nodes of a service carry on together.
//!
//! ```text
//!  switchover   asked ──target─▶ ready ──holder─▶ stopping ──holder─▶ handed ──target─▶ done
//!  take         asked ──target─▶ ready ──────────────────────target─▶ handed ──target─▶ done
//!  stop         asked ──holder───────────────────▶ stopping ──────────────────holder─▶ done
//! ```
//!
//! Each arrow is one compare-and-set by the node that it names, and nothing irreversible is done
//! before the arrow that announces it is certainly written. From each phase but the last ones somebody may
//! say that it has failed. Whoever asked for it need not live on: the nodes do all of it.

use std::time::Duration;

/// Something asked for, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Another one each time.
    pub id: String,
    /// What is asked for.
    pub what: What,
    /// The node that held the lease when it was asked for.
    pub from: Option<String>,
    /// Who asked.
    pub by: String,
    /// How long it may take until the service is being stopped, from when a node sees it first.
    pub deadline: Duration,
    /// How far it is.
    pub phase: Phase,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The service is to stop where it runs and to start there.
    Switchover {
        /// The node that is to run it.
        to: String,
    },
    /// It is to start there, where nobody runs it: after a stop, or when its node is gone.
    Take {
        /// The node that is to run it.
        to: String,
    },
    /// It is to stop, and to stay so.
    Stop,
}

/// How far an operation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody has done anything.
    Asked,
    /// The node that is to run it can.
    Ready,
    /// The node that runs it stops it.
    Stopping {
        /// Under which token it runs, or ran.
        token: u64,
    },
    /// It is stopped, and the one that is to run it may take the lease, or has taken it.
    Handed,
    /// It runs where it was to run, or is stopped.
    Done,
    /// It could not be done.
    Failed {
        /// Why, in words.
        why: String,
    },
}

impl Operation {
    /// The node that is to run the service.
    pub fn to(&self) -> Option<&str> {
        match &self.what {
            What::Switchover { to } | What::Take { to } => Some(to),
            What::Stop => None,
        }
    }

    /// Whether nothing will be done for it any more.
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Failed { .. })
    }

    /// Whether it may still be given up without a trace.
    pub const fn is_harmless(&self) -> bool {
        matches!(self.phase, Phase::Asked | Phase::Ready)
    }

    /// The same in another phase.
    #[must_use]
    pub fn now(&self, phase: Phase) -> Self {
        Self { phase, ..self.clone() }
    }

    /// The same, being stopped by the node that runs it under this token.
    #[must_use]
    pub fn stopping(&self, node: &str, token: u64) -> Self {
        Self { from: Some(node.to_owned()), ..self.now(Phase::Stopping { token }) }
    }

    /// The same, failed.
    #[must_use]
    pub fn failed(&self, why: impl Into<String>) -> Self {
        self.now(Phase::Failed { why: why.into() })
    }
}
