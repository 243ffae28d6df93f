//! `watch "exec"`: a program with the exit codes of Nagios plugins.

use std::path::PathBuf;

use super::{judgement, watch};
use crate::code::Code;
use crate::model::{Command, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};
use crate::secret::Secret;
use crate::syntax::tree::Text;

/// What a program consists of: shared by the watcher and the action.
pub(super) const COMMAND: &[Attribute] = &[
    Attribute::new("command", Kind::Command, "Program and arguments. There is no shell unless it is one.")
        .required(),
    Attribute::new("env", Kind::Secrets, "Environment besides PATH, HOME and LANG."),
    Attribute::new("cwd", Kind::Path, "The working directory.")
        .default_words("`/` for an action, the agent's own for a watcher"),
];

pub(super) static SCHEMA: Schema = Schema {
    doc: "A program: exit status 0 is passing, 1 a warning, 2 critical, 3 no data, as of Nagios plugins. \
          One that does not end in time is critical; one that cannot be started gives no data.",
    groups: &[COMMAND, watch::SCHEDULE, judgement::WATCHED, judgement::COMMON],
    blocks: &[&watch::MATCH],
    values: &[
        ("total_seconds", "Time the program ran."),
        ("exit_status", "Its exit status."),
        ("*", "Whatever the program prints as performance data of a Nagios plugin, by its labels."),
    ],
    example: r#"watch "exec" "raid" {
  command = ["/usr/lib/nagios/plugins/check_raid"]
  every   = "5m"
  timeout = "30s"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    command(reader).map(WatchKind::Exec)
}

/// Reads program, environment and directory.
pub(super) fn command(reader: &Reader<'_>) -> Option<Command> {
    let (argv, env, cwd) = (reader.command("command"), env(reader), directory(reader));
    Some(Command { argv: argv?, captured: Vec::new(), env, cwd })
}

/// The same of an act, which may take arguments from the line that started it.
pub(super) fn capturing(reader: &Reader<'_>) -> Option<Command> {
    let (command, env, cwd) = (reader.capturing_command("command"), env(reader), directory(reader));
    let (argv, captured) = command?;
    Some(Command { argv, captured, env, cwd })
}

fn directory(reader: &Reader<'_>) -> Option<PathBuf> {
    reader.file("cwd")
}

fn env(reader: &Reader<'_>) -> Vec<(String, Secret)> {
    let fits = |(name, secret): (Text, Secret)| {
        if name.is.is_empty() || name.is.contains(['=', '\0']) {
            let message = format!("`{}` is not the name of a variable", name.is.escape_debug());
            reader.decoder.add(Draft::new(Code::Name, name.span, message));
            return None;
        }
        Some((name.is, secret))
    };
    reader.secrets("env").into_iter().filter_map(fits).collect()
}

#[cfg(test)]
mod tests {
    use crate::model::WatchKind;
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    #[test]
    fn program_environment_and_patterns() {
        let text = r#"
watch "exec" "x" {
  command = ["/bin/check", "-w", "5"]
  cwd     = "/tmp"
  env {
    LEVEL = "3"
  }
  match "odd" {
    regex = "odd|strange"
  }
  match "dot" {
    contains = "a.b"
  }
}"#;
        let watch = watch(text);
        let WatchKind::Exec(command) = watch.kind else { panic!() };
        assert_eq!(command.argv, ["/bin/check", "-w", "5"]);
        assert_eq!((command.env[0].0.as_str(), command.env[0].1.reveal().unwrap().as_str()), ("LEVEL", "3"));
        let matches = |line: &str| watch.patterns.iter().map(|p| p.regex.is_match(line)).collect::<Vec<_>>();
        assert_eq!(matches("strange"), [true, false]);
        assert_eq!(matches("a.b"), [false, true]);
        assert_eq!(matches("aXb"), [false, false]);
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "exec" "a" {
  command = "check_raid -w 5"
}
watch "exec" "b" {
  command = []
  cwd     = "here"
}
watch "exec" "c" {
  command = ["a", 5]
  env     = { "A=B" = "x" }
}
watch "exec" "d" {
  command = ["sh", "-c", "echo ${HOME}"]
}
"#), @r#"
        3:13: `command` is a list of program and arguments: there is no shell to take it apart (write ["check_raid", "-w", "5"]) [LIC0206]
        6:13: this list is empty (name a program) [LIC0203]
        7:13: `cwd` must be an absolute path (begin it with `/`) [LIC0305]
        10:19: `command` is a list of program and arguments such as ["systemctl", "restart", "x"], not a number [LIC0206]
        11:15: `A=B` is not the name of a variable [LIC0303]
        14:32: texts are not templates: `${` would have no effect (write `$${` to mean the characters themselves) [LIC0105]
        "#);
    }
}
