//! Called as `lictor snapshot agent`, this program takes the place of Consul Enterprise's `consul snapshot agent`.
//!
//! ```text
//!  arguments ─────────────────▶ Flags ─┐
//!  -config-file, -config-dir ─▶ files ─┼─▶ Start ─▶ Told: the blocks `snapshot` and `consul`
//!  environment ────────────────────────┘
//! ```
//!
//! What the old program was told becomes settings of ours; what takes snapshots knows nothing of it.

pub(crate) mod files;
mod run;
mod settings;

use std::ffi::OsString;
use std::process::ExitCode;

use lictor_compat::snapshot_agent::{Request, Start, USAGE, flags};
use lictor_config::{Consul, Env as _, ProcessEnv, Snapshot};
use lictor_consul::Config;

use crate::exit::{Exit, Failure};
use crate::old_places;
use crate::output::Terminal;

/// Our own flags of the command with the same name, as far as that program has none of their names that means something else.
const OURS: [&str; 4] = ["log-level", "no-color", "once", "version"];

/// The arguments behind `snapshot agent`, if any of them is a flag of the old program.
pub(crate) fn called(args: &[OsString]) -> Option<&[OsString]> {
    let [_, snapshot, agent, rest @ ..] = args else { return None };
    let words = rest.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--");
    let theirs = words.into_iter().any(|word| is_theirs(&word));
    (snapshot == "snapshot" && agent == "agent" && theirs).then_some(rest)
}

/// Whether a word is a flag of the old program and none of ours.
fn is_theirs(word: &str) -> bool {
    let Some(flag) = word.strip_prefix('-') else { return false };
    let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
    match flag.strip_prefix('-') {
        Some(flag) => flags::knows(&name(flag)) && !OURS.contains(&name(flag).as_str()),
        None => {
            let name = name(flag);
            // `-c` is ours, and may have its value behind it. Flags that nobody has are told in that program's words.
            let may_be = name.len() > 1 && !name.starts_with('c');
            (flags::knows(&name) || may_be) && !OURS.contains(&name.as_str())
        }
    }
}

/// The program under its old name.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let terminal = Terminal::new(false);
    let done = match Told::new(args, |name| ProcessEnv.var(name)) {
        Ok(told) => run::run(told, &terminal),
        Err(Ended::Well(text)) => Terminal::data(&text),
        Err(Ended::Failed(why)) => Err(Failure::new(Exit::Failed, why)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show(&terminal);
            // It had no other.
            Exit::Failed.into()
        }
    }
}

/// What it runs with.
#[derive(Debug)]
pub(crate) struct Told {
    /// As it was said: whether it goes on, how it logs, what is worth a warning.
    pub(crate) start: Start,
    /// What is taken, and where it is kept.
    pub(crate) snapshot: Snapshot,
    /// The Consul agent, as a block says it.
    pub(crate) consul: Consul,
    /// How a client reaches it.
    pub(crate) client: Config,
}

/// Why it does not run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// This is printed to the standard output; it is no failure.
    Well(String),
    /// This is told; the exit status is 1.
    Failed(String),
}

impl Told {
    /// Reads the arguments behind `snapshot agent`, the files that they name, and the environment.
    ///
    /// # Errors
    /// The end, when there is nothing to be run.
    pub(crate) fn new(
        args: &[OsString],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Ended> {
        let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        let flags = match flags::parse(&words) {
            Ok(Request::Run(flags)) => flags,
            Ok(Request::Help) => return Err(Ended::Well(USAGE.to_owned())),
            Err(why) => return Err(Ended::Failed(why.to_string())),
        };
        let files = files::read(&flags.configs).map_err(Ended::Failed)?;
        let start = Start::new(&flags, &files, environment).map_err(|why| Ended::Failed(why.to_string()))?;
        Ok(Self {
            snapshot: settings::snapshot(&start).map_err(Ended::Failed)?,
            consul: old_places::settings(&start.consul),
            client: old_places::client(&start.consul).map_err(Ended::Failed)?,
            start,
        })
    }
}

#[cfg(test)]
mod tests {
    use lictor_compat::LogLevel;
    use lictor_compat::snapshot_agent::Mode;

    use super::*;

    fn told(words: &[&str]) -> Result<Told, Ended> {
        Told::new(&words.iter().map(OsString::from).collect::<Vec<_>>(), |_| None)
    }

    fn failed(words: &[&str]) -> String {
        match told(words) {
            Err(Ended::Failed(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_files_and_settings_come_together() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agent.json");
        std::fs::write(&file, r#"{"snapshot_agent": {"snapshot": {"retain": 5}, "http_addr": "c:1"}}"#)
            .unwrap();
        let told = told(&["-config-file", file.to_str().unwrap(), "-interval=0", "-log-level=warn"]).unwrap();
        assert_eq!((told.start.mode, told.start.log_level), (Mode::Once, LogLevel::Warn));
        assert_eq!(told.snapshot.places[0].keep.last, 5);
        assert_eq!(
            (told.consul.address.as_str(), told.client.address.to_string().as_str()),
            ("http://c:1", "http://c:1")
        );
    }

    #[test]
    fn the_usage_is_no_failure_and_mistakes_are() {
        assert_eq!(told(&["-h"]).unwrap_err(), Ended::Well(USAGE.to_owned()));
        assert_eq!(failed(&["-nonsense"]), "flag provided but not defined: -nonsense");
        assert!(failed(&["-config-file=/nowhere/at/all.json"]).starts_with("/nowhere/at/all.json: "));
        assert!(failed(&["-log-level=loud"]).starts_with("invalid log level \"loud\""));
        assert!(failed(&["-http-addr=ftp://c"]).contains("cannot be used"));
        assert!(failed(&["-token-file=/nowhere/at/all"]).contains("/nowhere/at/all"));
    }

    #[test]
    fn a_flag_of_the_old_program_makes_it_that_one() {
        let theirs = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            called(&args).map(<[_]>::len)
        };
        for (line, words) in [
            ("lictor snapshot agent -interval=0", 1),
            ("lictor snapshot agent --retain 5", 2),
            ("lictor snapshot agent -config-dir /etc/consul-snapshot.d -log-level debug", 4),
            ("lictor snapshot agent -client-cert=/c", 1),
            ("lictor snapshot agent -help", 1),
            ("lictor snapshot agent -retian=5", 1),
        ] {
            assert_eq!(theirs(line), Some(words), "{line}");
        }
        for line in [
            "lictor snapshot agent",
            "lictor snapshot agent consul --once",
            "lictor snapshot agent -once -log-level debug --log-level=info",
            "lictor snapshot agent --config /etc/lictor.d -config=/x -c/y -c /z",
            "lictor snapshot agent -h",
            "lictor snapshot agent --help",
            "lictor snapshot agent -- -interval=0",
            "lictor snapshot save -stale x.snap",
            "lictor snapshot",
        ] {
            assert_eq!(theirs(line), None, "{line}");
        }
    }
}
