//! `lictor dev`: an agent without configuration, and a service to break.

pub(crate) mod service;
mod show;

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lictor_agent::{Agent, Loader, Settings, StartError};
use lictor_store::OpenError;

use super::run::{end, refused, runtime, shim};
use crate::cli::Dev;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};
use crate::telemetry::{self, LogFormat};

pub(crate) fn run(args: &Dev, terminal: &Terminal) -> Result<(), Failure> {
    let dir = match &args.state_dir {
        Some(dir) => {
            let dir = std::path::absolute(dir).map_err(|error| cannot_use(dir, &error))?;
            usable(&dir).map_err(|error| cannot_use(&dir, &error))?;
            dir
        }
        None => default_dir(terminal)?,
    };
    let page = free_port(args.port)?;
    let service_port = free_port(0)?;
    let text = configuration(&dir, page, service_port)?;
    if args.print_config {
        return Terminal::data(&text);
    }
    telemetry::start(&args.log_level, LogFormat::Auto, terminal.colours_err())?;
    let config = parse(&text)?;
    let loader: Loader =
        Arc::new(move || parse(&text).map_err(|_mistakes| "the built-in configuration".to_owned()));
    runtime()?.block_on(async {
        let listener = lictor_agent::web::bind(&config.http).map_err(|error| {
            Failure::new(Exit::Unavailable, error.to_string()).help("choose another --port")
        })?;
        let settings = Settings {
            config,
            listener,
            loader,
            shim: shim()?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            new_node: true,
            tell: None,
            predecessor: None,
            customs: None,
            machine: None,
        };
        let agent = Agent::start(settings).await.map_err(|error| match error {
            StartError::Store(OpenError::InUse { .. }) => refused(&error)
                .help("another `lictor dev` uses it: end that one, or give this one a --state-dir"),
            other => refused(&other),
        })?;
        let before = history(agent.address()).await;
        service::start(&dir, service_port).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot start the demonstration service: {error}"))
        })?;
        let shown = show::Show::new(*terminal, dir.clone(), agent.address(), args.port, before);
        let live = agent.live();
        agent.spawn("terminal", shown.follow(live));
        let in_order = agent.until_stopped().await;
        // It may have been killed just now, which is all that is wanted.
        drop(service::stop(&dir));
        terminal.say("stopped; what happened is remembered: start it again and see");
        end(in_order)
    })
}

fn parse(text: &str) -> Result<lictor_config::Config, Failure> {
    match lictor_config::parse("dev.hcl", text) {
        Ok(loaded) => Ok(loaded.config),
        Err(failure) => Err(Failure::Config(Box::new(failure))),
    }
}

fn cannot_use(dir: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("cannot use the state directory `{}`: {error}", dir.display()))
        .help("choose another one with --state-dir")
}

/// `lictor/dev` where the XDG base directory specification wants state; where nothing can
/// be written there, a directory of this user among the temporary ones.
fn default_dir(terminal: &Terminal) -> Result<PathBuf, Failure> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let wanted =
        variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    let why = match wanted.map(|base| base.join("lictor/dev")) {
        Some(dir) => match usable(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) => format!("cannot use `{}`: {error}", dir.display()),
        },
        None => "neither XDG_STATE_HOME nor HOME says where state may lie".to_owned(),
    };
    let user = rustix::process::getuid();
    let dir = std::env::temp_dir().join(format!("lictor-dev-{}", user.as_raw()));
    own(&dir, user.as_raw()).map_err(|error| cannot_use(&dir, &error))?;
    let dir_shown = dir.display();
    terminal.say(&format!(
        "{} {why}; the state lies in `{dir_shown}`, where a restart of the machine may remove it",
        terminal.strong("warning:")
    ));
    Ok(dir)
}

/// Makes a directory and looks whether it can be written to.
fn usable(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    fs::write(&probe, "")?;
    fs::remove_file(&probe)
}

/// Makes a directory among those that everybody may write to, which no one else owns or reads.
fn own(dir: &Path, user: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        return Err(io::Error::other("it is not a directory of this user alone"));
    }
    usable(dir)
}

/// How many incidents there were before; 0 as well when that cannot be told.
async fn history(agent: SocketAddr) -> usize {
    let agent = crate::cli::Agent {
        address: format!("http://{agent}"),
        token: None,
        token_file: None,
        format: Format::Json,
    };
    let Ok(client) = Client::new(&agent) else { return 0 };
    let Ok(answer) = client.get("/v1/incidents", &[]).await else { return 0 };
    answer.get("incidents").and_then(serde_json::Value::as_array).map_or(0, Vec::len)
}

/// The wanted port, or any free one when it is taken.
fn free_port(wanted: u16) -> Result<u16, Failure> {
    let bind =
        |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr());
    bind(wanted)
        .or_else(|_taken| bind(0))
        .map(|address: SocketAddr| address.port())
        .map_err(|error| Failure::new(Exit::Unavailable, format!("cannot listen on 127.0.0.1: {error}")))
}

/// What `dev` runs with; nothing is in it that a user could not write.
fn configuration(dir: &Path, page: u16, service: u16) -> Result<String, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot find this program's own file: {error}"))
    })?;
    let quoted = |path: &Path| serde_json::to_string(&path.to_string_lossy()).unwrap_or_default();
    let hcl = include_str!("dev.hcl");
    // In HCL `${` and `%{` begin a template; in a path they are just characters.
    let plain = |text: String| text.replace("${", "$${").replace("%{", "%%{");
    Ok(hcl
        .replace("@STATE_DIR@", &plain(quoted(dir)))
        .replace("@PROGRAM@", &plain(quoted(&program)))
        .replace("@PID_FILE@", &plain(quoted(&service::pid_file(dir))))
        .replace("@PAGE_PORT@", &page.to_string())
        .replace("@SERVICE_PORT@", &service.to_string()))
}
