//! `lictor dev`: an agent without configuration, and a service to break.

pub(crate) mod service;
mod show;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lictor_agent::{Agent, Loader, Settings};

use super::run::{end, refused, runtime, shim};
use crate::cli::Dev;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::telemetry::{self, LogFormat};

pub(crate) fn run(args: &Dev, terminal: &Terminal) -> Result<(), Failure> {
    let dir = match &args.state_dir {
        Some(dir) => std::path::absolute(dir).map_err(|error| cannot_use(dir, &error))?,
        None => default_dir()?,
    };
    std::fs::create_dir_all(&dir).map_err(|error| cannot_use(&dir, &error))?;
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
        let listener = lictor_agent::web::bind(&config.http)
            .map_err(|error| Failure::new(Exit::Unavailable, error.to_string()))?;
        let settings = Settings {
            config,
            listener,
            loader,
            shim: shim()?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            new_node: true,
        };
        let agent = Agent::start(settings).await.map_err(|error| refused(&error))?;
        service::start(&dir, service_port).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot start the demonstration service: {error}"))
        })?;
        let shown = show::Show::new(*terminal, dir.clone(), agent.address(), args.port);
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

/// `lictor/dev` where the XDG base directory specification wants state.
fn default_dir() -> Result<PathBuf, Failure> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("lictor/dev"))
        .ok_or_else(|| {
            Failure::new(Exit::Unavailable, "neither XDG_STATE_HOME nor HOME says where state may lie")
                .help("choose a directory with --state-dir")
        })
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
