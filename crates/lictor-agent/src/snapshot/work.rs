//! What the node does that takes the snapshots of a block: side by side, they are taken when they are due, sent to each
//! place, and tried.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use lictor_config::Snapshot;
use lictor_consul::Client;
use lictor_store::wire::{self, LatestSnapshot};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::seat::{Order, Slot, Wanted};
use super::send::Spot;
use super::term::Term;
use super::view::Phase;
use super::{courier, place, round, take, trial};
use crate::clock::Clock;
use crate::task::Tasks;

/// How long a request for a note may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many may ask before one is answered.
const ORDERS: usize = 4;

/// How it came to its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// Another node works, or the agent stops.
    Lost,
    /// It failed so often that another node should try.
    GaveUp(String),
    /// It cannot be done as it is configured.
    Refused(String),
}

/// What it is done with.
pub(super) struct Work {
    pub(super) settings: Arc<Snapshot>,
    pub(super) home: Option<String>,
    pub(super) own: String,
    pub(super) node: String,
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) slot: Slot,
    pub(super) scratch: PathBuf,
    pub(super) tasks: Tasks,
}

impl Work {
    /// Until nothing comes of it; who drops it ends it.
    pub(super) async fn run(self, orders: mpsc::Receiver<Order>) -> Ended {
        self.slot.phase(&Phase::Looking);
        let term = match self.begin().await {
            Ok(term) => term,
            Err(ended) => return ended,
        };
        term.survey().await;
        term.take_over_what_is_left().await;
        let (take, takes) = mpsc::channel(ORDERS);
        let (attempt, attempts) = mpsc::channel(ORDERS);
        tokio::select! {
            ended = round::whenever_due(&term, takes) => ended,
            _never = join_all((0..term.places()).map(|at| courier::run(&term, at))) => Ended::Lost,
            () = trial::whenever_due(&term, attempts) => Ended::Lost,
            () = pass_on(orders, take, attempt) => Ended::Lost,
        }
    }

    /// Takes one and sends it everywhere, without waiting for anything; what was done, in words.
    pub(super) async fn once(self) -> Result<String, Vec<String>> {
        let term = match self.begin().await {
            Ok(term) => term,
            Err(Ended::Refused(why) | Ended::GaveUp(why)) => return Err(vec![why]),
            Err(Ended::Lost) => return Err(vec!["it was stopped".to_owned()]),
        };
        let said = round::round(&term).await.map_err(|why| vec![why])?;
        term.show();
        let sent = join_all((0..term.places()).map(|at| courier::once(&term, at))).await;
        let failed: Vec<String> = sent.into_iter().filter_map(Result::err).collect();
        term.work.slot.phase(&Phase::Waiting);
        if failed.is_empty() { Ok(said) } else { Err(failed) }
    }

    async fn begin(self) -> Result<Term, Ended> {
        let mut spots: Vec<Result<Spot, String>> = self.settings.places.iter().map(place::open).collect();
        if spots.iter().all(Result::is_err)
            && let Some(Err(why)) = spots.pop()
        {
            return Err(Ended::Refused(why));
        }
        take::folder(&self.scratch).map_err(Ended::GaveUp)?;
        let datacenter = self.datacenter().await.map_err(Ended::GaveUp)?;
        Ok(Term::new(self, spots, datacenter).await)
    }

    /// The datacenter whose state it is.
    async fn datacenter(&self) -> Result<String, String> {
        match &self.home {
            Some(name) => Ok(name.clone()),
            None => {
                let me = self.client.agent().info().await.map_err(|error| error.to_string())?;
                Ok(me.config.datacenter)
            }
        }
    }

    pub(super) fn note_key(&self) -> String {
        note_key(&self.own, &self.settings)
    }

    /// What is noted of the latest one, if it can be read.
    pub(super) async fn read_note(&self) -> Option<LatestSnapshot> {
        read_note(&self.client, &self.note_key()).await
    }
}

/// The key of the note of a block. `own`: what keys of our own begin with.
pub(super) fn note_key(own: &str, settings: &Snapshot) -> String {
    format!("{own}snapshot/{}/latest", settings.name)
}

/// What is noted of the latest one of a block, if it can be read.
pub(super) async fn read_note(client: &Client, key: &str) -> Option<LatestSnapshot> {
    let query = lictor_consul::Query::new();
    let answer = timeout(PATIENCE, client.kv().get(key, &query)).await.ok()?.ok()?;
    wire::decode(&answer.value?.value).ok()
}

/// Gives orders to whoever carries them out, until nobody can give any.
async fn pass_on(
    mut orders: mpsc::Receiver<Order>,
    take: mpsc::Sender<round::Asked>,
    attempt: mpsc::Sender<round::Asked>,
) {
    while let Some(Order { what, done }) = orders.recv().await {
        let to = match what {
            Wanted::Take => &take,
            Wanted::Drill => &attempt,
        };
        if let Err(refused) = to.try_send(done) {
            let (mpsc::error::TrySendError::Full(done) | mpsc::error::TrySendError::Closed(done)) = refused;
            // Who asked may have gone.
            drop(done.send(Err("others have asked for several already".to_owned())));
        }
    }
}
