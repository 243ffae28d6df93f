//! The command line, as Go's programs read theirs: `-name`, `--name`, `-name=value`, `-name value`, and `-name=false`.

use std::time::Duration;

use lictor_core::replicate::Exclude;

use super::given::{Auth, Given, Wait};
use super::prefix::{exclude, exclude_match, prefix};
use super::signal::Signal;
use crate::goflags::{FlagError, Words, boolean};
use crate::{Secret, goduration};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Print [`USAGE`](super::USAGE) to the standard error.
    Help,
    /// Run; or print the version, when all files have turned out to be good.
    Run(Box<Flags>),
}

/// What the flags say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `-config`: files and directories, in their order.
    pub configs: Vec<String>,
    /// `-once`: copy once and end.
    pub once: bool,
    /// `-approve`: deletes that are done although they would be held back, by their names.
    pub approved: Vec<String>,
    /// `-v`, `-version`.
    pub version: bool,
    /// Everything that a file may say too.
    pub given: Given,
}

/// Reads the arguments behind the name of the program.
///
/// # Errors
/// The first mistake.
pub fn parse<A: AsRef<str>>(arguments: &[A]) -> Result<Request, FlagError> {
    let mut flags = Box::<Flags>::default();
    let mut words = Words::new(arguments.iter().map(AsRef::as_ref));
    while let Some((given, value)) = words.flag()? {
        let (name, sets) = match find(given) {
            Some(found) => found,
            None if given == "h" || given == "help" => return Ok(Request::Help),
            None => return Err(FlagError::Unknown(given.to_owned())),
        };
        if name != given {
            flags.given.remarks.push(format!("-{given} is deprecated; it is -{name} now"));
        }
        if let Sets::Boolean(set) = sets {
            set(&mut flags, boolean(given, value)?);
            continue;
        }
        let value = words.value(given, value)?;
        let wrong = |why: String| FlagError::Value { flag: given.to_owned(), value: value.to_owned(), why };
        sets.set(&mut flags, value).map_err(wrong)?;
    }
    Ok(Request::Run(flags))
}

/// What the value of a flag is, and where it goes.
#[derive(Clone, Copy)]
enum Sets {
    Boolean(fn(&mut Flags, bool)),
    Text(fn(&mut Flags, String)),
    Number(fn(&mut Flags, u32)),
    Time(fn(&mut Flags, Duration)),
    Read(fn(&mut Flags, &str) -> Result<(), String>),
}

impl Sets {
    fn set(self, flags: &mut Flags, value: &str) -> Result<(), String> {
        match self {
            // It has been set already.
            Self::Boolean(_) => {}
            Self::Text(set) => set(flags, value.to_owned()),
            Self::Number(set) => {
                let number: i64 = value.parse().map_err(|_error| "it is no whole number".to_owned())?;
                set(flags, u32::try_from(number.max(0)).unwrap_or(u32::MAX));
            }
            Self::Time(set) => {
                let time = goduration::parse(value).map_err(|error| error.to_string())?;
                set(flags, goduration::duration(time));
            }
            Self::Read(set) => set(flags, value)?,
        }
        Ok(())
    }
}

/// The flag that is meant: its name of now, and what it sets.
fn find(name: &str) -> Option<(&'static str, Sets)> {
    if name == "retry" {
        return Some((BOTH, Sets::Time(both)));
    }
    let before = DEPRECATED.iter().find(|(old, _)| *old == name);
    let name = before.map_or(name, |(_, now)| now);
    FLAGS.iter().find(|(known, _)| *known == name).copied()
}

/// What the old `-retry` is now.
const BOTH: &str = "consul-retry-backoff and -consul-retry-max-backoff";

/// Other names of before.
const DEPRECATED: &[(&str, &str)] = &[
    ("auth", "consul-auth"),
    ("consul", "consul-addr"),
    ("ssl", "consul-ssl"),
    ("ssl-ca-cert", "consul-ssl-ca-cert"),
    ("ssl-ca-path", "consul-ssl-ca-path"),
    ("ssl-cert", "consul-ssl-cert"),
    ("ssl-server-name", "consul-ssl-server-name"),
    ("ssl-verify", "consul-ssl-verify"),
    ("token", "consul-token"),
];

const FLAGS: &[(&str, Sets)] = &[
    ("config", Sets::Text(|flags, path| flags.configs.push(path))),
    ("consul-addr", Sets::Text(|flags, address| flags.given.consul.address = Some(address))),
    ("consul-auth", Sets::Read(auth)),
    ("consul-retry", Sets::Boolean(|flags, yes| flags.given.consul.retry.enabled = Some(yes))),
    ("consul-retry-attempts", Sets::Number(|flags, number| flags.given.consul.retry.attempts = Some(number))),
    ("consul-retry-backoff", Sets::Time(|flags, time| flags.given.consul.retry.backoff = Some(time))),
    ("consul-retry-max-backoff", Sets::Time(|flags, time| flags.given.consul.retry.max_backoff = Some(time))),
    ("consul-ssl", Sets::Boolean(|flags, yes| flags.given.consul.ssl.enabled = Some(yes))),
    ("consul-ssl-ca-cert", Sets::Text(|flags, path| flags.given.consul.ssl.ca_cert = Some(path))),
    ("consul-ssl-ca-path", Sets::Text(|flags, path| flags.given.consul.ssl.ca_path = Some(path))),
    ("consul-ssl-cert", Sets::Text(|flags, path| flags.given.consul.ssl.cert = Some(path))),
    ("consul-ssl-key", Sets::Text(|flags, path| flags.given.consul.ssl.key = Some(path))),
    ("consul-ssl-server-name", Sets::Text(|flags, name| flags.given.consul.ssl.server_name = Some(name))),
    ("consul-ssl-verify", Sets::Boolean(|flags, yes| flags.given.consul.ssl.verify = Some(yes))),
    ("consul-token", Sets::Text(|flags, token| flags.given.consul.token = Some(Secret::new(token)))),
    (
        "consul-transport-dial-keep-alive",
        Sets::Time(|flags, _| flags.given.consul.idle.push("dial_keep_alive")),
    ),
    ("consul-transport-dial-timeout", Sets::Time(|flags, time| flags.given.consul.dial_timeout = Some(time))),
    (
        "consul-transport-disable-keep-alives",
        Sets::Boolean(|flags, _| flags.given.consul.idle.push("disable_keep_alives")),
    ),
    (
        "consul-transport-max-idle-conns-per-host",
        Sets::Number(|flags, _| flags.given.consul.idle.push("max_idle_conns_per_host")),
    ),
    (
        "consul-transport-tls-handshake-timeout",
        Sets::Time(|flags, time| flags.given.consul.tls_handshake_timeout = Some(time)),
    ),
    ("approve", Sets::Text(|flags, id| flags.approved.push(id))),
    ("delete", Sets::Boolean(|flags, yes| flags.given.delete = Some(yes))),
    ("exclude", Sets::Read(|flags, text| excluded(flags, exclude(text)))),
    ("excludematch", Sets::Read(|flags, text| excluded(flags, exclude_match(text)))),
    ("kill-signal", Sets::Read(|flags, name| signal(&mut flags.given.kill_signal, name))),
    ("log-level", Sets::Text(|flags, level| flags.given.log_level = Some(level))),
    ("max-stale", Sets::Time(|flags, time| flags.given.max_stale = Some(time))),
    ("once", Sets::Boolean(|flags, yes| flags.once = yes)),
    ("pid-file", Sets::Text(|flags, path| flags.given.pid_file = Some(path))),
    ("prefix", Sets::Read(one_prefix)),
    ("reload-signal", Sets::Read(|flags, name| signal(&mut flags.given.reload_signal, name))),
    ("repair", Sets::Boolean(|flags, yes| flags.given.repair = Some(yes))),
    ("status-dir", Sets::Text(|flags, dir| flags.given.status_dir = Some(dir))),
    ("syslog", Sets::Boolean(|flags, yes| flags.given.syslog.enabled = Some(yes))),
    ("syslog-facility", Sets::Text(|flags, name| flags.given.syslog.facility = Some(name))),
    ("v", Sets::Boolean(|flags, yes| flags.version = yes)),
    ("version", Sets::Boolean(|flags, yes| flags.version = yes)),
    ("wait", Sets::Read(wait)),
];

fn auth(flags: &mut Flags, text: &str) -> Result<(), String> {
    flags.given.consul.auth = Auth::parse(text)?;
    Ok(())
}

fn one_prefix(flags: &mut Flags, text: &str) -> Result<(), String> {
    flags.given.prefixes.push(prefix(text).map_err(|error| error.to_string())?);
    Ok(())
}

fn excluded(flags: &mut Flags, read: Result<Exclude, &'static str>) -> Result<(), String> {
    flags.given.excludes.push(read?);
    Ok(())
}

fn signal(place: &mut Option<Option<Signal>>, name: &str) -> Result<(), String> {
    *place = Some(Signal::named(name).map_err(|error| error.to_string())?);
    Ok(())
}

fn wait(flags: &mut Flags, text: &str) -> Result<(), String> {
    flags.given.wait = Wait::parse(text)?;
    Ok(())
}

fn both(flags: &mut Flags, time: Duration) {
    let retry = &mut flags.given.consul.retry;
    (retry.backoff, retry.max_backoff) = (Some(time), Some(time));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::USAGE;
    use super::*;

    #[track_caller]
    fn run(line: &str) -> Flags {
        match parse(&line.split_whitespace().collect::<Vec<_>>()) {
            Ok(Request::Run(flags)) => *flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn error(line: &str) -> String {
        match parse(&line.split(' ').collect::<Vec<_>>()) {
            Err(error) => error.to_string(),
            Ok(read) => format!("{read:?}"),
        }
    }

    #[test]
    fn a_flag_has_one_dash_or_two_and_its_value_behind_it() {
        for line in ["-status-dir=a/b -once", "--status-dir a/b --once=true", "-once=1 --status-dir=a/b --"] {
            let flags = run(line);
            assert_eq!((flags.given.status_dir.as_deref(), flags.once), (Some("a/b"), true), "{line}");
        }
        assert!(!run("-once=false").once && !run("-once -once=f").once);
        assert_eq!(run("-status-dir=a=b").given.status_dir.as_deref(), Some("a=b"));
    }

    #[test]
    fn every_flag_is_understood() {
        let flags = run("-config a -config=b -consul-addr=c:1 -consul-auth=me:secret -consul-retry=false \
            -consul-retry-attempts=0 -consul-retry-backoff=1s -consul-retry-max-backoff=0 -consul-ssl \
            -consul-ssl-ca-cert=ca -consul-ssl-ca-path=dir -consul-ssl-cert=cert -consul-ssl-key=key \
            -consul-ssl-server-name=name -consul-ssl-verify=false -consul-token=token \
            -consul-transport-dial-keep-alive=1s -consul-transport-dial-timeout=2s \
            -consul-transport-disable-keep-alives -consul-transport-max-idle-conns-per-host=5 \
            -consul-transport-tls-handshake-timeout=3s -delete=false -exclude=x -excludematch=y -exclude=z \
            -kill-signal=SIGTERM -log-level=info -max-stale=0 -once -pid-file=/p -prefix=a@dc1 -prefix b@dc1:c \
            -reload-signal= -repair -status-dir=d -syslog -syslog-facility=LOCAL5 -wait=5s:10s -version");
        assert_eq!(flags.configs, ["a", "b"]);
        assert!(flags.once && flags.version && flags.given.remarks.is_empty());
        assert_eq!(flags.given.consul.token, Some(Secret::new("token")));
        assert_eq!(flags.given.consul.auth.password, Some(Secret::new("secret")));
        insta::assert_snapshot!(format!("{:?}", flags.given), @r#"Given { consul: Consul { address: Some("c:1"), namespace: None, token: Some(Secret(***)), token_file: None, auth: Auth { enabled: None, username: Some("me"), password: Some(Secret(***)) }, retry: Retry { enabled: Some(false), attempts: Some(0), backoff: Some(1s), max_backoff: Some(0ns) }, ssl: Ssl { enabled: Some(true), verify: Some(false), cert: Some("cert"), key: Some("key"), ca_cert: Some("ca"), ca_path: Some("dir"), server_name: Some("name") }, dial_timeout: Some(2s), tls_handshake_timeout: Some(3s), idle: ["dial_keep_alive", "disable_keep_alives", "max_idle_conns_per_host"] }, prefixes: [Prefix { source: "a", datacenter: "dc1", destination: "a" }, Prefix { source: "b", datacenter: "dc1", destination: "c" }], excludes: [Prefix("x"), Contains("y"), Prefix("z")], kill_signal: Some(Some(Signal { name: "SIGTERM", number: 15 })), reload_signal: Some(None), log_level: Some("info"), max_stale: Some(0ns), pid_file: Some("/p"), status_dir: Some("d"), syslog: Syslog { enabled: Some(true), facility: Some("LOCAL5"), name: None }, wait: Wait { enabled: None, min: Some(5s), max: Some(10s) }, delete: Some(false), repair: Some(true), remarks: [] }"#);
    }

    #[test]
    fn names_of_before_mean_the_same_and_are_told() {
        let before =
            run("-auth=me:pw -consul=c:1 -retry=10s -ssl -ssl-verify=false -ssl-ca-cert=a -ssl-ca-path=b \
            -ssl-cert=c -ssl-server-name=d -token=t");
        let now = run("-consul-auth=me:pw -consul-addr=c:1 -consul-retry-backoff=10s \
            -consul-retry-max-backoff=10s -consul-ssl -consul-ssl-verify=false -consul-ssl-ca-cert=a \
            -consul-ssl-ca-path=b -consul-ssl-cert=c -consul-ssl-server-name=d -consul-token=t");
        assert_eq!(before.given.consul, now.given.consul);
        assert_eq!(now.given.remarks, [""; 0]);
        assert_eq!(before.given.remarks.len(), 10);
        assert_eq!(before.given.remarks[0], "-auth is deprecated; it is -consul-auth now");
        let retry = "-retry is deprecated; it is -consul-retry-backoff and -consul-retry-max-backoff now";
        assert_eq!(before.given.remarks[2], retry);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", run("-consul-token=geheim -consul-auth=me:geheim"));
        assert!(!shown.contains("geheim"), "{shown}");
    }

    #[test]
    fn a_mistake_is_told_in_gos_words() {
        for (line, why) in [
            ("-nonsense", "flag provided but not defined: -nonsense"),
            ("-prefix", "flag needs an argument: -prefix"),
            ("-prefix global", "invalid value \"global\" for flag -prefix: missing datacenter"),
            ("-prefix=", "invalid value \"\" for flag -prefix: missing prefix"),
            ("-prefix=@dc1", "invalid value \"@dc1\" for flag -prefix: invalid source format: \"@dc1\""),
            ("-exclude=", "invalid value \"\" for flag -exclude: missing exclude"),
            ("-excludematch=", "invalid value \"\" for flag -excludematch: missing excludematch"),
            ("-once=maybe", "invalid boolean value \"maybe\" for -once: it is neither true nor false"),
            (
                "-wait=5s:1s",
                "invalid value \"5s:1s\" for flag -wait: the second time is less than the first one",
            ),
            (
                "-max-stale=5",
                "invalid value \"5\" for flag -max-stale: the duration \"5\" has no unit: ms, s, m or h",
            ),
            (
                "-kill-signal=INT",
                "invalid value \"INT\" for flag -kill-signal: \"INT\" is no signal such as SIGINT",
            ),
            (
                "-consul-retry-attempts=x",
                "invalid value \"x\" for flag -consul-retry-attempts: it is no whole number",
            ),
            ("-once false", "cli: extra argument(s): [\"false\"]"),
            ("-once -- a -b", "cli: extra argument(s): [\"a\", \"-b\"]"),
            ("-", "cli: extra argument(s): [\"-\"]"),
            ("---once", "bad flag syntax: ---once"),
            ("-=x", "bad flag syntax: -=x"),
            ("--=x", "bad flag syntax: --=x"),
        ] {
            assert_eq!(error(line), why, "{line}");
        }
    }

    #[test]
    fn help_is_given_where_it_is_asked_for() {
        for line in ["-h", "--help", "-once -help", "-h -nonsense"] {
            assert_eq!(parse(&line.split(' ').collect::<Vec<_>>()), Ok(Request::Help), "{line}");
        }
        assert_eq!(error("-nonsense -h"), "flag provided but not defined: -nonsense");
    }

    #[test]
    fn the_usage_names_every_flag() {
        for (name, _) in FLAGS {
            assert!(USAGE.contains(&format!("-{name}")), "{name}");
        }
        for (old, now) in DEPRECATED {
            assert!(FLAGS.iter().any(|(name, _)| name == now) && !FLAGS.iter().any(|(name, _)| name == old));
        }
    }

    proptest! {
        #[test]
        fn no_arguments_make_it_panic(arguments in proptest::collection::vec("-{0,3}[a-z-]{0,18}=?[a-z:@0-9]{0,9}", 0..6)) {
            drop(parse(&arguments));
        }
    }
}
