//! Actions: what a step does to the world, and what became of it.
//!
//! Each order has an identity, run/step/attempt, under which it is done at most once and
//! can be looked for afterwards. For each order, and for each question what became of
//! one, exactly one [`Outcome`] is reported, whatever happens on the way:
//!
//! | | done | failed | unknown |
//! |---|---|---|---|
//! | exec | exit status 0 | another status, a signal, cannot be run | time limit, abort, shim or machine went down |
//! | http | an expected status | another of 300 to 499, never sent | any other, no answer |
//! | kv | written, or found as wanted | refused | no clear answer, and not found as wanted |
//!
//! What was certainly never begun is *not started*: the agent ended before, or it was called off.
//!
//! Programs run under a [`shim`] that outlives the agent, so that a restart of the agent
//! neither ends nor repeats one.

mod actions;
mod claim;
mod exec;
mod http;
mod identity;
mod job;
mod kv;
mod nomad;
mod output;
mod process;
mod qbittorrent;
mod reboot;
mod redis;
pub mod shim;
mod signal;
mod signals;
mod swap;
mod systemd;
mod text;
mod vpn;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lictor_config::Action;
use lictor_core::{Effect, Order, Outcome, RunId, StepName};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::clock::Clock;
use crate::fault::{self, Plant};
use crate::inbox::Inbox;
use crate::qbittorrent::Sessions;
use crate::task::{OnEnd, Tasks};
use actions::Known;
use claim::Claim;
use exec::{Attempt, Launcher, blocking, never};
use identity::Namer;

pub use actions::Actions;
pub use kv::{Keys, KeysError};

/// A request or write under way gets so long to end when the agent stops; a program goes
/// on without us.
pub(crate) const LAST: Duration = Duration::from_secs(2);

/// Why an order was not begun that was aborted before.
const CALLED_OFF: &str = "it was called off before it had begun";

/// Thirty years: a longer time limit is none, and an instant that far is still one.
const FOREVER: Duration = Duration::from_secs(1_000_000_000);

/// What a run left behind and nobody forgot is removed after this, milliseconds: 7 days.
const KEPT_MILLIS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// Where outcomes are reported.
pub trait Outcomes: Send + Sync + 'static {
    /// Hands an outcome in; waits while there is no room for it.
    fn report(&self, run: RunId, step: StepName, attempt: u32, outcome: Outcome) -> BoxFuture<'_, ()>;

    /// Hands in what an action will change; waits while there is no room for it.
    fn prepared(&self, run: RunId, step: StepName, attempt: u32, note: String) -> BoxFuture<'_, ()>;
}

/// What an action found before it changed anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// What it will change, as its own note says it: recorded before it does.
    Note(String),
    /// The attempt is over without anything being done: *done* when there is nothing to do.
    Over(Outcome),
}

impl Outcomes for Inbox {
    fn report(&self, run: RunId, step: StepName, attempt: u32, outcome: Outcome) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(gone) = self.outcome(run, step, attempt, outcome).await {
                // It is looked for again when the agent is back.
                debug!(%run, attempt, error = %gone, "outcome not reported");
            }
        })
    }

    fn prepared(&self, run: RunId, step: StepName, attempt: u32, note: String) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(gone) = Self::prepared(self, run, step, attempt, note).await {
                debug!(%run, attempt, error = %gone, "what an action would change is not reported");
            }
        })
    }
}

/// How actions are carried out.
#[derive(Debug)]
pub struct Settings {
    /// The agent's state directory; programs leave their traces in its `children`.
    pub state_dir: PathBuf,
    /// The name of this node; part of what an order is called in front of others.
    pub node: String,
    /// What tells this store from any other: run numbers are counted per store, so what
    /// was done under another one must not be taken for ours. Used as a name of a directory.
    pub lineage: String,
    /// Program and first arguments of the shim, see [`shim::main`].
    pub shim: Vec<OsString>,
    /// From TERM to KILL.
    pub grace: Duration,
}

impl Settings {
    /// The settings of the real thing: this program is its own shim, and a program has
    /// 5 s from TERM to KILL.
    pub fn new(state_dir: impl Into<PathBuf>, node: impl Into<String>, lineage: impl Into<String>) -> Self {
        Self {
            state_dir: state_dir.into(),
            node: node.into(),
            lineage: lineage.into(),
            // The very file that runs, also when it was replaced by an upgrade meanwhile.
            shim: vec!["/proc/self/exe".into(), "shim".into()],
            grace: Duration::from_secs(5),
        }
    }
}

/// Carries out the effects of the engine. Clones share everything.
#[derive(Clone)]
pub struct Actors(Arc<Shared>);

struct Shared {
    actions: Mutex<Known>,
    launcher: Arc<Launcher>,
    /// The agent's state directory.
    state_dir: PathBuf,
    tasks: Tasks,
    outcomes: Arc<dyn Outcomes>,
    clock: Clock,
    means: Means,
    nomad: nomad::Env,
    /// What systemd may still be doing for a step.
    late: systemd::Late,
    /// What is under way in this process, with the way to stop it.
    under_way: Mutex<UnderWay>,
}

/// What actions work with, besides their settings.
#[derive(Clone)]
pub struct Means {
    /// Where `act "kv"` writes.
    pub keys: Arc<dyn Keys>,
    /// The sessions with qBittorrent, shared with the watchers.
    pub qbittorrent: Sessions,
    /// Where the allocation behind a service is looked up.
    pub consul: Option<lictor_consul::Client>,
    /// Says whether an order of a leased remedy may be carried out now.
    pub gate: Arc<dyn Gate>,
}

impl<K: Keys + 'static> From<Arc<K>> for Means {
    /// These keys, sessions of its own, no Consul, and every order may be carried out.
    fn from(keys: Arc<K>) -> Self {
        Self { keys, qbittorrent: Sessions::new(None), consul: None, gate: Arc::new(Open) }
    }
}

/// Says whether an order may be carried out now; asked right before it is.
pub trait Gate: Send + Sync {
    /// Why it may not, if so.
    fn may<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<(), String>>;
}

/// Lets everything through.
struct Open;

impl Gate for Open {
    fn may<'a>(&'a self, _order: &'a Order) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

#[derive(Default)]
struct UnderWay {
    last: u64,
    orders: BTreeMap<u64, OnTheWay>,
}

/// An order that is under way.
struct OnTheWay {
    identity: String,
    /// Cancelled to stop it.
    abort: CancellationToken,
    /// Cancelled when it is over.
    over: CancellationToken,
}

impl Actors {
    /// Ready to carry out orders. `tasks` are to be drained before whatever takes the
    /// outcomes in: see [`Actors::run`].
    ///
    /// # Errors
    /// When the directory for the traces of programs cannot be made.
    pub fn new(
        settings: Settings,
        actions: Actions,
        tasks: Tasks,
        outcomes: impl Outcomes,
        clock: Clock,
        means: impl Into<Means>,
    ) -> io::Result<Self> {
        let means: Means = means.into();
        let state_dir = std::path::absolute(&settings.state_dir)?;
        let root = state_dir.join("children").join(&settings.lineage);
        claim::make_root(&root)?;
        let namer = Namer::new(&settings.node, &settings.lineage);
        let launcher = Launcher { shim: settings.shim, root, grace: settings.grace, namer };
        Ok(Self(Arc::new(Shared {
            actions: Mutex::new(Known::new(actions)),
            launcher: Arc::new(launcher),
            state_dir,
            tasks,
            outcomes: Arc::new(outcomes),
            nomad: nomad::Env::new(means.consul.clone(), clock.clone()),
            late: systemd::Late::default(),
            clock,
            means,
            under_way: Mutex::default(),
        })))
    }

    /// Makes the actions of another configuration known, before it is in force. Every order
    /// does what its own definition says.
    pub fn announce(&self, actions: Actions) {
        lock(&self.0.actions).announce(actions);
    }

    /// The configuration whose actions were announced is in force.
    pub fn take_up(&self) {
        lock(&self.0.actions).take_up();
    }

    /// Carries out an effect in a task of its own. For [`Effect::Act`] and
    /// [`Effect::Inspect`] exactly one outcome is reported, unless the agent stops before;
    /// `limit` is the time limit of the step.
    ///
    /// When the tasks are told to end, nothing more is begun, requests and writes have 2 s to
    /// report, and programs are left to their shims. What is not reported by then is found by
    /// the next agent; what was not begun it knows not to have been.
    ///
    /// The intent must be durable before this is called.
    pub fn run(&self, effect: Effect, limit: Duration) {
        let actors = self.clone();
        let limit = limit.min(FOREVER);
        let over = |outcome: Option<Outcome>| outcome.map(Prepared::Over);
        match effect {
            Effect::Prepare(order) => self.spawn(order, move |order, abort| {
                async move { actors.prepare(order, limit, abort).await }.boxed()
            }),
            Effect::Act(order) => self.spawn(order, move |order, abort| {
                async move { actors.act(order, limit, abort).await }.map(over).boxed()
            }),
            Effect::Inspect(order) => self.spawn(order, move |order, abort| {
                async move { actors.inspect(order, limit, abort).await }.map(over).boxed()
            }),
            Effect::Abort(order) => self.abort(order, limit),
        }
    }

    /// Removes the traces of a run that is over.
    pub fn forget(&self, run: RunId) {
        self.0.late.forget(run);
        let root = self.0.launcher.root.clone();
        let work = async move {
            let removed = blocking(move || remove(&root, |claim| claim.belongs_to(run))).await;
            if let Err(error) = removed {
                warn!(%run, %error, "traces of a run not removed");
            }
        };
        self.0.tasks.spawn(format!("forget {run}"), OnEnd::Fine, work);
    }

    /// Removes traces of more than 7 days ago; call it at start. Those of runs that are
    /// not over (`open`) stay whatever their age, and so do those of living programs.
    ///
    /// # Errors
    /// When they cannot be listed or removed.
    pub async fn sweep(&self, open: &[RunId]) -> io::Result<()> {
        let (root, open) = (self.0.launcher.root.clone(), open.to_vec());
        let now = self.0.clock.now().wall.as_unix_millis();
        let work = move || {
            let all = root.parent().map_or_else(|| Ok(Vec::new()), claim::all)?;
            for lineage in all {
                let ours = lineage.dir() == root;
                let old = |claim: &Claim| claim.age_millis(now).is_some_and(|age| age > KEPT_MILLIS);
                let in_use = |claim: &Claim| ours && open.iter().any(|run| claim.belongs_to(*run));
                remove(lineage.dir(), |claim| old(claim) && !in_use(claim))?;
                if !ours {
                    // Only goes when nothing is left in it.
                    std::fs::remove_dir(lineage.dir()).ok();
                }
            }
            Ok(())
        };
        blocking(work).await
    }

    /// Spawns the task of an order; its outcome is reported even if it panics.
    fn spawn(
        &self,
        order: Order,
        work: impl FnOnce(Order, CancellationToken) -> BoxFuture<'static, Option<Prepared>> + Send + 'static,
    ) {
        let entry = Entry::new(Arc::clone(&self.0), &order);
        let outcomes = Arc::clone(&self.0.outcomes);
        let name = format!("act {order}");
        let (run, step, attempt) = (order.run, order.step.clone(), order.attempt);
        let task = async move {
            let work = AssertUnwindSafe(async {
                for earlier in &entry.earlier {
                    earlier.cancelled().await;
                }
                work(order, entry.abort.clone()).await
            });
            let ended = work.catch_unwind().await;
            let ended = ended.unwrap_or_else(|panic| Some(Prepared::Over(panicked(&*panic))));
            // No longer under way: from here on there is nothing to stop.
            drop(entry);
            match ended {
                Some(Prepared::Over(outcome)) => outcomes.report(run, step, attempt, outcome).await,
                Some(Prepared::Note(note)) => outcomes.prepared(run, step, attempt, note).await,
                None => {}
            }
        };
        self.0.tasks.spawn_draining(name, OnEnd::Fine, task);
    }

    /// Finds out what an order would change; `None` when the agent stops before that is known.
    async fn prepare(&self, order: Order, limit: Duration, abort: CancellationToken) -> Option<Prepared> {
        let Some(action) = self.action(&order) else {
            return Some(Prepared::Over(never(not_configured(&order))));
        };
        debug!(step = %order, remedy = %order.remedy, "looking at what it would change");
        let work = async {
            match &action {
                Action::Qbittorrent(action) => {
                    qbittorrent::prepare(action, &order, &self.0.means.qbittorrent, limit).await
                }
                Action::Nomad(action) => nomad::prepare(action, &order, &self.0.nomad, limit).await,
                Action::Systemd(action) => {
                    Box::pin(systemd::prepare(action, &order, &self.0.late, limit)).await
                }
                Action::Reboot(_) => reboot::prepare(),
                // They note nothing.
                Action::Exec(_)
                | Action::Http(_)
                | Action::Kv(_)
                | Action::Vpn(_)
                | Action::Redis(_)
                | Action::Signal(_)
                | Action::Swap(_) => Prepared::Note(String::new()),
            }
        };
        let stop = self.0.tasks.stopping();
        tokio::select! {
            prepared = work => Some(prepared),
            () = abort.cancelled() => Some(Prepared::Over(never(CALLED_OFF.to_owned()))),
            () = stop.cancelled() => None,
        }
    }

    /// Carries out an order; `None` when the agent stops before it is over.
    async fn act(&self, order: Order, limit: Duration, abort: CancellationToken) -> Option<Outcome> {
        let Some(action) = self.action(&order) else {
            return Some(never(not_configured(&order)));
        };
        if abort.is_cancelled() {
            return Some(never(CALLED_OFF.to_owned()));
        }
        if self.0.tasks.stopping().is_cancelled() {
            self.attempt(order, limit, abort).refuse("the agent was stopping").await;
            return None;
        }
        if order.lease.is_some() {
            let stop = self.0.tasks.stopping();
            let may = tokio::select! {
                biased;
                () = abort.cancelled() => Err(CALLED_OFF.to_owned()),
                () = stop.cancelled() => Err("the agent was stopping".to_owned()),
                may = self.0.means.gate.may(&order) => may,
            };
            if let Err(why) = may {
                return Some(never(why));
            }
        }
        debug!(step = %order, remedy = %order.remedy, "acting");
        match action {
            Action::Exec(command) => {
                let attempt = self.attempt(order, limit, abort);
                self.unless_stopping(Duration::ZERO, attempt.run(&command)).await
            }
            Action::Http(http) => {
                let identity = self.0.launcher.namer.name(&order);
                let sent = stoppable(abort, http::send(&http, &identity, limit));
                self.unless_stopping(LAST, sent).await
            }
            Action::Kv(kv) => {
                let written = stoppable(abort, kv::write(&kv, &*self.0.means.keys, limit));
                self.unless_stopping(LAST, written).await
            }
            Action::Qbittorrent(action) => {
                let done = qbittorrent::act(&action, &order, &self.0.means.qbittorrent, limit);
                self.unless_stopping(LAST, stoppable(abort, done)).await
            }
            Action::Nomad(action) => {
                let done = nomad::act(&action, &order, &self.0.nomad, limit);
                self.unless_stopping(LAST, stoppable(abort, done)).await
            }
            Action::Vpn(action) => {
                self.unless_stopping(LAST, stoppable(abort, vpn::act(&action, limit))).await
            }
            Action::Redis(action) => {
                let done = Box::pin(redis::act(&action, limit, &self.0.tasks));
                self.unless_stopping(LAST, stoppable(abort, done)).await
            }
            Action::Systemd(action) => {
                let done = Box::pin(systemd::act(&action, &order, &self.0.late, limit));
                self.unless_stopping(LAST, stoppable(abort, done)).await
            }
            Action::Signal(action) => {
                let done = Box::pin(signal::act(&action, limit));
                self.unless_stopping(LAST, stoppable(abort, done)).await
            }
            Action::Swap(action) => {
                self.unless_stopping(LAST, stoppable(abort, swap::act(&action, limit))).await
            }
            Action::Reboot(action) => {
                let books = self.books(&order);
                let done = Box::pin(reboot::act(action, &books, limit));
                self.unless_stopping(LAST, stoppable(abort, done)).await
            }
        }
    }

    /// Looks what became of an order; `None` when the agent stops before that is known.
    async fn inspect(&self, order: Order, limit: Duration, abort: CancellationToken) -> Option<Outcome> {
        let action = self.action(&order);
        if fault::planted(Plant::Repeats) {
            return Some(Outcome::NotStarted { detail: "nobody has looked".to_owned() });
        }
        let attempt = self.attempt(order.clone(), limit, abort.clone());
        // A trace says more than a configuration that may have changed since.
        if matches!(action, Some(Action::Exec(_))) || attempt.exists().await {
            return self.unless_stopping(Duration::ZERO, attempt.inspect()).await;
        }
        match action {
            Some(Action::Kv(kv)) => {
                let read = stoppable(abort, within(limit, kv::inspect(&kv, &*self.0.means.keys)));
                self.unless_stopping(LAST, read).await
            }
            Some(Action::Http(_)) => Some(unknown(
                "HTTP cannot be looked at: nobody can tell whether the request was carried out".to_owned(),
            )),
            Some(Action::Qbittorrent(action)) => {
                let looked = qbittorrent::inspect(&action, &order, &self.0.means.qbittorrent, limit);
                self.unless_stopping(LAST, stoppable(abort, looked)).await
            }
            Some(Action::Nomad(action)) => {
                let looked = nomad::inspect(&action, &order, &self.0.nomad, limit);
                self.unless_stopping(LAST, stoppable(abort, looked)).await
            }
            // Doing it again does no harm.
            Some(Action::Vpn(_)) => {
                Some(unknown("whether the tunnel was restarted cannot be seen".to_owned()))
            }
            Some(Action::Redis(_)) => {
                Some(unknown("nobody can tell whether the Redis took the command".to_owned()))
            }
            Some(Action::Systemd(action)) => {
                let looked = Box::pin(systemd::inspect(&action, &order, &self.0.late, limit));
                self.unless_stopping(LAST, soon(abort, looked)).await
            }
            Some(Action::Signal(_)) => {
                Some(unknown("nobody can tell whether the signal was sent".to_owned()))
            }
            Some(Action::Swap(action)) => {
                self.unless_stopping(LAST, soon(abort, within(limit, swap::inspect(&action)))).await
            }
            Some(Action::Reboot(_)) => {
                let books = self.books(&order);
                let looked = Box::pin(reboot::inspect(&order, &books, limit));
                self.unless_stopping(LAST, soon(abort, looked)).await
            }
            Some(Action::Exec(_)) | None => {
                Some(unknown("the configuration has no such action any more".to_owned()))
            }
        }
    }

    /// Stops what is under way in this process, or else the program that was left running.
    fn abort(&self, order: Order, limit: Duration) {
        let identity = order.to_string();
        let mut found = false;
        for other in lock(&self.0.under_way).orders.values().filter(|other| other.identity == identity) {
            other.abort.cancel();
            found = true;
        }
        if !found {
            let attempt = self.attempt(order, limit, CancellationToken::new());
            let work = async move {
                let stopped = attempt.stop().await;
                debug!(stopped, "abort of an order that is not under way here");
            };
            // Also while the agent stops: nobody may be there to ask for it again.
            let work = async move { drop(tokio::time::timeout(LAST, work).await) };
            self.0.tasks.spawn_draining(format!("abort {identity}"), OnEnd::Fine, work);
        }
    }

    fn action(&self, order: &Order) -> Option<Action> {
        lock(&self.0.actions).find(order)
    }

    fn books(&self, order: &Order) -> reboot::Books {
        let order = self.0.launcher.namer.name(order);
        reboot::Books { state_dir: self.0.state_dir.clone(), clock: self.0.clock.clone(), order }
    }

    fn attempt(&self, order: Order, limit: Duration, abort: CancellationToken) -> Attempt {
        Attempt::new(Arc::clone(&self.0.launcher), order, limit, abort)
    }

    /// `None` when the agent stops and the work has not ended `more` later.
    async fn unless_stopping(&self, more: Duration, work: impl Future<Output = Outcome>) -> Option<Outcome> {
        let stop = self.0.tasks.stopping();
        tokio::select! {
            outcome = work => Some(outcome),
            () = async { stop.cancelled().await; tokio::time::sleep(more).await } => None,
        }
    }
}

/// Keeps an order among those under way.
struct Entry {
    shared: Arc<Shared>,
    number: u64,
    abort: CancellationToken,
    over: CancellationToken,
    /// Over when the earlier orders of the same identity are: an order that is being
    /// begun must not be looked at, or it would be taken for one that was given up.
    earlier: Vec<CancellationToken>,
}

impl Entry {
    fn new(shared: Arc<Shared>, order: &Order) -> Self {
        let identity = order.to_string();
        let (abort, over) = (CancellationToken::new(), CancellationToken::new());
        let (number, earlier) = {
            let mut under_way = lock(&shared.under_way);
            let same = under_way.orders.values().filter(|other| other.identity == identity);
            let earlier = same.map(|other| other.over.clone()).collect();
            under_way.last += 1;
            let number = under_way.last;
            let new = OnTheWay { identity, abort: abort.clone(), over: over.clone() };
            under_way.orders.insert(number, new);
            (number, earlier)
        };
        Self { shared, number, abort, over, earlier }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.shared.under_way).orders.remove(&self.number);
        self.over.cancel();
    }
}

/// Removes the claims under a root that are `meant` and over.
fn remove(root: &std::path::Path, meant: impl Fn(&Claim) -> bool) -> io::Result<()> {
    for claim in claim::all(root)? {
        if meant(&claim) && exec::is_over(&claim) {
            claim.remove()?;
        }
    }
    Ok(())
}

async fn stoppable(abort: CancellationToken, work: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        biased;
        () = abort.cancelled() => unknown("given up on request before there was an answer".to_owned()),
        outcome = work => outcome,
    }
}

/// A look that changes nothing and takes a moment: one that is overdue, because a restart of the machine took
/// its time, gets that moment all the same.
async fn soon(abort: CancellationToken, look: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        biased;
        outcome = look => outcome,
        () = async { abort.cancelled().await; tokio::time::sleep(LAST).await } => {
            unknown("given up on request before there was an answer".to_owned())
        }
    }
}

async fn within(limit: Duration, work: impl Future<Output = Outcome>) -> Outcome {
    let late = || unknown(format!("no answer within {:.1} s", limit.as_secs_f64()));
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_late| late())
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Outcome {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    unknown(format!("a fault of this program broke the action off: {text}"))
}

fn not_configured(order: &Order) -> String {
    format!("the configuration has no action `{}/{}` as it was when ordered", order.remedy, order.step)
}

fn failed(detail: String) -> Outcome {
    Outcome::Failed { detail }
}

fn unknown(detail: String) -> Outcome {
    Outcome::Unknown { detail }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind it is changed in one step: a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
