//! Actions on this machine: `act "journal_vacuum"`, `act "swap"` and `act "reboot"`.

use std::time::Duration;

use lictor_core::Repeatability;

use crate::code::Code;
use crate::model::{Action, Command, Reboot, SwapAction};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, LONGEST, Schema};

pub(super) static JOURNAL_VACUUM: Schema = Schema {
    doc: "Removes old journal files until no more than this is left.",
    groups: &[&[
        Attribute::new("max_size", Kind::Size(1 << 20, u64::MAX), "At most so many bytes are kept."),
        Attribute::new(
            "max_age",
            Kind::Duration(Duration::from_secs(60), LONGEST),
            "What is older than this is removed.",
        ),
    ]],
    blocks: &[],
    values: &[],
    example: r#"watch "disk" "logs" {
  paths = ["/var/log"]
}

rule "make-room" {
  on = check.logs == "critical"
  act "journal_vacuum" {
    max_size = "200MiB"
  }
  timeout = "5m"
}"#,
};

pub(super) static SWAP: Schema = Schema {
    doc: "Has a swap file in use. One that is missing or damaged is made, if that is wanted; a file that holds something \
          else is left as it is.",
    groups: &[&[
        Attribute::new("file", Kind::Path, "The swap file.").required(),
        Attribute::new(
            "recreate",
            Kind::Flag,
            "Make the file when it is missing, blank or damaged; needs `size`.",
        )
        .default("false"),
        Attribute::new("size", Kind::Size(1 << 20, 1 << 44), "How large it is made."),
    ]],
    blocks: &[],
    values: &[],
    example: r#"watch "swap" "swap" {
  paths = ["/var/swap"]
}

rule "swap" {
  on = check.swap == "critical"
  act "swap" {
    file     = "/var/swap"
    recreate = true
    size     = "2GiB"
  }
  timeout = "2m"
}"#,
};

pub(super) static REBOOT: Schema = Schema {
    doc: "Restarts this machine. Needs `allow_reboot = true` in the block `agent`. All rules that do share a target, \
          `this-machine`, and a cooldown of 24 hours at least: one restart a day, however many rules want one.",
    groups: &[&[
        Attribute::new(
            "min_uptime",
            Kind::Duration(Duration::ZERO, LONGEST),
            "Refused within this time of the machine's start.",
        )
        .default("10m"),
        Attribute::new(
            "state_is_durable",
            Kind::Flag,
            "Says that what is in `state_dir` outlives a restart where that cannot be seen, as on an overlay.",
        )
        .default("false"),
    ]],
    blocks: &[],
    values: &[],
    example: r#"agent {
  allow_reboot = true
}

watch "disk" "ramdisk" {
  paths = ["/var/volatile"]
}

rule "ramdisk" {
  on = check.ramdisk == "critical"
  act "reboot" {}
  timeout = "5m"
}"#,
};

pub(super) fn journal_vacuum(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let (size, age) = (reader.size("max_size"), reader.duration_if("max_age"));
    if !reader.is_set("max_size") && !reader.is_set("max_age") {
        let draft =
            Draft::new(Code::Missing, reader.head, format!("{} says not what to remove", reader.place()));
        reader.decoder.add(draft.help("add max_size = \"200MiB\" or max_age = \"14d\""));
        return None;
    }
    // Only files that are not written to any more are removed: so those that are become such first.
    let mut argv = vec!["journalctl".to_owned(), "--rotate".to_owned()];
    argv.extend(size.map(|bytes| format!("--vacuum-size={bytes}")));
    argv.extend(age.map(|age| format!("--vacuum-time={}s", age.as_secs())));
    Some((program(argv), Repeatability::Idempotent))
}

pub(super) fn swap(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let (file, size, recreate) = (reader.path("file"), reader.size("size"), reader.flag("recreate"));
    match (recreate, reader.is_set("size")) {
        (true, false) => {
            let message = "`recreate` needs `size`";
            let draft = Draft::new(Code::Missing, reader.span("recreate"), message);
            reader.decoder.add(draft.help("add size = \"2GiB\""));
            return None;
        }
        (false, true) => {
            let message = "`size` means nothing without `recreate = true`: no file is made";
            reader.decoder.add(Draft::new(Code::Combination, reader.span("size"), message));
        }
        (true, true) | (false, false) => {}
    }
    let action = SwapAction { file: file?, size: size.filter(|_| recreate) };
    Some((Action::Swap(action), Repeatability::Idempotent))
}

pub(super) fn reboot(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    if !reader.decoder.scope.reboot && !reader.decoder.report.is_partial() {
        let draft = Draft::new(Code::Combination, reader.head, "restarting this machine is not allowed");
        reader.decoder.add(draft.help("add agent { allow_reboot = true }"));
        return None;
    }
    // Whether it was is seen by the boot id; where it cannot be, a person is to look.
    let (min_uptime, state_is_durable) = (reader.duration("min_uptime"), reader.flag("state_is_durable"));
    Some((Action::Reboot(Reboot { min_uptime, state_is_durable }), Repeatability::Neither))
}

fn program(argv: Vec<String>) -> Action {
    Action::Exec(Command { argv, captured: Vec::new(), env: Vec::new(), cwd: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{mistakes, parsed};
    use insta::assert_snapshot;

    fn rule(kind: &str, lines: &str) -> String {
        format!(
            "watch \"heartbeat\" \"h\" {{\n within = \"1m\"\n}}\nrule \"r\" {{\n on = check.h == \"critical\"\n act \"{kind}\" {{\n{lines}\n }}\n}}"
        )
    }

    fn action(kind: &str, lines: &str) -> Action {
        parsed(&rule(kind, lines)).config.actions.into_values().next().unwrap()
    }

    fn argv(kind: &str, lines: &str) -> String {
        match action(kind, lines) {
            Action::Exec(command) => command.argv.join(" "),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_journal_is_emptied_by_its_own_program() {
        let both = "max_size = \"200MiB\"\nmax_age = \"14d\"";
        let wanted = "journalctl --rotate --vacuum-size=209715200 --vacuum-time=1209600s";
        assert_eq!(argv("journal_vacuum", both), wanted);
    }

    #[test]
    fn a_swap_file_is_made_only_when_that_is_wanted() {
        let swap = |lines: &str| match action("swap", lines) {
            Action::Swap(swap) => (swap.file.display().to_string(), swap.size),
            other => panic!("{other:?}"),
        };
        assert_eq!(swap("file = \"/var/swap\""), ("/var/swap".to_owned(), None));
        let made = "file = \"/var/swap\"\nrecreate = true\nsize = \"1GiB\"";
        assert_eq!(swap(made), ("/var/swap".to_owned(), Some(1 << 30)));
    }

    #[test]
    fn a_machine_is_restarted_only_when_that_is_allowed() {
        let allowed = |lines: &str| {
            rule("reboot", "").replace(
                "rule \"r\" {",
                &format!("agent {{\n allow_reboot = true\n}}\nrule \"r\" {{\n{lines}"),
            )
        };
        let loaded = parsed(&allowed(""));
        let action = loaded.config.actions.values().next().unwrap();
        assert!(
            matches!(action, Action::Reboot(Reboot { min_uptime, state_is_durable: false }) if min_uptime.as_secs() == 600)
        );
        let remedy = loaded.config.plan.remedies.values().next().unwrap();
        assert_eq!((remedy.target.as_str(), remedy.cooldown), (Reboot::TARGET, Reboot::ONCE_IN));
        let longer = parsed(&allowed("cooldown = \"7d\""));
        assert_eq!(longer.config.plan.remedies.values().next().unwrap().cooldown, 7 * Reboot::ONCE_IN);
        assert_snapshot!(mistakes(&rule("reboot", "")), @"6:2: restarting this machine is not allowed (add agent { allow_reboot = true }) [LIC0207]");
        let refused = format!("agent {{\n allow_reboot = false\n}}\n{}", rule("reboot", ""));
        assert_snapshot!(mistakes(&refused), @"9:2: restarting this machine is not allowed (add agent { allow_reboot = true }) [LIC0207]");
        assert_snapshot!(mistakes(&allowed("cooldown = \"1h\"\ntarget = \"x\"")), @r#"
        8:12: this machine is restarted once in 1d at most (leave `cooldown` out, or make it longer) [LIC0302]
        9:10: what restarts this machine has the target `this-machine` (leave `target` out) [LIC0207]
        "#);
    }

    #[test]
    fn a_restart_of_the_machine_is_tried_once() {
        let agent = "agent {\n allow_reboot = true\n}\n";
        let rule = rule("reboot", "").replace("rule \"r\" {", "rule \"r\" {\n attempts = 3");
        assert_snapshot!(mistakes(&format!("{agent}{rule}")), @"8:13: this machine is restarted once in 1d at most, so there is one attempt (leave `attempts` out) [LIC0207]");
        let remedy = "watch \"heartbeat\" \"h\" {\n within = \"1m\"\n}\n\
             remedy \"r\" {\n on = check.h == \"critical\"\n step \"s\" {\n act \"reboot\" {}\n attempts = 2\n }\n}";
        assert_snapshot!(mistakes(&format!("{agent}{remedy}")), @"11:13: this machine is restarted once in 1d at most, so there is one attempt (leave `attempts` out) [LIC0207]");
        let once = remedy.replace("attempts = 2", "attempts = 1");
        assert_eq!(parsed(&format!("{agent}{once}")).config.actions.len(), 1);
    }

    #[test]
    fn a_remedy_that_restarts_the_machine_in_one_of_its_steps_is_held_back_as_a_whole() {
        let text = "agent {\n allow_reboot = true\n}\nwatch \"heartbeat\" \"h\" {\n within = \"1m\"\n}\n\
             remedy \"r\" {\n on = check.h == \"critical\"\n step \"one\" {\n act \"exec\" {\n command = [\"x\"]\n }\n }\n\
             step \"two\" {\n act \"reboot\" {}\n }\n}";
        let loaded = parsed(text);
        let remedy = loaded.config.plan.remedies.values().next().unwrap();
        assert_eq!((remedy.target.as_str(), remedy.cooldown), (Reboot::TARGET, Reboot::ONCE_IN));
    }

    #[test]
    fn their_mistakes() {
        assert_snapshot!(mistakes(&rule("journal_vacuum", "")), @r#"6:2: `act "journal_vacuum"` says not what to remove (add max_size = "200MiB" or max_age = "14d") [LIC0203]"#);
        assert_snapshot!(mistakes(&rule("swap", "file = \"swap\"\nrecreate = true")), @r#"
        7:8: `file` must be an absolute path (begin it with `/`) [LIC0305]
        8:12: `recreate` needs `size` (add size = "2GiB") [LIC0203]
        "#);
        assert_snapshot!(mistakes(&rule("swap", "file = \"/swap\"\nsize = \"1GiB\"")), @"8:8: `size` means nothing without `recreate = true`: no file is made [LIC0207]");
    }
}
