//! How the results of a watcher or composite are judged: attributes that all of them share.

use std::sync::Arc;
use std::time::Duration;

use lictor_core::{CheckPlan, CheckSource, Flap, ValueName};

use crate::code::Code;
use crate::problem::Draft;
use crate::reader::{Reader, as_body};
use crate::schema::{Attribute, Kind, LONGEST, Schema};

const SECOND: Duration = Duration::from_secs(1);

/// What composites have too.
pub(super) const COMMON: &[Attribute] = &[
    Attribute::new(
        "for",
        Kind::Duration(Duration::ZERO, LONGEST),
        "It must have been bad for this long before it changes.",
    )
    .default("0s"),
    Attribute::new(
        "grace",
        Kind::Duration(Duration::ZERO, LONGEST),
        "Bad results this soon after the check came to be, and before its first passing one, do not count.",
    )
    .default("0s"),
    Attribute::new(
        "flap",
        Kind::Object(&FLAP),
        "When it counts as flapping; it then stays bad until it has been steady.",
    )
    .default_words("never"),
    GROUP,
    super::alerts::ALERT,
    super::alerts::DEPENDS_ON,
];

/// Under which heading people are shown it.
const GROUP: Attribute = Attribute::new(
    "group",
    Kind::Text,
    "The heading that it stands under, with others of the same group, on the page and in `lictor status`.",
)
.default_words("none; of a `connection_monitor`, its name");

/// Longest name of a group, characters: that of a monitor fits.
const GROUP_NAME: usize = 128;

/// What only watchers have.
pub(super) const WATCHED: &[Attribute] = &[
    Attribute::new(
        "fail_after",
        Kind::Whole(1, 10_000),
        "So many results in a row that are not passing change a passing check.",
    )
    .default("1"),
    Attribute::new(
        "pass_after",
        Kind::Whole(1, 10_000),
        "So many passing results in a row change a check that is not passing.",
    )
    .default("1"),
    Attribute::new(
        "tell_changes",
        Kind::Texts,
        "Values whose change is an event and a warning in the log, such as `[\"ip\"]`.",
    ),
];

/// When a watcher counts as silent.
pub(super) const STALE_AFTER: Attribute = Attribute::new(
    "stale_after",
    Kind::Duration(SECOND, LONGEST),
    "Without a result for this long the check is `unknown`.",
)
.default_words("3 × `every` + `timeout`");

pub(super) static FLAP: Schema = Schema {
    doc: "So many changes of status within a time, counted both ways.",
    groups: &[&[
        Attribute::new("changes", Kind::Whole(2, 1_000), "How many changes.").required(),
        Attribute::new("within", Kind::Duration(SECOND, LONGEST), "Within which time.").required(),
    ]],
    blocks: &[],
    values: &[],
    example: r#"flap = { changes = 5, within = "10m" }"#,
};

/// The judgement over results of a watcher. `silent` is the default of `stale_after`.
pub(super) fn watched(reader: &Reader<'_>, silent: Option<Duration>) -> CheckPlan {
    let stale_after = if silent.is_some() { reader.duration_if("stale_after").or(silent) } else { None };
    CheckPlan {
        fail_after: reader.count_or_default("fail_after"),
        pass_after: reader.count_or_default("pass_after"),
        stale_after,
        tell: tell(reader),
        ..composed(reader, CheckSource::Watcher)
    }
}

fn tell(reader: &Reader<'_>) -> Vec<ValueName> {
    let known = |name: &str| reader.schema.reports(name);
    let values = reader.texts("tell_changes").into_iter().filter_map(|text| {
        if !known(&text.is) {
            let message = format!("this watcher reports no value `{}`", text.is);
            let draft = Draft::new(Code::UnknownReference, text.span, message);
            reader.decoder.add_near(draft, &text.is, reader.schema.values.iter().map(|(name, _)| *name));
        }
        ValueName::new(&text.is).ok()
    });
    values.collect()
}

/// The judgement over other checks.
pub(super) fn composed(reader: &Reader<'_>, source: CheckSource) -> CheckPlan {
    CheckPlan {
        source,
        bad_for: reader.duration("for"),
        grace: reader.duration("grace"),
        flap: flap(reader),
        group: group(reader),
        ..CheckPlan::observed()
    }
}

fn group(reader: &Reader<'_>) -> Option<Arc<str>> {
    let text = reader.text(GROUP.name)?;
    let name = text.trim();
    let problem = match name.chars().count() {
        0 => "`group` is empty".to_owned(),
        length if length > GROUP_NAME => format!("`group` has more than {GROUP_NAME} characters"),
        _ => return Some(name.into()),
    };
    reader.decoder.add(Draft::new(Code::Name, reader.span(GROUP.name), problem));
    None
}

pub(super) fn flap(reader: &Reader<'_>) -> Option<Flap> {
    let value = reader.value("flap")?;
    let Some(body) = as_body(value) else {
        let draft = Draft::new(Code::WrongType, value.span, "`flap` is an object");
        reader.decoder.add(draft.help(format!("write {}", FLAP.example)));
        return None;
    };
    let inner = Reader::over(reader.decoder, &body, &FLAP, value.span, "flap".to_owned());
    Some(Flap { changes: inner.count("changes")?, within: inner.duration_if("within")? })
}
