//! A run: the phases in their order, the actors, the nemesis beside them.
//!
//! ```text
//! servers start ▸ preparation, agents start ▸ main: actors work, faults begin and end ▸ all is healed ▸ servers settle ▸ last calls
//! ```

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lictor_consul::{Client, Error, Operation};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::cell::Unwanted;
use super::client::{ClientError, connect};
use super::nemesis::fault::Fault;
use super::nemesis::schedule::{Order, Schedule, Step};
use super::nemesis::{Nemesis, NemesisError};
use super::record::{Recorder, Tally};
use super::say::Say;
use super::scene::{Scene, SceneError};
use super::witness::{self, WitnessError};
use super::workload::{Actor, Hand, Workload};
use super::world::agent::Asker;
use super::world::process::ProcessError;
use super::world::server::Setup;
use super::world::{Places, World, WorldError, agent, net};
use crate::dice::Dice;
use crate::history::{Kind, Process, WriteError};

/// How long a call may take. A server without a leader holds one for 7 s before it says so, and others hang for longer.
const CALL: Duration = Duration::from_secs(5);

/// How long what prepares a run may take for each request.
const PREPARATION: Duration = Duration::from_secs(30);

/// How often it is said how a run is going.
const PROGRESS: Duration = Duration::from_secs(5);

/// How long an actor rests that has nothing to do, or whose node cannot be reached.
const PAUSE: Duration = Duration::from_millis(100);

/// Most operations of a transaction of Consul 1.8.
const BATCH: u32 = 64;

/// What a run is to be.
#[derive(Debug)]
pub struct Plan {
    /// How many hosts, with a server on each.
    pub nodes: usize,
    /// How many actors.
    pub actors: usize,
    /// How long the main phase is.
    pub time: Duration,
    /// How long the servers have for themselves after they are well again.
    pub settle: Duration,
    /// The faults, in their order.
    pub faults: Vec<Fault>,
    /// How they follow each other.
    pub order: Order,
    /// How long a fault is at work, and how long there is none.
    pub interval: Duration,
    /// How many other keys are written before.
    pub ballast: u32,
    /// How long an actor rests between two calls, on average; the workload says when this does not.
    pub rest: Option<Duration>,
    /// What all that is drawn begins with.
    pub seed: u64,
    /// How the servers are set up.
    pub setup: Setup,
    /// How agents of Lictor are set up, if they are tested.
    pub agents: Option<agent::Setup>,
}

/// What a run came to, besides its history.
#[derive(Debug)]
pub struct Played {
    /// How many calls came to which end.
    pub tally: Tally,
    /// How servers and agents ended that nobody had killed.
    pub falls: Vec<String>,
    /// What makes the run worth less: faults that were not done, a cluster that did not get well.
    pub findings: Vec<String>,
    /// Whether the servers were well again after all faults.
    pub well: bool,
    /// Whether it was stopped before its time.
    pub stopped: bool,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The hosts, or what is on them.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What the agents have done.
    #[error(transparent)]
    Scene(#[from] SceneError),
    /// The history with that in it.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The history.
    #[error(transparent)]
    History(#[from] WriteError),
    /// What has to be there before the actors begin.
    #[error("cannot prepare the run: {0}")]
    Preparation(#[from] Error),
    /// An actor ended as none should.
    #[error("an actor ended: {0}")]
    Actor(#[from] JoinError),
}

impl From<ProcessError> for RunError {
    fn from(error: ProcessError) -> Self {
        Self::World(error.into())
    }
}

/// What the actors are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// What they do next.
    Main,
    /// Nothing.
    Rest,
    /// What they do last.
    Last,
}

/// Makes a run. Its history is written to a new file at this path.
///
/// # Errors
/// If it cannot be made to its end. What there is of the history is kept.
pub async fn play(
    plan: &Plan,
    workload: &Arc<dyn Workload>,
    places: Places<'_>,
    history: &Path,
    say: Say,
) -> Result<Played, RunError> {
    let mut world = World::make(plan.nodes, &plan.setup, places, plan.needs_disks()).await?;
    say.line(&format!("{} servers start", plan.nodes));
    world.start().await?;
    let client = connect(0, PREPARATION)?;
    if plan.ballast > 0 {
        say.line(&format!("{} other keys are written", plan.ballast));
        load(&client, plan.ballast).await?;
    }
    workload.prepare(&client).await?;
    if let (Some(setup), Some(scene)) = (&plan.agents, workload.scene()) {
        say.line(&format!("{} agents start", plan.nodes));
        world.populate(setup, scene, places)?;
        world.start_agents()?;
        scene.install(&mut world.agents).await?;
        world.ready_for(Some(scene)).await?;
    }
    let recorder = Recorder::begin(history)?;
    let began = recorder.began();
    let mut stage = Stage { plan, recorder, say, workload, findings: BTreeSet::new() };
    let played = stage.play(&mut world).await;
    stage.recorder.finish()?;
    let played = played?;
    if let Some(scene) = workload.scene() {
        witness::merge(history, scene.deeds()?, began)?;
    }
    Ok(played)
}

/// A run under way.
struct Stage<'a> {
    plan: &'a Plan,
    recorder: Recorder,
    say: Say,
    workload: &'a Arc<dyn Workload>,
    findings: BTreeSet<String>,
}

impl Stage<'_> {
    async fn play(&mut self, world: &mut World) -> Result<Played, RunError> {
        let (phase, phases) = watch::channel(Phase::Main);
        let mut actors = JoinSet::new();
        for number in 0..self.plan.actors {
            actors.spawn(self.actor(number, phases.clone())?.run());
        }
        let mut nemesis = Nemesis::new(Dice::of(self.plan.seed, "nemesis"));
        let stopped = self.main(world, &mut nemesis).await?;
        phase.send_replace(Phase::Rest);
        let well = self.heal(world, &mut nemesis).await?;
        self.say.line("last calls");
        phase.send_replace(Phase::Last);
        while let Some(ended) = actors.join_next().await {
            ended??;
        }
        let findings = std::mem::take(&mut self.findings).into_iter().collect();
        Ok(Played { tally: self.recorder.tally(), falls: world.falls()?, findings, well, stopped })
    }

    /// The main phase. True if it was stopped before its time.
    async fn main(&mut self, world: &mut World, nemesis: &mut Nemesis) -> Result<bool, RunError> {
        let dice = Dice::of(self.plan.seed, "schedule");
        let mut schedule = Schedule::new(self.plan.faults.clone(), self.plan.order, dice);
        let end = Instant::now() + self.plan.time;
        let mut next = Instant::now() + self.plan.interval;
        let mut progress = interval(PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unwanted = Unwanted::listen();
        loop {
            tokio::select! {
                () = sleep_until(end) => return Ok(false),
                () = unwanted.come() => return Ok(true),
                _ = progress.tick() => self.progress(nemesis, world).await?,
                () = sleep_until(next) => {
                    if let Some(step) = schedule.next(&nemesis.active()) {
                        self.step(world, nemesis, step).await?;
                    }
                    next = Instant::now() + self.plan.interval;
                }
            }
        }
    }

    /// Begins or ends a fault, and writes that down before and after.
    async fn step(&mut self, world: &mut World, nemesis: &mut Nemesis, step: Step) -> Result<(), RunError> {
        let (name, fault) = match step {
            Step::Begin(fault) => (format!("start-{fault}"), fault),
            Step::End(fault) => (format!("stop-{fault}"), fault),
        };
        self.recorder.fault(&name, Value::Null, None)?;
        let done = match step {
            Step::Begin(_) => nemesis.begin(world, fault, self.scene().and_then(Scene::active)).await,
            Step::End(_) => nemesis.end(world, fault).await,
        };
        match done {
            Ok(value) => {
                self.say.line(format!("{name} {}", told(&value)).trim_end());
                self.recorder.fault(&name, value, None)?;
            }
            Err(NemesisError::Refused(why)) => {
                self.say.line(&format!("{name}: {why}"));
                self.findings.insert(format!("{name}: {why}"));
                self.recorder.fault(&name, Value::Null, Some(why))?;
            }
            Err(NemesisError::World(error)) => {
                self.recorder.fault(&name, Value::Null, Some(error.to_string()))?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Ends all faults, heals the world, and waits until the servers are well. False if they do not get so.
    async fn heal(&mut self, world: &mut World, nemesis: &mut Nemesis) -> Result<bool, RunError> {
        for fault in nemesis.active() {
            self.step(world, nemesis, Step::End(fault)).await?;
        }
        world.heal().await?;
        self.recorder.fault("heal", Value::Null, None)?;
        self.say.line("all is healed, the servers settle");
        let ready = world.ready_for(self.scene()).await;
        if let Err(error) = &ready {
            // Not an end: what the last calls say of it is worth knowing.
            self.findings.insert(error.to_string());
        }
        sleep(self.plan.settle).await;
        self.recorder.fault("settled", Value::Null, None)?;
        Ok(ready.is_ok())
    }

    async fn progress(&self, nemesis: &Nemesis, world: &World) -> Result<(), WriteError> {
        // What a killed run leaves is not older than this.
        self.recorder.flush()?;
        let [ok, fail, info] = self.recorder.tally().sums();
        let faults: Vec<_> = nemesis.active().iter().map(ToString::to_string).collect();
        let faults = if faults.is_empty() { "no fault".to_owned() } else { faults.join(", ") };
        let leader = world.leader().await.map_or_else(|| "none".to_owned(), net::name);
        let seconds = self.recorder.started().elapsed().as_secs();
        self.say.line(&format!(
            "{seconds:>4} s  {ok} ok, {fail} failed, {info} unknown; {faults}; leader {leader}"
        ));
        Ok(())
    }

    fn scene(&self) -> Option<&dyn Scene> {
        self.workload.scene()
    }

    fn actor(&self, number: usize, phases: watch::Receiver<Phase>) -> Result<Player, RunError> {
        let host = number % self.plan.nodes.max(1);
        let dice = |what: &str| Dice::of(self.plan.seed, &format!("{what} {number}"));
        let agent = self.plan.agents.as_ref().map(|setup| Asker::new(host, &setup.program));
        let hand = Hand { number, host, agent, client: connect(host, CALL)?, dice: dice("actor") };
        Ok(Player {
            actor: self.workload.actor(hand),
            node: net::name(host),
            process: number as u64,
            actors: self.plan.actors as u64,
            rest: self.plan.rest.unwrap_or(self.workload.rest()),
            dice: dice("rest"),
            recorder: self.recorder.clone(),
            phases,
        })
    }
}

impl Plan {
    fn needs_disks(&self) -> bool {
        self.faults.iter().any(|fault| fault.needs_disks())
    }
}

/// An actor, and what it takes to play its part.
struct Player {
    actor: Box<dyn Actor>,
    node: String,
    process: u64,
    /// How many actors there are: what is added to the number of a process that is retired.
    actors: u64,
    rest: Duration,
    dice: Dice,
    recorder: Recorder,
    phases: watch::Receiver<Phase>,
}

impl Player {
    async fn run(mut self) -> Result<(), WriteError> {
        loop {
            let phase = *self.phases.borrow_and_update();
            let call = match phase {
                Phase::Main => self.actor.next().await,
                Phase::Last => match self.actor.last().await {
                    Some(call) => Some(call),
                    None => return Ok(()),
                },
                Phase::Rest => {
                    if self.phases.changed().await.is_err() {
                        // The run was given up.
                        return Ok(());
                    }
                    continue;
                }
            };
            let Some(call) = call else {
                sleep(PAUSE).await;
                continue;
            };
            // It may have thought about it for long.
            if phase != *self.phases.borrow() {
                continue;
            }
            let begun = self.recorder.invoke(Process::Client(self.process), &call, Some(&self.node))?;
            let outcome = self.actor.perform(&call).await;
            match self.recorder.complete(&begun, outcome)? {
                Kind::Info => self.process += self.actors,
                // Nothing is gained by asking a server that is down a thousand times a second.
                Kind::Fail => rest(self.dice.around(PAUSE.min(self.rest * 4))).await,
                Kind::Ok | Kind::Invoke => {}
            }
            rest(self.dice.around(self.rest)).await;
        }
    }
}

/// Rests for so long. Not at all is less than the shortest time of a timer.
async fn rest(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

/// Whom a fault is done to, for people: `n1 n2, leader n1`, `n1→n2 n2→n1`.
fn told(value: &Value) -> String {
    let list = |name: &str| value.get(name).and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = list("nodes").map(text);
    let cut = list("cut").map(|way| {
        let ends: Vec<String> = way.as_array().into_iter().flatten().map(text).collect();
        ends.join("→")
    });
    let mut told = nodes.chain(cut).collect::<Vec<_>>().join(" ");
    for who in ["leader", "active"] {
        if let Some(host) = value.get(who).and_then(Value::as_str) {
            let comma = if told.is_empty() { "" } else { ", " };
            told.extend([comma, who, " ", host]);
        }
    }
    told
}

/// Writes so many keys that nobody asks for: they make the log longer that servers have to read when they start.
async fn load(client: &Client, count: u32) -> Result<(), Error> {
    let keys: Vec<u32> = (0..count).collect();
    for batch in keys.chunks(BATCH as usize) {
        let sets = batch.iter().map(|key| Operation::set(format!("jepsen/ballast/{key:06}"), "x".repeat(32)));
        client.txn().run(&sets.collect::<Vec<_>>()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whom_a_fault_is_done_to_is_told_in_few_words() {
        assert_eq!(told(&json!({"nodes": ["n1", "n2"], "leader": "n1"})), "n1 n2, leader n1");
        assert_eq!(told(&json!({"cut": [["n1", "n2"], ["n2", "n1"]]})), "n1→n2 n2→n1");
        assert_eq!(told(&json!({"leader": "n1"})), "leader n1");
        assert_eq!(told(&json!({"leader": "n1", "active": "n2"})), "leader n1, active n2");
        assert_eq!(told(&Value::Null), "");
    }
}
