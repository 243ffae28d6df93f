//! The plan: what a configuration asks the engine to judge and to do. It never
//! changes in place; a reload is a new plan.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::check::Value;
use crate::condition::Condition;
use crate::name::{
    ActionName, CheckName, LeaseName, PatternName, RemedyName, ServiceName, StepName, Target, ValueName,
};
use crate::reading::Counting;
use crate::role::Hooks;

/// Everything the engine decides by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The checks by name.
    pub checks: BTreeMap<CheckName, CheckPlan>,
    /// The remedies by name, rules among them.
    pub remedies: BTreeMap<RemedyName, Remedy>,
    /// The clustered services of this node, and what follows when one comes to run here or leaves.
    pub services: BTreeMap<ServiceName, Hooks>,
    /// Limits over all remedies together.
    pub limits: Limits,
    /// Whether anything is done at all.
    pub mode: Mode,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Decide, record and act.
    #[default]
    Act,
    /// Decide and record what would be done, but do nothing.
    Observe,
}

/// Limits over all remedies of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At most so many actions in flight at once (default 16).
    pub in_flight: NonZeroU32,
    /// While more than this share of all targets (in percent) is bad at once, no new
    /// run starts: the fault is then elsewhere. `None`: no such limit (the default).
    pub hold_above_percent: Option<u8>,
}

impl Default for Limits {
    fn default() -> Self {
        let sixteen = NonZeroU32::MIN.saturating_add(15);
        Self { in_flight: sixteen, hold_above_percent: None }
    }
}

/// How one check is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckPlan {
    /// Where its results come from.
    pub source: CheckSource,
    /// So many consecutive results that are not passing change a passing check (default 1).
    pub fail_after: NonZeroU32,
    /// So many consecutive passing results change a check that is not passing (default 1).
    pub pass_after: NonZeroU32,
    /// It must have been bad for this long before it changes (`for`; default none).
    pub bad_for: Duration,
    /// Bad results this soon after the check came to be, and before its first passing
    /// one, do not count.
    pub grace: Duration,
    /// Without a result for this long the check is `unknown`. `None` for composites.
    pub stale_after: Option<Duration>,
    /// When it counts as flapping. `None`: never.
    pub flap: Option<Flap>,
    /// Values whose change is an event of its own (their first sight is no change).
    pub tell: Vec<ValueName>,
    /// Rates of its values, which are values themselves.
    pub rates: Vec<Rate>,
    /// Its patterns whose matches are counted or missed.
    pub patterns: BTreeMap<PatternName, Counting>,
    /// Under which heading people are shown it. It decides nothing.
    pub group: Option<Arc<str>>,
}

/// How fast a value changes: a value of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Its name.
    pub name: ValueName,
    /// The value whose change it is, per second.
    pub of: ValueName,
    /// Over this time: from the oldest result that is not older to the latest.
    pub within: Duration,
}

impl CheckPlan {
    /// A check with the default judgement over results of a watcher.
    pub fn observed() -> Self {
        Self {
            source: CheckSource::Watcher,
            fail_after: NonZeroU32::MIN,
            pass_after: NonZeroU32::MIN,
            bad_for: Duration::ZERO,
            grace: Duration::ZERO,
            stale_after: None,
            flap: None,
            tell: Vec::new(),
            rates: Vec::new(),
            patterns: BTreeMap::new(),
            group: None,
        }
    }
}

/// Where the results of a check come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckSource {
    /// A watcher of the same name.
    Watcher,
    /// Other checks: passing when at least `at_least` of `of` are. More exactly, its
    /// status is that of the `at_least`-th best member, in the order passing, warning,
    /// unknown, critical; so *all* is `of.len()` and *any* is 1.
    Checks {
        /// How many members must be at least so good; 1 to `of.len()`.
        at_least: usize,
        /// The members; not empty, no cycle.
        of: Vec<CheckName>,
    },
}

/// Flapping: `changes` changes of status within `within`. While a check flaps it stays
/// bad until it has passed for all of `within`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flap {
    /// So many changes, counted both ways.
    pub changes: NonZeroU32,
    /// Within this time.
    pub within: Duration,
}

/// A remedy: when to start, what holds it back, and its steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Remedy {
    /// What starts it; any of these.
    pub on: Vec<Trigger>,
    /// Once its conditions have held they count as holding until this does: a threshold to
    /// start at and another to be content with.
    pub until: Option<Condition>,
    /// Must hold when a run starts.
    pub guard: Option<Condition>,
    /// What it works on.
    pub target: Target,
    /// Only the node that holds this starts runs and acts for them.
    pub lease: Option<LeaseName>,
    /// Time from the last start of any remedy with this target to a start of this one (default 1 min).
    pub cooldown: Duration,
    /// At most so many runs in such a time.
    pub budget: Option<Budget>,
    /// Runs when the budget is used up or the remedy gives up.
    pub escalate: Option<RemedyName>,
    /// Whether a suppressed trigger, or one that a run did not cure, fires when what
    /// held it back is over and its condition still holds.
    pub defer: bool,
    /// After so many runs in a row that left the condition true it stops until the
    /// condition has been false or a person says `retry`. `None`: never.
    pub give_up_after: Option<NonZeroU32>,
    /// `Observe` records what would be done.
    pub mode: Mode,
    /// A run ends or is parked after this time at the latest (default 1 h).
    pub deadline: Duration,
    /// When this holds a run is cancelled.
    pub cancel: Option<Condition>,
    /// The step a cancelled run (also one cancelled by a person) still goes through, with those after it.
    pub on_cancel: Option<StepName>,
    /// The steps in order; not empty, names unique.
    pub steps: Vec<Step>,
    /// Identifies the definition, with that of its actions: a run never goes on under another one.
    pub definition: String,
}

/// At most `runs` runs in any span of `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// So many runs.
    pub runs: NonZeroU32,
    /// In such a time.
    pub per: Duration,
}

/// What starts a remedy.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// The condition became true.
    When(Condition),
    /// A watcher reported a match of one of its patterns.
    Match {
        /// The watcher.
        source: CheckName,
        /// Its pattern.
        pattern: PatternName,
    },
    /// A value of a check is another than before (its first sight is no change).
    Changed {
        /// The check.
        check: CheckName,
        /// Its value.
        value: ValueName,
        /// Only when it was this.
        from: Option<Value>,
        /// Only when it is this now.
        to: Option<Value>,
    },
}

impl fmt::Display for Trigger {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::When(condition) => condition.fmt(f),
            Self::Match { source, pattern } => write!(f, "match.{source}.{pattern}"),
            Self::Changed { check, value, from, to } => {
                write!(f, "changed(value.{check}.{value}")?;
                for value in from.iter().chain(to) {
                    match value {
                        Value::Number(number) => write!(f, ", {number}")?,
                        Value::Text(text) => write!(f, ", {text:?}")?,
                    }
                }
                f.write_str(")")
            }
        }
    }
}

/// One step of a remedy.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: StepName,
    /// What it does.
    pub kind: StepKind,
    /// How often it is tried before it has failed (default 1).
    pub attempts: NonZeroU32,
    /// The step that follows when it is done or left out: a later one. `None`: the next one.
    pub next: Option<StepName>,
    /// When this holds the step is left out: when a run comes to it and before each further attempt.
    pub skip_when: Option<Condition>,
    /// Pause before the second attempt, and before a run comes back to the step; doubles for
    /// each further one, with jitter.
    pub backoff: Duration,
    /// Upper bound of the pause.
    pub backoff_max: Duration,
    /// What happens when it has failed.
    pub on_failure: OnFailure,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepKind {
    /// Do one thing to the world.
    Act {
        /// The agent knows what it is.
        action: ActionName,
        /// What may be done after an unclear answer.
        repeat: Repeatability,
        /// Time limit of one attempt.
        limit: Duration,
        /// How to see that it worked.
        verify: Option<Verify>,
        /// Whether it finds out and records what it will change before it does.
        prepare: bool,
    },
    /// Wait until a condition has held without a break for `hold`.
    Wait {
        /// The condition.
        condition: Condition,
        /// For how long (0: once is enough).
        hold: Duration,
        /// The step has failed after this time.
        deadline: Duration,
    },
}

/// What may be done when nobody knows whether an action happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repeatability {
    /// Doing it twice does no harm: it is done again.
    Idempotent,
    /// One can look: it is repeated only when it is seen not to have happened.
    Verifiable,
    /// Neither: the run parks and a person is told.
    Neither,
}

/// How a step is seen to have worked.
#[derive(Clone, Debug, PartialEq)]
pub struct Verify {
    /// Must hold by observations made after the act.
    pub condition: Condition,
    /// By this long after the act.
    pub within: Duration,
    /// "Not done" counts only so long after the act: a write that was given up may
    /// still be applied (default 10 s).
    pub settle: Duration,
}

/// What happens when a step has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The run has failed (the default).
    Fail,
    /// The run waits for a person.
    Park,
    /// The run goes on with another step, earlier or later, as long as steps that failed
    /// have led there less than `visits` times.
    GoTo {
        /// The step.
        step: StepName,
        /// At most so many times in one run; 0: it goes on with `then` at once.
        visits: u32,
        /// Where it goes on when that is used up, and a person is told: a later step than the
        /// one that failed. `None`: it has failed.
        then: Option<StepName>,
    },
}
