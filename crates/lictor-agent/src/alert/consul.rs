//! Consul's health checks as a source of alerts.
//!
//! Of each datacenter, the list of all checks is held open by one blocking query and read row by row
//! when it changes. Of a row that was seen before, a hash is kept and nothing else, so that the size
//! of the list costs neither memory nor work here.
//!
//! ```text
//!   blocking query ─▶ rows ─▶ Known: new, changed, gone ─▶ Doubt ─▶ Reports
//!        │ error                                             │
//!        └──────────────▶ Outage: for how long, told? ◀──────┴───▶ Lost
//! ```
//!
//! Two rules stand above the rest. A check is gone only when a whole list without it was read that
//! nothing speaks against: not for an error, not for an empty list, not for one that a token may have
//! been denied. And what was read before an error, or before the index went back, is read anew as a
//! whole, so that whoever receives the reports never has to guess.

mod cursor;
mod doubt;
mod follow;
mod home;
mod known;
mod outage;
mod report;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use lictor_consul::Client;
use lictor_core::alert::Input;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use follow::Follower;

/// The checks of one Consul, in one or several of its datacenters.
///
/// The source of a datacenter is `consul/DC`. Its first report is complete; later ones have what
/// changed, and after anything that leaves a doubt there is a complete one again. While the
/// receiver's queue is full, Consul is not asked.
#[derive(Debug)]
pub struct Source {
    client: Client,
    datacenters: Vec<String>,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
    stale: bool,
    timing: Timing,
}

/// How long a [`Source`] waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// So long a query is held without news. Within this time and the client's time limit it is
    /// noticed that Consul hangs. 30 s.
    pub wait: Duration,
    /// Two queries are at least so far apart; what changes meanwhile is read at once. 50 ms.
    pub gap: Duration,
    /// So long Consul may be away before that is told: it elects a new leader in that time. 10 s.
    pub grace: Duration,
    /// A list that shrank by more than half is read for the second time after so long. 1 s.
    pub second_look: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(30),
            gap: Duration::from_millis(50),
            grace: Duration::from_secs(10),
            second_look: Duration::from_secs(1),
        }
    }
}

impl Source {
    /// The checks of these datacenters; of the client's own if none is named.
    pub fn new(
        client: Client,
        datacenters: Vec<String>,
        inputs: mpsc::Sender<Input>,
        stop: CancellationToken,
    ) -> Self {
        let (client, timing) = (client.with_attempts(1), Timing::default());
        Self { client, datacenters, inputs, stop, stale: false, timing }
    }

    /// Has any server answer, however far behind it is: spares the leader, and goes on without one.
    #[must_use]
    pub const fn stale(mut self) -> Self {
        self.stale = true;
        self
    }

    /// Waits otherwise than usual.
    #[must_use]
    pub const fn timed(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Reports until it is told to stop, or nobody takes the reports any more.
    pub async fn run(self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(self) {
        let mut names: BTreeSet<String> = self.datacenters.into_iter().collect();
        if names.is_empty() {
            let Ok(own) = home::datacenter(&self.client, &self.inputs, self.timing.grace).await else {
                return;
            };
            names.insert(own);
        }
        let followers = names.into_iter().map(|name| {
            Follower::new(self.client.clone(), name, self.inputs.clone(), self.stale, self.timing).run()
        });
        join_all(followers).await;
    }
}

/// Nobody takes the reports any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Closed;

impl From<mpsc::error::SendError<Input>> for Closed {
    fn from(_: mpsc::error::SendError<Input>) -> Self {
        Self
    }
}
