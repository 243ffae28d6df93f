//! Clustered services on a real Consul: several nodes in one process.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lictor_agent::service::{Asking, Heard, Service, Setup, Spoken, Units, Voice, no_bars};
use lictor_agent::{Clock, LeaseState, Tasks};
use lictor_consul::{Client, Config};
use lictor_core::lease::{Next, Params, Record, Roll, Timing};
use lictor_core::service::member::{Local, Part};
use lictor_core::service::operation::{Phase, What};
use lictor_store::kv::{Kv, Op};
use lictor_store::wire;
use lictor_testkit::consul::Server;
use lictor_testkit::wait;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::service_rig::{Guards, Here, World, lock};

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
            bars: no_bars(),
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
fn a_look_that_has_failed_once_is_repeated_although_nothing_changes() {
    let rig = Rig::new();
    rig.runs_on("n1");
    let mut state = rig.nodes["n1"].service.state();
    lock(&rig.world.missed).insert("n1".to_owned());
    rig.world.changed.notify_waiters();
    let missed = wait::until(LONG, || (state.borrow_and_update().local == Local::Unknown).then_some(()));
    assert!(missed.is_some(), "{:?}", rig.states());
    // Longer than it would be kept without being seen.
    passes(Duration::from_secs(7));
    let state = state.borrow();
    assert!(!state.blind && matches!(state.local, Local::Running { .. }), "{:?}", rig.states());
    assert_eq!(rig.starts().len(), 1, "{:?}", rig.starts());
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
