//! Called as `consul-replicate`, this program takes the place of the one that had that name.
//!
//! ```text
//!  arguments ─▶ Flags ─┐
//!  -config ─▶ files ───┼─▶ Start ─▶ settings: the blocks `replicate` and `consul`
//!  environment ────────┘                              └─▶ run: copies, until a signal comes
//! ```
//!
//! What the old program was told becomes settings of ours; what copies knows nothing of it.

mod files;
mod log;
mod process;
mod run;
mod settings;

use std::ffi::OsString;
use std::process::ExitCode;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lictor_compat::Moment;
use lictor_compat::consul_replicate::{Exit, Flags, LogLevel, Request, Start, USAGE, flags, text};

use crate::called::by_name;
use crate::exit::Failure;
use crate::output::Terminal;

const NAME: &str = "consul-replicate";

/// The arguments after the name, if it is called by that: as a program, or as a command of this one.
pub(crate) fn called(args: &[OsString]) -> Option<&[OsString]> {
    by_name(args, NAME)
}

/// The program under its old name.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let terminal = Terminal::new(false);
    let Ended { exit, says } = match Told::new(args, run::variable) {
        Ok(told) => run::run(told, &terminal),
        Err(ended) => ended,
    };
    if !says.is_empty() {
        terminal.say(&says);
    }
    ExitCode::from(exit.code())
}

/// What these arguments, the files they name and the environment say, and how many files that are.
///
/// # Errors
/// When it would not have run either.
pub(crate) fn told(arguments: &[String]) -> Result<(Start, usize), Failure> {
    let flags = match flags::parse(arguments) {
        Ok(Request::Run(flags)) => flags,
        // Clap takes that for its own, unless it stands behind `--`.
        Ok(Request::Help) => {
            let help = "`lictor import consul-replicate --help` says how it is used";
            return Err(Failure::new(crate::exit::Exit::Usage, "there is nothing to be read").help(help));
        }
        Err(why) => return Err(Failure::new(crate::exit::Exit::Usage, why.to_string())),
    };
    let failed = |why: String| Failure::new(crate::exit::Exit::Failed, why);
    let files = files::read(&flags.configs).map_err(failed)?;
    let start = Start::new(&flags, &files, run::variable).map_err(|why| failed(why.to_string()))?;
    Ok((start, files.len()))
}

/// What it was told, by what it reads when it begins and when the reload signal comes.
#[derive(Debug)]
struct Told {
    flags: Flags,
    /// What it runs with.
    start: Start,
}

/// Why it does not run: the lines for the standard error, and how it ends.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    pub(crate) exit: Exit,
    pub(crate) says: String,
}

impl Ended {
    /// The end after a failure, in the old program's kind of line.
    pub(crate) fn failed(exit: Exit, why: &str) -> Self {
        Self { exit, says: line(LogLevel::Err, why) }
    }
}

impl Told {
    /// Reads the arguments after the name, the files that they name, and the environment. When the usage or the version is
    /// asked for, it ends well with that.
    ///
    /// # Errors
    /// The end, when there is nothing to be run.
    pub(crate) fn new(
        args: &[OsString],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Ended> {
        let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        let flags = match flags::parse(&words) {
            Ok(Request::Run(flags)) => *flags,
            Ok(Request::Help) => return Err(Ended { exit: Exit::Ok, says: USAGE.to_owned() }),
            Err(why) => return Err(Ended { exit: Exit::Flags, says: why.to_string() }),
        };
        let start = start(&flags, environment)?;
        // Files that are wrong are told also to who wants the version only.
        if flags.version {
            return Err(Ended { exit: Exit::Ok, says: text::version(env!("CARGO_PKG_VERSION")) });
        }
        Ok(Self { flags, start })
    }

    /// Reads the files again. The flags stay as they are.
    ///
    /// # Errors
    /// The end, when a file cannot be used any more.
    pub(crate) fn again(&self, environment: impl Fn(&str) -> Option<String>) -> Result<Self, Ended> {
        let flags = self.flags.clone();
        start(&flags, environment).map(|start| Self { flags, start })
    }

    /// How much is logged, as `crate::telemetry` is told.
    pub(crate) fn level(&self) -> &'static str {
        crate::old_log::filter(self.start.log_level)
    }
}

fn start(flags: &Flags, environment: impl Fn(&str) -> Option<String>) -> Result<Start, Ended> {
    let wrong = |why: &str| Ended::failed(Exit::Config, why);
    let files = files::read(&flags.configs).map_err(|why| wrong(&why))?;
    Start::new(flags, &files, environment).map_err(|why| wrong(&why.to_string()))
}

/// A line in the old program's kind, with the time of now.
pub(crate) fn line(level: LogLevel, what: &str) -> String {
    text::line(&Moment::new(Timestamp::now(), TimeZone::system()), level, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> Result<Told, Ended> {
        Told::new(&words.iter().map(OsString::from).collect::<Vec<_>>(), |_| None)
    }

    fn ended(words: &[&str]) -> (Exit, String) {
        let Err(Ended { exit, says }) = told(words) else { panic!("{words:?}") };
        (exit, says)
    }

    #[test]
    fn usage_and_version_are_no_failure() {
        assert_eq!(ended(&["-h"]), (Exit::Ok, USAGE.to_owned()));
        let (exit, says) = ended(&["-prefix", "a@dc1", "-version"]);
        assert!(exit == Exit::Ok && says.starts_with("consul-replicate v0.4.0 (lictor "), "{says}");
    }

    #[test]
    fn wrong_flags_and_wrong_files_end_differently() {
        let why = "flag provided but not defined: -nonsense";
        assert_eq!(ended(&["-nonsense"]), (Exit::Flags, why.to_owned()));
        let (exit, says) = ended(&["-config=/nowhere/at/all", "-version"]);
        assert_eq!(exit, Exit::Config);
        let (at, why) = says.split_once(" [ERR] (cli) ").unwrap();
        assert_eq!(
            (at.len(), why.starts_with("missing file/folder: /nowhere/at/all: ")),
            (19, true),
            "{says}"
        );
        assert_eq!(ended(&["-log-level=loud"]).0, Exit::Config);
    }

    #[test]
    fn files_are_read_again_and_flags_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("c.hcl");
        std::fs::write(&file, "prefix = \"a@dc1\" log_level = \"info\"").unwrap();
        let before = told(&["-config", file.to_str().unwrap(), "-once"]).unwrap();
        assert_eq!((before.level(), before.start.prefixes.len()), ("info", 1));
        std::fs::write(&file, "prefix = [\"a@dc1\", \"b@dc1\"]").unwrap();
        let after = before.again(|_| None).unwrap();
        assert_eq!((after.level(), after.start.prefixes.len(), after.start.once), ("warn", 2, true));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(after.again(|_| None).unwrap_err().exit, Exit::Config);
    }
}
