//! The command line.

use regex::Regex;

use super::help::help;

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Request {
    /// Print a help text.
    Help(&'static str),
    /// Check a resource.
    Check(CheckRequest),
    /// Run the triggers of the checks on the standard input.
    Watch(State),
    /// Run the trigger of one check.
    Trigger {
        /// How it fails.
        state: State,
        /// The check, as JSON.
        service: String,
    },
    /// Write the local configuration.
    Bootstrap(String),
}

/// What is checked.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// What on this machine.
    pub resource: Resource,
    /// For which service in Consul.
    pub consul_service: String,
    /// While this file exists, what is expected counts as so.
    pub noop_file: Option<String>,
    /// While a process has this in its line, what is expected counts as so.
    pub process_text: Option<String>,
    /// While a process's line matches this, what is expected counts as so.
    pub process_pattern: Option<Regex>,
    /// Whether roles are exchanged when no active node passes.
    pub update: bool,
}

/// What on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A local service.
    Service(String),
    /// Several.
    Group(Vec<String>),
    /// A user's crontab.
    Crontab {
        /// Whose.
        user: String,
        /// What a line must have.
        pattern: Option<String>,
    },
    /// Processes, as `check_procs` counts them with these arguments.
    Process(String),
}

/// How a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is critical.
    Critical,
    /// It warns.
    Warning,
}

impl State {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [Self::Critical, Self::Warning].into_iter().find(|state| state.as_str() == word)
    }
}

impl Resource {
    /// The `type` in the line of its check.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Service(_) => "service",
            Self::Group(_) => "servicegroup",
            Self::Crontab { .. } => "crontab",
            Self::Process(_) => "process",
        }
    }
}

/// Arguments that make no sense: exit status 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// What is printed to the standard output.
    pub help: Option<&'static str>,
    /// What is printed to the standard error.
    pub text: String,
}

impl UsageError {
    fn new(text: impl Into<String>) -> Self {
        Self { help: None, text: text.into() }
    }

    fn unsupported(of: Option<&str>, word: &str) -> Self {
        Self { help: help(of), text: format!("\nUnsupported command: {word}\n") }
    }
}

impl Request {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// If they make no sense, with what the old program said then.
    pub fn read(words: &[String]) -> Result<Self, UsageError> {
        let Some((command, rest)) = words.split_first() else { return topic(None, "") };
        if command == "-h" || command == "--help" {
            return topic(None, command);
        }
        if command == "help" {
            return match rest.first() {
                None => Err(UsageError::new("Usage: powerconsul help [command]")),
                Some(about) => topic(Some(about), about),
            };
        }
        let is_help = |word: &String| word == "-h" || word == "--help";
        let Some((what, options)) = rest.split_first().filter(|_| !rest.iter().any(is_help)) else {
            return topic(Some(command), command);
        };
        let unsupported = || UsageError::unsupported(Some(command), &format!("{command} {what}"));
        match command.as_str() {
            "check" => {
                let given = Options::read(options, CHECK)?;
                check(what, &given).ok_or_else(unsupported)?.map(Self::Check)
            }
            "watch" => {
                Options::read(options, &[])?;
                State::read(what).map(Self::Watch).ok_or_else(unsupported)
            }
            "trigger" => {
                let state = State::read(what).ok_or_else(unsupported)?;
                let service = Options::read(options, TRIGGER)?.take("service").ok_or_else(|| {
                    let state = state.as_str();
                    UsageError::new(format!(
                        "Must supply a service JSON object: powerconsul trigger {state} -s <serviceJSON>"
                    ))
                })?;
                Ok(Self::Trigger { state, service })
            }
            "config" if what == "bootstrap" => {
                let config = Options::read(options, CONFIG)?.take("config");
                let missing = || UsageError::new("Must supply a configuration JSON string to bootstrap!");
                config.map(Self::Bootstrap).ok_or_else(missing)
            }
            "config" => Err(unsupported()),
            _ => topic(Some(command), command),
        }
    }
}

fn topic(about: Option<&str>, word: &str) -> Result<Request, UsageError> {
    help(about).map(Request::Help).ok_or_else(|| UsageError::unsupported(None, word))
}

/// `None` if there is no such resource.
fn check(what: &str, given: &Options) -> Option<Result<CheckRequest, UsageError>> {
    let missing = |text: String| Some(Err(UsageError::new(text)));
    if !["service", "servicegroup", "crontab", "process"].contains(&what) {
        return None;
    }
    let Some(consul_service) = given.take("consulservice") else {
        return missing(format!(
            "Must supply a Consul servicename: powerconsul check {what} -S <serviceName>"
        ));
    };
    let (service, user, args) = (given.take("service"), given.take("user"), given.take("nagiosargs"));
    let resource = match (what, service, user, args) {
        ("service", Some(name), ..) => Resource::Service(name),
        ("service", None, ..) => {
            return missing("Local service name required: powerconsul check service -s <name>".to_owned());
        }
        // A group of none would pass always.
        ("servicegroup", Some(names), ..) if names.contains(|letter| letter != ',' && letter != ' ') => {
            let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
            Resource::Group(names.map(str::to_owned).collect())
        }
        ("servicegroup", ..) => {
            let text = "Local service names required: powerconsul check servicegroup -s <name1>,<name2>";
            return missing(text.to_owned());
        }
        ("crontab", _, Some(user), _) => Resource::Crontab { user, pattern: given.take("pattern") },
        ("crontab", _, None, _) => {
            return missing("Local user name required: powerconsul check crontab -u <username>".to_owned());
        }
        (_, _, _, Some(args)) => Resource::Process(args),
        (_, _, _, None) => {
            return missing(
                "Nagios arguments required: powerconsul check process -n '<nagiosArgs>'".to_owned(),
            );
        }
    };
    let process_pattern = match given.take("procre").map(|written| Regex::new(&format!("^(?:{written})"))) {
        None => None,
        Some(Ok(pattern)) => Some(pattern),
        Some(Err(why)) => {
            let why = why.to_string();
            let why = why.lines().last().unwrap_or_default().trim();
            return missing(format!("-R is no regular expression: {why}"));
        }
    };
    Some(Ok(CheckRequest {
        resource,
        consul_service,
        noop_file: given.take("noopfile"),
        process_text: given.take("procstr"),
        process_pattern,
        update: given.has("updatekv"),
    }))
}

/// An option: its letter, its name, and whether it has a value.
type Known = (char, &'static str, bool);

const CHECK: &[Known] = &[
    ('S', "consulservice", true),
    ('s', "service", true),
    ('u', "user", true),
    ('p', "pattern", true),
    ('n', "nagiosargs", true),
    ('P', "procstr", true),
    ('R', "procre", true),
    ('F', "noopfile", true),
    ('U', "updatekv", false),
];

const TRIGGER: &[Known] = &[('s', "service", true), ('u', "user", true)];

const CONFIG: &[Known] = &[('C', "config", true)];

/// The options that were given, the last of each last.
struct Options(Vec<(&'static str, String)>);

impl Options {
    /// Reads `-x value`, `-xvalue`, `--name value` and `--name=value`; names may be cut as long as they are unique.
    fn read(words: &[String], known: &[Known]) -> Result<Self, UsageError> {
        let mut given = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (option, written) = if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (long, None),
                };
                (by_name(known, name), value.map(str::to_owned))
            } else if let Some(short) = word.strip_prefix('-') {
                let mut letters = short.chars();
                let letter = letters.next();
                let rest = letters.as_str();
                let option = known.iter().find(|(known, ..)| Some(*known) == letter);
                (option, (!rest.is_empty()).then(|| rest.to_owned()))
            } else {
                (None, None)
            };
            let Some((_, name, has_value)) = option else {
                return Err(UsageError::new(format!("unrecognized arguments: {word}")));
            };
            let value = match (has_value, written) {
                (true, Some(value)) => value,
                (true, None) => match words.next() {
                    Some(value) => value.clone(),
                    None => return Err(UsageError::new(format!("argument {word}: expected one argument"))),
                },
                (false, None) => String::new(),
                (false, Some(_)) => {
                    return Err(UsageError::new(format!("argument {word}: expected no argument")));
                }
            };
            given.push((*name, value));
        }
        Ok(Self(given))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }

    /// The value of an option, unless it is empty.
    fn take(&self, name: &str) -> Option<String> {
        let found = self.0.iter().rev().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }
}

/// The option with that name, or the only one whose name begins so.
fn by_name<'a>(known: &'a [Known], name: &str) -> Option<&'a Known> {
    let exact = known.iter().find(|(_, known, _)| *known == name);
    let mut begins = known.iter().filter(|(_, known, _)| !name.is_empty() && known.starts_with(name));
    exact.or_else(|| begins.next().filter(|_| begins.next().is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Request, UsageError> {
        Request::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn check(line: &str) -> CheckRequest {
        match read(line) {
            Ok(Request::Check(check)) => check,
            other => panic!("{other:?}"),
        }
    }

    fn error(line: &str) -> String {
        read(line).unwrap_err().text
    }

    #[test]
    fn options_stand_in_any_form() {
        let asked = check("check service -s apache2 --consulservice=web -F/run/noop -U --procs x -R a.*b");
        assert_eq!(asked.resource, Resource::Service("apache2".to_owned()));
        assert_eq!((asked.consul_service.as_str(), asked.noop_file.as_deref()), ("web", Some("/run/noop")));
        assert!(asked.update && asked.process_text.as_deref() == Some("x"));
        assert!(
            asked.process_pattern.is_some_and(|pattern| pattern.is_match("aXb") && !pattern.is_match("xab"))
        );
        let group = check("check servicegroup -s a,b, -S x").resource;
        assert_eq!(group, Resource::Group(vec!["a".to_owned(), "b".to_owned()]));
        let crontab = check("check crontab -u me -p job -S x").resource;
        assert_eq!(crontab, Resource::Crontab { user: "me".to_owned(), pattern: Some("job".to_owned()) });
    }

    #[test]
    fn what_is_missing_is_told_in_the_old_words() {
        assert_eq!(
            error("check service -s a"),
            "Must supply a Consul servicename: powerconsul check service -S <serviceName>"
        );
        let texts = [
            ("service", "Local service name required: powerconsul check service -s <name>"),
            (
                "servicegroup",
                "Local service names required: powerconsul check servicegroup -s <name1>,<name2>",
            ),
            ("crontab", "Local user name required: powerconsul check crontab -u <username>"),
            ("process", "Nagios arguments required: powerconsul check process -n '<nagiosArgs>'"),
        ];
        for (resource, text) in texts {
            assert_eq!(error(&format!("check {resource} -S x")), text);
        }
        assert_eq!(
            error("trigger warning -u x"),
            "Must supply a service JSON object: powerconsul trigger warning -s <serviceJSON>"
        );
        assert_eq!(error("config bootstrap"), "Must supply a configuration JSON string to bootstrap!");
        assert_eq!(error("check servicegroup -S x -s ,"), error("check servicegroup -S x"));
        assert_eq!(error("check service -S x -s"), "argument -s: expected one argument");
        assert_eq!(error("watch critical -x"), "unrecognized arguments: -x");
        assert!(error("check service -S x -s a -R (").starts_with("-R is no regular expression: "));
    }

    #[test]
    fn a_command_alone_is_its_help_and_help_alone_is_a_mistake() {
        for (line, about) in [("", None), ("check", Some("check")), ("help trigger", Some("trigger"))] {
            let Ok(Request::Help(text)) = read(line) else { panic!("{line}") };
            assert_eq!(Some(text), help(about), "{line}");
        }
        assert!(matches!(read("check service -h"), Ok(Request::Help(_))));
        let wrong = read("help").unwrap_err();
        assert_eq!((wrong.help, wrong.text.as_str()), (None, "Usage: powerconsul help [command]"));
        let wrong = read("bogus x").unwrap_err();
        assert_eq!((wrong.help, wrong.text.as_str()), (help(None), "\nUnsupported command: bogus\n"));
        assert_eq!(error("check disk -S x"), "\nUnsupported command: check disk\n");
    }
}
