//! From which numbers on a check is not passing: attributes that several kinds share.

use lictor_core::{Compare, Status};

use crate::code::Code;
use crate::model::{Limit, Limits, Pressure};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind};

/// Limits of a value.
pub(super) const LIMITS: &[Attribute] = &[
    Attribute::new(
        "warning",
        Kind::Comparison,
        "The value at which it is a warning, such as `\"> 80\"`; of several the worst counts.",
    ),
    Attribute::new("critical", Kind::Comparison, "The value at which it is critical, such as `\"> 90\"`."),
];

/// Limits of what the kernel counts as pressure.
pub(super) const PRESSURE: &[Attribute] = &[
    Attribute::new(
        "warn_pressure",
        Kind::Percent,
        "Tasks that waited for it during more than this share of the last minute are a warning.",
    ),
    Attribute::new(
        "critical_pressure",
        Kind::Percent,
        "During more than this share of the last minute it is critical.",
    ),
];

/// What it means that something is not there.
pub(super) fn absence(reader: &Reader<'_>, name: &str) -> Status {
    reader.word(name).and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Reads `warning` and `critical`.
pub(super) fn decode(reader: &Reader<'_>) -> Limits {
    let limits = Limits { warning: reader.comparison("warning"), critical: reader.comparison("critical") };
    if let (Some(warning), Some(critical)) = (limits.warning, limits.critical)
        && covers(critical, warning)
    {
        let message =
            format!("whatever is `{warning}` is `{critical}` too, so there would never be a warning");
        reader.decoder.add(Draft::new(Code::Combination, reader.span("warning"), message));
    }
    limits
}

/// Reads the limits of pressure.
pub(super) fn pressure(reader: &Reader<'_>) -> Pressure {
    let pressure = Pressure {
        warn_percent: reader.percent("warn_pressure"),
        critical_percent: reader.percent("critical_pressure"),
    };
    let critical = ("critical_pressure", pressure.critical_percent);
    ordered(reader, "%", ("warn_pressure", pressure.warn_percent), critical, Order::Rising);
    pressure
}

/// Which way it gets worse.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// More is worse.
    Rising,
    /// Less is worse.
    Falling,
}

/// Tells of two limits of which the worse is reached first. The unit is for the message.
pub(super) fn ordered(
    reader: &Reader<'_>,
    unit: &str,
    (warn_name, warn): (&str, Option<f64>),
    (critical_name, critical): (&str, Option<f64>),
    order: Order,
) {
    let (Some(warn), Some(critical)) = (warn, critical) else { return };
    let reached_first = if order == Order::Rising { warn > critical } else { warn < critical };
    if reached_first {
        let (name, other, usual) = if !reader.is_set(warn_name) {
            (critical_name, Some(warn_name), warn)
        } else if !reader.is_set(critical_name) {
            (warn_name, Some(critical_name), critical)
        } else {
            (warn_name, None, warn)
        };
        let message = format!(
            "`{warn_name}` is {warn}{unit} and `{critical_name}` {critical}{unit}, so there would never be a \
             warning"
        );
        let draft = Draft::new(Code::Combination, reader.span(name), message);
        reader.decoder.add(match other {
            Some(other) => draft.help(format!("set `{other}` too: it is {usual}{unit} unless it is set")),
            None => draft,
        });
    }
}

/// Whether every number beyond `inner` is beyond `outer` too.
fn covers(outer: Limit, inner: Limit) -> bool {
    let strict = |how| matches!(how, Compare::Less | Compare::Greater);
    match (outer.how, inner.how) {
        (Compare::Less | Compare::LessOrEqual, Compare::Less | Compare::LessOrEqual) => {
            outer.than > inner.than || (outer.than == inner.than && (!strict(outer.how) || strict(inner.how)))
        }
        (Compare::Greater | Compare::GreaterOrEqual, Compare::Greater | Compare::GreaterOrEqual) => {
            outer.than < inner.than || (outer.than == inner.than && (!strict(outer.how) || strict(inner.how)))
        }
        (_, Compare::Equal) => outer.holds(inner.than),
        (
            Compare::Less
            | Compare::LessOrEqual
            | Compare::Equal
            | Compare::NotEqual
            | Compare::GreaterOrEqual
            | Compare::Greater,
            _,
        ) => false,
    }
}
