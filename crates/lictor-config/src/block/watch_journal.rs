//! `watch "journal"`: lines of the systemd journal.

use std::time::Duration;

use super::{judgement, watch};
use crate::code::Code;
use crate::model::{Journal, JournalFrom, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, LONGEST, Schema};
use crate::syntax::tree::{Is, Text};

/// Words of journalctl for severities, worst first.
const PRIORITIES: &[&str] = &["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// What makes a name the name of a unit.
const SUFFIXES: &[&str] = &[
    ".service",
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".slice",
    ".scope",
];

pub(super) static SCHEMA: Schema = Schema {
    doc: "Lines of the systemd journal, read by journalctl: passing while they are read. How far it came is \
          kept, so that nothing is missed or read twice over a restart, a reboot, or a rotation. `unit` goes by \
          what journald itself notes of the sender, which no program can forge, and includes what systemd says \
          of the unit, but not what other programs say of it; `identifier`, and `fields` whose names do not \
          begin with `_`, are what the sender says of itself. Of one message the first 64 KiB are looked at. What Lictor itself and the programs it runs write \
          to the journal is left out. What journald drops because a unit writes too much (`RateLimitBurst=`) \
          cannot be seen; it is counted in `suppressed`, unless `priority` leaves out `info`.",
    groups: &[
        &[
            Attribute::new(
                "unit",
                Kind::Texts,
                "Only of these units; `.service` is added to a name without a suffix.",
            ),
            Attribute::new("identifier", Kind::Texts, "Only with one of these syslog identifiers."),
            Attribute::new("priority", Kind::Word(PRIORITIES), "Only this severe or worse."),
            Attribute::new(
                "fields",
                Kind::Values,
                "Only with all of these fields, such as `{ _COMM = \"sshd\" }`.",
            ),
            Attribute::new(
                "user",
                Kind::Text,
                "Of this user, by name or number: `unit` is one of the user's own service manager then.",
            ),
            Attribute::new("kernel", Kind::Flag, "Only of the kernel.").default("false"),
            Attribute::new(
                "directory",
                Kind::Path,
                "Where journal files lie that are not this machine's own. A record that comes there late, with an \
                 earlier time than what was read, is not seen.",
            ),
            Attribute::new(
                "from",
                Kind::Word(&["end", "start", "boot"]),
                "Where reading begins the first time: with what is written from then on, with the oldest record, \
                 or with the latest boot.",
            )
            .default("end"),
            Attribute::new(
                "max_age",
                Kind::Duration(Duration::ZERO, LONGEST),
                "Older records, found after a long pause, are only counted (`stale`). `\"0s\"`: no limit.",
            )
            .default("24h"),
            Attribute::new(
                "wake",
                Kind::Duration(Duration::ZERO, Duration::from_secs(1)),
                "How often the heads of the journal's files are looked at: journald tells its readers of a new line \
                 only half a second later. `\"0s\"`: wait for journald.",
            )
            .default("5ms"),
            Attribute::new(
                "command",
                Kind::Command,
                "What to run in place of `journalctl`. journald alone tells of new lines then.",
            )
            .default_words("`[\"journalctl\"]`"),
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[&watch::MATCH],
    values: &[
        ("lines", "Records read since the agent started."),
        ("matched", "How many of them matched a pattern."),
        ("behind_seconds", "How old the latest record was when it was read."),
        ("restarts", "How often journalctl was started anew."),
        ("stale", "Records that were too old to be looked at."),
        ("suppressed", "Records that journald dropped, as far as it says so."),
        ("cut", "Messages of which only the first 64 KiB were looked at."),
        ("gaps", "How often records were gone before they were read."),
    ],
    example: r#"watch "journal" "electrs" {
  unit = "electrs"
  match "synced" {
    contains = "finished full compaction"
  }
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    for other in ["unit", "user"] {
        if reader.is_set(other) && reader.flag("kernel") {
            reader.exclude("kernel", other);
        }
    }
    let units = reader.texts("unit").into_iter().filter_map(|text| unit(reader, text)).collect();
    let identifiers = reader.texts("identifier").into_iter().filter_map(|text| plain(reader, text)).collect();
    let limit = |name: &str| Some(reader.duration(name)).filter(|limit| !limit.is_zero());
    let user = reader.text_at("user").and_then(|text| user(reader, text));
    let journal = Journal {
        units,
        identifiers,
        priority: reader.word("priority"),
        fields: fields(reader),
        user,
        kernel: reader.flag("kernel"),
        directory: reader.path("directory"),
        from: match reader.word("from") {
            Some("start") => JournalFrom::Start,
            Some("boot") => JournalFrom::Boot,
            Some(_) | None => JournalFrom::End,
        },
        max_age: limit("max_age"),
        wake: limit("wake"),
        command: reader.is_set("command").then(|| reader.command("command")).flatten(),
    };
    Some(WatchKind::Journal(Box::new(journal)))
}

/// The whole name of a unit. What begins with `-` could be taken for an option, and journalctl
/// looks patterns up only once, when it starts.
fn unit(reader: &Reader<'_>, text: Text) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let wrong = text.is.chars().find(|c| !allowed(*c));
    let (message, help) = match wrong {
        Some('*' | '?' | '[') => (
            format!("`{}` is a pattern, not the name of a unit", text.is.escape_debug()),
            "name each unit, or use `identifier`: journalctl looks up a pattern only when it starts",
        ),
        Some(wrong) => {
            (format!("the name of a unit has no {wrong:?}"), "write it as `systemctl status` does")
        }
        None if text.is.is_empty() || text.is.starts_with(['-', '.']) || text.is.len() > 255 => {
            (format!("`{}` is not the name of a unit", text.is), "write it as `systemctl status` does")
        }
        None if SUFFIXES.iter().any(|suffix| text.is.ends_with(suffix)) => return Some(text.is),
        None => return Some(text.is + ".service"),
    };
    reader.decoder.add(Draft::new(Code::Name, text.span, message).help(help));
    None
}

fn plain(reader: &Reader<'_>, text: Text) -> Option<String> {
    if text.is.is_empty() || text.is.contains(['\0', '\n']) {
        let message = format!("{:?} cannot be a value in the journal", text.is);
        reader.decoder.add(Draft::new(Code::Name, text.span, message));
        return None;
    }
    Some(text.is)
}

fn user(reader: &Reader<'_>, text: Text) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-$".contains(c);
    if text.is.starts_with('-') || !text.is.chars().all(allowed) {
        let message = format!("`{}` is not the name or number of a user", text.is.escape_debug());
        reader.decoder.add(Draft::new(Code::Name, text.span, message));
        return None;
    }
    Some(text.is)
}

fn fields(reader: &Reader<'_>) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for (name, value) in reader.entries("fields") {
        let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if let Some(message) = told_already(reader, &name.is) {
            reader.decoder.add(Draft::new(Code::Combination, name.span, message));
            continue;
        }
        let first = name.is.chars().next();
        let named = first.is_some_and(|c| !c.is_ascii_digit()) && name.is.chars().all(allowed);
        if !named || name.is.starts_with("__") || name.is.len() > 64 {
            let message = format!("`{}` is not the name of a field", name.is.escape_debug());
            let draft = Draft::new(Code::Name, name.span, message);
            reader.decoder.add(draft.help("use capital letters, digits and `_`, such as `_COMM`"));
            continue;
        }
        let text = match &value.is {
            Is::Text(text) => Some(text.clone()),
            Is::Number(number) => Some(number.to_string()),
            _ => {
                reader.mismatch("fields", value);
                None
            }
        };
        let text = text.and_then(|is| plain(reader, Text { is, span: value.span }));
        fields.extend(text.map(|text| (name.is.clone(), text)));
    }
    fields.sort();
    fields
}

/// What is wrong about a field that something else decides: to journalctl two values are a choice.
fn told_already(reader: &Reader<'_>, field: &str) -> Option<String> {
    let by = match field {
        "_SYSTEMD_UNIT" | "_SYSTEMD_USER_UNIT" if reader.is_set("unit") => "unit",
        "_UID" if reader.is_set("user") => "user",
        "_TRANSPORT" if reader.flag("kernel") => "kernel",
        "_BOOT_ID" => return Some("a journal is followed over boots: `_BOOT_ID` would end that".to_owned()),
        "_MACHINE_ID" if !reader.is_set("directory") => {
            return Some(
                "without `directory` it is always this machine's journal: leave out `_MACHINE_ID`".to_owned(),
            );
        }
        _ => return None,
    };
    Some(format!("`{by}` already says what `{field}` must be"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::model::{Journal, JournalFrom, WatchKind};
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    fn journal(lines: &str) -> Journal {
        match watch(&format!("watch \"journal\" \"x\" {{\n{lines}\n}}")).kind {
            WatchKind::Journal(journal) => *journal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_unit_without_a_suffix_is_a_service() {
        assert_eq!(journal("unit = \"electrs\"").units, ["electrs.service"]);
        let several = journal("unit = [\"a@b.service\", \"c.timer\", \"python3.11\", \"dbus-org.x\"]");
        assert_eq!(several.units, ["a@b.service", "c.timer", "python3.11.service", "dbus-org.x.service"]);
    }

    #[test]
    fn what_is_not_written_has_defaults() {
        let plain = journal("");
        assert_eq!((plain.from, plain.kernel, plain.priority), (JournalFrom::End, false, None));
        assert_eq!(plain.max_age, Some(Duration::from_secs(86_400)));
        assert_eq!(plain.wake, Some(Duration::from_millis(5)));
        assert_eq!(plain.command, None);
        let other =
            journal("from = \"boot\"\nmax_age = \"0s\"\nwake = \"0s\"\nkernel = true\npriority = \"err\"");
        assert_eq!((other.from, other.kernel, other.priority), (JournalFrom::Boot, true, Some("err")));
        assert_eq!((other.max_age, other.wake), (None, None));
    }

    #[test]
    fn fields_are_told_apart_by_name_and_value() {
        let found = journal("fields = { _COMM = \"sshd\", PRIORITY = 3 }\nuser = \"1000\"");
        let fields = [("PRIORITY", "3"), ("_COMM", "sshd")];
        assert_eq!(found.fields, fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(found.user.as_deref(), Some("1000"));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "journal" "a" {
  unit     = ["--file=/etc/shadow", "a*", "a b", "x\u0000y", ""]
  priority = "warn"
  from     = "now"
}
watch "journal" "b" {
  fields    = { _comm = "x", __CURSOR = "s=1", _PID = true, _EXE = "" }
  directory = "journal"
  user      = "-1"
}
watch "journal" "c" {
  kernel  = true
  unit    = "a"
  command = "journalctl"
  wake    = "5s"
  fields  = { _TRANSPORT = "stdout", _BOOT_ID = "x", _MACHINE_ID = "y" }
}
watch "journal" "d" {
  unit   = "a"
  user   = "1000"
  fields = { _SYSTEMD_UNIT = "b", _UID = 0, UNIT = "c" }
}
"#), @r#"
        3:15: the name of a unit has no '=' (write it as `systemctl status` does) [LIC0303]
        3:37: `a*` is a pattern, not the name of a unit (name each unit, or use `identifier`: journalctl looks up a pattern only when it starts) [LIC0303]
        3:43: the name of a unit has no ' ' (write it as `systemctl status` does) [LIC0303]
        3:50: the name of a unit has no '\0' (write it as `systemctl status` does) [LIC0303]
        3:62: `` is not the name of a unit (write it as `systemctl status` does) [LIC0303]
        4:14: `priority` cannot be `warn` (known here: `alert`, `crit`, `debug`, `emerg`, `err`, `info`, `notice`, `warning`) [LIC0306]
        5:14: `from` cannot be `now` (known here: `boot`, `end`, `start`) [LIC0306]
        8:17: `_comm` is not the name of a field (use capital letters, digits and `_`, such as `_COMM`) [LIC0303]
        8:30: `__CURSOR` is not the name of a field (use capital letters, digits and `_`, such as `_COMM`) [LIC0303]
        8:55: `fields` is an object such as { "/status" = "ok" }, not a truth value [LIC0206]
        8:68: "" cannot be a value in the journal [LIC0303]
        9:15: `directory` must be an absolute path (begin it with `/`) [LIC0305]
        10:15: `-1` is not the name or number of a user [LIC0303]
        14:13: `kernel` and `unit` exclude each other (the other one: x.hcl:13:13) [LIC0207]
        15:13: `command` is a list of program and arguments: there is no shell to take it apart (write ["journalctl"]) [LIC0206]
        16:13: `wake` is between 0s and 1s, not 5s [LIC0302]
        17:15: `kernel` already says what `_TRANSPORT` must be [LIC0207]
        17:38: a journal is followed over boots: `_BOOT_ID` would end that [LIC0207]
        17:54: without `directory` it is always this machine's journal: leave out `_MACHINE_ID` [LIC0207]
        22:14: `unit` already says what `_SYSTEMD_UNIT` must be [LIC0207]
        22:35: `user` already says what `_UID` must be [LIC0207]
        "#);
    }
}
