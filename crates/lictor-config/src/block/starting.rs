//! When a rule or remedy starts and what holds it back: attributes that both share.

use std::num::NonZeroU32;
use std::time::Duration;

use lictor_core::{LeaseName, Remedy, RemedyName, Step, StepKind, StepName, Target, Trigger};

use super::{agent, step};
use crate::code::Code;
use crate::model::Reboot;
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, LONGEST};
use crate::syntax::tree::Text;
use crate::units::Written;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new(
        "on",
        Kind::Triggers,
        "What starts it: a condition that becomes true, or an event; any of a list.",
    )
    .default_words("required, unless another one escalates to it or a service names it"),
    Attribute::new(
        "until",
        Kind::Condition,
        "Once its condition has held it counts as holding until this does: a threshold to start at, and another to \
         be content with.",
    ),
    Attribute::new("guard", Kind::Condition, "Must hold when it starts."),
    Attribute::new("target", Kind::Text, "What it works on: at most one run at a time has a target.")
        .default_words(
            "what its action works on if that has a name, such as a unit (a rule only); else its own name",
        ),
    Attribute::new(
        "cooldown",
        Kind::Duration(Duration::ZERO, LONGEST),
        "Time from the last start of whatever has the same target to the next start of this one.",
    )
    .default("1m"),
    Attribute::new("budget", Kind::Budget, "At most so many runs in such a time."),
    Attribute::new(
        "escalate",
        Kind::Remedy,
        "What runs instead when the budget is used up, or when it gives up.",
    ),
    Attribute::new(
        "defer",
        Kind::Flag,
        "Whether what was held back starts later, when nothing holds it back and its condition still holds.",
    )
    .default_words("`true` if a condition or an escalation starts it, `false` if only events do"),
    Attribute::new(
        "give_up_after",
        Kind::Whole(0, 1_000),
        "After so many runs in a row that left its condition true it stops, until the condition was \
         false or a person starts it (`lictor remedy start`). 0: never.",
    )
    .default("3"),
    Attribute::new(
        "lease",
        Kind::Text,
        "Only while this node holds the lease of a connection monitor, `connection_monitor/NAME`, are runs started \
         and acts made.",
    ),
    agent::MODE,
    Attribute::new(
        "deadline",
        Kind::Duration(SECOND, LONGEST),
        "A run ends or is parked after this time at the latest.",
    )
    .default_words("`1h`, or the sum of what its steps may take if that is longer"),
    Attribute::new("cancel_when", Kind::Condition, "When this holds a run is cancelled."),
];

/// What is particular to a rule or to a remedy.
pub(super) struct Particular {
    pub(super) steps: Vec<Step>,
    pub(super) on_cancel: Option<StepName>,
    pub(super) definition: String,
    /// What its action works on, if that has a name.
    pub(super) target: Option<String>,
    /// Whether it restarts this machine.
    pub(super) reboots: bool,
}

/// The name of a rule or remedy.
pub(super) fn name(reader: &Reader<'_>, label: &Text) -> Option<RemedyName> {
    let wrong = |message: String| {
        reader.decoder.add(Draft::new(Code::Name, label.span, message));
        None
    };
    match RemedyName::new(&label.is) {
        Ok(_) if label.is.len() > 80 => wrong("the name of a rule or remedy has at most 80 bytes".to_owned()),
        Ok(name) => Some(name),
        Err(error) => wrong(error.to_string()),
    }
}

/// Reads what both share. `None` for the particular part: something in it is wrong.
pub(super) fn decode(
    reader: &Reader<'_>,
    name: Option<RemedyName>,
    particular: Option<Particular>,
) -> Option<(RemedyName, Remedy)> {
    let decoder = reader.decoder;
    let on = match reader.value("on") {
        Some(value) => decoder.triggers(value),
        // It is started by hand, by one that escalates to it, or by a service.
        None => Some(Vec::new()),
    };
    let until = reader.value("until").map(|value| decoder.condition(value));
    let guard = reader.value("guard").map(|value| decoder.condition(value));
    let cancel = reader.value("cancel_when").map(|value| decoder.condition(value));
    let natural = particular.as_ref().and_then(|particular| particular.target.as_deref());
    let target = target(reader, natural.or(name.as_ref().map(RemedyName::as_str)));
    let escalate = remedy(reader, "escalate");
    let lease = lease(reader);
    let reboots = particular.as_ref().is_some_and(|particular| particular.reboots);
    let (cooldown, budget) = (cooldown(reader, reboots), reader.budget("budget"));
    let deferred = reader.flag_if("defer");
    let give_up_after =
        reader.whole("give_up_after").and_then(|n| u32::try_from(n).ok()).and_then(NonZeroU32::new);
    let (mode, deadline) = (agent::mode(reader), reader.duration_if("deadline"));
    if let (Some(deadline), Some(particular)) = (deadline, &particular) {
        check_deadline(reader, deadline, &particular.steps);
    }
    captured(reader, on.as_deref());
    let (on, particular) = (on?, particular?);
    let conditional = on.iter().any(|trigger| matches!(trigger, Trigger::When(_)));
    let longest = particular.steps.iter().fold(Duration::ZERO, |sum, step| sum.saturating_add(longest(step)));
    let remedy = Remedy {
        // An escalation must not be lost because another one was just before it.
        defer: deferred.unwrap_or(conditional || on.is_empty()),
        on,
        until: flatten(until)?,
        guard: flatten(guard)?,
        target: target?,
        lease: lease?,
        cooldown,
        budget,
        escalate,
        give_up_after,
        mode,
        deadline: deadline.unwrap_or_else(|| longest.clamp(HOUR, LONGEST)),
        cancel: flatten(cancel)?,
        on_cancel: particular.on_cancel,
        steps: particular.steps,
        definition: particular.definition,
    };
    Some((name?, remedy))
}

/// Something optional that is wrong makes the whole wrong.
#[expect(clippy::option_option, reason = "not written, written wrongly, and written well differ")]
fn flatten<T>(written: Option<Option<T>>) -> Option<Option<T>> {
    match written {
        None => Some(None),
        Some(None) => None,
        Some(found) => Some(found),
    }
}

/// What the acts take from a line must be a group of each pattern that starts them.
fn captured(reader: &Reader<'_>, on: Option<&[Trigger]>) {
    let decoder = reader.decoder;
    let used = decoder.captured.take();
    let matches = on.unwrap_or_default().iter().filter_map(|trigger| match trigger {
        Trigger::Match { source, pattern } => Some((source.as_str(), pattern.as_str())),
        Trigger::When(_) | Trigger::Changed { .. } => None,
    });
    let matches: Vec<(&str, &str)> = matches.collect();
    for name in used {
        if matches.is_empty() && on.is_some() {
            let message = format!("no line starts this, so nothing is captured as `{}`", name.is);
            let draft = Draft::new(Code::UnknownReference, name.span, message);
            decoder.add(draft.help("let a match start it: on = match.WATCHER.PATTERN"));
            continue;
        }
        for (source, pattern) in &matches {
            let known = decoder.scope.checks.get(*source).and_then(|source| source.patterns.get(*pattern));
            let Some(known) = known.filter(|known| !known.groups.contains(&name.is)) else { continue };
            let message = format!("the pattern `{pattern}` of `{source}` has no group `{}`", name.is);
            let draft = Draft::new(Code::UnknownReference, name.span, message);
            decoder.add_near(draft, &name.is, known.groups.iter().map(String::as_str));
        }
    }
}

/// What restarts this machine does so once a day at most, whichever rule it is.
fn cooldown(reader: &Reader<'_>, reboots: bool) -> Duration {
    let cooldown = reader.duration("cooldown");
    if !reboots {
        return cooldown;
    }
    if reader.value("target").is_some() {
        let message = format!("what restarts this machine has the target `{}`", Reboot::TARGET);
        let draft = Draft::new(Code::Combination, reader.span("target"), message);
        reader.decoder.add(draft.help("leave `target` out"));
    }
    if !reader.is_set("cooldown") {
        return Reboot::ONCE_IN;
    }
    if cooldown < Reboot::ONCE_IN {
        let message = format!("this machine is restarted once in {} at most", Written(Reboot::ONCE_IN));
        let draft = Draft::new(Code::Range, reader.span("cooldown"), message);
        reader.decoder.add(draft.help("leave `cooldown` out, or make it longer"));
    }
    cooldown
}

fn target(reader: &Reader<'_>, natural: Option<&str>) -> Option<Target> {
    let text = match reader.value("target") {
        Some(_) => reader.text_at("target")?,
        None => return Target::new(natural?).ok(),
    };
    match Target::new(&text.is) {
        Ok(target) => Some(target),
        Err(error) => {
            reader.decoder.add(Draft::new(Code::Name, text.span, error.to_string()));
            None
        }
    }
}

/// The lease, if one is named.
#[expect(clippy::option_option, reason = "not written and written wrongly differ")]
fn lease(reader: &Reader<'_>) -> Option<Option<LeaseName>> {
    if reader.value("lease").is_none() {
        return Some(None);
    }
    let text = reader.text_at("lease")?;
    if !reader.decoder.scope.consul && !reader.decoder.report.is_partial() {
        let draft = Draft::new(Code::Combination, text.span, "a lease is held in Consul");
        reader.decoder.add(draft.help("add a `consul` block"));
    }
    let held = text.is.strip_prefix("connection_monitor/");
    if !held.is_some_and(|monitor| reader.decoder.scope.monitors.contains(monitor)) {
        let message = format!("nobody holds a lease `{}`", text.is);
        let draft = Draft::new(Code::UnknownReference, text.span, message);
        reader.decoder.add(draft.help("a connection monitor holds connection_monitor/NAME"));
    }
    match LeaseName::new(&text.is) {
        Ok(name) => Some(Some(name)),
        Err(error) => {
            reader.decoder.add(Draft::new(Code::Name, text.span, error.to_string()));
            None
        }
    }
}

/// The rule or remedy that an attribute names.
pub(super) fn remedy(reader: &Reader<'_>, attribute: &str) -> Option<RemedyName> {
    let name = reader.decoder.reference(reader.value(attribute)?, "remedy")?;
    let known = &reader.decoder.scope.remedies;
    if !known.contains_key(&name.is) && !reader.decoder.report.is_partial() {
        let message = format!("no rule or remedy is named `{}`", name.is);
        let draft = Draft::new(Code::UnknownReference, name.span, message);
        reader.decoder.add_near(draft, &name.is, known.keys().map(String::as_str));
    }
    RemedyName::new(&name.is).ok()
}

/// The longest time that a step may take by itself.
fn longest(step: &Step) -> Duration {
    let once = match &step.kind {
        StepKind::Act { limit, verify, .. } => {
            let looking = verify.as_ref().map_or(Duration::ZERO, |verify| verify.within.max(verify.settle));
            limit.saturating_add(looking)
        }
        StepKind::Wait { deadline, .. } => *deadline,
    };
    let mut sum = once.saturating_mul(step.attempts.get());
    let mut pause = step.backoff;
    for _ in 1..step.attempts.get().min(1_000) {
        sum = sum.saturating_add(pause);
        pause = pause.saturating_mul(2).min(step.backoff_max);
    }
    sum
}

fn check_deadline(reader: &Reader<'_>, deadline: Duration, steps: &[Step]) {
    let holding = |step: &Step| match &step.kind {
        StepKind::Wait { hold, .. } => *hold,
        StepKind::Act { .. } => Duration::ZERO,
    };
    let needed = steps.iter().map(holding).fold(Duration::ZERO, Duration::saturating_add);
    if deadline < needed {
        let message = format!("no run can succeed: its steps hold for {} in all", Written(needed));
        reader.decoder.add(Draft::warning(Code::TooShort, reader.span("deadline"), message));
        return;
    }
    let limited = |step: &Step| match &step.kind {
        StepKind::Act { limit, .. } if *limit > deadline => Some((step.name.clone(), *limit)),
        StepKind::Act { .. } | StepKind::Wait { .. } => None,
    };
    if let Some((step, limit)) = steps.iter().find_map(limited) {
        let message = format!("the act of `{step}` may take {}, longer than the whole run", Written(limit));
        reader.decoder.add(Draft::warning(Code::TooShort, reader.span("deadline"), message));
    }
}

/// The step that a cancelled run still goes through.
pub(super) fn on_cancel(reader: &Reader<'_>, steps: &[Text]) -> Option<Option<StepName>> {
    if reader.value("on_cancel").is_none() {
        return Some(None);
    }
    step::named_step(reader, "on_cancel", steps).map(Some)
}
