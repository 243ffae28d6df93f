//! A stand-in for the HTTP interface of Nomad: jobs with allocations whose tasks are restarted in place or
//! replaced, with what is odd about the real one. It answers as a real Nomad 1.0.4 did: reads that lag behind
//! a restart, a restart that blocks until the old process is gone, a 500 for a restart that was made.
//!
//! What a real Nomad also does on `GET` of the restart path, this one does: it restarts.

mod answer;
mod state;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::standin::{Standin, lock};
use crate::wait::now;

pub(crate) use state::State;

/// The stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct Nomad {
    server: Standin,
    shared: Arc<Shared>,
}

/// How the stand-in is and what it does wrong. Changed by [`Nomad::set`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The token that is wanted; `None`: there is no access control.
    pub token: Option<String>,
    /// Whether it is of 1.3.4 or later: tasks that are over do not spoil a restart of all.
    pub modern: bool,
    /// From a restart until the servers know of it: reads tell old counters until then.
    pub late: Duration,
    /// From then until the tasks run again.
    pub down: Duration,
    /// How long the call of a restart is held: until the old process is gone.
    pub blocks: Duration,
    /// What comes of a restart.
    pub restart: OnRestart,
    /// From the end of an allocation until another one is placed.
    pub placing: Duration,
    /// From its placement until its tasks run.
    pub starting: Duration,
    /// Whether there is no room for another allocation.
    pub full: bool,
    /// Whether there is no leader.
    pub leaderless: bool,
    /// A status and a text for every request.
    pub refuses: Option<(u16, String)>,
    /// Whether requests are not answered.
    pub hangs: bool,
    /// Whether the indexes that reads report are those of a server that was restored: lower ones.
    pub restored: bool,
}

/// What comes of a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnRestart {
    /// The tasks are restarted.
    Works,
    /// They are, but the answer is this status and text.
    WorksButSays(u16, String),
    /// They are not, and the answer is this status and text.
    Refused(u16, String),
    /// The answer is 200, and nothing happens.
    Ignored,
    /// The allocation is stopped and another one placed, as by somebody else.
    Replaced,
    /// The tasks end for good: the allocation fails, and another one is placed later.
    Fails,
    /// The tasks are restarted, and again that much later.
    Again(Duration),
}

/// A restart that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The method: `GET` restarts too.
    pub method: String,
    /// The allocation.
    pub alloc: String,
    /// The task; `None`: all.
    pub task: Option<String>,
    /// When it came, since the stand-in was started.
    pub at: Duration,
}

/// A request it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The namespace that was named.
    pub namespace: Option<String>,
    /// The region that was named.
    pub region: Option<String>,
    /// The token that was shown.
    pub token: Option<String>,
    /// Whether it was to be held until there is news.
    pub blocking: bool,
}

type Hook = dyn Fn(&str, Option<&str>) + Send + Sync;

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    on_restart: Mutex<Option<Arc<Hook>>>,
    started: Instant,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: None,
            modern: false,
            late: Duration::from_millis(30),
            down: Duration::from_millis(30),
            blocks: Duration::ZERO,
            restart: OnRestart::Works,
            placing: Duration::from_millis(30),
            starting: Duration::from_millis(30),
            full: false,
            leaderless: false,
            refuses: None,
            hangs: false,
            restored: false,
        }
    }
}

impl Default for Nomad {
    fn default() -> Self {
        Self::start()
    }
}

impl Nomad {
    /// One without jobs.
    ///
    /// # Panics
    /// If this machine has no free port.
    #[must_use]
    pub fn start() -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(now())),
            changed: Condvar::new(),
            on_restart: Mutex::default(),
            started: now(),
        });
        let answering = Arc::clone(&shared);
        Self { server: Standin::start(move |request| answering.answer(&request)), shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its address as a URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Changes how it is; a request that hangs goes on.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.shared.state).settings);
        self.shared.changed.notify_all();
    }

    /// Runs a group of a job, in the namespace `default`: one allocation whose tasks run. Gives
    /// its id.
    #[must_use = "the id names it to the other functions"]
    pub fn run(&self, job: &str, group: &str, tasks: &[&str]) -> String {
        lock(&self.shared.state).run("default", job, group, tasks)
    }

    /// The same in another namespace.
    #[must_use = "the id names it to the other functions"]
    pub fn run_in(&self, namespace: &str, job: &str, group: &str, tasks: &[&str]) -> String {
        lock(&self.shared.state).run(namespace, job, group, tasks)
    }

    /// Adds a task to an allocation that is over, as one that only prepares something.
    ///
    /// # Panics
    /// If there is no such allocation.
    pub fn add_finished_task(&self, alloc: &str, task: &str) {
        lock(&self.shared.state).add_finished_task(alloc, task);
    }

    /// Restarts the tasks of an allocation as after a crash.
    pub fn crash(&self, alloc: &str) {
        self.change(|state, at| state.restarted(alloc, None, at));
    }

    /// Ends an allocation for good: its tasks fail, and another one is placed after a while.
    pub fn fail(&self, alloc: &str) {
        self.change(|state, at| state.failed(alloc, at));
    }

    /// Replaces an allocation, as when its node is drained.
    pub fn replace(&self, alloc: &str) {
        self.change(|state, at| {
            state.stopped(alloc, at);
        });
    }

    /// Stops a job and its allocations; nothing is placed any more.
    pub fn stop_job(&self, job: &str) {
        self.change(|state, at| state.stop_job(job, at));
    }

    /// Forgets an allocation that is over, as the collection of garbage does.
    pub fn forget(&self, alloc: &str) {
        self.change(|state, _| state.forget(alloc));
    }

    /// The ids of the allocations of a job, oldest first.
    #[must_use]
    pub fn allocations(&self, job: &str) -> Vec<String> {
        let mut state = lock(&self.shared.state);
        state.settle(now());
        state.allocations(job)
    }

    /// The restarts that were asked for, in order, whatever came of them.
    #[must_use]
    pub fn restarts(&self) -> Vec<Restart> {
        lock(&self.shared.state).restarts.clone()
    }

    /// What it was asked, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.state).asked.clone()
    }

    /// Has this called for each restart that works, with the allocation and the task (`None`: all),
    /// before the call of the restart is answered: to restart something real.
    pub fn on_restart(&self, hook: impl Fn(&str, Option<&str>) + Send + Sync + 'static) {
        *lock(&self.shared.on_restart) = Some(Arc::new(hook));
    }

    /// Refuses connections until [`Self::resume`].
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Listens again, at the same address.
    pub fn resume(&self) {
        self.server.again();
    }

    fn change(&self, change: impl FnOnce(&mut State, Instant)) {
        let at = now();
        let mut state = lock(&self.shared.state);
        state.settle(at);
        change(&mut state, at);
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Nomad {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.changed.notify_all();
    }
}
