//! One file for each command.

mod alerts;
mod audit;
mod backtest;
pub(crate) mod dev;
mod events;
mod explain;
mod follow;
mod import;
mod incidents;
mod link;
mod peers;
mod remedy;
mod replicate;
pub(crate) mod run;
mod service;
mod silence;
pub(crate) mod snapshot;
mod state;
mod status;
mod test;
mod top;
mod units;
mod validate;
mod watch;

use std::path::Path;

use futures::future::select_all;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Command, Peers};
use crate::complete;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

pub(crate) use replicate::progress;
pub(crate) use service::{in_order, who};

/// Does what the command line asks for.
pub(crate) fn run(cli: Cli, terminal: &Terminal) -> Result<(), Failure> {
    match cli.command {
        Command::Dev(args) => dev::run(&args, terminal),
        Command::Run(args) => run::run(args, terminal),
        Command::Validate(args) => validate::run(&args, terminal),
        Command::Backtest(args) => waiting(backtest::run(&args, terminal)),
        Command::Test(args) => test::run(&args, terminal),
        Command::Status(args) => waiting(status::run(&args, terminal)),
        Command::Top(args) => waiting(top::run(&args, terminal)),
        Command::Incidents(args) => waiting(incidents::run(&args, terminal)),
        Command::Audit(args) => waiting(audit::run(&args, terminal)),
        Command::Events(args) => waiting(events::run(&args, terminal)),
        Command::Explain(args) if !args.config.is_empty() => explain::monitor(&args),
        Command::Explain(args) => waiting(explain::run(&args, terminal)),
        Command::Remedy(command) => waiting(remedy::run(&command, terminal)),
        Command::Alerts(args) => waiting(alerts::run(&args, terminal)),
        Command::Silence(command) => waiting(silence::run(&command, terminal)),
        Command::Import(command) => waiting(import::run(&command, terminal)),
        Command::Probe(args) => crate::probe::run(&args, terminal),
        Command::Peers(args) => match args.command {
            Some(Peers::Status(args)) => waiting(peers::status(&args, terminal)),
            None => crate::watcher::run(terminal),
        },
        Command::Replicate(command) => replicate::run(&command, terminal),
        Command::Service(command) => waiting(service::run(&command, terminal)),
        Command::Snapshot(command) => snapshot::run(&command, terminal),
        Command::State(command) => waiting(state::run(&command, terminal)),
        Command::Link(args) => link::run(&args),
        Command::Units(args) => units::run(&args),
        Command::Completions { shell } => complete::script(shell),
    }
}

/// A client of Consul as its own program would reach it, and the address for messages.
pub(crate) fn consul(
    address: Option<&str>,
    token_file: Option<&Path>,
) -> Result<(lictor_consul::Client, String), Failure> {
    let usage = |why: &dyn std::fmt::Display| Failure::new(Exit::Usage, why.to_string());
    let variable = |name: &str| match (name, token_file) {
        ("CONSUL_HTTP_TOKEN_FILE", Some(path)) => Some(path.to_string_lossy().into_owned()),
        _ => std::env::var(name).ok(),
    };
    let mut config = lictor_consul::Config::from_env(variable).map_err(|why| usage(&why))?;
    if let Some(address) = address {
        config.address = address.parse().map_err(|why| usage(&format!("--http-addr: {why}")))?;
    }
    let shown = config.address.to_string();
    Ok((lictor_consul::Client::new(config).map_err(|why| usage(&why))?, shown))
}

/// Runs a command that only asks an agent.
pub(crate) fn waiting(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
    let done = runtime.block_on(command);
    // Whoever still waits for a name server, or for somebody to type, must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Until somebody wants it to end. What a hangup means is left to whoever began it: `nohup` has it ignored.
pub(crate) async fn stopped() {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()];
    let mut streams: Vec<_> = signals.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    let waits = streams.iter_mut().map(|stream| Box::pin(stream.recv()));
    select_all(waits).await;
}
