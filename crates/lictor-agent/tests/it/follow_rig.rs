//! A watcher that follows something, looked at as the scheduler does, whose agent can be killed.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use lictor_agent::watch::{Memory, Positions, World, look};
use lictor_agent::{Clock, Inbox, Inputs, Tasks};
use lictor_config::Watch;
use lictor_core::{Input, Match, Sample, What};
use tokio::time::{Instant, timeout};

use crate::watch_rig::{name, told};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Follow {
    watch: Watch,
    world: Arc<World>,
    inputs: Inputs,
    memory: Memory,
    /// What was recorded: the only thing that outlives an agent.
    position: Option<String>,
    /// Matches in order, and how often it was begun anew.
    pub(crate) matches: Vec<Match>,
    pub(crate) restarts: Vec<String>,
    pub(crate) samples: Vec<Sample>,
}

impl Follow {
    pub(crate) async fn new(watch: Watch) -> Self {
        Self::at(watch, None).await
    }

    /// One whose agent has read so far before.
    pub(crate) async fn at(watch: Watch, position: Option<String>) -> Self {
        let (inbox, inputs) = Inbox::detached();
        let stored = position.clone().map(|position| (name("test"), position));
        let world = World::feeding(Tasks::new(), Clock::fresh(), inbox, Positions::new(stored));
        let mut follow = Self {
            watch,
            world,
            inputs,
            memory: Memory::default(),
            position,
            matches: Vec::new(),
            restarts: Vec::new(),
            samples: Vec::new(),
        };
        follow.look().await;
        follow
    }

    /// Kills the agent with all that was not recorded, and starts another.
    pub(crate) async fn killed(self) -> Self {
        let Self { watch, position, matches, restarts, samples, memory, .. } = self;
        drop(memory);
        Self { matches, restarts, samples, ..Self::at(watch, position).await }
    }

    pub(crate) async fn look(&mut self) -> Option<Sample> {
        look(&name("test"), &self.watch, &mut self.memory, &self.world).await.sample
    }

    /// Takes in what is there until something is true; looks at the watcher now and then.
    pub(crate) async fn until(&mut self, what: &str, mut is: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is(self) {
            assert!(
                Instant::now() < end,
                "{what}: not seen.\nlast: {:?}\nrestarts: {:?}\nlast line: {:?} of {}",
                self.samples.last().map(told),
                self.restarts,
                self.matches.last().map(|found| &found.line),
                self.matches.len(),
            );
            match timeout(Duration::from_millis(200), self.inputs.next()).await {
                Ok(input) => self.take(input.unwrap()),
                Err(_late) => {
                    let sample = self.look().await;
                    self.samples.extend(sample);
                }
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Read { matches, position, .. } => {
                self.matches.extend(matches);
                self.position = position.or(self.position.take());
            }
            Input::Observed { sample, .. } => self.samples.push(sample),
            Input::Note(event) => match event.what {
                What::WatcherRestarted { why, .. } => self.restarts.push(why),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// Waits until it says so.
    pub(crate) async fn says(&mut self, wanted: &str) {
        self.until(wanted, |follow| {
            follow.samples.last().is_some_and(|sample| told(sample).contains(wanted))
        })
        .await;
    }

    /// Waits for so many lines, and gives all there are.
    pub(crate) async fn lines(&mut self, count: usize) -> Vec<String> {
        self.until(&format!("{count} lines"), |follow| follow.matches.len() >= count).await;
        self.matches.iter().map(|found| found.line.clone()).collect()
    }

    /// Waits until something was recorded.
    pub(crate) async fn recorded(&mut self) {
        self.until("a position", |follow| follow.position.is_some()).await;
    }

    pub(crate) async fn value(&mut self, name: &str) -> f64 {
        let sample = self.look().await.unwrap();
        crate::watch_rig::number(&sample, name).unwrap()
    }
}
