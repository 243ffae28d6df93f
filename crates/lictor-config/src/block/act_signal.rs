//! `act "signal"`: a signal to a process.

use lictor_core::Repeatability;

use super::systemd;
use crate::code::Code;
use crate::model::{Action, SignalAction, SignalTo};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

/// What can be sent. STOP is not among them: nobody would let the process go on.
const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("CONT", 18),
    ("WINCH", 28),
];

static WORDS: [&str; SIGNALS.len()] = {
    let mut words = [""; SIGNALS.len()];
    let mut index = 0;
    while index < SIGNALS.len() {
        words[index] = SIGNALS[index].0;
        index += 1;
    }
    words
};

pub(super) static SCHEMA: Schema = Schema {
    doc: "Sends a signal to one process, found by exactly one of `unit`, `pid_file` and `name`. Process 1 and the agent \
          itself are refused, and so is a name that several processes have.",
    groups: &[&[
        Attribute::new("signal", Kind::Word(&WORDS), "The signal.").required(),
        Attribute::new("unit", Kind::Text, "The main process of this unit."),
        systemd::BUS,
        Attribute::new("pid_file", Kind::Path, "The process whose number is in this file."),
        Attribute::new("name", Kind::Text, "The only process of this name (`comm`, at most 15 bytes)."),
    ]],
    blocks: &[],
    values: &[],
    example: r#"watch "disk" "logs" {
  paths = ["/var/log"]
}

rule "reopen-logs" {
  on = check.logs == "warning"
  act "signal" {
    signal = "USR1"
    unit   = "nginx.service"
  }
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let word = reader.word("signal");
    let (signal, number) = *SIGNALS.iter().find(|(name, _)| Some(*name) == word)?;
    let to = to(reader)?;
    Some((Action::Signal(Box::new(SignalAction { signal, number, to })), Repeatability::Neither))
}

fn to(reader: &Reader<'_>) -> Option<SignalTo> {
    reader.needs("bus", "unit");
    let ways = ["unit", "pid_file", "name"];
    let set: Vec<&str> = ways.into_iter().filter(|name| reader.is_set(name)).collect();
    match set.as_slice() {
        ["unit"] => Some(SignalTo::Unit(systemd::unit(reader)?, systemd::bus(reader)?)),
        ["pid_file"] => reader.path("pid_file").map(SignalTo::PidFile),
        [_name] => {
            let name = reader.text_at("name")?;
            if name.is.is_empty() || name.is.len() > 15 {
                let message =
                    format!("`{}` is not a name of 1 to 15 bytes: the system keeps no more", name.is);
                let draft = Draft::new(Code::Range, name.span, message);
                reader.decoder.add(draft.help("use the first 15 bytes, or pid_file"));
                return None;
            }
            Some(SignalTo::Name(name.is))
        }
        [] => {
            let draft = Draft::new(
                Code::Missing,
                reader.head,
                format!("{} says not to which process", reader.place()),
            );
            reader.decoder.add(draft.help("add `unit`, `pid_file` or `name`"));
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
    use super::*;
    use crate::testing::{mistakes, parsed};
    use insta::assert_snapshot;

    fn rule(lines: &str) -> String {
        format!(
            "watch \"heartbeat\" \"h\" {{\n within = \"1m\"\n}}\nrule \"r\" {{\n on = check.h == \"critical\"\n act \"signal\" {{\n{lines}\n }}\n}}"
        )
    }

    #[test]
    fn a_process_is_found_in_one_of_three_ways() {
        let found = |lines: &str| match parsed(&rule(lines)).config.actions.into_values().next().unwrap() {
            Action::Signal(action) => *action,
            other => panic!("{other:?}"),
        };
        let action = found("signal = \"HUP\"\nunit = \"nginx\"\nbus = \"user\"");
        assert_eq!((action.signal, action.number), ("HUP", 1));
        assert!(matches!(action.to, SignalTo::Unit(unit, _) if unit.as_str() == "nginx.service"));
        assert!(matches!(found("signal = \"TERM\"\nname = \"nginx\"").to, SignalTo::Name(_)));
        assert!(matches!(found("signal = \"KILL\"\npid_file = \"/run/x.pid\"").to, SignalTo::PidFile(_)));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(&rule("signal = \"STOP\"\nname = \"x\"")), @"7:10: `signal` cannot be `STOP` (known here: `ABRT`, `CONT`, `HUP`, `INT`, `KILL`, `QUIT`, `TERM`, `USR1`, `USR2`, `WINCH`) [LIC0306]");
        assert_snapshot!(mistakes(&rule("signal = \"HUP\"")), @r#"6:2: `act "signal"` says not to which process (add `unit`, `pid_file` or `name`) [LIC0203]"#);
        assert_snapshot!(mistakes(&rule("signal = \"HUP\"\nname = \"a-very-long-process-name\"\nbus = \"user\"")), @r#"
        8:8: `a-very-long-process-name` is not a name of 1 to 15 bytes: the system keeps no more (use the first 15 bytes, or pid_file) [LIC0302]
        9:7: `bus` needs `unit` [LIC0207]
        "#);
        assert_snapshot!(mistakes(&rule("signal = \"HUP\"\nname = \"x\"\nunit = \"y\"")), @"8:8: `unit` and `name` exclude each other (the other one: x.hcl:9:8) [LIC0207]");
    }
}
