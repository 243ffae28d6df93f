//! Called as `watcher`, or as `lictor peers` without a command, this program watches the peers that its
//! environment names, and tells a chat of Telegram, as sentinèlla's watcher did.
//!
//! It is the agent with a configuration made of that environment. How each peer stands lies in the files in which the
//! old program kept it, so that either takes up where the other ended.

mod files;
mod tell;

use std::ffi::OsString;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use lictor_agent::{Agent, Loader, Settings, TellMaker};
use lictor_compat::sentinella::{EnvError, Named, OLD_STATE_DIR, STATE_DIR, Watcher, configuration};
use lictor_config::{
    Announce, Config, Discovery, DnsPrograms, Env as _, Peers, ProcessEnv, Secret, Tls, WhoTells, parse,
};
use tracing::{info, warn};

use crate::called::by_name;
use crate::command::run::{end, refused, runtime, shim};
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::telemetry::{self, LogFormat};
use files::Files;
use tell::OldWords;

const USAGE: &str =
    "Watches the probes of all other nodes, and tells a chat of Telegram when one fails or is well again.

Usage: watcher

Environment:
  PEERS_SRV             SRV record that names the peers, such as _sentinella._tcp.example.com
  PEERS_DNS             name with an address for each peer, in place of PEERS_SRV
  PEERS_PORT            with PEERS_DNS: the port of all of them [default: 5988]
  PEERS_SCHEME          http or https [default: http]
  PEERS_TOKEN           user:password in Base64, shown to each peer
  SELF                  own addresses, parted by blanks [default: those of the interfaces]
  TG_TOKEN, TG_CHAT_ID  bot and chat that is told
  TG_API_URL            where Telegram is [default: https://api.telegram.org]
  TIMEOUT               seconds that a look may take [default: 5]
  POLLING_INTERVAL_SEC  seconds from round to round [default: 3]
  STATE_DIR             where it is kept how peers stand [default: /var/lib/sentinella]
  SPAM                  1: tell everything in each round
  DIG, GETENT           programs to ask in place of name servers

TG_TOKEN_FILE, TG_CHAT_ID_FILE and PEERS_TOKEN_FILE name files that hold the value.
This is lictor. With a block `peers` in its configuration, the agent does the same and more.";

/// The variables of which the value may lie in a file.
const IN_FILES: [&str; 3] = ["TG_TOKEN", "TG_CHAT_ID", "PEERS_TOKEN"];

/// The arguments after the name, if it is called by that: as a program, or as a command of this one.
pub(crate) fn called(args: &[OsString]) -> Option<&[OsString]> {
    by_name(args, "watcher")
}

/// The program under its old name.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let terminal = Terminal::new(false);
    let done = match args {
        [] => run(&terminal),
        [word] if word == "--help" || word == "-h" => Terminal::data(USAGE),
        [word, ..] => {
            let message = format!("unexpected argument `{}`", word.to_string_lossy());
            Err(Failure::new(Exit::Usage, message).help("--help says what the environment may say"))
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

/// Watches until it is stopped.
pub(crate) fn run(terminal: &Terminal) -> Result<(), Failure> {
    for name in IN_FILES {
        in_file(name).map_err(|why| Failure::new(Exit::Config, why))?;
    }
    let watcher = match Watcher::read(variable) {
        Ok(watcher) => watcher,
        // Word for word as it was: scripts look for it.
        Err(why @ EnvError::Unset(_)) => {
            terminal.say(&why.to_string());
            return Err(Failure::Said(Exit::Config));
        }
        Err(why) => return Err(Failure::new(Exit::Config, why.to_string())),
    };
    telemetry::start("info", LogFormat::Text, terminal.colours_err())?;
    for remark in &watcher.remarks {
        warn!("{remark}");
    }
    let state_dir = state_dir(&watcher)?;
    let config = config(&watcher, &state_dir)?;
    runtime()?.block_on(serve(watcher, state_dir, config))
}

/// A variable, or what lies in the file that `NAME_FILE` names.
fn variable(name: &str) -> Option<String> {
    let value = ProcessEnv.var(name).filter(|value| !value.is_empty());
    if value.is_some() || !IN_FILES.contains(&name) {
        return value;
    }
    in_file(name).ok().flatten()
}

/// The value that lies in a file.
fn in_file(name: &str) -> Result<Option<String>, String> {
    let variable = format!("{name}_FILE");
    let Some(path) = ProcessEnv.var(&variable).filter(|path| !path.is_empty()) else { return Ok(None) };
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Err(format!("{variable}: {path} is empty")),
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(why) => Err(format!("{variable}: cannot read {path}: {why}")),
    }
}

/// Where it is kept how peers stand: a directory that is there and can be written.
fn state_dir(watcher: &Watcher) -> Result<PathBuf, Failure> {
    let wanted =
        std::path::absolute(&watcher.state_dir).unwrap_or_else(|_odd| PathBuf::from(&watcher.state_dir));
    let Err(why) = fs::create_dir_all(&wanted) else { return Ok(wanted) };
    let home = watcher.home_state_dir.as_ref().map(PathBuf::from);
    if let Some(home) = home.filter(|home| fs::create_dir_all(home).is_ok()) {
        warn!(wanted = %wanted.display(), used = %home.display(), %why, "the state directory cannot be made");
        return Ok(home);
    }
    Err(Failure::new(
        Exit::Unavailable,
        format!("cannot make the state directory {}: {why}", wanted.display()),
    )
    .help("STATE_DIR names a directory that this user may write to"))
}

fn config(watcher: &Watcher, state_dir: &Path) -> Result<Config, Failure> {
    let text = configuration(watcher, &state_dir.to_string_lossy());
    let loaded = parse("watcher.hcl", &text).map_err(|failure| Failure::Config(Box::new(failure)))?;
    let mut config = loaded.config;
    config.peers = Some(Arc::new(peers(watcher)));
    Ok(config)
}

fn peers(watcher: &Watcher) -> Peers {
    let program = |command: &Option<String>| command.as_ref().map(PathBuf::from);
    let (dig, getent) = (program(&watcher.dig), program(&watcher.getent));
    let programs = (dig.is_some() || getent.is_some()).then_some(DnsPrograms { dig, getent });
    let discovery = match &watcher.peers {
        Named::Srv(name) => Discovery::Srv { name: name.clone(), server: None, programs },
        Named::Dns { name, port } => {
            Discovery::Addresses { name: name.clone(), port: *port, server: None, programs }
        }
    };
    Peers {
        discovery,
        https: watcher.https,
        own: watcher.own.clone(),
        every: watcher.interval,
        timeout: watcher.timeout,
        token: watcher.token.as_ref().map(|token| Secret::value(token.expose())),
        tls: Tls::default(),
        fail_after: NonZeroU32::MIN,
        pass_after: NonZeroU32::MIN,
        confirm: NonZeroU32::MIN,
        tell: WhoTells::Each,
        watchers: None,
        announce: if watcher.spam { Announce::Always } else { Announce::Changes },
        vanished: true,
    }
}

async fn serve(watcher: Watcher, state_dir: PathBuf, config: Config) -> Result<(), Failure> {
    let listener = lictor_agent::web::bind(&config.http)
        .map_err(|error| Failure::new(Exit::Unavailable, error.to_string()).help(error.help()))?;
    // One that was never told where to look may find what an older version left.
    let older = (state_dir == Path::new(STATE_DIR)).then(|| PathBuf::from(OLD_STATE_DIR));
    let files = Arc::new(Files::new(&watcher, state_dir, older));
    let interval = watcher.interval;
    let kept = config.clone();
    // The environment of a process does not change.
    let loader: Loader = Arc::new(move || Ok(kept.clone()));
    let of_words = watcher.clone();
    let tell: TellMaker = Arc::new(move |config| Arc::new(OldWords::new(config, &of_words)));
    let settings = Settings {
        config,
        listener,
        loader,
        shim: shim()?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        new_node: true,
        tell: Some(tell),
        predecessor: None,
        customs: Some(Arc::clone(&files) as _),
        machine: None,
    };
    let agent = Agent::start(settings).await.map_err(|error| refused(&error))?;
    agent.spawn("state files", files.follow(agent.mesh()));
    info!(every_seconds = interval.as_secs_f64(), page = %agent.address(), "watching the peers");
    end(agent.until_stopped().await)
}
