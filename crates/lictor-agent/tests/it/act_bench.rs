//! What the tests of actions share: actors with a real shim, and the outcomes they report.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_agent::act::{Actions, Actors, Keys, KeysError, Means, Outcomes, Prepared, Settings};
use lictor_agent::{Clock, Tasks};
use lictor_config::{Action, Command, Secret};
use lictor_core::{ActionName, Effect, Order, Outcome, RemedyName, RunId, StepName, Target};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// No outcome of these tests takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program that is shim and killable agent.
pub(crate) const HOST: &str = env!("CARGO_BIN_EXE_lictor-act-host");

/// From TERM to KILL here.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// A time limit that no program of these tests comes near.
pub(crate) const LONG: Duration = Duration::from_secs(50);

/// A state directory, and the agents on it one after the other.
pub(crate) struct Bench {
    dir: PathBuf,
    /// Removes the directory at the end, when it is the bench's own.
    keep: Option<TempDir>,
    pub(crate) actors: Actors,
    outcomes: mpsc::Receiver<(String, Prepared)>,
    tasks: Tasks,
    deletions: Arc<AtomicUsize>,
}

impl Bench {
    /// An agent whose only action is this one.
    pub(crate) fn new(action: Action) -> Self {
        Self::on(tempfile::tempdir().unwrap(), action)
    }

    /// An agent on a state directory that it removes at the end.
    pub(crate) fn on(dir: TempDir, action: Action) -> Self {
        let bench = Self::at(dir.path(), action);
        Self { keep: Some(dir), ..bench }
    }

    /// An agent on a state directory that another may have used.
    pub(crate) fn at(dir: &Path, action: Action) -> Self {
        Self::begin(dir, action, None)
    }

    /// An agent whose only action is this one, with this Consul.
    pub(crate) fn with_consul(action: Action, consul: lictor_consul::Client) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bench = Self::begin(dir.path(), action, Some(consul));
        Self { keep: Some(dir), ..bench }
    }

    fn begin(dir: &Path, action: Action, consul: Option<lictor_consul::Client>) -> Self {
        let (told, outcomes) = mpsc::channel(64);
        let tasks = Tasks::new();
        let settings = Settings {
            state_dir: dir.to_owned(),
            node: "node1".to_owned(),
            lineage: "lineage".to_owned(),
            shim: vec![HOST.into(), "shim".into()],
            grace: GRACE,
        };
        let actions = actions("definition", action);
        let deletions = Arc::<AtomicUsize>::default();
        let keys = Arc::new(PanickingKeys(Arc::clone(&deletions)));
        let means = Means { consul, ..Means::from(keys) };
        let actors =
            Actors::new(settings, actions, tasks.clone(), Told(told), Clock::fresh(), means).unwrap();
        Self { dir: dir.to_owned(), keep: None, actors, outcomes, tasks, deletions }
    }

    /// Ends this agent without waiting for anything and starts another one.
    pub(crate) async fn restart(self, action: Action) -> Self {
        self.stop().await;
        let bench = Self::at(&self.dir, action);
        Self { keep: self.keep, ..bench }
    }

    /// Carries the order out and waits for its outcome.
    pub(crate) async fn act(&mut self, order: &Order, limit: Duration) -> Outcome {
        self.actors.run(Effect::Act(order.clone()), limit);
        self.outcome(order).await
    }

    /// Asks what became of the order and waits for the answer.
    pub(crate) async fn inspect(&mut self, order: &Order, limit: Duration) -> Outcome {
        self.actors.run(Effect::Inspect(order.clone()), limit);
        self.outcome(order).await
    }

    /// Asks what the order would change and waits for the answer.
    pub(crate) async fn prepare(&mut self, order: &Order, limit: Duration) -> Prepared {
        self.actors.run(Effect::Prepare(order.clone()), limit);
        self.next(order).await
    }

    /// The next outcome, which must be of that order.
    pub(crate) async fn outcome(&mut self, order: &Order) -> Outcome {
        match self.next(order).await {
            Prepared::Over(outcome) => outcome,
            Prepared::Note(note) => panic!("a note in place of an outcome: {note}"),
        }
    }

    async fn next(&mut self, order: &Order) -> Prepared {
        let next = tokio::time::timeout(PATIENCE, self.outcomes.recv()).await;
        let (of, told) = next.expect("no outcome was reported").expect("the actors are gone");
        assert_eq!(of, order.to_string());
        told
    }

    /// How often the deletion of a key was begun; none ends.
    pub(crate) fn deletions(&self) -> usize {
        self.deletions.load(Ordering::Relaxed)
    }

    /// Has the actors end, as at a stop of the agent; whoever takes outcomes in is still there.
    pub(crate) async fn stop(&self) {
        assert!(self.tasks.drain(Duration::from_secs(5)).await, "an action holds up the end of the agent");
    }

    /// Whether an outcome was reported that nobody has taken.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.outcomes.try_recv().is_err()
    }

    /// A path in the state directory, away from the agent's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The directory of an attempt.
    pub(crate) fn claim(&self, order: &Order) -> PathBuf {
        let name = order.to_string().replace('/', "-");
        self.dir.join("children/lineage").join(name)
    }
}

/// The order `r1/step/1`.
pub(crate) fn order() -> Order {
    Order {
        run: RunId(1),
        step: StepName::new("step").unwrap(),
        attempt: 1,
        action: Some(name("act")),
        target: Target::new("target").unwrap(),
        remedy: RemedyName::new("remedy").unwrap(),
        definition: "definition".to_owned(),
        lease: None,
        notes: lictor_core::Notes::default(),
        captures: Default::default(),
        change: None,
        since: lictor_core::Boot::default(),
    }
}

/// A configuration whose only action is this one, under a definition.
pub(crate) fn actions(definition: &str, action: Action) -> Actions {
    Actions::from_iter([(name("act"), definition.to_owned(), action)])
}

fn name(text: &str) -> ActionName {
    ActionName::new(text).unwrap()
}

/// A program with its arguments.
pub(crate) fn program(argv: &[&str]) -> Action {
    let argv = argv.iter().map(|arg| (*arg).to_owned()).collect();
    Action::Exec(Command { argv, captured: Vec::new(), env: Vec::new(), cwd: None })
}

/// A script, with a directory it finds as `$DIR`.
pub(crate) fn script(dir: &Path, text: &str) -> Action {
    let argv = ["/bin/sh", "-c", text].map(str::to_owned).to_vec();
    let env = vec![("DIR".to_owned(), Secret::value(dir.to_str().unwrap()))];
    Action::Exec(Command { argv, captured: Vec::new(), env, cwd: None })
}

/// Waits until a file is there and gives what is in it.
pub(crate) async fn file(path: &Path) -> String {
    let looked = tokio::time::timeout(PATIENCE, async {
        loop {
            match fs::read_to_string(path) {
                Ok(text) if text.ends_with('\n') => return text,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    looked.await.unwrap_or_else(|_late| panic!("`{}` does not appear", path.display()))
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_late| panic!("never came true: {what}"));
}

/// The living processes that have a text in one of their /proc files.
pub(crate) fn processes_with(file: &str, text: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let found = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        found.windows(text.len()).any(|window| window == text.as_bytes())
    };
    pids.filter(has).collect()
}

/// Kills a process that the test itself started.
pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn done(outcome: &Outcome) -> &str {
    let Outcome::Done { detail } = outcome else { panic!("not done: {outcome:?}") };
    detail
}

pub(crate) fn failed(outcome: &Outcome) -> &str {
    let Outcome::Failed { detail } = outcome else { panic!("not failed: {outcome:?}") };
    detail
}

pub(crate) fn not_started(outcome: &Outcome) -> &str {
    let Outcome::NotStarted { detail } = outcome else { panic!("may have been started: {outcome:?}") };
    detail
}

pub(crate) fn unknown(outcome: &Outcome) -> &str {
    let Outcome::Unknown { detail } = outcome else { panic!("not unknown: {outcome:?}") };
    detail
}

struct Told(mpsc::Sender<(String, Prepared)>);

impl Outcomes for Told {
    fn prepared(&self, run: RunId, step: StepName, attempt: u32, note: String) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.0.send((format!("{run}/{step}/{attempt}"), Prepared::Note(note))).await.ok();
        })
    }

    fn report(&self, run: RunId, step: StepName, attempt: u32, outcome: Outcome) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.0.send((format!("{run}/{step}/{attempt}"), Prepared::Over(outcome))).await.ok();
        })
    }
}

/// A store with a fault of the worst kind, or that never answers.
#[derive(Debug)]
struct PanickingKeys(Arc<AtomicUsize>);

impl Keys for PanickingKeys {
    fn get<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, KeysError>> {
        Box::pin(std::future::pending())
    }

    fn put<'a>(&'a self, _key: &'a str, _value: Vec<u8>) -> BoxFuture<'a, Result<(), KeysError>> {
        Box::pin(async { panic!("planted") })
    }

    fn delete<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<(), KeysError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::pending())
    }
}
