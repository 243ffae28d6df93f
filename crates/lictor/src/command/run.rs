//! `lictor run`: the agent in the foreground, as a service manager starts it.

use std::sync::Arc;

use lictor_agent::{Agent, Loader, Settings, StartError};
use lictor_config::Loaded;

use crate::cli::Run;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::telemetry;

/// Worker threads: the agent waits much more than it computes.
const THREADS: usize = 2;

pub(crate) fn run(args: Run, terminal: &Terminal) -> Result<(), Failure> {
    telemetry::start(&args.logs.log_level, args.logs.log_format, terminal.colours_err())?;
    let Run { config, new_node, .. } = args;
    start(move || lictor_config::load(&config, &lictor_config::ProcessEnv), new_node)
}

/// Runs an agent with what `load` gives, now and at each reload.
pub(crate) fn start(
    load: impl Fn() -> Result<Loaded, lictor_config::Failure> + Send + Sync + 'static,
    new_node: bool,
) -> Result<(), Failure> {
    let loaded = load().map_err(|failure| Failure::Config(Box::new(failure)))?;
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.one_line());
    }
    let loader: Loader = Arc::new(move || {
        load().map(|loaded| loaded.config).map_err(|failure| failure.lines().collect::<Vec<_>>().join("; "))
    });
    runtime()?.block_on(async {
        let listener = lictor_agent::web::bind(&loaded.config.http)
            .map_err(|error| Failure::new(Exit::Unavailable, error.to_string()).help(error.help()))?;
        let settings = Settings {
            config: loaded.config,
            listener,
            loader,
            shim: shim()?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            new_node,
            tell: None,
            predecessor: None,
            customs: None,
            machine: None,
        };
        let agent = Agent::start(settings).await.map_err(|error| refused(&error))?;
        tracing::info!(address = %agent.address(), "ready");
        end(agent.until_stopped().await)
    })
}

/// How this program is started as the shim of a child.
pub(crate) fn shim() -> Result<Vec<std::ffi::OsString>, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot find this program's own file: {error}"))
    })?;
    Ok(vec![program.into(), "shim".into()])
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))
}

pub(crate) fn refused(error: &StartError) -> Failure {
    let failure = Failure::new(Exit::Unavailable, error.to_string());
    match error.help() {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// A stop in order is no failure.
pub(crate) fn end(in_order: bool) -> Result<(), Failure> {
    if in_order {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Failed,
            "the agent did not stop in order; the next start takes up what was under way",
        ))
    }
}
