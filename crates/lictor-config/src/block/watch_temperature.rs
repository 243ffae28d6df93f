//! `watch "temperature"`: the sensors of this machine.

use super::limits::{self, Order};
use super::{judgement, watch};
use crate::model::{Temperature, WatchKind};
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "The temperatures of this machine, by the sensors that the kernel knows (hwmon and thermal zones). The \
          highest counts. Without any sensor it is `unknown`.",
    groups: &[
        &[
            Attribute::new("warn", Kind::Number(-50.0, 200.0), "Warmer than this is a warning, in °C.")
                .default("80"),
            Attribute::new("critical", Kind::Number(-50.0, 200.0), "Warmer than this is critical, in °C.")
                .default("95"),
            Attribute::new(
                "sensors",
                Kind::Regex,
                "Only sensors whose name matches, such as `coretemp:Core 0` or `zone:cpu-thermal`.",
            )
            .default_words("all"),
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("celsius", "The highest temperature."),
        ("sensor", "The name of that sensor (text)."),
        ("sensors", "How many there are."),
        ("celsius:*", "The temperature of each sensor by its name, at most 32."),
    ],
    example: r#"watch "temperature" "heat" {
  warn     = 70
  critical = 85
  every    = "30s"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let (warn, critical) = (reader.number("warn"), reader.number("critical"));
    limits::ordered(reader, " °C", ("warn", warn), ("critical", critical), Order::Rising);
    let sensors = match reader.value("sensors") {
        Some(_) => Some(reader.regex("sensors")?),
        None => None,
    };
    Some(WatchKind::Temperature(Temperature { sensors, warn_celsius: warn?, critical_celsius: critical? }))
}

#[cfg(test)]
mod tests {
    use crate::model::WatchKind;
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    #[test]
    fn limits_have_defaults() {
        let WatchKind::Temperature(found) = watch("watch \"temperature\" \"t\" {}").kind else { panic!() };
        assert_eq!((found.warn_celsius, found.critical_celsius), (80.0, 95.0));
        assert!(found.sensors.is_none());
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "temperature" "a" {
  warn    = 99.5
  sensors = "(core"
}
watch "temperature" "b" {
  critical = 353
}
"#), @r#"
        3:13: `warn` is 99.5 °C and `critical` 95 °C, so there would never be a warning (set `critical` too: it is 95 °C unless it is set) [LIC0207]
        4:14: not a regular expression: unclosed group [LIC0304]
        7:14: `critical` is between -50 and 200, not 353 [LIC0302]
        "#);
    }
}
