//! Events: what the ledger keeps of the past. An event says one thing that was seen,
//! decided, done or ordered.

use std::fmt;
use std::time::Duration;

use crate::check::Status;
use crate::holding::Holding;
use crate::name::{
    ActionName, CheckName, DeliveryId, IncidentId, LeaseName, NotifierName, PatternName, RemedyName, RunId,
    ServiceName, StepName, Target, ValueName,
};
use crate::plan::Mode;
use crate::run::{Ending, Outcome};
use crate::time::{Now, Span};

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Now,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The agent started.
    AgentStarted {
        /// Its version.
        version: String,
        /// Whether the agent before it had stopped by itself.
        clean: bool,
    },
    /// The agent stopped by itself.
    AgentStopped,
    /// The state could not be read: it was put aside, and the node begins anew.
    StateSetAside {
        /// Where it is kept.
        path: String,
        /// Why it could not be read.
        why: String,
    },
    /// Another machine has the name of this node and is alive.
    NameTaken {
        /// What this one does not do because of it, which one it is, and the way out.
        why: String,
    },
    /// Nothing can be recorded: nothing is acted on until it can.
    RecordingFailed {
        /// Why.
        why: String,
    },
    /// It can be recorded again.
    RecordingResumed {
        /// So many entries had to be given up.
        lost: u64,
    },
    /// What an earlier store of this node left is known; from now on the node acts.
    Adopted {
        /// Unfinished runs it left.
        runs: usize,
        /// Open incidents it left.
        incidents: usize,
    },
    /// Who holds a lease is another now, for all this node knows.
    LeaseChanged {
        /// The lease.
        lease: LeaseName,
        /// What is known of it.
        holding: Holding,
    },
    /// How a clustered service stands is otherwise now, for all this node knows.
    Service {
        /// The service.
        service: ServiceName,
        /// How, in words.
        said: String,
    },
    /// A source of alerts cannot be asked, or can again.
    AlertSource {
        /// The source.
        source: String,
        /// Why it cannot; `None` when it can again.
        lost: Option<String>,
    },
    /// What counts of the subject of an alert is another status than before.
    AlertChanged {
        /// The subject for people.
        subject: String,
        /// Before.
        from: Status,
        /// After.
        to: Status,
        /// What was said of it.
        summary: String,
    },
    /// A notifier accepted a message.
    Told {
        /// The notifier.
        notifier: NotifierName,
        /// The message.
        delivery: DeliveryId,
        /// What it tells, in short.
        what: String,
    },
    /// A notifier did not accept a message, for the first time or for good.
    NotTold {
        /// The notifier.
        notifier: NotifierName,
        /// The message.
        delivery: DeliveryId,
        /// Why.
        why: String,
        /// What follows.
        next: String,
    },
    /// A silence begins or ends.
    Silenced {
        /// Its id.
        id: String,
        /// Which alerts.
        when: String,
        /// So long; `None` when it ends.
        until: Option<Duration>,
        /// Who wants it; empty when its time has come.
        by: String,
    },
    /// Somebody looks after what is wrong, or does not any more.
    Acknowledged {
        /// What it is about.
        subject: String,
        /// Who; `None` when nobody does any more.
        by: Option<String>,
        /// Who says that nobody does any more; empty when nobody is known to.
        ended_by: String,
    },
    /// What was found, or not found, in a record that other nodes and programs write too.
    SharedState {
        /// Whose record it is.
        of: String,
        /// What about it.
        why: String,
    },
    /// A run that another node or another program had begun goes on here.
    TakenOver {
        /// The remedy.
        remedy: RemedyName,
        /// The step it goes on with.
        step: StepName,
        /// From whom.
        from: String,
    },
    /// A new configuration is in force.
    Reloaded {
        /// The difference in words.
        difference: String,
    },
    /// A configuration was refused; the old one stays in force.
    ReloadRefused {
        /// Why.
        why: String,
    },
    /// A watcher ended or went quiet and is started again.
    WatcherRestarted {
        /// Its check.
        check: CheckName,
        /// Why.
        why: String,
    },
    /// A check changed.
    Transition {
        /// The check.
        check: CheckName,
        /// Before.
        from: Status,
        /// After.
        to: Status,
        /// What the deciding result said.
        summary: String,
        /// The results it rests on, oldest first.
        evidence: Vec<(Now, Status, String)>,
    },
    /// A check began or ceased to flap.
    Flapping {
        /// The check.
        check: CheckName,
        /// Whether it flaps now.
        flaps: bool,
    },
    /// An incident began.
    IncidentOpened {
        /// The check.
        check: CheckName,
    },
    /// An incident ended.
    IncidentClosed {
        /// The check.
        check: CheckName,
        /// How long it lasted.
        after: Duration,
        /// Why, when it was not a recovery.
        why: Option<String>,
    },
    /// A pattern matched a line that a remedy looks for.
    Matched {
        /// The watcher.
        source: CheckName,
        /// Its pattern.
        pattern: PatternName,
        /// The line, at most 4 KiB of it.
        line: String,
    },
    /// A value changed that a remedy looks at.
    ValueChanged {
        /// The check.
        check: CheckName,
        /// Its value.
        value: ValueName,
        /// Before and after.
        from: String,
        /// After.
        to: String,
    },
    /// A remedy was to start but was held back.
    Suppressed {
        /// The remedy.
        remedy: RemedyName,
        /// What it works on.
        target: Target,
        /// By what.
        by: Hold,
        /// Whether it starts when that is over.
        deferred: bool,
    },
    /// A run started.
    RunStarted {
        /// The remedy.
        remedy: RemedyName,
        /// What it works on.
        target: Target,
        /// Why.
        cause: String,
        /// Whether it acts.
        mode: Mode,
    },
    /// A step's action is about to be carried out.
    Intent {
        /// The step.
        step: StepName,
        /// The attempt, from 1.
        attempt: u32,
        /// The action.
        action: ActionName,
    },
    /// In observe mode: what would be done.
    WouldAct {
        /// The step.
        step: StepName,
        /// The action.
        action: ActionName,
    },
    /// A step was left out.
    StepSkipped {
        /// The step.
        step: StepName,
        /// The condition that held.
        why: String,
    },
    /// What became of an action.
    Outcome {
        /// The step.
        step: StepName,
        /// The attempt, from 1.
        attempt: u32,
        /// What became of it.
        outcome: Outcome,
    },
    /// Looking at what became of an attempt.
    Inspecting {
        /// The step.
        step: StepName,
        /// The attempt, from 1.
        attempt: u32,
        /// Why it is not known.
        why: String,
    },
    /// A step was seen to have worked.
    Verified {
        /// The step.
        step: StepName,
    },
    /// A step waits.
    Waiting {
        /// The step.
        step: StepName,
        /// For this.
        condition: String,
    },
    /// A step is done.
    StepDone {
        /// The step.
        step: StepName,
    },
    /// A step has failed for good.
    StepFailed {
        /// The step.
        step: StepName,
        /// Why.
        why: String,
        /// What happens next, in words.
        next: String,
    },
    /// A step is tried again.
    Retrying {
        /// The step.
        step: StepName,
        /// The next attempt.
        attempt: u32,
        /// After this pause.
        after: Duration,
        /// Why.
        why: String,
    },
    /// A run waits for a person.
    Parked {
        /// The remedy.
        remedy: RemedyName,
        /// Why.
        why: String,
    },
    /// A run ended.
    RunEnded {
        /// The remedy.
        remedy: RemedyName,
        /// How.
        ending: Ending,
        /// After this time.
        after: Duration,
    },
    /// A remedy can do no more: a person is needed.
    Escalated {
        /// The remedy.
        remedy: RemedyName,
        /// What it works on.
        target: Target,
        /// Why.
        why: String,
    },
    /// A person (or a program in its name) asked for something.
    Commanded {
        /// What was asked.
        command: String,
    },
}

/// What holds a remedy back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Its guard does not hold, or cannot be told.
    Guard,
    /// Its cooldown.
    Cooldown,
    /// Its budget is used up.
    Budget,
    /// Another run has the target.
    Busy,
    /// It gave up: it did not help.
    GaveUp,
    /// Too large a share of all targets is bad at once.
    Fleet,
    /// It is not known yet what an earlier store of this node had under way.
    Unconfirmed,
    /// This node does not hold its lease: another one acts, or nobody knows which.
    Lease,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guard => "its guard does not hold",
            Self::Cooldown => "it is cooling down",
            Self::Budget => "its budget is used up",
            Self::Busy => "another run has the target",
            Self::GaveUp => "it gave up because it did not help",
            Self::Fleet => "too many targets are bad at once",
            Self::Lease => "another node holds its lease, or nobody knows which one does",
            Self::Unconfirmed => "it is not known yet what an earlier store of this node had under way",
        })
    }
}

/// A remedy and what it works on, which by default is itself.
struct Work<'a>(&'a RemedyName, &'a Target);

impl fmt::Display for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(remedy, target) = self;
        if remedy.as_str() == target.as_str() {
            write!(f, "{remedy}")
        } else {
            write!(f, "{remedy} on {target}")
        }
    }
}

impl What {
    /// Every kind of event.
    pub const KINDS: [&'static str; 36] = [
        "agent_started",
        "agent_stopped",
        "state_set_aside",
        "name_taken",
        "recording_failed",
        "recording_resumed",
        "adopted",
        "lease_changed",
        "service",
        "shared_state",
        "taken_over",
        "reloaded",
        "reload_refused",
        "watcher_restarted",
        "transition",
        "flapping",
        "incident_opened",
        "incident_closed",
        "matched",
        "value_changed",
        "suppressed",
        "run_started",
        "intent",
        "would_act",
        "outcome",
        "inspecting",
        "verified",
        "waiting",
        "step_done",
        "step_skipped",
        "step_failed",
        "retrying",
        "parked",
        "run_ended",
        "escalated",
        "commanded",
    ];

    /// The kind of event in one word, for filters and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::AgentStarted { .. } => "agent_started",
            Self::AgentStopped => "agent_stopped",
            Self::StateSetAside { .. } => "state_set_aside",
            Self::NameTaken { .. } => "name_taken",
            Self::RecordingFailed { .. } => "recording_failed",
            Self::RecordingResumed { .. } => "recording_resumed",
            Self::Adopted { .. } => "adopted",
            Self::LeaseChanged { .. } => "lease_changed",
            Self::Service { .. } => "service",
            Self::SharedState { .. } => "shared_state",
            Self::AlertSource { .. } => "alert_source",
            Self::AlertChanged { .. } => "alert_changed",
            Self::Told { .. } => "told",
            Self::NotTold { .. } => "not_told",
            Self::Silenced { .. } => "silenced",
            Self::Acknowledged { .. } => "acknowledged",
            Self::TakenOver { .. } => "taken_over",
            Self::Reloaded { .. } => "reloaded",
            Self::ReloadRefused { .. } => "reload_refused",
            Self::WatcherRestarted { .. } => "watcher_restarted",
            Self::Transition { .. } => "transition",
            Self::Flapping { .. } => "flapping",
            Self::IncidentOpened { .. } => "incident_opened",
            Self::IncidentClosed { .. } => "incident_closed",
            Self::Matched { .. } => "matched",
            Self::ValueChanged { .. } => "value_changed",
            Self::Suppressed { .. } => "suppressed",
            Self::RunStarted { .. } => "run_started",
            Self::Intent { .. } => "intent",
            Self::WouldAct { .. } => "would_act",
            Self::Outcome { .. } => "outcome",
            Self::Inspecting { .. } => "inspecting",
            Self::Verified { .. } => "verified",
            Self::Waiting { .. } => "waiting",
            Self::StepDone { .. } => "step_done",
            Self::StepSkipped { .. } => "step_skipped",
            Self::StepFailed { .. } => "step_failed",
            Self::Retrying { .. } => "retrying",
            Self::Parked { .. } => "parked",
            Self::RunEnded { .. } => "run_ended",
            Self::Escalated { .. } => "escalated",
            Self::Commanded { .. } => "commanded",
        }
    }

    /// The check it is about.
    pub fn check(&self) -> Option<&CheckName> {
        match self {
            Self::Transition { check, .. }
            | Self::Flapping { check, .. }
            | Self::IncidentOpened { check }
            | Self::IncidentClosed { check, .. }
            | Self::WatcherRestarted { check, .. }
            | Self::ValueChanged { check, .. }
            | Self::Matched { source: check, .. } => Some(check),
            _ => None,
        }
    }
}

impl fmt::Display for What {
    /// One sentence for people: the terminal, the page and the log all show this one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentStarted { version, clean } => {
                let after = if *clean { "" } else { " after an unclean stop" };
                write!(f, "agent {version} started{after}")
            }
            Self::AgentStopped => f.write_str("agent stopped"),
            Self::StateSetAside { path, why } => {
                write!(f, "the state could not be read and is kept as `{path}`; the node begins anew: {why}")
            }
            Self::NameTaken { why } => f.write_str(why),
            Self::RecordingFailed { why } => write!(f, "nothing is acted on: {why}"),
            Self::RecordingResumed { lost: 0 } => f.write_str("it can be recorded again"),
            Self::RecordingResumed { lost } => {
                write!(f, "it can be recorded again; {lost} entries of the ledger were given up")
            }
            Self::Adopted { runs, incidents } => {
                write!(
                    f,
                    "taken over from an earlier store of this node: unfinished runs {runs}, open incidents {incidents}"
                )
            }
            Self::LeaseChanged { lease, holding } => write!(f, "lease {lease}: {holding}"),
            Self::Service { service, said } => write!(f, "service {service}: {said}"),
            Self::SharedState { of, why } => write!(f, "shared state of {of}: {why}"),
            Self::AlertSource { source, lost: Some(why) } => write!(f, "{source} cannot be asked: {why}"),
            Self::AlertSource { source, lost: None } => write!(f, "{source} can be asked again"),
            Self::AlertChanged { subject, from, to, summary } => {
                write!(f, "{subject} went from {from} to {to}: {summary}")
            }
            Self::Told { notifier, delivery, what } => write!(f, "{notifier} accepted {delivery}: {what}"),
            Self::NotTold { notifier, delivery, why, next } => {
                write!(f, "{notifier} did not accept {delivery}: {why}; {next}")
            }
            Self::Silenced { id, when, until, by } => {
                let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
                match until {
                    Some(lasting) => write!(f, "silence {id}{by} for {}: {when}", Span(*lasting)),
                    None => write!(f, "silence {id} is over{by}: {when}"),
                }
            }
            Self::Acknowledged { subject, by: Some(by), .. } => write!(f, "{by} looks after {subject}"),
            Self::Acknowledged { subject, by: None, ended_by } => {
                let by = if ended_by.is_empty() { String::new() } else { format!(", says {ended_by}") };
                write!(f, "nobody looks after {subject} any more{by}")
            }
            Self::TakenOver { remedy, step, from } => {
                write!(f, "{remedy} goes on here with step {step}: taken over from {from}")
            }
            Self::Reloaded { difference } => write!(f, "configuration reloaded: {difference}"),
            Self::ReloadRefused { why } => {
                write!(f, "configuration refused, the old one stays in force: {why}")
            }
            Self::WatcherRestarted { check, why } => write!(f, "watcher of {check} restarted: {why}"),
            Self::Transition { check, from, to, summary, .. } if from == to => {
                write!(f, "{check} is {to}: {summary}")
            }
            Self::Transition { check, from, to, summary, .. } => {
                write!(f, "{check} went from {from} to {to}: {summary}")
            }
            Self::Flapping { check, flaps: true } => {
                write!(f, "{check} is flapping; it stays bad until it has been steady")
            }
            Self::Flapping { check, flaps: false } => write!(f, "{check} is steady again"),
            Self::IncidentOpened { check } => write!(f, "incident opened for {check}"),
            Self::IncidentClosed { check, after, why } => {
                write!(f, "incident of {check} closed after {}", Span(*after))?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::Matched { source, pattern, line } => write!(f, "{source} matched {pattern}: {line}"),
            Self::ValueChanged { check, value, from, to } => {
                write!(f, "{value} of {check} changed from {from} to {to}")
            }
            Self::Suppressed { remedy, target, by, deferred } => {
                write!(f, "{} held back: {by}", Work(remedy, target))?;
                if *deferred { f.write_str("; it starts when that is over") } else { Ok(()) }
            }
            Self::RunStarted { remedy, target, cause, mode } => {
                let how = match mode {
                    Mode::Act => "started",
                    Mode::Observe => "would start (observe mode)",
                };
                write!(f, "{} {how}: {cause}", Work(remedy, target))
            }
            Self::Intent { step, attempt, action } => {
                write!(f, "step {step}: doing {action} (attempt {attempt})")
            }
            Self::WouldAct { step, action } => write!(f, "step {step}: would do {action} (observe mode)"),
            Self::Outcome { step, outcome, .. } => match outcome {
                Outcome::Done { detail } => write!(f, "step {step}: done: {detail}"),
                Outcome::Failed { detail } => write!(f, "step {step}: failed: {detail}"),
                Outcome::NotStarted { detail } => write!(f, "step {step}: not started: {detail}"),
                Outcome::Unknown { detail } => write!(f, "step {step}: outcome unknown: {detail}"),
            },
            Self::Inspecting { step, attempt, why } => {
                write!(f, "step {step}: looking at what became of attempt {attempt}: {why}")
            }
            Self::Verified { step } => write!(f, "step {step}: verified"),
            Self::Waiting { step, condition } => write!(f, "step {step}: waiting for {condition}"),
            Self::StepSkipped { step, why } => write!(f, "step {step}: left out: {why}"),
            Self::StepDone { step } => write!(f, "step {step}: complete"),
            Self::StepFailed { step, why, next } => write!(f, "step {step}: gave up: {why}; {next}"),
            Self::Retrying { step, attempt, after, why } => {
                write!(f, "step {step}: attempt {attempt} in {}: {why}", Span(*after))
            }
            Self::Parked { remedy, why } => write!(f, "{remedy} is parked and waits for a person: {why}"),
            Self::RunEnded { remedy, ending, after } => {
                let after = Span(*after);
                match ending {
                    Ending::Done => write!(f, "{remedy} is done after {after}"),
                    Ending::Failed { why } => write!(f, "{remedy} failed after {after}: {why}"),
                    Ending::Cancelled { why } => write!(f, "{remedy} was cancelled after {after}: {why}"),
                }
            }
            Self::Escalated { remedy, target, why } => {
                write!(f, "{} needs a person: {why}", Work(remedy, target))
            }
            Self::Commanded { command } => write!(f, "asked for: {command}"),
        }
    }
}
