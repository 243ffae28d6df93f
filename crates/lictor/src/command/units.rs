//! `lictor units`: what the agent may do to the units of this machine, for the rule of polkit that packages bring.
//!
//! It is what the configuration says and nothing else. Root writes it down when the agent is started or reads its
//! configuration again, so that the agent itself cannot make it longer.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lictor_config::{Action, Command, Config, SystemdBus, UnitName, UnitVerb};

use crate::cli::Units;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// The head of the file; the rule passes it over, as no unit is called so.
const HEAD: &str = "# What Lictor's configuration names, and so all that its user may do to units; polkit's rule goes by it.\n";

pub(crate) fn run(args: &Units) -> Result<(), Failure> {
    let loaded = lictor_config::load(&args.config, &lictor_config::ProcessEnv)
        .map_err(|failure| Failure::Config(Box::new(failure)))?;
    let lines: Vec<_> = allowed(&loaded.config).into_iter().collect();
    match &args.write {
        None => Terminal::data(&lines.join("\n")),
        Some(path) => write(path, &lines),
    }
}

/// A line `VERB UNIT` for each thing that an action may do to a unit of the machine, in the words of systemd's
/// `manage-units`. Names of units have neither blanks nor line breaks.
fn allowed(config: &Config) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut line = |verb: UnitVerb, unit: &str| lines.insert(format!("{} {unit}", verb.as_str()));
    for action in config.actions.values() {
        match action {
            Action::Systemd(action) if action.bus == SystemdBus::System => {
                line(action.verb, action.unit.as_str());
                if action.reset_failed {
                    line(UnitVerb::ResetFailed, action.unit.as_str());
                }
            }
            Action::Reboot(_) => {
                line(UnitVerb::Start, "reboot.target");
            }
            Action::Exec(command) => {
                for (verb, unit) in called(command) {
                    line(verb, unit.as_str());
                }
            }
            Action::Systemd(_)
            | Action::Http(_)
            | Action::Kv(_)
            | Action::Qbittorrent(_)
            | Action::Nomad(_)
            | Action::Vpn(_)
            | Action::Redis(_)
            | Action::Signal(_)
            | Action::Swap(_) => {}
        }
    }
    lines
}

/// What a command does to units, where it is `systemctl VERB UNIT …` and nothing more.
///
/// What a line of a log captures gives no right.
fn called(command: &Command) -> Vec<(UnitVerb, UnitName)> {
    let [program, verb, units @ ..] = command.argv.as_slice() else { return Vec::new() };
    let systemctl = ["systemctl", "/bin/systemctl", "/usr/bin/systemctl"].contains(&program.as_str());
    let captured = |place: usize| command.captured.iter().any(|&(at, _)| at == place);
    let Some(verb) = UnitVerb::from_word(verb).filter(|_| systemctl && !captured(1)) else {
        return Vec::new();
    };
    let written = units.iter().zip(2..).filter(|&(_, place)| !captured(place));
    written.filter_map(|(unit, _)| UnitName::new(unit).ok()).map(|unit| (verb, unit)).collect()
}

/// Puts the lines in place at once: who reads them has the old ones or the new ones.
fn write(path: &Path, lines: &[String]) -> Result<(), Failure> {
    let failed = |why: std::io::Error| {
        Failure::new(Exit::Failed, format!("cannot write {}: {why}", path.display()))
            .help("only root may: the agent must not be able to")
    };
    // polkit reads it as a user of its own, and the mask of the unit lets nobody else.
    let open_to_all = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    if let Some(dir) = path.parent().filter(|dir| !dir.exists()) {
        fs::create_dir_all(dir).and_then(|()| open_to_all(dir, 0o755)).map_err(failed)?;
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let mut text = HEAD.to_owned();
    for line in lines {
        text.extend([line, "\n"]);
    }
    fs::write(&aside, text)
        .and_then(|()| open_to_all(&aside, 0o644))
        .and_then(|()| fs::rename(&aside, path))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(acts: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "watch \"unit\" \"u\" {{\n unit = \"u\"\n}}\nremedy \"r\" {{\n on = check.u == \"critical\"\n{acts}\n}}\n"
        );
        let file = dir.path().join("a.hcl");
        fs::write(&file, text).unwrap();
        let loaded =
            lictor_config::load(&[file], &lictor_config::ProcessEnv).unwrap_or_else(|why| panic!("{why:?}"));
        allowed(&loaded.config).into_iter().collect()
    }

    fn step(number: u32, kind: &str, lines: &str) -> String {
        format!("step \"s{number}\" {{\n act \"{kind}\" {{\n{lines}\n }}\n}}\n")
    }

    #[test]
    fn a_unit_is_allowed_with_the_verbs_of_its_actions_and_no_other() {
        let acts = [
            step(1, "systemd", "unit = \"shop\"\nreset_failed = true"),
            step(2, "systemd", "unit = \"cache.socket\"\ncommand = \"stop\""),
            step(3, "systemd", "unit = \"theirs\"\nbus = \"user:media\""),
        ];
        assert_eq!(
            lines(&acts.concat()),
            ["reset-failed shop.service", "restart shop.service", "stop cache.socket"]
        );
    }

    #[test]
    fn a_command_allows_what_it_plainly_asks_systemctl_for() {
        let acts = [
            step(1, "exec", "command = [\"systemctl\", \"restart\", \"web.service\", \"db\"]"),
            step(2, "exec", "command = [\"systemctl\", \"mask\", \"web.service\"]"),
            step(3, "exec", "command = [\"/opt/systemctl\", \"stop\", \"web.service\"]"),
            step(4, "exec", "command = [\"systemctl\", \"start\", \"--no-block\", \"web*\"]"),
            step(5, "exec", "command = [\"systemctl\"]"),
        ];
        assert_eq!(lines(&acts.concat()), ["restart db.service", "restart web.service"]);
    }

    #[test]
    fn a_configuration_without_such_actions_allows_nothing() {
        assert_eq!(lines(&step(1, "exec", "command = [\"true\"]")), Vec::<String>::new());
    }

    #[test]
    fn the_file_is_replaced_as_a_whole_and_may_be_read_by_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/units");
        write(&path, &["stop a.service".to_owned(), "stop b.service".to_owned()]).unwrap();
        write(&path, &["restart c.service".to_owned()]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{HEAD}restart c.service\n"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
