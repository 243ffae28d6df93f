//! Watchers that follow something: a journal, a file, a stream, a bus. A task of their own reads on
//! all the time; the scheduler's looks only ask how it stands, and start it when there is none.
//!
//! ```text
//!  scheduler ──look every 10 s──▶ Follower ◀──state── task: follows, restarted with back-off
//!                                                       │ matches with the position they lead to
//!                                                       └──▶ inbox of the decide loop (waits when it is busy)
//! ```

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use lictor_core::{CheckName, Event, Match, Sample, Span, Status, Value, ValueName, What};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::look::{Look, Memory, World};
use super::value::{self, Measured as _};
use crate::{Clock, Gone, Inbox, OnEnd, Tasks};

/// How long a position waits to be recorded when no line matched: what lies behind it is read
/// again after a crash.
const LAZY: Duration = Duration::from_secs(5);

/// The pauses before one that ended is started again: from … to; they double.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// One that ran for so long had been well: longer than it takes to find out that it hangs.
const WELL: Duration = Duration::from_secs(600);

/// How far watchers have read, by their own words: what the store has at the start of the agent, and
/// what was handed in since.
#[derive(Clone, Debug, Default)]
pub struct Positions(Arc<Mutex<BTreeMap<CheckName, String>>>);

impl Positions {
    /// Those that the store has.
    pub fn new(positions: impl IntoIterator<Item = (CheckName, String)>) -> Self {
        Self(Arc::new(Mutex::new(positions.into_iter().collect())))
    }

    /// The latest of a watcher.
    pub fn get(&self, check: &CheckName) -> Option<String> {
        self.lock().get(check).cloned()
    }

    pub(super) fn set(&self, check: &CheckName, position: String) {
        self.lock().insert(check.clone(), position);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CheckName, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that follows something; dropping this ends it.
#[derive(Debug)]
pub(super) struct Follower {
    task: JoinHandle<()>,
    state: Arc<Mutex<State>>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a follower says of itself.
#[derive(Debug, Default)]
struct State {
    /// `None`: nothing yet.
    told: Option<Sample>,
    /// Whether it said so since it was last begun.
    fresh: bool,
    /// Lines read and lines that matched, of those that read lines.
    counted: Option<(u64, u64)>,
    /// A position that waits to be recorded.
    waiting: Option<String>,
    /// When a position was last handed in.
    handed_in: Option<Instant>,
}

/// What the task of a follower works with. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub(super) check: CheckName,
    pub(super) inbox: Inbox,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    positions: Positions,
    state: Arc<Mutex<State>>,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far was read, also by the agent before this one.
    pub(super) fn position(&self) -> Option<String> {
        self.positions.get(&self.check)
    }

    /// Hands in the lines that matched, and how far they lead. Waits while the agent is busy: the
    /// source is then read no further, and nothing is lost. A position without a match is handed
    /// in within 5 s.
    pub(super) async fn read(&self, matches: Vec<Match>, position: Option<String>) -> Result<(), Gone> {
        if matches.is_empty() {
            let Some(position) = position else { return Ok(()) };
            self.positions.set(&self.check, position.clone());
            let due = {
                let mut state = self.lock();
                state.waiting = Some(position);
                state.handed_in.is_none_or(|at| at.elapsed() >= LAZY)
            };
            return if due { self.flush().await } else { Ok(()) };
        }
        self.inbox.read(self.check.clone(), matches, position.clone()).await?;
        let mut state = self.lock();
        if let Some(position) = position {
            state.waiting = None;
            state.handed_in = Some(Instant::now());
            self.positions.set(&self.check, position);
        }
        Ok(())
    }

    async fn flush(&self) -> Result<(), Gone> {
        let Some(position) = self.lock().waiting.take() else { return Ok(()) };
        self.inbox.read(self.check.clone(), Vec::new(), Some(position)).await?;
        self.lock().handed_in = Some(Instant::now());
        Ok(())
    }

    /// What the next looks say.
    pub(super) fn state(&self, status: Status, summary: impl Into<String>, values: Vec<(ValueName, Value)>) {
        let mut state = self.lock();
        state.told = Some(Sample { values, ..Sample::new(status, summary) });
        state.fresh = true;
    }

    /// Says so at once, and at the next looks.
    pub(super) async fn tell(&self, sample: Sample) -> Result<(), Gone> {
        {
            let mut state = self.lock();
            state.told = Some(sample);
            state.fresh = true;
        }
        match self.sample() {
            Some(sample) => self.inbox.observed(self.check.clone(), sample).await,
            None => Ok(()),
        }
    }

    /// Lines read so far, and how many of them matched.
    pub(super) fn counted(&self, lines: u64, matched: u64) {
        self.lock().counted = Some((lines, matched));
    }

    /// What there is to say now.
    fn sample(&self) -> Option<Sample> {
        let state = self.lock();
        let mut sample = state.told.clone()?;
        if let Some((lines, matched)) = state.counted {
            sample.count(&value::LINES, lines);
            sample.count(&value::MATCHED, matched);
        }
        Some(sample)
    }
}

/// One look at a follower: starts it when there is none, else tells how it stands. `start` begins to
/// follow; its future ends with the reason when it cannot go on, and is then begun again.
pub(super) fn look<F>(
    check: &CheckName,
    memory: &mut Memory,
    world: &World,
    start: impl Fn(Feed) -> F + Send + Sync + 'static,
) -> Look
where
    F: Future<Output = String> + Send + 'static,
{
    if let Some(follower) = memory.follower.as_ref().filter(|follower| !follower.task.is_finished()) {
        let feed = world.feed(check, Arc::clone(&follower.state));
        return Look { sample: feed.sample(), matches: Vec::new(), turn: None };
    }
    let feed = world.feed(check, Arc::default());
    let state = Arc::clone(&feed.state);
    let task = world.tasks.spawn(format!("follow {check}"), OnEnd::Fine, follow(feed, start));
    memory.follower = Some(Box::new(Follower { task, state }));
    Look { sample: None, matches: Vec::new(), turn: None }
}

impl World {
    fn feed(&self, check: &CheckName, state: Arc<Mutex<State>>) -> Feed {
        Feed {
            check: check.clone(),
            inbox: self.inbox.clone(),
            clock: self.clock.clone(),
            tasks: self.tasks.clone(),
            positions: self.positions.clone(),
            state,
        }
    }
}

/// Follows, and begins again when that ends, until the agent is gone.
async fn follow<F>(feed: Feed, start: impl Fn(Feed) -> F)
where
    F: Future<Output = String>,
{
    let mut failures = 0_u32;
    loop {
        let begun = Instant::now();
        feed.lock().fresh = false;
        let why = once(&feed, start(feed.clone())).await;
        if begun.elapsed() >= WELL {
            failures = 0;
        }
        failures += 1;
        let pause = PAUSES.0.saturating_mul(1 << (failures - 1).min(16)).min(PAUSES.1);
        let what = What::WatcherRestarted { check: feed.check.clone(), why: why.clone() };
        let event = Event { at: feed.clock.now(), incident: None, run: None, what };
        if feed.inbox.note(event).await.is_err() {
            return;
        }
        // One that had been well is well again in a second: that is no news.
        let lasting = failures > 1 || !feed.lock().fresh;
        let summary = format!("{why}; it is tried again in {}", Span(pause));
        if lasting && feed.tell(Sample::new(Status::Unknown, summary)).await.is_err() {
            return;
        }
        sleep(pause).await;
    }
}

/// Follows until that ends, and says why; meanwhile positions are handed in that wait for it.
async fn once(feed: &Feed, run: impl Future<Output = String>) -> String {
    let run = AssertUnwindSafe(run).catch_unwind();
    let mut run = std::pin::pin!(run);
    let mut lazily = interval(LAZY);
    lazily.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = &mut run => {
                return ended.unwrap_or_else(|panic| format!("it panicked: {}", super::schedule::panic_text(&*panic)));
            }
            _ = lazily.tick() => {
                if feed.flush().await.is_err() {
                    return "the agent is stopping".to_owned();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lictor_core::Input;

    use super::*;

    struct Rig {
        world: Arc<World>,
        inputs: crate::Inputs,
        memory: Memory,
    }

    fn rig(positions: Positions) -> Rig {
        let (inbox, inputs) = Inbox::detached();
        let world = World::feeding(Tasks::new(), Clock::fresh(), inbox, positions);
        Rig { world, inputs, memory: Memory::default() }
    }

    fn check() -> CheckName {
        "log".parse().unwrap()
    }

    fn line() -> Vec<Match> {
        vec![Match::new("p".parse().unwrap(), "a line")]
    }

    #[tokio::test(start_paused = true)]
    async fn matches_come_with_their_position_and_other_positions_come_lazily() {
        let mut rig = rig(Positions::new([(check(), "7".to_owned())]));
        let start = |feed: Feed| async move {
            assert_eq!(feed.position().as_deref(), Some("7"));
            feed.read(line(), Some("8".into())).await.unwrap();
            for position in 9..1_000 {
                feed.read(Vec::new(), Some(position.to_string())).await.unwrap();
                sleep(Duration::from_millis(100)).await;
            }
            std::future::pending().await
        };
        assert!(look(&check(), &mut rig.memory, &rig.world, start).sample.is_none());
        let mut positions = Vec::new();
        while positions.len() < 5 {
            let Some(Input::Read { matches, position, .. }) = rig.inputs.next().await else { panic!() };
            assert_eq!(matches.is_empty(), position.as_deref() != Some("8"));
            positions.push(position.unwrap().parse::<u32>().unwrap());
        }
        assert_eq!(positions[0], 8);
        for pair in positions[1..].windows(2) {
            assert!(pair[1] - pair[0] >= 40, "{positions:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_is_begun_again_and_only_when_that_does_not_help_nothing_is_known() {
        let mut rig = rig(Positions::default());
        let start = |feed: Feed| async move {
            feed.tell(Sample::new(Status::Passing, "follows")).await.unwrap();
            "the program ended".to_owned()
        };
        look(&check(), &mut rig.memory, &rig.world, start);
        let mut told = Vec::new();
        while told.len() < 5 {
            match rig.inputs.next().await.unwrap() {
                Input::Observed { sample, .. } => told.push(sample.summary),
                Input::Note(event) => told.push(event.what.to_string()),
                other => panic!("{other:?}"),
            }
        }
        let restarted = "watcher of log restarted: the program ended";
        let unknown = "the program ended; it is tried again in 2s";
        assert_eq!(told, ["follows", restarted, "follows", restarted, unknown]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_tells_how_it_stands_and_dropping_its_memory_ends_it() {
        let mut rig = rig(Positions::default());
        let alive = Arc::new(());
        let held = Arc::downgrade(&alive);
        let start = move |feed: Feed| {
            let alive = Arc::clone(&alive);
            async move {
                feed.state(Status::Passing, "follows", Vec::new());
                feed.counted(7, 3);
                std::future::pending::<()>().await;
                drop(alive);
                String::new()
            }
        };
        look(&check(), &mut rig.memory, &rig.world, start);
        sleep(Duration::from_secs(1)).await;
        let again = |_feed: Feed| async { unreachable!("it is there") };
        let sample = look(&check(), &mut rig.memory, &rig.world, again).sample.unwrap();
        let values: Vec<String> =
            sample.values.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(
            (sample.summary.as_str(), values),
            ("follows", vec!["lines 7".into(), "matched 3".into()])
        );
        rig.memory = Memory::default();
        sleep(Duration::from_secs(1)).await;
        assert!(held.upgrade().is_none(), "it still follows");
    }
}
