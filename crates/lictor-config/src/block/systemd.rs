//! `watch "unit"` and `act "systemd"`: units of systemd.

use lictor_core::Repeatability;

use super::{judgement, watch};
use crate::code::Code;
use crate::model::{Action, SystemdAction, SystemdBus, Unit, UnitExpect, UnitName, UnitVerb, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

const UNIT: Attribute =
    Attribute::new("unit", Kind::Text, "The unit; `.service` is added to a name without a suffix.");

pub(super) const BUS: Attribute = Attribute::new(
    "bus",
    Kind::Text,
    "Which systemd: `system`, `user` (of the user that the agent runs as), `user:NAME` or `user:NUMBER`, or a socket \
     such as `unix:path=/run/user/1000/bus`.",
)
.default("system");

pub(super) static WATCH: Schema = Schema {
    doc: "A unit of systemd: passing when it is active. Systemd tells of each change, so a failure is known at once; \
          `every` is only how often the state is reported. A unit that systemd is about to restart is critical, one that \
          starts or stops is a warning, and no data is had while systemd cannot be reached.",
    groups: &[
        &[
            UNIT.required(),
            BUS,
            Attribute::new(
                "expect",
                Kind::Word(&["active", "inactive", "not_failed"]),
                "How it should be. `not_failed` is for what a timer starts.",
            )
            .default("active"),
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("active", "1 while it is active."),
        ("state", "Its state, such as `active` or `failed`."),
        ("sub_state", "The state in more detail, such as `running` or `auto-restart`."),
        ("result", "What became of it when it last ran, such as `success` or `exit-code`."),
        ("restarts", "How often systemd has restarted it by itself since it was started."),
        ("pid", "Its main process."),
        ("invocation", "Another one after each start."),
    ],
    example: r#"watch "unit" "nginx" {
  unit = "nginx.service"
}"#,
};

pub(super) static ACT: Schema = Schema {
    doc: "Does something to a unit of systemd and waits for the result of the job. What the unit was before is \
          recorded first, so that a restart is never made twice.",
    groups: &[&[
        UNIT.required(),
        Attribute::new("command", Kind::Word(UnitVerb::WORDS), "What is done.").default("restart"),
        BUS,
        Attribute::new(
            "reset_failed",
            Kind::Flag,
            "Set the count of failed starts back first: systemd refuses to start a unit that failed too often.",
        )
        .default("false"),
    ]],
    blocks: &[],
    values: &[],
    example: r#"watch "unit" "nginx" {
  unit = "nginx.service"
}

rule "nginx" {
  on = check.nginx == "critical"
  act "systemd" {
    unit         = "nginx.service"
    reset_failed = true
  }
  timeout = "2m"
}"#,
};

pub(super) fn watch(reader: &Reader<'_>) -> Option<WatchKind> {
    let (unit, bus) = (unit(reader), bus(reader));
    let expect = match reader.word("expect") {
        Some("inactive") => UnitExpect::Inactive,
        Some("not_failed") => UnitExpect::NotFailed,
        _ => UnitExpect::Active,
    };
    Some(WatchKind::Unit(Box::new(Unit { unit: unit?, bus: bus?, expect })))
}

pub(super) fn act(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let (unit, bus) = (unit(reader), bus(reader));
    let verb = reader.word("command").and_then(UnitVerb::from_word).unwrap_or(UnitVerb::Restart);
    let reset_failed = reader.flag("reset_failed");
    if reset_failed && !matches!(verb, UnitVerb::Start | UnitVerb::Restart | UnitVerb::ReloadOrRestart) {
        let message = format!("`reset_failed` means nothing for `{}`, which starts nothing", verb.as_str());
        reader.decoder.add(Draft::new(Code::Combination, reader.span("reset_failed"), message));
    }
    let action = SystemdAction { unit: unit?, bus: bus?, verb, reset_failed };
    // Before it asks for another restart it looks whether the one before was carried out.
    Some((Action::Systemd(Box::new(action)), Repeatability::Idempotent))
}

/// The unit that is named.
pub(super) fn unit(reader: &Reader<'_>) -> Option<UnitName> {
    let written = reader.text_at("unit")?;
    match UnitName::new(&written.is) {
        Ok(unit) => Some(unit),
        Err(error) => {
            reader.decoder.add(Draft::new(Code::Name, written.span, error.to_string()));
            None
        }
    }
}

/// Which systemd is meant.
pub(super) fn bus(reader: &Reader<'_>) -> Option<SystemdBus> {
    let Some(written) = reader.text_at("bus") else {
        return (!reader.is_set("bus")).then(SystemdBus::default);
    };
    let user = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !name.is_empty() && name.len() <= 64 && !name.starts_with(['-', '.']) && name.chars().all(fits)
    };
    match written.is.as_str() {
        "system" => Some(SystemdBus::System),
        "user" => Some(SystemdBus::User(None)),
        other => {
            if let Some(name) = other.strip_prefix("user:").filter(|name| user(name)) {
                return Some(SystemdBus::User(Some(name.to_owned())));
            }
            if let Some(path) = other.strip_prefix("unix:path=/").filter(|path| !path.contains([',', ';'])) {
                return Some(SystemdBus::Socket(format!("/{path}").into()));
            }
            let draft = Draft::new(Code::Word, written.span, format!("`bus` cannot be `{other}`"));
            reader.decoder.add(draft.help("write \"system\", \"user\", \"user:NAME\" or \"unix:path=/…\""));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{mistakes, parsed, watch};
    use insta::assert_snapshot;

    fn unit(lines: &str) -> Unit {
        match watch(&format!("watch \"unit\" \"x\" {{\n{lines}\n}}")).kind {
            WatchKind::Unit(unit) => *unit,
            other => panic!("{other:?}"),
        }
    }

    fn rule(lines: &str) -> String {
        format!(
            "watch \"unit\" \"u\" {{\n unit = \"u\"\n}}\nrule \"r\" {{\n on = check.u == \"critical\"\n act \"systemd\" {{\n{lines}\n }}\n}}"
        )
    }

    #[test]
    fn a_unit_of_the_machine_should_be_active_unless_it_is_said_otherwise() {
        let found = unit("unit = \"nginx\"");
        assert_eq!(found.unit.as_str(), "nginx.service");
        assert_eq!((found.bus, found.expect), (SystemdBus::System, UnitExpect::Active));
        let found = unit("unit = \"a.timer\"\nbus = \"user:media\"\nexpect = \"inactive\"");
        assert_eq!(found.bus, SystemdBus::User(Some("media".to_owned())));
        assert_eq!(found.expect, UnitExpect::Inactive);
        let found = unit("unit = \"a\"\nbus = \"unix:path=/run/user/1000/bus\"\nexpect = \"not_failed\"");
        assert_eq!(found.bus, SystemdBus::Socket("/run/user/1000/bus".into()));
    }

    #[test]
    fn a_restart_is_what_is_done_unless_it_is_said_otherwise() {
        let action = |lines: &str| match parsed(&rule(lines)).config.actions.into_values().next().unwrap() {
            Action::Systemd(action) => *action,
            other => panic!("{other:?}"),
        };
        let found = action("unit = \"u\"");
        assert_eq!((found.verb, found.reset_failed), (UnitVerb::Restart, false));
        let found =
            action("unit = \"u\"\ncommand = \"reload-or-restart\"\nbus = \"user\"\nreset_failed = true");
        assert_eq!((found.verb, found.reset_failed), (UnitVerb::ReloadOrRestart, true));
        assert_eq!(found.bus, SystemdBus::User(None));
    }

    #[test]
    fn the_mistakes_of_the_watcher() {
        assert_snapshot!(mistakes(r#"
watch "unit" "a" {
  bus = "session"
}
watch "unit" "b" {
  unit   = "nginx*"
  expect = "running"
}
watch "unit" "c" {
  unit = "getty@.service"
  bus  = "unix:path=run/bus"
}
"#), @r#"
        2:1: `unit` of `watch "unit" "a"` is missing (add `unit = …`, text in quotes) [LIC0203]
        3:9: `bus` cannot be `session` (write "system", "user", "user:NAME" or "unix:path=/…") [LIC0306]
        6:12: the name of a unit has letters, digits, `:`, `-`, `_`, `.`, `@` and `\`, not '*' [LIC0303]
        7:12: `expect` cannot be `running` (known here: `active`, `inactive`, `not_failed`) [LIC0306]
        10:10: `getty@.service` is a template: name one of its instances, as in `getty@tty1.service` [LIC0303]
        11:10: `bus` cannot be `unix:path=run/bus` (write "system", "user", "user:NAME" or "unix:path=/…") [LIC0306]
        "#);
    }

    #[test]
    fn the_mistakes_of_the_action() {
        assert_snapshot!(mistakes(&rule("unit = \"--no-block\"\ncommand = \"restrt\"\nbus = \"user:../x\"")), @r#"
        7:8: the name of a unit does not begin with `-` [LIC0303]
        8:11: `command` cannot be `restrt` (did you mean `restart`?) [LIC0306]
        9:7: `bus` cannot be `user:../x` (write "system", "user", "user:NAME" or "unix:path=/…") [LIC0306]
        "#);
        assert_snapshot!(mistakes(&rule("unit = \"u\"\ncommand = \"stop\"\nreset_failed = true")), @"9:16: `reset_failed` means nothing for `stop`, which starts nothing [LIC0207]");
    }
}
