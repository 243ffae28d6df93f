//! What the tests of `act "nomad"` share: a stand-in for Nomad, and an agent with that action.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_agent::Clock;
use lictor_agent::act::Prepared;
use lictor_config::{Action, NomadAction, NomadApi, NomadHow, NomadTarget, Tls};
use lictor_core::{Boot, Note, Now, Order, Outcome, StepName};
use lictor_testkit::nomad::Nomad;

use crate::act_bench::{Bench, LONG, failed, order};

/// A limit that is run into.
pub(crate) const BRIEF: Duration = Duration::from_millis(1_500);

/// A Nomad, and an agent whose only action is at it.
pub(crate) struct Stage {
    pub(crate) nomad: Nomad,
    pub(crate) bench: Bench,
    pub(crate) action: NomadAction,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut NomadAction)) -> Self {
        let nomad = Nomad::start();
        let api = NomadApi {
            url: nomad.url().parse().unwrap(),
            token: None,
            namespace: None,
            region: None,
            tls: Tls::default(),
        };
        let mut action = NomadAction {
            api,
            target: NomadTarget::Job { job: "media".to_owned(), group: None },
            how: NomadHow::Restart { tasks: Vec::new() },
            hold: Duration::from_millis(100),
        };
        change(&mut action);
        Self { bench: Bench::new(Action::Nomad(Box::new(action.clone()))), nomad, action }
    }

    /// Runs the usual allocation.
    pub(crate) fn media(&self) -> String {
        self.nomad.run("media", "dl", &["qbittorrent", "vpn"])
    }

    /// What would be changed, as it is noted.
    pub(crate) async fn note(&mut self) -> String {
        match self.bench.prepare(&order(), LONG).await {
            Prepared::Note(note) => note,
            Prepared::Over(outcome) => panic!("nothing was noted: {outcome:?}"),
        }
    }

    /// Why nothing would be changed.
    pub(crate) async fn refusal(&mut self) -> String {
        match self.bench.prepare(&order(), LONG).await {
            Prepared::Note(note) => panic!("it was noted: {note}"),
            Prepared::Over(outcome) => failed(&outcome).to_owned(),
        }
    }

    /// Notes and acts.
    pub(crate) async fn act(&mut self, limit: Duration) -> Outcome {
        let note = self.note().await;
        self.bench.act(&noted(&note), limit).await
    }

    /// How often and for which tasks a restart was asked for; never by GET.
    pub(crate) fn restarts(&self) -> Vec<Option<String>> {
        let all = self.nomad.restarts();
        assert!(all.iter().all(|restart| restart.method == "PUT"), "{all:?}");
        all.into_iter().map(|restart| restart.task).collect()
    }
}

/// The order, with what its step noted long ago.
pub(crate) fn noted(note: &str) -> Order {
    noted_at(note, Boot::default())
}

/// The same, but it was noted just now.
pub(crate) fn just(note: &str) -> Order {
    noted_at(note, Clock::fresh().boot())
}

fn noted_at(note: &str, since: Boot) -> Order {
    let at = Now { boot: since, ..Clock::fresh().now() };
    let note = Note { text: note.into(), done: false, at };
    Order { notes: Arc::new(BTreeMap::from([(StepName::new("step").unwrap(), note)])), since, ..order() }
}

/// The first eight characters of an allocation's id.
pub(crate) fn short(alloc: &str) -> &str {
    alloc.get(..8).unwrap()
}
