//! `start`: an agent with what the old program was told.

use std::sync::Arc;

use lictor_agent::alert::Predecessor;
use lictor_agent::{Agent, Loader, Settings, TellMaker};
use lictor_compat::consul_alerts::cli::Options;
use lictor_compat::consul_alerts::{File, LogLevel, Start};
use lictor_config::{Config, Env as _, ProcessEnv};
use lictor_consul::Client;
use tokio::net::TcpListener;
use tracing::{error, info, warn};

use super::live::Live;
use super::records::Before;
use super::rest::Rest;
use super::tell::OldWords;
use super::{EXIT_FAILED, EXIT_NO_CONSUL, Ended, events, http, place, reach};
use crate::command::run::{refused, runtime, shim};
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::telemetry::{self, LogFormat};

pub(super) fn run(options: &Options, terminal: &Terminal) -> Result<(), Ended> {
    let (file, unread) = match options.config_file.as_deref().map(read) {
        None => (None, None),
        Some(Ok(file)) => (Some(file), None),
        Some(Err(why)) => (None, Some(why)),
    };
    let start = Start::new(options, file.as_ref(), |name| ProcessEnv.var(name));
    let level = match start.log_level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    telemetry::start(level, LogFormat::default(), terminal.colours_err())?;
    if let Some(why) = unread {
        error!("{why}; the options count");
    }
    for remark in &start.remarks {
        warn!("{remark}");
    }
    runtime()?.block_on(serve(start))
}

/// The settings of a file; what cannot be read is said, and the options count.
fn read(path: &str) -> Result<File, String> {
    let text = std::fs::read_to_string(path).map_err(|why| format!("cannot read `{path}`: {why}"))?;
    File::parse(&text).map_err(|why| format!("`{path}`: {why}"))
}

async fn serve(start: Start) -> Result<(), Ended> {
    let at = start.alert_addr.clone();
    if place::is_taken(&at).await {
        let why = Failure::new(Exit::Failed, format!("consul-alerts is already running at {at}"))
            .help("end that one, or give this one another --alert-addr");
        return Err(why.into());
    }
    let no_consul = |why: String| {
        let why = Failure::new(Exit::Failed, why)
            .help("--consul-addr says where it is; CONSUL_HTTP_SSL=true when it wants TLS");
        Ended { code: EXIT_NO_CONSUL, why: Some(why) }
    };
    let client = reach::client(&start).map_err(|why| Ended::new(EXIT_FAILED, format!("Consul: {why}")))?;
    reach::leader(&client, &start.consul.address, reach::PAUSE).await.map_err(no_consul)?;

    let listener = place::listen(&at).await;
    let listener =
        listener.map_err(|why| Ended::new(EXIT_FAILED, format!("cannot listen at {at}: {why}")))?;
    let (place, own) = place::of(&at)
        .map_err(|why| Ended::new(EXIT_FAILED, format!("there is no directory for the state: {why}")))?;
    let watch_events = start.watch_events;
    let live = Arc::new(Live::new(start, place));
    let watch = live.first(&client).await;
    reach::probe(&client, place::PREFIX).await;
    let config = live.load_at_start().map_err(|why| Ended::new(EXIT_FAILED, why))?;

    let before = Before::start(&client, Arc::clone(&live));
    let (rest, way) = Rest::new();
    let agent = match agent(config, own, &live, &client, rest, before.predecessor()).await {
        Ok(agent) => agent,
        Err(why) => {
            before.end().await;
            return Err(why);
        }
    };
    way.send_replace(Some(agent.alerts()));
    let reloads = agent.reloads();
    let reload = move || {
        let reloads = reloads.clone();
        async move { reloads.reload().await }
    };
    agent.spawn("settings in Consul", Arc::clone(&live).follow(client.clone(), watch, reload));
    let site = http::Site::new(&client, Arc::clone(&live), agent.alerts());
    agent.serve(listener, site.router());
    if watch_events {
        agent.spawn("events of Consul", events::follow(Client::clone(&client), Arc::clone(&live)));
    }
    info!(address = at, page = %agent.address(), "consul-alerts, as lictor does it, is ready");
    let in_order = agent.until_stopped().await;
    before.end().await;
    if in_order {
        Ok(())
    } else {
        Err(Ended::new(EXIT_FAILED, "it did not stop in order; the next start takes up what was under way"))
    }
}

async fn agent(
    config: Config,
    listener: TcpListener,
    live: &Arc<Live>,
    client: &Client,
    rest: Rest,
    before: Predecessor,
) -> Result<Agent, Ended> {
    let (of_loader, of_words) = (Arc::clone(live), Arc::clone(live));
    let client = client.clone();
    let loader: Loader = Arc::new(move || {
        of_loader.renew(&client);
        of_loader.load()
    });
    // It is asked for when a configuration comes into force.
    let tell: TellMaker =
        Arc::new(move |config| Arc::new(OldWords::new(config, of_words.put_in_force(), rest.clone())));
    let settings = Settings {
        config,
        listener,
        loader,
        shim: shim()?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        new_node: true,
        tell: Some(tell),
        predecessor: Some(before),
        customs: None,
        machine: None,
    };
    Agent::start(settings).await.map_err(|error| refused(&error).into())
}
