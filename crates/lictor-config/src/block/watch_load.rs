//! `watch "load"`: how many tasks run or wait.

use super::limits::{self, Order};
use super::{judgement, watch};
use crate::model::{Load, LoadMinutes, WatchKind};
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "The load of this machine: how many tasks run or wait, for each processor and in all, and with the \
          limits of pressure how much of the last minute tasks waited for a processor.",
    groups: &[
        &[
            Attribute::new(
                "minutes",
                Kind::Word(&["1", "5", "15"]),
                "The average of how many minutes is judged.",
            )
            .default("5"),
            Attribute::new(
                "warn_per_core",
                Kind::Number(0.01, 10_000.0),
                "More for each processor than this is a warning.",
            )
            .default("2"),
            Attribute::new(
                "critical_per_core",
                Kind::Number(0.01, 10_000.0),
                "More for each processor than this is critical.",
            )
            .default("5"),
            Attribute::new("warn", Kind::Number(0.01, 1_000_000.0), "More than this in all is a warning."),
            Attribute::new("critical", Kind::Number(0.01, 1_000_000.0), "More than this in all is critical."),
        ],
        limits::PRESSURE,
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("load1", "The average of one minute."),
        ("load5", "The average of five."),
        ("load15", "The average of fifteen."),
        ("per_core", "The one that is judged, for each processor."),
        ("cores", "How many processors there are."),
        (
            "pressure_percent",
            "Share of the last minute in which some task waited, where the kernel counts it.",
        ),
    ],
    example: r#"watch "load" "load" {
  warn_per_core = 1.5
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let minutes = match reader.word("minutes") {
        Some("1") => LoadMinutes::One,
        Some("15") => LoadMinutes::Fifteen,
        _ => LoadMinutes::Five,
    };
    let per_core = (reader.number("warn_per_core"), reader.number("critical_per_core"));
    let critical = ("critical_per_core", per_core.1);
    limits::ordered(reader, "", ("warn_per_core", per_core.0), critical, Order::Rising);
    let all = (reader.number("warn"), reader.number("critical"));
    limits::ordered(reader, "", ("warn", all.0), ("critical", all.1), Order::Rising);
    let pressure = limits::pressure(reader);
    Some(WatchKind::Load(Load {
        minutes,
        warn_per_core: per_core.0?,
        critical_per_core: per_core.1?,
        warn: all.0,
        critical: all.1,
        pressure,
    }))
}

#[cfg(test)]
mod tests {
    use crate::model::{LoadMinutes, WatchKind};
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    #[test]
    fn the_load_of_five_minutes_is_judged_for_each_processor() {
        let WatchKind::Load(load) = watch("watch \"load\" \"l\" {\n warn_per_core = 1.5\n}").kind else {
            panic!()
        };
        assert_eq!((load.minutes, load.warn_per_core, load.critical_per_core), (LoadMinutes::Five, 1.5, 5.0));
        assert_eq!((load.warn, load.critical), (None, None));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "load" "a" {
  minutes       = 10
  warn_per_core = 6
  warn          = "8"
  critical      = -1
}
"#), @r#"
        3:19: `minutes` cannot be `10` (did you mean `15`?) [LIC0306]
        4:19: `warn_per_core` is 6 and `critical_per_core` 5, so there would never be a warning (set `critical_per_core` too: it is 5 unless it is set) [LIC0207]
        5:19: `warn` is a number, not text [LIC0206]
        6:19: `critical` is between 0.01 and 1000000, not -1 [LIC0302]
        "#);
    }
}
