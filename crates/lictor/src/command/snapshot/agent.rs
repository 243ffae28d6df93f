//! `lictor snapshot agent`: snapshots that are taken by what a configuration says, and nothing else of it.

use std::convert::Infallible;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, pending};
use lictor_agent::replicate::client;
use lictor_agent::snapshot::{SnapshotAlone, SnapshotMeans, SnapshotView};
use lictor_agent::{Clock, Tasks};
use lictor_config::{Config, Env as _, Loaded, ProcessEnv, Snapshot, load};
use lictor_core::SnapshotName;

use crate::busy::{EVERY, Line};
use crate::cli::{SnapshotAgent, SnapshotConfig};
use crate::command::run::runtime;
use crate::command::stopped;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::telemetry::{self, LogFormat};

/// Where the configuration is unless something is said.
const CONFIG: &str = "/etc/lictor.d";

/// How long the leases may take to be given back.
const PARTING: Duration = Duration::from_secs(8);

pub(super) fn run(args: &SnapshotAgent, terminal: &Terminal) -> Result<(), Failure> {
    telemetry::start(&args.log_level, LogFormat::Text, terminal.colours_err())?;
    let config = config(&args.config, terminal)?;
    let blocks = blocks(&config, args.name.as_deref())?;
    let scratch = config.node.state_dir.join("snapshots");
    let consul = config.consul.ok_or_else(|| Failure::new(Exit::Usage, "no block consul"))?;
    let means =
        SnapshotMeans { node: config.node.name.clone(), clock: Clock::fresh(), scratch, tasks: Tasks::new() };
    let client = client(&consul).map_err(|why| Failure::new(Exit::Failed, why))?;
    let alone = blocks.iter().map(|block| SnapshotAlone::new(block, &consul, &client, &means)).collect();
    let runtime = runtime()?;
    let done = runtime.block_on(take(alone, &means.tasks, args.once, terminal));
    // A name server that does not answer must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Has blocks taken, once or until a signal comes or something ends that they cannot do without.
pub(crate) async fn take(
    alone: Vec<SnapshotAlone>,
    tasks: &Tasks,
    once: bool,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let failed = |why: String| Failure::new(Exit::Failed, why);
    if once {
        let shown = progress(alone.iter().map(SnapshotAlone::shows).collect());
        let work = join_all(alone.into_iter().map(SnapshotAlone::once));
        let ends = tokio::select! {
            ends = work => ends,
            () = stopped() => return Err(failed("stopped: not all was sent".to_owned())),
            never = shown => match never {},
        };
        let mut whys = Vec::new();
        for end in ends {
            match end {
                Ok(said) => terminal.say(&said),
                Err(why) => whys.extend(why),
            }
        }
        return if whys.is_empty() { Ok(()) } else { Err(failed(whys.join("\n"))) };
    }
    for one in alone {
        let name = format!("snapshot {}", one.config().name);
        tasks.spawn_draining(name, lictor_agent::OnEnd::Fine, one.run(tasks.stopping()));
    }
    let stopping = tasks.stopping();
    let done = tokio::select! {
        () = stopped() => Ok(()),
        () = stopping.cancelled() => Err(failed("a part of it has ended that it cannot do without".to_owned())),
    };
    if !tasks.drain(PARTING).await {
        terminal.say("a lease or a lock may not have been given back: others wait for its end");
    }
    done
}

/// Shows how far it is, for whoever sits at the terminal. When it is dropped, the line is empty.
async fn progress(shows: Vec<impl Fn() -> SnapshotView>) -> Infallible {
    if !io::stderr().is_terminal() {
        return pending().await;
    }
    let line = Line;
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let all: Vec<String> = shows.iter().map(|show| words(&show())).collect();
        line.write(&all.join(", "));
    }
}

/// `consul: sending, here 12 of 55 MiB`.
fn words(view: &SnapshotView) -> String {
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    let sent = view.state.places.iter().filter_map(|place| {
        let (sent, of) = place.sending?;
        Some(format!(", {} {} of {} MiB", place.name, mebibytes(sent), mebibytes(of)))
    });
    format!("{}: {}{}", view.config.name, view.state.phase.word(), sent.collect::<String>())
}

/// The configuration that is meant.
pub(super) fn config(args: &SnapshotConfig, terminal: &Terminal) -> Result<Config, Failure> {
    let paths = match (args.config.as_slice(), ProcessEnv.var("LICTOR_CONFIG")) {
        ([], Some(path)) => vec![path.into()],
        ([], None) => vec![CONFIG.into()],
        (paths, _) => paths.to_vec(),
    };
    let loaded = load(&paths, &ProcessEnv);
    let Loaded { config, warnings, .. } = loaded.map_err(|failure| Failure::Config(Box::new(failure)))?;
    for warning in &warnings {
        terminal.say(&format!("warning: {}", warning.one_line()));
    }
    Ok(config)
}

/// The blocks that are meant; there is at least one.
pub(super) fn blocks(config: &Config, name: Option<&str>) -> Result<Vec<Arc<Snapshot>>, Failure> {
    let wanted =
        config.snapshots.values().filter(|block| name.is_none_or(|name| block.name.as_str() == name));
    let found: Vec<Arc<Snapshot>> = wanted.cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let what = name.map_or_else(String::new, |name| format!(" called `{name}`"));
    let why = format!("the configuration has no block snapshot{what}");
    let failure = Failure::new(Exit::NotFound, why);
    let names: Vec<&str> = config.snapshots.keys().map(SnapshotName::as_str).collect();
    Err(match names.as_slice() {
        [] => failure.help("name one with --config, or see docs/snapshot.md"),
        names => failure.help(format!("there is: {}", names.join(", "))),
    })
}
