//! `watch "process"`: passing when the wanted number of processes is there.

use super::{judgement, watch};
use crate::code::Code;
use crate::model::{Process, ProcessBy, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "A process: passing when the wanted number of processes is there. They are found by exactly one of \
          `pid_file`, `command_line` and `name`.",
    groups: &[
        &[
            Attribute::new(
                "pid_file",
                Kind::Path,
                "The number in this file must be that of a living process.",
            ),
            Attribute::new("command_line", Kind::Regex, "The arguments, joined by spaces, match this."),
            Attribute::new("name", Kind::Text, "The name (`comm`, at most 15 bytes) is this."),
            Attribute::new("at_least", Kind::Whole(0, 1_000_000), "At least so many.").default("1"),
            Attribute::new("at_most", Kind::Whole(0, 1_000_000), "At most so many."),
            Attribute::new(
                "warn_memory",
                Kind::Size(1, u64::MAX),
                "Resident memory of all together above this is a warning.",
            ),
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("count", "How many there are."),
        ("memory_bytes", "Resident memory of all together."),
        ("pid", "The number of the process, if it is only one."),
    ],
    example: r#"watch "process" "nginx" {
  name    = "nginx"
  at_most = 9
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let number = |name: &str| reader.whole(name).and_then(|number| u32::try_from(number).ok());
    let (by, at_least, at_most) = (by(reader), number("at_least").unwrap_or(1), number("at_most"));
    if at_most.is_some_and(|at_most| at_most < at_least) {
        let message = format!("`at_most` is less than `at_least`, {at_least}");
        reader.decoder.add(Draft::new(Code::Combination, reader.span("at_most"), message));
    }
    let warn_memory_bytes = reader.size("warn_memory");
    Some(WatchKind::Process(Process { by: by?, at_least, at_most, warn_memory_bytes }))
}

fn by(reader: &Reader<'_>) -> Option<ProcessBy> {
    let ways = ["pid_file", "command_line", "name"];
    let set: Vec<&str> = ways.into_iter().filter(|name| reader.is_set(name)).collect();
    match set.as_slice() {
        ["pid_file"] => reader.path("pid_file").map(ProcessBy::PidFile),
        ["command_line"] => reader.regex("command_line").map(ProcessBy::CommandLine),
        [_name] => {
            let name = reader.text_at("name")?;
            if name.is.len() > 15 {
                let message =
                    format!("`{}` has more than 15 bytes: the system keeps no more of a name", name.is);
                let draft = Draft::new(Code::Range, name.span, message);
                reader.decoder.add(draft.help("use command_line, or the first 15 bytes"));
                return None;
            }
            Some(ProcessBy::Name(name.is))
        }
        [] => {
            let draft =
                Draft::new(Code::Missing, reader.head, format!("{} says not which process", reader.place()));
            reader.decoder.add(draft.help("add `pid_file`, `command_line` or `name`"));
            None
        }
        [first, second, ..] => {
            reader.exclude(first, second);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Process, ProcessBy, WatchKind};
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    fn process(lines: &str) -> Process {
        match watch(&format!("watch \"process\" \"x\" {{\n{lines}\n}}")).kind {
            WatchKind::Process(process) => process,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_is_found_in_one_of_three_ways() {
        let found = process("name = \"nginx\"");
        assert!(matches!(&found.by, ProcessBy::Name(name) if name == "nginx"));
        assert_eq!((found.at_least, found.at_most, found.warn_memory_bytes), (1, None, None));
        assert!(matches!(process("pid_file = \"/run/x.pid\"").by, ProcessBy::PidFile(_)));
        let found =
            process("command_line = \"java .*kafka\"\nat_least = 0\nat_most = 2\nwarn_memory = \"1GiB\"");
        assert!(matches!(&found.by, ProcessBy::CommandLine(regex) if regex.is_match("java -x kafka")));
        assert_eq!((found.at_least, found.at_most, found.warn_memory_bytes), (0, Some(2), Some(1 << 30)));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "process" "a" {
  at_least = 3
  at_most  = 2
}
watch "process" "b" {
  name     = "x"
  pid_file = "/run/x"
}
watch "process" "c" {
  name = "a-very-long-process-name"
}
"#), @r#"
        2:1: `watch "process" "a"` says not which process (add `pid_file`, `command_line` or `name`) [LIC0203]
        4:14: `at_most` is less than `at_least`, 3 [LIC0207]
        7:14: `pid_file` and `name` exclude each other (the other one: x.hcl:8:14) [LIC0207]
        11:10: `a-very-long-process-name` has more than 15 bytes: the system keeps no more of a name (use command_line, or the first 15 bytes) [LIC0302]
        "#);
    }
}
