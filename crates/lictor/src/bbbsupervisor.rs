//! Called as `bbbsupervisor`, this program takes the flags of the one that had that name and runs with
//! the configuration of that box, `examples/bitbox.hcl`.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::ExitCode;

use lictor_config::{Env, Loaded, ProcessEnv, Secret, parse_in};

use crate::called::by_name;
use crate::command::run;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::telemetry::{self, LogFormat};

const NAME: &str = "bbbsupervisor";

/// What it runs with, but for the ports and the token.
const CONFIG: &str = include_str!("../../../examples/bitbox.hcl");

const REDIS: &str = "localhost:6379";
const PROMETHEUS: &str = "http://localhost:9090";

/// Where the example has its token.
const EXAMPLE_TOKEN: &str = "/etc/lictor/token";

/// The token of the listener, in the state directory: nobody is there to make one.
const TOKEN: &str = "http-token";

/// As the old one wrote it, each flag on two lines.
const USAGE: &str = "  -help
    \tprint this help
  -prometheus-port string
    \tPrometheus port (default \"9090\")
  -redis-port string
    \tRedis port (default \"6379\")
  -version
    \treturn program version";

/// The arguments after the name, if it is called by that: as a program, or as a command of this one.
pub(crate) fn called(args: &[OsString]) -> Option<&[OsString]> {
    by_name(args, NAME)
}

/// What the flags ask for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Run {
        redis: u16,
        prometheus: u16,
    },
    Version,
    Help,
    /// `-h`, which the old one did not define.
    Usage,
}

pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let terminal = Terminal::new(false);
    let done = match asked(args) {
        Err(why) => {
            terminal.say(&format!("{why}\nUsage of {NAME}:\n{USAGE}"));
            Err(Failure::Said(Exit::Usage))
        }
        Ok(Asked::Usage) => {
            terminal.say(&format!("Usage of {NAME}:\n{USAGE}"));
            Ok(())
        }
        Ok(Asked::Version) => {
            terminal.say(&version());
            Ok(())
        }
        Ok(Asked::Help) => {
            terminal.say(&version());
            Terminal::data(&format!(
                "bbbsupervisor, as lictor does it: restarts what has lost its connection and follows the initial\n\
                 download of the chain. Its rules: lictor's examples/bitbox.hcl; the guide: docs/supervisor.md.\n\n\
                 Command-line arguments:\n{USAGE}"
            ))
        }
        Ok(Asked::Run { redis, prometheus }) => {
            terminal.say(&version());
            telemetry::start("info", LogFormat::default(), terminal.colours_err())
                .and_then(|()| with_token(redis, prometheus))
                .and_then(|()| run::start(move || config(redis, prometheus), false))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show(&terminal);
            failure.exit().into()
        }
    }
}

/// The old one's first line, with its kind of time stamp.
fn version() -> String {
    let now = jiff::Zoned::now().strftime("%Y/%m/%d %H:%M:%S");
    format!("{now} {NAME} version 1.0 (lictor {})", env!("CARGO_PKG_VERSION"))
}

/// The configuration with these ports.
fn config(redis: u16, prometheus: u16) -> Result<Loaded, lictor_config::Failure> {
    let text = CONFIG
        .replace(REDIS, &format!("localhost:{redis}"))
        .replace(PROMETHEUS, &format!("http://localhost:{prometheus}"));
    let mut loaded = parse_in("bbbsupervisor.hcl", &text, &OwnToken)?;
    loaded.config.http.token = Some(Secret::file(loaded.config.node.state_dir.join(TOKEN)));
    Ok(loaded)
}

/// The environment of this process, where the example's file of a token is not missed.
struct OwnToken;

impl Env for OwnToken {
    fn var(&self, name: &str) -> Option<String> {
        ProcessEnv.var(name)
    }

    fn host_name(&self) -> Option<String> {
        ProcessEnv.host_name()
    }

    fn is_missing(&self, path: &Path) -> bool {
        path != Path::new(EXAMPLE_TOKEN) && ProcessEnv.is_missing(path)
    }
}

/// Sees to it that there is a token: whoever reaches the listener may have the box restarted.
fn with_token(redis: u16, prometheus: u16) -> Result<(), Failure> {
    let loaded = config(redis, prometheus).map_err(|failure| Failure::Config(Box::new(failure)))?;
    let dir = loaded.config.node.state_dir;
    make_token(&dir).map_err(|error| {
        let path = dir.join(TOKEN);
        Failure::new(
            Exit::Unavailable,
            format!("cannot make the listener's token {}: {error}", path.display()),
        )
        .help("the state directory must be one that this user may write to")
    })
}

/// Makes the token if there is none. It gets its name only when it is whole.
fn make_token(dir: &Path) -> io::Result<()> {
    let path = dir.join(TOKEN);
    if path.try_exists()? {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut random = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let new = dir.join(format!("{TOKEN}.new"));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, &path)
}

/// Flags as the old one read them: one dash or two, the value after `=` or as the next word. The first
/// word that is none ends them.
fn asked(args: &[OsString]) -> Result<Asked, String> {
    let (mut redis, mut prometheus, mut version, mut help) = (6_379, 9_090, false, false);
    let mut words = args.iter().map(|arg| arg.to_string_lossy());
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { break };
        if flag.is_empty() {
            break;
        }
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let mut port = |value: Option<String>| {
            let value = value.or_else(|| words.next().map(std::borrow::Cow::into_owned));
            let text = value.ok_or_else(|| format!("flag needs an argument: -{name}"))?;
            text.parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| format!("invalid value {text:?} for flag -{name}: it is not a port"))
        };
        let truth = |value: Option<String>| match value.as_deref() {
            None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(other) => Err(format!("invalid boolean value {other:?} for -{name}")),
        };
        match name {
            "redis-port" => redis = port(value)?,
            "prometheus-port" => prometheus = port(value)?,
            "version" => version = truth(value)?,
            "help" => help = truth(value)?,
            "h" => return Ok(Asked::Usage),
            _ => return Err(format!("flag provided but not defined: -{name}")),
        }
    }
    Ok(match (version, help) {
        (true, _) => Asked::Version,
        (false, true) => Asked::Help,
        (false, false) => Asked::Run { redis, prometheus },
    })
}

#[cfg(test)]
mod tests {
    use lictor_config::{RedisPlace, WatchKind};

    use super::*;

    fn of(args: &[&str]) -> Result<Asked, String> {
        asked(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_those_of_the_old_one() {
        let run = |redis, prometheus| Ok(Asked::Run { redis, prometheus });
        assert_eq!(of(&[]), run(6_379, 9_090));
        assert_eq!(of(&["--redis-port", "1", "-prometheus-port=2"]), run(1, 2));
        assert_eq!(of(&["-redis-port=7", "word", "--version"]), run(7, 9_090));
        assert_eq!(of(&["--version"]), Ok(Asked::Version));
        assert_eq!(of(&["-help"]), Ok(Asked::Help));
        assert_eq!(of(&["--help=false", "-version=false"]), run(6_379, 9_090));
        assert_eq!(of(&["-h"]), Ok(Asked::Usage));
        assert_eq!(of(&["--redis-addr", "x"]).unwrap_err(), "flag provided but not defined: -redis-addr");
        assert_eq!(of(&["--redis-port"]).unwrap_err(), "flag needs an argument: -redis-port");
        assert!(of(&["--redis-port", "x"]).is_err() && of(&["--redis-port=0"]).is_err());
    }

    #[test]
    fn it_is_called_by_its_name_or_as_a_command() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(called(&args(&["/usr/local/sbin/bbbsupervisor", "-h"])).map(<[_]>::len), Some(1));
        assert_eq!(called(&args(&["lictor", "bbbsupervisor"])).map(<[_]>::len), Some(0));
        assert_eq!(called(&args(&["lictor", "run", "bbbsupervisor"])), None);
        assert_eq!(called(&args(&["lictor"])), None);
    }

    #[test]
    fn nobody_is_let_in_without_the_token_that_it_makes() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        make_token(&state).unwrap();
        let read = || std::fs::read_to_string(state.join(TOKEN)).unwrap();
        let first = read();
        assert_eq!(first.trim_end().len(), 64);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state.join(TOKEN)), mode(&state)), (0o600, 0o700));
        make_token(&state).unwrap();
        assert_eq!(read(), first, "it stays the same");
        let loaded = config(6_379, 9_090).unwrap();
        let Some(token) = &loaded.config.http.token else { panic!("it asks for no token") };
        let file = loaded.config.node.state_dir.join(TOKEN).display().to_string();
        assert!(token.reveal().is_ok() || token.reveal().unwrap_err().to_string().contains(&file));
        let missed = loaded.warnings.iter().any(|one| one.one_line().contains(EXAMPLE_TOKEN));
        assert!(CONFIG.contains(EXAMPLE_TOKEN) && !missed);
    }

    #[test]
    fn the_ports_are_those_of_everything_that_is_asked() {
        let config = config(1_234, 5_678).unwrap().config;
        let (mut redis, mut prometheus) = (0, 0);
        for watch in config.watches.values() {
            match &watch.kind {
                WatchKind::Redis(one) => {
                    let RedisPlace::Tcp { port, .. } = &one.server.place else { panic!() };
                    assert_eq!(*port, 1_234);
                    redis += 1;
                }
                WatchKind::Prometheus(one) => {
                    assert_eq!(one.url.port(), Some(5_678));
                    prometheus += 1;
                }
                _ => {}
            }
        }
        assert!(redis >= 3 && prometheus == 2);
        let acts = config.actions.values().filter_map(|action| match action {
            lictor_config::Action::Redis(one) => Some(&one.server.place),
            _ => None,
        });
        for place in acts {
            assert!(matches!(place, RedisPlace::Tcp { port: 1_234, .. }));
        }
    }
}
