//! What a made-up node copies between datacenters, and the snapshots it takes of Consul.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use lictor_agent::replicate::{CopyState, CopyView, OrderError, Phase};
use lictor_agent::snapshot::{
    DrillState, Latest, PlaceState, SnapshotOrderError, SnapshotPhase, SnapshotState, SnapshotView,
};
use lictor_agent::web::{Replicated, Snapshotted};
use lictor_config::Config;
use lictor_core::Wall;
use lictor_core::replicate::{Held, Hold, Limit, Tally};

use crate::web_world::{before, noon};

/// The copies of a made-up node.
#[derive(Default)]
pub(crate) struct CopiesStandin {
    pub(crate) views: Mutex<Vec<CopyView>>,
    /// What was said of which deletes.
    pub(crate) said: Mutex<Vec<(String, String, bool)>>,
}

impl CopiesStandin {
    pub(crate) fn set(&self, views: Vec<CopyView>) {
        *self.views.lock().unwrap() = views;
    }
}

impl Replicated for CopiesStandin {
    fn all(&self) -> Vec<CopyView> {
        self.views.lock().unwrap().clone()
    }

    fn answer<'a>(
        &'a self,
        name: &'a str,
        id: &'a str,
        approve: bool,
    ) -> BoxFuture<'a, Result<(), OrderError>> {
        let held = self.all().iter().any(|view| view.state.held.as_ref().is_some_and(|held| held.id == id));
        self.said.lock().unwrap().push((name.to_owned(), id.to_owned(), approve));
        Box::pin(async move { if held { Ok(()) } else { Err(OrderError::NothingHeld(id.to_owned())) } })
    }
}

/// The snapshots of a made-up node.
#[derive(Default)]
pub(crate) struct SnapshotsStandin {
    pub(crate) views: Mutex<Vec<SnapshotView>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl SnapshotsStandin {
    pub(crate) fn set(&self, views: Vec<SnapshotView>) {
        *self.views.lock().unwrap() = views;
    }

    fn asked(&self, what: &str, name: &str) -> Result<String, SnapshotOrderError> {
        if !self.all().iter().any(|view| view.config.name.as_str() == name) {
            return Err(SnapshotOrderError::NoSuch(name.to_owned()));
        }
        self.asked.lock().unwrap().push(format!("{what} {name}"));
        Ok(format!("{what}: done"))
    }
}

impl Snapshotted for SnapshotsStandin {
    fn all(&self) -> Vec<SnapshotView> {
        self.views.lock().unwrap().clone()
    }

    fn take<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, SnapshotOrderError>> {
        Box::pin(async move { self.asked("take", name) })
    }

    fn drill<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, SnapshotOrderError>> {
        Box::pin(async move { self.asked("drill", name) })
    }
}

const CONFIG: &str = r#"
consul {}
replicate "shop" {
  prefixes = ["g/@dc1:copy/"]
  to       = ["dc2"]
}
snapshot "consul" {
  drill {}
  place "folder" "nas" { path = "/b" }
}
"#;

pub(crate) fn config() -> Config {
    lictor_config::parse_in("x.hcl", CONFIG, &BTreeMap::<String, String>::new()).unwrap().config
}

pub(crate) fn copy(state: CopyState) -> CopyView {
    let config = Arc::clone(config().replicates.values().next().unwrap());
    CopyView { config, prefix: "g/@dc1:copy/".parse().unwrap(), to: "dc2".into(), state }
}

/// All is copied; it was last as it should be 90 s ago.
pub(crate) fn copied() -> CopyState {
    let tally = Tally { rows: 12_000, written: 31, deleted: 2, ..Tally::default() };
    CopyState {
        phase: Phase::Following,
        known: true,
        tally,
        copies: 12_000,
        latest: Some(before(noon(), 90).wall),
        ..CopyState::default()
    }
}

pub(crate) fn held(why: Hold, named: &str) -> Held {
    let since = before(noon(), 300).boot;
    Held { why, id: "5c0de1f7".into(), keys: 1_812, since, named: vec![named.to_owned(), "copy/b".into()] }
}

pub(crate) fn holding() -> CopyState {
    let why = Hold::Many { deletes: 1_812, of: 12_000, limit: Limit::Percent(10) };
    CopyState { held: Some(held(why, "copy/a")), ..copied() }
}

pub(crate) fn stamp(at: Wall) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.as_unix_millis()).unwrap()
}

/// One was taken ten minutes ago, is in its place, and could be restored an hour ago.
pub(crate) fn taken() -> SnapshotState {
    let at = stamp(before(noon(), 600).wall);
    SnapshotState {
        phase: SnapshotPhase::Waiting,
        known: true,
        latest: Some(Latest {
            file: "consul-1.snap".into(),
            at,
            index: 4_711,
            bytes: 3 << 20,
            node: "node1".into(),
        }),
        next: Some(stamp(noon().wall) + jiff::SignedDuration::from_mins(50)),
        places: vec![PlaceState {
            name: "nas".into(),
            shown: "/b".into(),
            count: Some(24),
            bytes: 72 << 20,
            newest: Some(at),
            ..PlaceState::default()
        }],
        drill: Some(DrillState {
            at: Some(stamp(before(noon(), 3_600).wall)),
            sound: Some(stamp(before(noon(), 3_600).wall)),
            file: "consul-0.snap".into(),
            failed: None,
            untried: None,
        }),
        ..SnapshotState::default()
    }
}

/// How the snapshots of a block stand.
pub(crate) fn block(state: SnapshotState) -> SnapshotView {
    SnapshotView { config: Arc::clone(config().snapshots.values().next().unwrap()), state }
}
