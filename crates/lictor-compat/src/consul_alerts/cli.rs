//! The command line, as docopt read it: options anywhere, each abbreviated as far as it is
//! unique, `--option=value` or `--option value`.

use thiserror::Error;

/// Ended well.
pub const EXIT_OK: u8 = 0;
/// Wrong arguments; another instance already answers at the address; or the address cannot be bound.
pub const EXIT_FAILED: u8 = 1;
/// `watch` could not hand over what it read.
pub const EXIT_NOT_HANDED_OVER: u8 = 2;
/// Consul has no leader or cannot be reached.
pub const EXIT_NO_CONSUL: u8 = 3;

/// What `--version` prints, and the `Version` header of `/v1/info`: scripts compare it.
pub const VERSION: &str = "Consul Alerts 0.5.0";

/// What `--help` prints.
pub const USAGE: &str = "\
Send notifications and reminders about the health of what Consul knows.

Usage:
  consul-alerts start [options]
  consul-alerts watch (checks|event) [--alert-addr=ADDRESS] [--log-level=LEVEL]
  consul-alerts --help
  consul-alerts --version

Options:
  --alert-addr=ADDRESS      Address of the HTTP interface [default: localhost:9000]
  --consul-addr=ADDRESS     Address of the Consul agent [default: localhost:8500]
  --consul-dc=NAME          Datacenter [default: that of the agent]
  --consul-acl-token=TOKEN  Token for Consul
  --watch-checks            Watch health checks (they are always watched)
  --watch-events            Watch events and call their handlers
  --log-level=LEVEL         panic, fatal, error, warn, info or debug [default: warn]
  --config-file=FILE        JSON file with settings; they win over options
  -h, --help                Print this text
  --version                 Print the version
";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run.
    Start(Options),
    /// Hand over what `consul watch` gives to the standard input.
    Watch {
        /// What it is.
        what: Watched,
        /// Where to, and how much is logged; the other options are not given.
        options: Options,
    },
    /// Print [`USAGE`].
    Help,
    /// Print [`VERSION`].
    Version,
}

/// What `consul watch` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Health checks.
    Checks,
    /// Events.
    Event,
}

impl Watched {
    /// The path of the HTTP interface that takes it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Checks => "/v1/process/checks",
            Self::Event => "/v1/process/events",
        }
    }
}

/// The options as they were given, without defaults.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `--alert-addr`.
    pub alert_addr: Option<String>,
    /// `--consul-addr`.
    pub consul_addr: Option<String>,
    /// `--consul-dc`.
    pub consul_dc: Option<String>,
    /// `--consul-acl-token`.
    pub consul_acl_token: Option<crate::Secret>,
    /// `--watch-checks`.
    pub watch_checks: bool,
    /// `--watch-events`.
    pub watch_events: bool,
    /// `--log-level`.
    pub log_level: Option<String>,
    /// `--config-file`.
    pub config_file: Option<String>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("alert_addr", &self.alert_addr)
            .field("consul_addr", &self.consul_addr)
            .field("consul_dc", &self.consul_dc)
            .field("consul_acl_token", &self.consul_acl_token)
            .field("watch_checks", &self.watch_checks)
            .field("watch_events", &self.watch_events)
            .field("log_level", &self.log_level)
            .field("config_file", &self.config_file)
            .finish()
    }
}

/// Arguments that make no sense. The program prints it with [`USAGE`] and ends with
/// [`EXIT_FAILED`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UsageError {
    /// No command was given.
    #[error("a command is missing: start or watch")]
    Missing,
    /// A word that is out of place.
    #[error("`{0}` is out of place")]
    Unexpected(String),
    /// No option begins like this.
    #[error("there is no option `{0}`")]
    UnknownOption(String),
    /// Several options begin like this.
    #[error("`{given}` is not a unique prefix: {fits}")]
    Ambiguous {
        /// What was given.
        given: String,
        /// Which could be meant.
        fits: String,
    },
    /// An option was given twice.
    #[error("`{0}` is given more than once")]
    Repeated(&'static str),
    /// An option needs a value and there is none.
    #[error("`{0}` needs a value")]
    NeedsValue(&'static str),
    /// An option takes no value and there is one.
    #[error("`{0}` takes no value")]
    TakesNoValue(&'static str),
    /// An option that the command does not take.
    #[error("`{option}` is no option of `{command}`")]
    NotHere {
        /// The option.
        option: &'static str,
        /// The command.
        command: &'static str,
    },
}

/// Options that take a value, and those that take none.
const WITH_VALUE: &[&str] =
    &["--alert-addr", "--consul-addr", "--consul-dc", "--consul-acl-token", "--log-level", "--config-file"];
const WITHOUT_VALUE: &[&str] = &["--watch-checks", "--watch-events", "--help", "--version"];

/// A spelling that a tutorial spread.
const ALSO: (&str, &str) = ("--alertaddr", "--alert-addr");

/// The words that are commands.
const WORDS: &[&str] = &["start", "watch", "checks", "event"];

/// Reads the arguments behind the name of the program.
pub fn parse<A: AsRef<str>>(arguments: &[A]) -> Result<Command, UsageError> {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let given = Given::read(&arguments)?;
    // Help is given whatever else is wrong with the words.
    if given.has("--help") {
        return Ok(Command::Help);
    }
    if given.has("--version") {
        return Ok(Command::Version);
    }
    if let Some(unknown) = given.unknown {
        return Err(UsageError::UnknownOption(unknown));
    }
    given.not_repeated()?;
    match given.words.as_slice() {
        [] => Err(UsageError::Missing),
        ["start"] => Ok(Command::Start(given.options())),
        ["watch", what @ ("checks" | "event")] => {
            let misplaced = |name: &&&'static str| !matches!(**name, "--alert-addr" | "--log-level");
            let mut names = given.found.iter().map(|(name, _)| name);
            if let Some(option) = names.find(misplaced) {
                return Err(UsageError::NotHere { option, command: "watch" });
            }
            let what = if *what == "checks" { Watched::Checks } else { Watched::Event };
            Ok(Command::Watch { what, options: given.options() })
        }
        ["watch"] => Err(UsageError::Missing),
        ["start", word, ..] | ["watch", "checks" | "event", word, ..] | ["watch", word, ..] | [word, ..] => {
            Err(UsageError::Unexpected((*word).to_owned()))
        }
    }
}

/// What the arguments consist of.
#[derive(Default)]
struct Given<'a> {
    words: Vec<&'a str>,
    found: Vec<(&'static str, String)>,
    unknown: Option<String>,
}

impl<'a> Given<'a> {
    fn read(arguments: &[&'a str]) -> Result<Self, UsageError> {
        let mut given = Self::default();
        let mut rest = arguments;
        while let [argument, after @ ..] = rest {
            rest = after;
            if *argument == "--" {
                given.words.push(argument);
                given.words.extend(after);
                break;
            }
            if argument.starts_with("--") {
                given.long(argument, &mut rest)?;
            } else if let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                for letter in letters.chars() {
                    if letter == 'h' {
                        given.found.push(("--help", String::new()));
                    } else {
                        given.unknown.get_or_insert(format!("-{letter}"));
                    }
                }
            } else {
                given.words.push(argument);
            }
        }
        Ok(given)
    }

    fn long(&mut self, argument: &str, rest: &mut &[&'a str]) -> Result<(), UsageError> {
        let (spelling, value) = match argument.split_once('=') {
            Some((spelling, value)) => (spelling, Some(value)),
            None => (argument, None),
        };
        let Some(name) = named(spelling)? else {
            self.unknown.get_or_insert(spelling.to_owned());
            return Ok(());
        };
        if WITHOUT_VALUE.contains(&name) {
            if value.is_some() {
                return Err(UsageError::TakesNoValue(name));
            }
            self.found.push((name, String::new()));
            return Ok(());
        }
        let value = match value {
            // `--option= value`: nobody means a word that no command has.
            Some("") => match *rest {
                [next, after @ ..] if !next.starts_with('-') && !WORDS.contains(next) => {
                    *rest = after;
                    next
                }
                _ => "",
            },
            Some(value) => value,
            None => match *rest {
                ["=", value, after @ ..] => {
                    *rest = after;
                    value
                }
                [next, after @ ..] => {
                    *rest = after;
                    // `--option =value`.
                    next.strip_prefix('=').unwrap_or(next)
                }
                [] => return Err(UsageError::NeedsValue(name)),
            },
        };
        self.found.push((name, value.to_owned()));
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.found.iter().any(|(found, _)| *found == name)
    }

    fn not_repeated(&self) -> Result<(), UsageError> {
        for (place, (name, _)) in self.found.iter().enumerate() {
            if self.found.iter().skip(place + 1).any(|(other, _)| other == name) {
                return Err(UsageError::Repeated(name));
            }
        }
        Ok(())
    }

    fn options(&self) -> Options {
        // Two quotation marks are nothing: so the old program wrote its own default.
        let value = |name: &str| {
            let found = self.found.iter().find(|(found, _)| *found == name);
            found
                .map(|(_, value)| value.trim().to_owned())
                .filter(|value| !value.is_empty() && value != "\"\"")
        };
        Options {
            alert_addr: value("--alert-addr"),
            consul_addr: value("--consul-addr"),
            consul_dc: value("--consul-dc"),
            consul_acl_token: value("--consul-acl-token").map(crate::Secret::new),
            watch_checks: self.has("--watch-checks"),
            watch_events: self.has("--watch-events"),
            log_level: value("--log-level"),
            config_file: value("--config-file"),
        }
    }
}

/// The option that is meant.
fn named(spelling: &str) -> Result<Option<&'static str>, UsageError> {
    if spelling == ALSO.0 {
        return Ok(Some(ALSO.1));
    }
    let all = || WITH_VALUE.iter().chain(WITHOUT_VALUE).copied();
    if let Some(exact) = all().find(|name| *name == spelling) {
        return Ok(Some(exact));
    }
    let fits: Vec<_> = all().filter(|name| name.starts_with(spelling)).collect();
    match fits.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => Err(UsageError::Ambiguous { given: spelling.to_owned(), fits: several.join(", ") }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Result<Command, UsageError> {
        parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[track_caller]
    fn start(line: &str) -> Options {
        match read(line) {
            Ok(Command::Start(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn options_stand_before_and_behind_the_command() {
        for line in [
            "--alert-addr=0.0.0.0:9000 start --watch-checks --log-level info",
            "start --alert-addr 0.0.0.0:9000 --log-level=info --watch-checks",
            "--watch-checks --alert=0.0.0.0:9000 start --log=info",
            "start --alertaddr 0.0.0.0:9000 --watch-checks --log info",
            "start --alertaddr = 0.0.0.0:9000 --log-level = info --watch-checks",
            "start --alert-addr= 0.0.0.0:9000 --log-level =info --watch-checks",
        ] {
            let options = start(line);
            assert_eq!(options.alert_addr.as_deref(), Some("0.0.0.0:9000"), "{line}");
            assert_eq!(options.log_level.as_deref(), Some("info"), "{line}");
            assert!(options.watch_checks && !options.watch_events, "{line}");
        }
    }

    #[test]
    fn an_empty_value_is_none_and_swallows_no_command() {
        let arguments = ["--consul-acl-token=", "start", "--consul-dc", "=", "", "--consul-addr", "\"\""];
        let Ok(Command::Start(options)) = parse(&arguments) else { panic!() };
        assert_eq!(options, Options::default());
    }

    #[test]
    fn a_tokens_text_is_not_shown() {
        let options = start("start --consul-acl-token=geheim");
        assert!(!format!("{options:?}").contains("geheim"));
        assert_eq!(
            options.consul_acl_token.map(|token| token.expose().to_owned()).as_deref(),
            Some("geheim")
        );
    }

    #[test]
    fn watch_takes_checks_or_event_and_two_options() {
        for (word, what) in [("checks", Watched::Checks), ("event", Watched::Event)] {
            let line = format!("watch {word} --alert-addr localhost:1 --log-level warn");
            let Ok(Command::Watch { what: found, options }) = read(&line) else { panic!("{line}") };
            assert_eq!((found, options.alert_addr.as_deref()), (what, Some("localhost:1")));
        }
        assert_eq!(read("watch events"), Err(UsageError::Unexpected("events".to_owned())));
        assert_eq!(read("watch"), Err(UsageError::Missing));
        let wrong = UsageError::NotHere { option: "--consul-dc", command: "watch" };
        assert_eq!(read("watch checks --consul-dc x"), Err(wrong));
    }

    #[test]
    fn help_and_version_come_before_everything_but_a_wrong_option() {
        for line in ["--help", "-h", "start -h nonsense", "--he", "watch --help --version", "--nonsense -h"] {
            assert_eq!(read(line), Ok(Command::Help), "{line}");
        }
        for line in ["--version", "start --version", "--vers"] {
            assert_eq!(read(line), Ok(Command::Version), "{line}");
        }
        assert!(matches!(read("--help --consul-a"), Err(UsageError::Ambiguous { .. })));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (line, said) in [
            ("", "a command is missing: start or watch"),
            ("stop", "`stop` is out of place"),
            ("start start", "`start` is out of place"),
            ("start --nonsense", "there is no option `--nonsense`"),
            ("start -x", "there is no option `-x`"),
            ("start --consul-a x", "`--consul-a` is not a unique prefix: --consul-addr, --consul-acl-token"),
            ("start --watch", "`--watch` is not a unique prefix: --watch-checks, --watch-events"),
            ("start --log=a --log=b", "`--log-level` is given more than once"),
            ("start --watch-checks --watch-checks", "`--watch-checks` is given more than once"),
            ("start --watch-checks=yes", "`--watch-checks` takes no value"),
            ("start --consul-dc", "`--consul-dc` needs a value"),
            ("-- start", "`--` is out of place"),
            ("start -", "`-` is out of place"),
        ] {
            assert_eq!(read(line).map_err(|error| error.to_string()), Err(said.to_owned()), "{line}");
        }
    }

    #[test]
    fn the_usage_names_every_option() {
        for name in WITH_VALUE.iter().chain(WITHOUT_VALUE) {
            assert!(USAGE.contains(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_arguments_make_it_panic(arguments in proptest::collection::vec("[-=a-z\"]{0,12}|--[a-z-]{0,18}(=[a-z:]{0,4})?", 0..6)) {
            drop(parse(&arguments));
        }
    }
}
