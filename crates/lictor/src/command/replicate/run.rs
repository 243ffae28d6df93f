//! `lictor replicate run`: keys copied by hand, without an agent.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use lictor_agent::replicate::{Alone, Copies, CopyView, Means, client};
use lictor_agent::{Clock, Tasks, web};
use lictor_config::{Consul, Env as _, Loaded, ProcessEnv, Replicate, load, parse_in};
use serde_json::{Map, Value, json};

use super::{By, progress, show};
use crate::cli::ReplicateRun;
use crate::command::run::runtime;
use crate::command::service::who;
use crate::command::stopped;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};
use crate::telemetry::{self, LogFormat};

/// What a block is called that the command line says.
const BY_HAND: &str = "by-hand";

/// Where the configuration is unless something is said.
const CONFIG: &str = "/etc/lictor.d";

/// Failures in a row after which nothing more is tried when it was to be done once: about half a minute.
const ATTEMPTS: u32 = 6;

/// How long the leases may take to be given back.
const PARTING: Duration = Duration::from_secs(8);

pub(super) fn run(args: &ReplicateRun, terminal: &Terminal) -> Result<(), Failure> {
    telemetry::start(&args.log_level, LogFormat::Text, terminal.colours_err())?;
    let asked = asked(args, terminal)?;
    let runtime = runtime()?;
    let done = runtime.block_on(copy(&asked, args, terminal));
    // A name server that does not answer must not hold up the end.
    runtime.shutdown_background();
    done
}

/// What is copied, and by which agent of Consul.
struct Asked {
    run: Vec<Arc<Replicate>>,
    /// Also what others copy: what is theirs is left to them.
    all: Vec<Arc<Replicate>>,
    consul: Consul,
}

fn asked(args: &ReplicateRun, terminal: &Terminal) -> Result<Asked, Failure> {
    let paths = match (args.config.as_slice(), ProcessEnv.var("LICTOR_CONFIG")) {
        ([], Some(path)) => vec![path.into()],
        ([], None) => vec![CONFIG.into()],
        (paths, _) => paths.to_vec(),
    };
    let loaded = if args.prefixes.is_empty() {
        load(&paths, &ProcessEnv)
    } else {
        parse_in("arguments.json", &said(args).to_string(), &ProcessEnv)
    };
    let Loaded { config, warnings, .. } = loaded.map_err(|failure| Failure::Config(Box::new(failure)))?;
    for warning in &warnings {
        terminal.say(&format!("warning: {}", warning.one_line()));
    }
    let all: Vec<Arc<Replicate>> = config.replicates.into_values().collect();
    let wanted = args.name.as_deref().filter(|_| args.prefixes.is_empty());
    let run = all.iter().filter(|block| wanted.is_none_or(|name| block.name.as_str() == name));
    let run: Vec<Arc<Replicate>> = run.map(|block| Arc::new(as_asked(block, args))).collect();
    match config.consul {
        Some(consul) if !run.is_empty() => Ok(Asked { run, all, consul }),
        _ => {
            let what = args.name.as_deref().map_or_else(String::new, |name| format!(" `{name}`"));
            let why = format!("the configuration has no block replicate{what}");
            Err(Failure::new(Exit::NotFound, why)
                .help("say what is copied: `lictor replicate run config/@dc1 --to dc2`"))
        }
    }
}

/// The command line as a configuration, so that each mistake is found as in any other.
fn said(args: &ReplicateRun) -> Value {
    let mut block = Map::from_iter([
        ("prefixes".to_owned(), json!(args.prefixes)),
        ("folder".to_owned(), json!(args.folder)),
        ("exclude".to_owned(), json!(args.exclude)),
        ("delete".to_owned(), json!(args.delete)),
    ]);
    if !args.to.is_empty() {
        block.insert("to".to_owned(), json!(args.to));
    }
    if let Some(limit) = &args.delete_limit {
        let limit = limit.parse::<u64>().map_or_else(|_share| json!(limit), |keys| json!(keys));
        block.insert("delete_limit".to_owned(), limit);
    }
    json!({ "consul": {}, "replicate": { args.name.as_deref().unwrap_or(BY_HAND): block } })
}

/// A block, done as the command line has it.
fn as_asked(block: &Replicate, args: &ReplicateRun) -> Replicate {
    let once = args.once || args.dry_run;
    Replicate {
        dry_run: block.dry_run || args.dry_run,
        approved: args.approve.clone(),
        // Once is now.
        wait: block.wait.filter(|_| !once),
        ..block.clone()
    }
}

async fn copy(
    Asked { run, all, consul }: &Asked,
    args: &ReplicateRun,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let failed = |why: String| Failure::new(Exit::Failed, why);
    let client = client(consul).map_err(failed)?;
    // A name of its own: an agent on this machine has leases, too.
    let node = format!("{} (by hand, process {})", who(None), std::process::id());
    let means = Means { node: node.clone(), clock: Clock::fresh(), tasks: Tasks::new() };
    let once = (args.once || args.dry_run).then_some(ATTEMPTS);
    let alone: Vec<Alone> = run
        .iter()
        .map(|block| {
            let others: Vec<_> =
                all.iter().filter(|other| other.name != block.name).map(Arc::clone).collect();
            Alone::new(block, consul, &client, &means, &others, once)
        })
        .collect();
    let copies: Vec<Copies> = alone.iter().map(Alone::copies).collect();
    let ended = tokio::select! {
        ends = join_all(alone.into_iter().map(Alone::run)) => Some(ends),
        () = stopped() => None,
        never = progress::show(&copies) => match never {},
    };
    means.tasks.drain(PARTING).await;
    let views: Vec<CopyView> = copies.iter().flat_map(Copies::all).collect();
    let unshown = |error: serde_json::Error| failed(format!("cannot show how it stands: {error}"));
    let answer = web::copies(&node, &views, means.clock.now()).map_err(unshown)?;
    match args.format {
        Format::Json => Terminal::json(&answer)?,
        Format::Text => {
            let answer: super::Copies = serde_json::from_value(answer).map_err(unshown)?;
            show(&answer.copies, By::Hand)?;
        }
    }
    let Some(ends) = ended else {
        terminal.say("stopped");
        return if once.is_some() { Err(Failure::Said(Exit::Failed)) } else { Ok(()) };
    };
    ends.into_iter()
        .collect::<Result<(), String>>()
        .map_err(|why| failed(format!("not all was copied: {why}")))?;
    let left = views.iter().any(|view| view.state.held.is_some() || view.state.refused.0 > 0);
    if left { Err(Failure::Said(Exit::Failed)) } else { Ok(()) }
}
