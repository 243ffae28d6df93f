//! Asks the agent for what is on the screen, whenever something has happened.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::super::follow::{Follow, Followed};
use super::super::incidents::{encoded, story};
use super::super::{alerts, events, explain, peers, remedy, replicate, service, snapshot, status};
use crate::client::{Client, typed};
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::shape::{Checks, Incidents, Remedies, Runs};
use crate::sheet::{About, Sheet};

/// Nothing is asked for more often than this, however much happens.
const CALM: Duration = Duration::from_millis(250);

/// Times go on also when nothing happens, and not all that changes is an event.
const STALE: Duration = Duration::from_secs(3);

/// Events that are listed.
const EVENTS: u32 = 500;

/// What there is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Checks,
    Incidents,
    Remedies,
    Runs,
    Alerts,
    Services,
    Peers,
    Copies,
    Events,
}

impl Tab {
    pub(super) const ALL: [Self; 9] = [
        Self::Checks,
        Self::Incidents,
        Self::Remedies,
        Self::Runs,
        Self::Alerts,
        Self::Services,
        Self::Peers,
        Self::Copies,
        Self::Events,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Checks => "Checks",
            Self::Incidents => "Incidents",
            Self::Remedies => "Remedies",
            Self::Runs => "Runs",
            Self::Alerts => "Alerts",
            Self::Services => "Services",
            Self::Peers => "Peers",
            Self::Copies => "Copies",
            Self::Events => "Events",
        }
    }

    /// What is said where there is nothing.
    pub(super) fn empty(self) -> &'static str {
        match self {
            Self::Checks => "nothing is watched",
            Self::Incidents => "no incident so far",
            Self::Remedies => "the configuration has no remedy",
            Self::Runs => "nothing was done so far",
            Self::Alerts => "nothing is wrong",
            Self::Services => "no service is configured on this node",
            Self::Peers => "the agent watches no peers",
            Self::Copies => "nothing is copied, and no snapshots are taken",
            Self::Events => "nothing has happened so far",
        }
    }
}

/// What is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) tab: Tab,
    /// One thing of it in full.
    pub(super) about: Option<About>,
}

/// What was heard.
#[derive(Debug)]
pub(super) enum News {
    /// The agent has answered.
    World(World),
    /// It does not answer, and is asked on.
    Gone(Failure),
}

/// How things stand.
#[derive(Debug)]
pub(super) struct World {
    pub(super) of: Wanted,
    /// What is to be known before all else.
    pub(super) head: Vec<String>,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    List(Sheet),
    /// One thing in full, or why it cannot be told.
    Text(String),
}

/// Says how things stand, again and again; ends only with what another try would not mend.
pub(super) async fn feed(
    client: &Client,
    mut wanted: watch::Receiver<Wanted>,
    news: mpsc::Sender<News>,
    terminal: Terminal,
) -> Result<(), Failure> {
    let mut follow = Follow::new(client, Vec::new());
    loop {
        let begun = Instant::now();
        let wants = wanted.borrow_and_update().clone();
        let said = match look(client, wants, &terminal).await {
            Ok(world) => News::World(world),
            Err(failure) if failure.exit() == Exit::Unreachable => News::Gone(failure),
            Err(failure) => return Err(failure),
        };
        if news.send(said).await.is_err() {
            return Ok(());
        }
        // What takes the agent long is asked for less often.
        let calm = Instant::now() + CALM.max(begun.elapsed() * 2);
        tokio::select! {
            biased;
            _changed = wanted.changed() => continue,
            followed = follow.next() => { followed?; }
            () = sleep(STALE) => {}
        }
        tokio::select! {
            biased;
            _changed = wanted.changed() => {}
            drained = drain(&mut follow, calm) => drained?,
        }
    }
}

/// Lets events pass by for a moment: what they say is in the next answer.
async fn drain(follow: &mut Follow<'_>, until: Instant) -> Result<(), Failure> {
    while let Ok(followed) = timeout_at(until, follow.next()).await {
        if let Followed::Gone = followed? {
            sleep_until(until).await;
        }
    }
    Ok(())
}

/// Asks for all that is shown.
async fn look(client: &Client, of: Wanted, terminal: &Terminal) -> Result<World, Failure> {
    let ask = |path: &'static str| client.get(path, &[]);
    let (status, alerts, peers, services, body) = tokio::join!(
        ask("/v1/status"),
        ask("/v1/alerts"),
        ask("/v1/peers"),
        ask("/v1/services"),
        body(client, &of, terminal),
    );
    let head = status::head(&typed(status?)?, alerts.ok(), peers.ok(), services.ok(), terminal)?;
    Ok(World { of, head, body: body? })
}

async fn body(client: &Client, of: &Wanted, terminal: &Terminal) -> Result<Body, Failure> {
    let Some(about) = &of.about else { return Ok(Body::List(list(client, of.tab, terminal).await?)) };
    match text(client, about, terminal).await {
        Ok(text) => Ok(Body::Text(text)),
        Err(failure) if failure.exit() == Exit::NotFound => {
            Ok(Body::Text("it is not there any more".to_owned()))
        }
        Err(failure) => Err(failure),
    }
}

async fn list(client: &Client, tab: Tab, terminal: &Terminal) -> Result<Sheet, Failure> {
    let ask = |path: &'static str| client.get(path, &[]);
    Ok(match tab {
        Tab::Checks => status::check_sheet(typed::<Checks>(ask("/v1/checks").await?)?.checks, terminal),
        Tab::Incidents => {
            let Incidents { incidents } = typed(ask("/v1/incidents").await?)?;
            status::incident_sheet(&incidents, terminal)
        }
        Tab::Remedies => remedy::remedy_sheet(&typed::<Remedies>(ask("/v1/remedies").await?)?.remedies),
        Tab::Runs => remedy::run_sheet(&typed::<Runs>(ask("/v1/runs").await?)?.runs),
        Tab::Alerts => alerts::sheet(ask("/v1/alerts").await?, terminal)?,
        Tab::Services => service::sheet(ask("/v1/services").await?)?,
        Tab::Peers => peers::sheet(ask("/v1/peers").await?, terminal)?,
        Tab::Copies => {
            let mut lines = replicate::lines(ask("/v1/replicate").await?)?;
            lines.extend(snapshot::lines(ask("/v1/snapshots").await?)?);
            Sheet::new(["WHAT", "IS", "NEWEST", "MORE"], lines)
        }
        Tab::Events => events::sheet(client.get("/v1/events", &[("limit", EVENTS.to_string())]).await?)?,
    })
}

/// One thing in full.
async fn text(client: &Client, about: &About, terminal: &Terminal) -> Result<String, Failure> {
    let ask = |kind: &'static str, name: &str| {
        let path = format!("/v1/{kind}/{}", encoded(name));
        async move { client.get(&path, &[]).await }
    };
    Ok(match about {
        About::Check(name) => explain::text(ask("explain", name).await?)?,
        About::Incident(id) => story(&typed(ask("incidents", id).await?)?, terminal),
        About::Remedy(name) => remedy::described(&typed(ask("remedies", name).await?)?, terminal),
        About::Run(id) => remedy::run_story(&typed(ask("runs", id).await?)?, terminal),
        About::Service(name) => {
            let seen: Option<Value> = client.get("/v1/peers", &[]).await.ok();
            service::text(ask("services", name).await?, seen, terminal)?
        }
        About::Itself(_) => String::new(),
    })
}
