//! `watch "stream"`: lines that a program prints for as long as it runs.

use super::{judgement, multiline, watch, watch_exec};
use crate::model::{Restart, Stream, WatchKind};
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "Lines that a program prints for as long as it runs: passing while it does. When it ends it is started \
          again, at first after a second and then after pauses that double up to a minute; if it does not last, there \
          is no data, and the last line of its standard error is the reason. It ends with the agent, together with \
          what it started. While the agent is busy it waits for its lines to be taken: none is dropped. What it prints \
          while the agent is not running is not seen.",
    groups: &[
        watch_exec::COMMAND,
        &[
            Attribute::new(
                "restart",
                Kind::Word(&["always", "on_failure"]),
                "When it is started again: however it ended, or unless it ended with exit status 0; it then stays \
                 passing.",
            )
            .default("always"),
            multiline::ATTRIBUTE,
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[&watch::MATCH],
    values: &[
        ("lines", "Lines read since the program started; with `multiline`, records."),
        ("matched", "How many of them matched a pattern."),
        ("skipped", "Bytes of lines beyond their first 64 KiB."),
        ("pid", "The number of the process."),
    ],
    example: r#"watch "stream" "kernel" {
  command = ["dmesg", "--follow-new", "--notime"]
  match "disk" {
    regex = "I/O error, dev (?P<disk>\\w+)"
  }
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let restart = match reader.word("restart") {
        Some("on_failure") => Restart::OnFailure,
        Some(_) | None => Restart::Always,
    };
    let (command, multiline) = (watch_exec::command(reader), multiline::decode(reader));
    Some(WatchKind::Stream(Stream { command: command?, restart, multiline }))
}

#[cfg(test)]
mod tests {
    use crate::model::{Restart, Stream, WatchKind};
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    fn stream(lines: &str) -> Stream {
        match watch(&format!("watch \"stream\" \"x\" {{\n{lines}\n}}")).kind {
            WatchKind::Stream(stream) => stream,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_is_started_again_unless_it_is_said_otherwise() {
        let found = stream("command = [\"dmesg\", \"-w\"]");
        assert_eq!((found.command.argv.len(), found.restart), (2, Restart::Always));
        assert_eq!(stream("command = [\"x\"]\nrestart = \"on_failure\"").restart, Restart::OnFailure);
        assert!(stream("command = [\"x\"]\nmultiline {\n start = \"^a\"\n}").multiline.is_some());
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "stream" "a" {
  command = "dmesg -w"
  restart = "never"
}
watch "stream" "b" {
  restart = "always"
}
"#), @r#"
        3:13: `command` is a list of program and arguments: there is no shell to take it apart (write ["dmesg", "-w"]) [LIC0206]
        4:13: `restart` cannot be `never` (known here: `always`, `on_failure`) [LIC0306]
        6:1: `command` of `watch "stream" "b"` is missing (add `command = …`, a list of program and arguments such as ["systemctl", "restart", "x"]) [LIC0203]
        "#);
    }
}
