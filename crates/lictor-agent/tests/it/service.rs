//! Clustered services on a real Consul: several nodes in one process, units that only say whether they run,
//! and a guard that outlives the agent.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_agent::service::{Asking, Guard, Heard, Look, Service, Setup, Spoken, Units, Voice};
use lictor_agent::{Clock, LeaseState, Tasks};
use lictor_consul::{Client, Config};
use lictor_core::lease::{Belief, Next, Params, Record, Roll, Timing};
use lictor_core::service::member::{Local, Order, Part};
use lictor_core::service::operation::{Phase, What};
use lictor_store::kv::{Kv, Op};
use lictor_store::wire;
use lictor_testkit::consul::Server;
use lictor_testkit::wait;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

const NODES: [&str; 3] = ["n1", "n2", "n3"];

fn fast() -> Params {
    times(2_500, 4_200)
}

fn times(belief: u64, length: u64) -> Params {
    let millis = Duration::from_millis;
    Params::new(Timing {
        renew: millis(1_000),
        request: millis(1_000),
        belief: millis(belief),
        margin: millis(1_600),
        length: millis(length),
        drift_ppm: 5_000,
    })
    .unwrap()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that the nodes share beside Consul.
#[derive(Default)]
pub(crate) struct World {
    /// Where it runs, and under which token.
    pub(crate) running: Mutex<BTreeMap<String, u64>>,
    /// All starts.
    pub(crate) starts: Mutex<Vec<(String, u64)>>,
    /// How long a start takes. It goes on without who has ordered it.
    pub(crate) slow: Mutex<Duration>,
    /// Where it is being started, under which token, and until when.
    pub(crate) starting: Mutex<BTreeMap<String, (u64, Instant)>>,
    /// The nodes whose agents cannot see how it stands.
    pub(crate) hidden: Mutex<BTreeSet<String>>,
    /// What the guards go by.
    pub(crate) beliefs: Mutex<BTreeMap<String, Belief>>,
    pub(crate) changed: Notify,
    heard: Mutex<BTreeMap<String, mpsc::Sender<Heard>>>,
    silent: Mutex<BTreeSet<String>>,
}

impl World {
    fn starts(&self, node: &str, token: u64) {
        let mut running = lock(&self.running);
        assert!(running.is_empty(), "it starts on {node} although {running:?}");
        let mut starts = lock(&self.starts);
        let fine = starts.last().is_none_or(|(at, last)| token > *last || (token == *last && at == node));
        assert!(fine, "token {token} on {node} after {starts:?}");
        starts.push((node.to_owned(), token));
        running.insert(node.to_owned(), token);
        drop((running, starts));
        self.changed.notify_waiters();
    }

    fn stops(&self, node: &str) {
        lock(&self.starting).remove(node);
        if lock(&self.running).remove(node).is_some() {
            self.changed.notify_waiters();
        }
    }

    /// What began long enough ago is done.
    fn goes_on(&self) {
        let now = Instant::now();
        let done: Vec<(String, u64)> = lock(&self.starting)
            .iter()
            .filter(|(_, (_, until))| *until <= now)
            .map(|(node, (token, _))| (node.clone(), *token))
            .collect();
        for (node, token) in done {
            lock(&self.starting).remove(&node);
            self.starts(&node, token);
        }
    }

    /// Starts it there, or goes on with that; as long as that takes.
    async fn starts_slowly(&self, node: &str, token: u64, slow: Duration) -> Result<(), String> {
        let begins = || (token, Instant::now() + slow);
        let begun = lock(&self.starting).entry(node.to_owned()).or_insert_with(begins).0;
        assert_eq!(begun, token, "one start goes on with another");
        while lock(&self.starting).contains_key(node) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if self.runs_on(node) { Ok(()) } else { Err("it was killed".to_owned()) }
    }

    pub(crate) fn runs_on(&self, node: &str) -> bool {
        lock(&self.running).contains_key(node)
    }
}

pub(crate) struct Here {
    pub(crate) node: String,
    pub(crate) world: Arc<World>,
    pub(crate) broken: Arc<AtomicBool>,
}

impl Units for Here {
    fn look(&self) -> BoxFuture<'_, Look> {
        let running = lock(&self.world.running).get(&self.node).copied();
        let starting = lock(&self.world.starting).get(&self.node).map(|(token, _)| *token);
        let hidden = lock(&self.world.hidden).contains(&self.node);
        let (local, able) = match (running, starting) {
            _ if hidden => (Local::Unknown, Err("it cannot be seen".to_owned())),
            (Some(token), _) => (Local::Running { token: Some(token) }, Ok(())),
            (None, Some(token)) => (Local::Starting { token }, Ok(())),
            (None, None) => (Local::Stopped, Ok(())),
        };
        Box::pin(async move { Look { local, able } })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.world.changed.notified())
    }

    fn carry<'a>(
        &'a self,
        order: Order,
        believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let slow = *lock(&self.world.slow);
            match order {
                _ if lock(&self.world.hidden).contains(&self.node) => Err("it cannot be seen".to_owned()),
                Order::Start { .. } if self.broken.load(Ordering::SeqCst) => Err("it is broken".to_owned()),
                Order::Start { token } if !believes(token) => Err("the lease is over".to_owned()),
                Order::Start { token } if !slow.is_zero() => {
                    self.world.starts_slowly(&self.node, token, slow).await
                }
                Order::Start { token } => {
                    self.world.starts(&self.node, token);
                    Ok(())
                }
                Order::Stop | Order::Kill => {
                    self.world.stops(&self.node);
                    Ok(())
                }
            }
        })
    }

    fn restart<'a>(
        &'a self,
        token: u64,
        believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.carry(Order::Stop, believes).await?;
            self.carry(Order::Start { token }, believes).await
        })
    }
}

impl Guard for Here {
    fn tell(&self, belief: Option<Belief>) {
        match belief {
            Some(belief) => drop(lock(&self.world.beliefs).insert(self.node.clone(), belief)),
            None => {
                lock(&self.world.beliefs).remove(&self.node);
                self.world.stops(&self.node);
            }
        }
    }
}

/// Kills what runs on nodes whose belief has ended, whatever became of their agents.
pub(crate) struct Guards(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Guards {
    pub(crate) fn over(world: &Arc<World>) -> Self {
        let (over, world) = (Arc::new(AtomicBool::new(false)), Arc::clone(world));
        let ends = Arc::clone(&over);
        let clock = Clock::fresh();
        #[expect(clippy::disallowed_methods, reason = "a guard looks at the clock")]
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                let now = clock.stamp();
                let ended: Vec<String> = lock(&world.beliefs)
                    .iter()
                    .filter(|(_, belief)| !belief.holds(now))
                    .map(|(node, _)| node.clone())
                    .collect();
                ended.iter().for_each(|node| world.stops(node));
                world.goes_on();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self(over, Some(thread))
    }
}

impl Drop for Guards {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        if let Some(thread) = self.1.take() {
            thread.join().unwrap();
        }
    }
}

/// A node with a runtime of its own, so that it can be killed.
struct Node {
    service: Service,
    broken: Arc<AtomicBool>,
    tasks: Tasks,
    runtime: Runtime,
}

struct Rig {
    world: Arc<World>,
    _guards: Guards,
    consul: Server,
    nodes: BTreeMap<String, Node>,
    lives: u32,
}

impl Rig {
    /// Three nodes; the first one is the active one.
    fn new() -> Self {
        Self::slow(Duration::ZERO)
    }

    /// Three on which a start takes so long.
    fn slow(slow: Duration) -> Self {
        let world = Arc::new(World { slow: Mutex::new(slow), ..World::default() });
        let rig = Self {
            _guards: Guards::over(&world),
            world,
            consul: Server::start(),
            nodes: BTreeMap::new(),
            lives: 0,
        };
        let record = Record {
            holder: "n1".into(),
            incarnation: "made".into(),
            token: 1,
            beat: 0,
            length: fast().length(),
            released: Some(Next::Anyone),
            roll: Some(Roll { nodes: NODES.map(str::to_owned).into(), boot: "made".into() }),
        };
        let value = wire::encode(&wire::Lease::from(&record)).unwrap();
        now(rig.kv().txn(&[Op::put("service/web/lease", value)])).unwrap();
        let mut rig = rig;
        NODES.into_iter().for_each(|node| rig.start(node));
        rig
    }

    fn kv(&self) -> Kv {
        let config = Config { address: self.consul.url().parse().unwrap(), ..Config::default() };
        Kv::consul(Client::new(config).unwrap(), "lictor/")
    }

    fn start(&mut self, node: &str) {
        self.lives += 1;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (tasks, clock, broken) = (Tasks::new(), Clock::fresh(), Arc::default());
        let here = Arc::new(Here {
            node: node.to_owned(),
            world: Arc::clone(&self.world),
            broken: Arc::clone(&broken),
        });
        let (voice, said, hears) = Voice::new();
        lock(&self.world.heard).insert(node.to_owned(), hears);
        let number = NODES.iter().position(|one| *one == node).unwrap();
        let part = Part {
            automatic: true,
            active: number == 0,
            after: Duration::from_millis(200) * u32::try_from(number).unwrap(),
            attempts: 2,
            rest: Duration::from_secs(5),
            blind: Duration::from_secs(5),
        };
        let guarded =
            lock(&self.world.beliefs).get(node).map_or(Duration::ZERO, |belief| belief.left(clock.stamp()));
        let setup = Setup {
            service: "web".into(),
            node: node.into(),
            incarnation: format!("life {}", self.lives),
            boot: "this one".into(),
            nodes: NODES.map(str::to_owned).into(),
            times: (fast(), times(12_000, 14_000)),
            part,
            guarded,
            kv: self.kv(),
            units: Arc::clone(&here) as Arc<dyn Units>,
            guard: here,
            voice,
        };
        let service = {
            let _inside = runtime.enter();
            tasks.spawn(
                "voice",
                lictor_agent::OnEnd::Fine,
                carry_words(node.to_owned(), said, Arc::clone(&self.world)),
            );
            Service::start(setup, clock, &tasks)
        };
        self.nodes.insert(node.to_owned(), Node { service, broken, tasks, runtime });
    }

    /// Ends all of an agent at once.
    fn kill(&mut self, node: &str) {
        self.nodes.remove(node).unwrap().runtime.shutdown_background();
        lock(&self.world.heard).remove(node);
    }

    fn stop(&mut self, node: &str) {
        let node = self.nodes.remove(node).unwrap();
        assert!(node.runtime.block_on(node.tasks.drain(LONG)));
    }

    fn runs_on(&self, node: &str) {
        let runs = wait::until(LONG, || self.world.runs_on(node).then_some(()));
        assert!(runs.is_some(), "it does not run on {node}: {:?}", self.states());
    }

    fn states(&self) -> Vec<String> {
        self.nodes.values().map(|node| format!("{:?}", node.service)).collect()
    }

    fn starts(&self) -> Vec<(String, u64)> {
        lock(&self.world.starts).clone()
    }

    /// Asks a node for something, and waits until that is over.
    fn ask(&self, node: &str, id: &str, what: What) -> Phase {
        let node = &self.nodes[node];
        let from = match &node.service.state().borrow().lease {
            LeaseState::Other { holder } => Some(holder.clone()),
            LeaseState::Held { .. } | LeaseState::Unknown { .. } => None,
        };
        let asking =
            Asking { id: id.into(), what, from, by: "a test".into(), deadline: Duration::from_secs(10) };
        node.runtime.block_on(node.service.ask(asking)).unwrap();
        let state = node.service.state();
        let over = || {
            let operation = state.borrow().operation.clone()?;
            (operation.id == id && operation.is_over()).then_some(operation.phase)
        };
        wait::until(LONG, over).unwrap_or_else(|| panic!("it is never over: {:?}", self.states()))
    }
}

/// Hands what a node says to those it speaks to, as a network does.
async fn carry_words(from: String, mut said: mpsc::Receiver<Spoken>, world: Arc<World>) {
    while let Some(spoken) = said.recv().await {
        if lock(&world.silent).contains(&from) {
            continue;
        }
        let (to, heard) = match spoken {
            Spoken::Question { number, token, length, to } => {
                (to, Heard::Question { from: from.clone(), asker: String::new(), number, token, length })
            }
            Spoken::Answer { to, answer, .. } => ([to].into(), Heard::Answer(answer)),
        };
        let there = lock(&world.heard);
        for hears in to.iter().filter_map(|to| there.get(to)) {
            drop(hears.try_send(heard.clone()));
        }
    }
}

/// Runs something of the records to its end.
fn now<F: Future>(work: F) -> F::Output {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A clock, and what it shows.
fn clock() -> (Clock, lictor_core::Boot) {
    let clock = Clock::fresh();
    let now = clock.boot();
    (clock, now)
}

/// Lets time pass.
fn passes(time: Duration) {
    let (clock, begun) = clock();
    wait::until(LONG, || (clock.boot().since(begun) >= time).then_some(()));
}

fn to(node: &str) -> What {
    What::Switchover { to: node.to_owned() }
}

#[test]
fn a_service_runs_on_one_node_and_moves_when_it_is_asked_to() {
    let rig = Rig::new();
    rig.runs_on("n1");
    let (clock, begun) = clock();
    assert_eq!(rig.ask("n3", "o1", to("n2")), Phase::Done);
    println!("a switchover took {:?}", clock.boot().since(begun));
    assert!(rig.world.runs_on("n2"));
    assert_eq!(rig.ask("n2", "o2", to("n3")), Phase::Done);
    assert_eq!(rig.ask("n1", "o3", What::Stop), Phase::Done);
    assert!(lock(&rig.world.running).is_empty());
    assert_eq!(rig.ask("n1", "o4", What::Take { to: "n1".into() }), Phase::Done);
    let nodes: Vec<String> = rig.starts().into_iter().map(|(node, _)| node).collect();
    assert_eq!(nodes, ["n1", "n2", "n3", "n1"]);
}

#[test]
fn a_switchover_to_a_node_on_which_it_does_not_start_ends_where_it_began() {
    let rig = Rig::new();
    rig.runs_on("n1");
    rig.nodes["n2"].broken.store(true, Ordering::SeqCst);
    assert_eq!(
        rig.ask("n1", "o1", to("n2")),
        Phase::Failed { why: "it does not start on n2: it is broken".into() }
    );
    rig.runs_on("n1");
}

#[test]
fn when_an_agent_dies_for_good_its_guard_stops_the_service_and_another_node_takes_it() {
    let mut rig = Rig::new();
    rig.runs_on("n1");
    let (clock, begun) = clock();
    rig.kill("n1");
    rig.runs_on("n2");
    println!("it was taken over after {:?}", clock.boot().since(begun));
    assert_eq!(rig.starts().last().unwrap().0, "n2");
}

#[test]
fn an_agent_that_is_started_again_in_time_goes_on_with_what_runs() {
    let mut rig = Rig::new();
    rig.runs_on("n1");
    for how in 0..4 {
        match how % 2 {
            0 => rig.kill("n1"),
            _ => rig.stop("n1"),
        }
        rig.start("n1");
        let held = || rig.nodes["n1"].service.believes();
        assert!(wait::until(LONG, held).is_some(), "{:?}", rig.states());
    }
    assert_eq!(rig.starts().len(), 1, "{:?}", rig.starts());
    assert!(rig.world.runs_on("n1"));
}

#[test]
fn an_agent_that_is_started_again_while_the_service_starts_goes_on_with_that() {
    let mut rig = Rig::slow(Duration::from_secs(6));
    let begun = |rig: &Rig| lock(&rig.world.starting).get("n1").copied();
    let first = wait::until(LONG, || begun(&rig)).unwrap();
    for how in [Rig::kill, Rig::stop] {
        how(&mut rig, "n1");
        rig.start("n1");
        let held = || rig.nodes["n1"].service.believes();
        assert!(wait::until(LONG, held).is_some(), "{:?}", rig.states());
        assert_eq!(begun(&rig), Some(first), "it was begun anew");
    }
    rig.runs_on("n1");
    assert_eq!(rig.starts(), [("n1".to_owned(), first.0)]);
}

#[test]
fn a_node_that_cannot_see_its_units_loses_the_service_to_one_that_can() {
    let rig = Rig::new();
    rig.runs_on("n1");
    lock(&rig.world.hidden).insert("n1".to_owned());
    rig.world.changed.notify_waiters();
    let (clock, begun) = clock();
    rig.runs_on("n2");
    let after = clock.boot().since(begun);
    println!("it was taken over after {after:?}");
    assert!(after > Duration::from_secs(5), "it goes on for a while: {after:?}");
    let state = rig.nodes["n1"].service.state();
    assert!(state.borrow().blind && state.borrow().able == Some(Err("it cannot be seen".to_owned())));
    lock(&rig.world.hidden).clear();
    let sees = wait::until(LONG, || (!state.borrow().blind).then_some(()));
    assert!(sees.is_some(), "{:?}", rig.states());
    assert_eq!(rig.ask("n3", "o1", to("n1")), Phase::Done);
    let nodes: Vec<String> = rig.starts().into_iter().map(|(node, _)| node).collect();
    assert_eq!(nodes, ["n1", "n2", "n1"]);
}

#[test]
fn while_consul_does_not_answer_the_promises_of_the_others_carry_the_service() {
    let mut rig = Rig::new();
    rig.runs_on("n1");
    // Some renewals, and all have been heard.
    passes(Duration::from_secs(3));
    rig.consul.pause();
    passes(Duration::from_secs(9));
    assert!(rig.world.runs_on("n1"), "{:?}", rig.states());
    assert_eq!(rig.starts().len(), 1);
    // Nobody carries it without them.
    lock(&rig.world.silent).extend(NODES.map(str::to_owned));
    let stopped = wait::until(LONG, || lock(&rig.world.running).is_empty().then_some(()));
    assert!(stopped.is_some());
    lock(&rig.world.silent).clear();
    rig.consul.resume();
    let runs = wait::until(LONG, || (!lock(&rig.world.running).is_empty()).then_some(()));
    assert!(runs.is_some(), "{:?}", rig.states());
}
