//! `watch "clock"`: whether the clock of this machine is right.

use std::time::Duration;

use super::limits::{self, Order};
use super::{judgement, watch};
use crate::code::Code;
use crate::model::{ClockSource, HostClock, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

/// The longest offset that can be a limit.
const DAY: Duration = Duration::from_secs(86_400);

pub(super) static SCHEMA: Schema = Schema {
    doc: "The clock of this machine. Without a `server` it is asked whether something keeps the clock in step \
          (systemd's `timedatectl` says what the kernel knows); not being kept in step is a warning. With a \
          `server` that is asked how far off the clock is (SNTP, one packet each way).",
    groups: &[
        &[
            Attribute::new(
                "server",
                Kind::HostPort,
                "A time server to compare with, such as \"ntp.example:123\".",
            ),
            Attribute::new(
                "warn_offset",
                Kind::Duration(Duration::from_millis(1), DAY),
                "More off than this is a warning, with `server`.",
            )
            .default("500ms"),
            Attribute::new(
                "critical_offset",
                Kind::Duration(Duration::from_millis(1), DAY),
                "More off than this is critical, with `server`.",
            )
            .default("5s"),
            Attribute::new(
                "command",
                Kind::Command,
                "What to run in place of `timedatectl`: it prints `yes` when the clock is kept in step, else `no`.",
            )
            .default_words("`[\"timedatectl\", \"show\", \"--property=NTPSynchronized\", \"--value\"]`"),
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("synchronized", "1 when something keeps it in step, 0 when nothing does (without `server`)."),
        ("offset_seconds", "How far the clock is behind the server's; negative when it is ahead (with `server`)."),
        ("delay_seconds", "How long the question and the answer took (with `server`)."),
        ("stratum", "How far the server is from a reference clock (with `server`)."),
    ],
    example: r#"watch "clock" "clock" {
  server = "192.0.2.123:123"
  every  = "5m"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let (warn, critical) = (reader.duration("warn_offset"), reader.duration("critical_offset"));
    limits::ordered(
        reader,
        "s",
        ("warn_offset", Some(warn.as_secs_f64())),
        ("critical_offset", Some(critical.as_secs_f64())),
        Order::Rising,
    );
    let source = if reader.is_set("server") {
        reader.exclude("server", "command");
        let (host, port) = reader.host_port("server")?;
        ClockSource::Server { host, port }
    } else {
        for name in ["warn_offset", "critical_offset"].into_iter().filter(|name| reader.is_set(name)) {
            let message =
                format!("`{name}` needs `server`: only who is asked can say how far off the clock is");
            reader.decoder.add(Draft::new(Code::Combination, reader.span(name), message));
        }
        let usual = ["timedatectl", "show", "--property=NTPSynchronized", "--value"];
        ClockSource::Program(match reader.value("command") {
            Some(_) => reader.command("command")?,
            None => usual.map(str::to_owned).to_vec(),
        })
    };
    Some(WatchKind::Clock(HostClock {
        source,
        warn_offset_seconds: warn.as_secs_f64(),
        critical_offset_seconds: critical.as_secs_f64(),
    }))
}

#[cfg(test)]
mod tests {
    use crate::model::{ClockSource, WatchKind};
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    #[test]
    fn without_a_server_this_machine_is_asked() {
        let source = |lines: &str| match watch(&format!("watch \"clock\" \"c\" {{\n{lines}\n}}")).kind {
            WatchKind::Clock(clock) => clock.source,
            other => panic!("{other:?}"),
        };
        let ClockSource::Program(argv) = source("") else { panic!() };
        assert_eq!(argv[0], "timedatectl");
        let server = ClockSource::Server { host: "ntp.example".to_owned(), port: 123 };
        assert_eq!(source("server = \"ntp.example:123\""), server);
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "clock" "a" {
  server      = "ntp.example"
  warn_offset = "10s"
  command     = ["chronyc"]
}
watch "clock" "b" {
  warn_offset = "1s"
}
"#), @r#"
        3:17: `ntp.example` is not host and port (write host:port, such as "db.example:5432" or "[::1]:22") [LIC0305]
        4:17: `warn_offset` is 10s and `critical_offset` 5s, so there would never be a warning (set `critical_offset` too: it is 5s unless it is set) [LIC0207]
        5:17: `server` and `command` exclude each other (the other one: x.hcl:3:17) [LIC0207]
        8:17: `warn_offset` needs `server`: only who is asked can say how far off the clock is [LIC0207]
        "#);
    }
}
