//! The command line.

use super::options::{Given, Kind, OPTIONS, Value};
use crate::goflags::{FlagError, Words, boolean};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Print [`USAGE`](super::USAGE).
    Help,
    /// Run.
    Run(Flags),
}

/// What the flags say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `-config-file` and `-config-dir`, in their order.
    pub configs: Vec<Config>,
    /// Everything that a file may say too.
    pub given: Given,
}

/// Where configuration lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// `-config-file`.
    File(String),
    /// `-config-dir`: of its files, not of those in folders in it, all whose names end in `.json`, in alphabetical order.
    Dir(String),
}

/// Whether a flag is one of these, by its name without dashes and value. The ones that ask for the usage are not.
pub fn knows(name: &str) -> bool {
    ["config-file", "config-dir"].contains(&name)
        || OPTIONS.iter().any(|known| !known.flag.is_empty() && known.flag == name)
}

/// Reads the arguments behind `snapshot agent`.
///
/// # Errors
/// The first mistake.
pub fn parse<A: AsRef<str>>(arguments: &[A]) -> Result<Request, FlagError> {
    let mut flags = Flags::default();
    let mut words = Words::new(arguments.iter().map(AsRef::as_ref));
    while let Some((name, value)) = words.flag()? {
        match name {
            "h" | "help" => return Ok(Request::Help),
            "config-file" => flags.configs.push(Config::File(words.value(name, value)?.to_owned())),
            "config-dir" => flags.configs.push(Config::Dir(words.value(name, value)?.to_owned())),
            _ => {
                let known = OPTIONS.iter().find(|known| !known.flag.is_empty() && known.flag == name);
                let known = known.ok_or_else(|| FlagError::Unknown(name.to_owned()))?;
                let value = match known.kind {
                    Kind::Flag => Value::Flag(boolean(name, value)?),
                    kind => {
                        let text = words.value(name, value)?;
                        // A secret that is wrong is none to be shown; there is no wrong one.
                        Value::read(kind, text).map_err(|why| FlagError::Value {
                            flag: name.to_owned(),
                            value: text.to_owned(),
                            why,
                        })?
                    }
                };
                flags.given.set(known.option, value);
            }
        }
    }
    Ok(Request::Run(flags))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::USAGE;
    use super::super::options::Opt;
    use super::*;

    fn run(line: &str) -> Flags {
        match parse(&line.split_whitespace().collect::<Vec<_>>()) {
            Ok(Request::Run(flags)) => flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_flag_has_one_dash_or_two_and_its_value_behind_it() {
        for line in ["-retain=5 -stale", "--retain 5 --stale=true", "-stale=1 --retain=5 --"] {
            let given = run(line).given;
            assert_eq!((given.number(Opt::Retain), given.flag(Opt::Stale)), (Some(5), true), "{line}");
        }
        assert_eq!(run("-retain 5 -retain 6").given.number(Opt::Retain), Some(6));
    }

    #[test]
    fn files_and_folders_stay_in_their_order() {
        let configs = run("-config-dir /a -config-file=/b.json -config-dir /c").configs;
        let of = |path: &str| path.to_owned();
        assert_eq!(configs, [Config::Dir(of("/a")), Config::File(of("/b.json")), Config::Dir(of("/c"))]);
    }

    #[test]
    fn every_flag_is_understood_and_in_the_usage() {
        for known in OPTIONS.iter().filter(|known| !known.flag.is_empty()) {
            let value = match known.kind {
                Kind::Flag => "true",
                Kind::Number => "7",
                Kind::Time => "7m",
                Kind::Pairs => "a=b",
                Kind::Text | Kind::Secret => "x",
            };
            let flags = run(&format!("-{}={value}", known.flag));
            assert_ne!(flags.given, Given::default(), "{}", known.flag);
            assert!(USAGE.contains(&format!("-{}", known.flag)), "{}", known.flag);
            assert!(knows(known.flag));
        }
        assert!(knows("config-dir") && !knows("license-path") && !knows("h") && !knows(""));
    }

    #[test]
    fn a_mistake_is_told_in_gos_words() {
        for (line, why) in [
            ("-nonsense", "flag provided but not defined: -nonsense"),
            ("-license-path=/x", "flag provided but not defined: -license-path"),
            ("-interval", "flag needs an argument: -interval"),
            (
                "-interval=5",
                "invalid value \"5\" for flag -interval: the duration \"5\" has no unit: ms, s, m or h",
            ),
            ("-retain=-1", "invalid value \"-1\" for flag -retain: it is no number from 0"),
            ("-stale=maybe", "invalid boolean value \"maybe\" for -stale: it is neither true nor false"),
            ("-login-meta=x", "invalid value \"x\" for flag -login-meta: it is not NAME=VALUE"),
            ("-stale false", "cli: extra argument(s): [\"false\"]"),
        ] {
            let found = parse(&line.split(' ').collect::<Vec<_>>());
            assert_eq!(found.map_err(|error| error.to_string()), Err(why.to_owned()), "{line}");
        }
        for line in ["-h", "-stale --help", "-help -nonsense"] {
            assert_eq!(parse(&line.split(' ').collect::<Vec<_>>()), Ok(Request::Help), "{line}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let line = "-token=geheim -aws-access-key-id=geheim -aws-secret-access-key=geheim \
                    -aws-session-token=geheim -azure-blob-account-key=geheim -login-bearer-token=geheim";
        assert!(!format!("{:?}", run(line)).contains("geheim"));
    }

    proptest! {
        #[test]
        fn no_arguments_make_it_panic(arguments in prop::collection::vec("-{0,3}[a-z0-9-]{0,18}=?[a-z=0-9]{0,9}", 0..6)) {
            drop(parse(&arguments));
        }
    }
}
