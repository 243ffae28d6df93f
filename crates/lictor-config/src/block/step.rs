//! `step "NAME" { … }` of a remedy, and the attributes that a rule shares with it.

use std::num::NonZeroU32;
use std::time::Duration;

use lictor_core::{ActionName, OnFailure, Repeatability, Step, StepKind, StepName, Verify};

use super::act;
use crate::code::Code;
use crate::model::{Action, Reboot};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, BlockType, Bodies, Kind, LONGEST, Schema};
use crate::syntax::tree::{Is, Text};

const MILLI: Duration = Duration::from_millis(1);

pub(super) static BLOCK: BlockType =
    BlockType { name: "step", labels: &["NAME"], repeats: true, bodies: Bodies::One(&SCHEMA) };

/// How an action is tried, and how it is seen to have worked.
pub(super) const ACTING: &[Attribute] = &[
    Attribute::new("timeout", Kind::Duration(MILLI, LONGEST), "Time limit of one attempt.").default("30s"),
    Attribute::new(
        "verify",
        Kind::Condition,
        "Must hold, by looks made after the act, for the step to have worked.",
    ),
    Attribute::new("verify_within", Kind::Duration(MILLI, LONGEST), "By this long after the act.")
        .default("1m"),
    Attribute::new(
        "settle",
        Kind::Duration(Duration::ZERO, LONGEST),
        "\"Not done\" counts only so long after the act: a request that was given up may still be \
         carried out.",
    )
    .default_words("`10s`; `15s` for `act \"kv\"`"),
    Attribute::new(
        "repeat",
        Kind::Word(&["idempotent", "verifiable", "neither"]),
        "What may be done when nobody knows whether the act happened: do it again, look first, or park the \
         run and tell a person.",
    )
    .default_words(
        "`verifiable` with `verify`; else `idempotent` for `kv` and for `http` with GET, HEAD, PUT or \
         DELETE; else `neither`",
    ),
];

/// How often a step is tried.
pub(super) const TRYING: &[Attribute] = &[
    Attribute::new("attempts", Kind::Whole(1, 1_000), "How often it is tried before it has failed.")
        .default("1"),
    Attribute::new(
        "backoff",
        Kind::Duration(Duration::ZERO, LONGEST),
        "Pause before the second attempt; it doubles for each further one.",
    )
    .default("5s"),
    Attribute::new("backoff_max", Kind::Duration(Duration::ZERO, LONGEST), "Upper bound of the pause.")
        .default("5m"),
];

static SCHEMA: Schema = Schema {
    doc: "A step either acts (one `act` block) or waits (`wait_for`). Steps follow each other as they are \
         written.",
    groups: &[
        &[
            Attribute::new("wait_for", Kind::Condition, "Wait until this holds."),
            Attribute::new(
                "hold",
                Kind::Duration(Duration::ZERO, LONGEST),
                "It must hold without a break for this long.",
            )
            .default("0s"),
            Attribute::new(
                "deadline",
                Kind::Duration(MILLI, LONGEST),
                "The wait has failed after this time.",
            )
            .default_words("`10m`, or twice `hold` if that is longer"),
            Attribute::new(
                "on_failure",
                Kind::OnFailure,
                "What happens when it has failed: the run fails, waits for a person, or goes on with another \
                 step.",
            )
            .default("fail"),
            Attribute::new(
                "on_failure_visits",
                Kind::Whole(0, 1_000),
                "At most so many times does a run go on with the step of `on_failure`, whichever step sends it \
                 there; then it has failed.",
            )
            .default("3"),
            Attribute::new(
                "on_failure_then",
                Kind::Step,
                "The step it goes on with when those times are used up, a later one; a person is told.",
            )
            .default_words("none: the run has failed"),
            Attribute::new("next", Kind::Step, "The step that follows when it is done: a later one.")
                .default_words("the next one"),
            Attribute::new(
                "skip_when",
                Kind::Condition,
                "When this holds the step is left out: when a run comes to it, and before each further attempt.",
            ),
        ],
        TRYING,
        ACTING,
    ],
    blocks: &[&act::BLOCK],
    values: &[],
    example: r#"watch "tcp" "nginx" {
  address = "127.0.0.1:443"
}

remedy "nginx" {
  on = check.nginx == "critical"

  step "restart" {
    act "exec" {
      command = ["systemctl", "restart", "nginx.service"]
    }
    attempts   = 3
    verify     = check.nginx == "passing"
    on_failure = step.tell
  }

  step "tell" {
    act "kv" {
      key   = "alarm/nginx"
      value = "down"
    }
  }
}"#,
};

/// A step, and its action if it acts.
pub(super) struct Decoded {
    pub(super) step: Step,
    pub(super) action: Option<(ActionName, Action)>,
}

/// Reads a step block.
pub(super) fn decode(reader: &Reader<'_>, remedy: &str, name: &Text, steps: &[Text]) -> Option<Decoded> {
    let named = step_name(reader, name);
    let act = act::only(reader);
    match (act.is_some(), reader.is_set("wait_for")) {
        (true, true) => {
            let message = format!("{} both acts and waits", reader.place());
            let draft = Draft::new(Code::Combination, reader.span("wait_for"), message);
            reader.decoder.add(draft.help("make two steps of it"));
        }
        (false, false) => {
            // An `act` block with wrong labels is reported for those.
            if !reader.has_block("act") {
                let message = format!("{} does nothing", reader.place());
                let draft = Draft::new(Code::Missing, reader.head, message);
                reader.decoder.add(draft.help("add an `act` block or `wait_for`"));
            }
        }
        (true, false) => ["hold", "deadline"].iter().for_each(|name| reader.needs(name, "wait_for")),
        (false, true) => {
            for attribute in ACTING.iter().filter(|attribute| reader.is_set(attribute.name)) {
                let message = format!("`{}` is for a step that acts; this one waits", attribute.name);
                reader.decoder.add(Draft::new(Code::Combination, reader.span(attribute.name), message));
            }
        }
    }
    let (on_failure, attempts) = (on_failure(reader, name, steps), attempts(reader));
    let skip_when = reader.value("skip_when").map(|value| reader.decoder.condition(value));
    let waiting = wait(reader);
    let acted = act.map(|_| acting(reader, remedy, &name.is));
    let (kind, action) = match (acted, waiting) {
        (Some(acted), _) => {
            let (kind, action) = acted?;
            (kind, Some(action))
        }
        (None, waiting) => (waiting?, None),
    };
    let Attempts { attempts, backoff, backoff_max } = attempts;
    not_restarted_twice(reader, action.as_ref(), attempts);
    let once = matches!(kind, StepKind::Act { repeat: Repeatability::Neither, .. });
    if once && attempts.get() > 1 && matches!(action, Some((_, Action::Http(_)))) {
        let message = "a request whose answer is unclear is not made again";
        let draft = Draft::warning(Code::NotRepeated, reader.span("attempts"), message);
        reader.decoder.add(draft.help(
            "add repeat = \"idempotent\" if twice does no harm, or verify = … to see whether it was done",
        ));
    }
    let skip_when = match skip_when {
        Some(condition) => Some(condition?),
        None => None,
    };
    let on_failure = on_failure?;
    let next = match reader.value("next") {
        Some(_) => Some(later(reader, "next", name, steps)?),
        None => None,
    };
    let step = Step { name: named?, kind, attempts, next, skip_when, backoff, backoff_max, on_failure };
    Some(Decoded { step, action })
}

/// The step that an attribute names, which must come after this one: or a run might never end.
fn later(reader: &Reader<'_>, attribute: &str, name: &Text, steps: &[Text]) -> Option<StepName> {
    let next = named_step(reader, attribute, steps)?;
    let place = |wanted: &str| steps.iter().position(|step| step.is == wanted);
    if place(next.as_str()) <= place(&name.is) {
        let message = format!("`{attribute}` of a step is a later one, and `{next}` is not");
        let draft = Draft::new(Code::Combination, reader.span(attribute), message);
        reader.decoder.add(draft.help("only `on_failure` leads back, as often as `on_failure_visits` says"));
        return None;
    }
    Some(next)
}

fn step_name(reader: &Reader<'_>, name: &Text) -> Option<StepName> {
    let wrong = |message: String| {
        reader.decoder.add(Draft::new(Code::Name, name.span, message));
        None
    };
    match StepName::new(&name.is) {
        Ok(_) if name.is.contains('/') => wrong("the name of a step has no `/`".to_owned()),
        Ok(_) if name.is.len() > 47 => wrong("the name of a step has at most 47 bytes".to_owned()),
        Ok(found) => Some(found),
        Err(error) => wrong(error.to_string()),
    }
}

fn wait(reader: &Reader<'_>) -> Option<StepKind> {
    let hold = reader.duration("hold");
    let usual = Duration::from_secs(600).max(hold.saturating_mul(2));
    let deadline = reader.duration_if("deadline").unwrap_or(usual);
    if deadline < hold {
        let message = format!("`deadline` is shorter than `hold`, {}", crate::units::Written(hold));
        reader.decoder.add(Draft::new(Code::Combination, reader.span("deadline"), message));
    }
    let condition = reader.decoder.condition(reader.value("wait_for")?)?;
    Some(StepKind::Wait { condition, hold, deadline })
}

/// The act of a step, and the action it names.
pub(super) fn acting(
    reader: &Reader<'_>,
    remedy: &str,
    step: &str,
) -> Option<(StepKind, (ActionName, Action))> {
    let block = act::only(reader)?;
    let acted = act::decode(reader.decoder, block);
    let condition = reader.value("verify").map(|value| reader.decoder.condition(value));
    let within = reader.duration("verify_within");
    let limit = reader.duration("timeout");
    let word = reader.word("repeat");
    for name in ["verify_within", "settle"] {
        reader.needs(name, "verify");
    }
    let settle = reader.duration_if("settle");
    if word == Some("verifiable") && !reader.is_set("verify") {
        let message = "an act is verifiable only by `verify`";
        let draft = Draft::new(Code::Combination, reader.span("repeat"), message);
        reader.decoder.add(draft.help("add verify = check.NAME == \"passing\""));
    }
    let (action, natural) = acted?;
    let slow = if matches!(action, Action::Kv(_)) { 15 } else { 10 };
    let settle = settle.unwrap_or(Duration::from_secs(slow));
    let repeat = match word {
        Some("idempotent") => Repeatability::Idempotent,
        Some("verifiable") => Repeatability::Verifiable,
        Some("neither") => Repeatability::Neither,
        _ if reader.is_set("verify") => Repeatability::Verifiable,
        _ => natural,
    };
    let verify = match condition {
        Some(condition) => Some(Verify { condition: condition?, within, settle }),
        None => None,
    };
    let name = ActionName::new(&format!("{remedy}/{step}")).ok()?;
    let prepare = action.prepares();
    Some((StepKind::Act { action: name.clone(), repeat, limit, verify, prepare }, (name, action)))
}

/// How often a step is tried.
pub(super) struct Attempts {
    pub(super) attempts: NonZeroU32,
    pub(super) backoff: Duration,
    pub(super) backoff_max: Duration,
}

pub(super) fn attempts(reader: &Reader<'_>) -> Attempts {
    let (backoff, most) = (reader.duration("backoff"), reader.duration("backoff_max"));
    if most < backoff && reader.is_set("backoff_max") {
        let message = format!("`backoff_max` is shorter than `backoff`, {}", crate::units::Written(backoff));
        reader.decoder.add(Draft::new(Code::Combination, reader.span("backoff_max"), message));
    }
    Attempts { attempts: reader.count_or_default("attempts"), backoff, backoff_max: most.max(backoff) }
}

/// A restart of this machine has one attempt: what is refused for a day is not worth a second one.
pub(super) fn not_restarted_twice(
    reader: &Reader<'_>,
    action: Option<&(ActionName, Action)>,
    attempts: NonZeroU32,
) {
    if attempts.get() > 1 && matches!(action, Some((_, Action::Reboot(_)))) {
        let once = crate::units::Written(Reboot::ONCE_IN);
        let message = format!("this machine is restarted once in {once} at most, so there is one attempt");
        let draft = Draft::new(Code::Combination, reader.span("attempts"), message);
        reader.decoder.add(draft.help("leave `attempts` out"));
    }
}

/// What happens when a step has failed; `steps` are those it may name.
fn on_failure(reader: &Reader<'_>, name: &Text, steps: &[Text]) -> Option<OnFailure> {
    let visits = reader.whole("on_failure_visits").and_then(|n| u32::try_from(n).ok()).unwrap_or(3);
    let lone = || {
        for name in ["on_failure_visits", "on_failure_then"].into_iter().filter(|name| reader.is_set(name)) {
            let message = format!("`{name}` needs `on_failure` to name a step");
            reader.decoder.add(Draft::new(Code::Combination, reader.span(name), message));
        }
    };
    let Some(value) = reader.value("on_failure") else {
        lone();
        return Some(OnFailure::Fail);
    };
    match &value.is {
        Is::Text(text) if text == "fail" => {
            lone();
            Some(OnFailure::Fail)
        }
        Is::Text(text) if text == "park" => {
            lone();
            Some(OnFailure::Park)
        }
        Is::Text(text) if !reader.decoder.is_json(value.span) || !text.starts_with("step") => {
            let message = format!("`on_failure` cannot be `{text}`");
            let draft = Draft::new(Code::Word, value.span, message);
            reader.decoder.add(draft.help("write \"fail\", \"park\" or step.NAME"));
            None
        }
        _ => {
            let then = match reader.value("on_failure_then") {
                Some(_) => Some(later(reader, "on_failure_then", name, steps)?),
                None => None,
            };
            named_step(reader, "on_failure", steps).map(|step| OnFailure::GoTo { step, visits, then })
        }
    }
}

/// The step that an attribute names.
pub(super) fn named_step(reader: &Reader<'_>, attribute: &str, steps: &[Text]) -> Option<StepName> {
    let name = reader.decoder.reference(reader.value(attribute)?, "step")?;
    if !steps.iter().any(|step| step.is == name.is) {
        let message = format!("no step here is named `{}`", name.is);
        let draft = Draft::new(Code::UnknownReference, name.span, message);
        reader.decoder.add_near(draft, &name.is, steps.iter().map(|step| step.is.as_str()));
        return None;
    }
    StepName::new(&name.is).ok()
}
