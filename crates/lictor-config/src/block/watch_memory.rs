//! `watch "memory"`: what is available of it.

use super::limits::{self, Order};
use super::{judgement, watch};
use crate::model::{HostMemory, WatchKind};
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "The memory of this machine: what is available to programs (`MemAvailable`), and with the limits of \
          pressure how much of the last minute tasks waited for memory.",
    groups: &[
        &[
            Attribute::new("warn_available", Kind::Percent, "Less available than this is a warning.")
                .default("10%"),
            Attribute::new("critical_available", Kind::Percent, "Less available than this is critical.")
                .default("5%"),
            Attribute::new(
                "critical_available_bytes",
                Kind::Size(1, u64::MAX),
                "Less available than this is critical too.",
            ),
        ],
        limits::PRESSURE,
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("available_percent", "What is available."),
        ("available_bytes", "The same."),
        ("used_percent", "What is not available."),
        ("total_bytes", "What there is."),
        (
            "pressure_percent",
            "Share of the last minute in which some task waited, where the kernel counts it.",
        ),
        ("pressure_full_percent", "Share of it in which all of them waited."),
    ],
    example: r#"watch "memory" "memory" {
  critical_available = "3%"
  warn_pressure      = "20%"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let (warn, critical) = (reader.percent("warn_available"), reader.percent("critical_available"));
    let limit = ("critical_available", critical);
    limits::ordered(reader, "%", ("warn_available", warn), limit, Order::Falling);
    let (bytes, pressure) = (reader.size("critical_available_bytes"), limits::pressure(reader));
    Some(WatchKind::Memory(HostMemory {
        warn_available_percent: warn?,
        critical_available_percent: critical?,
        critical_available_bytes: bytes,
        pressure,
    }))
}

#[cfg(test)]
mod tests {
    use crate::model::WatchKind;
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    #[test]
    fn limits_have_defaults() {
        let WatchKind::Memory(memory) = watch("watch \"memory\" \"m\" {}").kind else { panic!() };
        assert_eq!((memory.warn_available_percent, memory.critical_available_percent), (10.0, 5.0));
        assert_eq!((memory.critical_available_bytes, memory.pressure.warn_percent), (None, None));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "memory" "a" {
  warn_available    = "3%"
  warn_pressure     = "50%"
  critical_pressure = "20%"
}
watch "memory" "b" {
  critical_available_bytes = "0"
}
"#), @r#"
        3:23: `warn_available` is 3% and `critical_available` 5%, so there would never be a warning (set `critical_available` too: it is 5% unless it is set) [LIC0207]
        4:23: `warn_pressure` is 50% and `critical_pressure` 20%, so there would never be a warning [LIC0207]
        8:30: `critical_available_bytes` is between 1 and 18446744073709551615 bytes, not 0 [LIC0302]
        "#);
    }
}
