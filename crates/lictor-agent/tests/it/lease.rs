//! Leases: one of several nodes holds one, on a real Consul and without.
#![cfg(test)]

use std::time::Duration;

use lictor_agent::{Clock, Lease, LeaseState, Tasks};
use lictor_consul::{Client, Config};
use lictor_core::lease::{Next, Params, Record, Timing};
use lictor_store::kv::{Kv, Op};
use lictor_store::wire;
use lictor_testkit::consul::{self, Cluster, Options, Server};
use lictor_testkit::wait;
use tokio::runtime::{Builder, Runtime};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A lease that is lost within seconds.
fn hasty() -> Params {
    let millis = Duration::from_millis;
    let timing = Timing {
        renew: millis(200),
        request: millis(500),
        belief: millis(1_500),
        margin: millis(200),
        length: millis(2_500),
        drift_ppm: 5_000,
    };
    Params::new(timing).unwrap()
}

/// A lease that nobody waits out.
fn patient() -> Params {
    let millis = Duration::from_millis;
    let timing = Timing {
        renew: millis(200),
        request: millis(500),
        belief: LONG * 2,
        margin: millis(200),
        length: LONG * 10,
        drift_ppm: 5_000,
    };
    Params::new(timing).unwrap()
}

fn records(server: &Server) -> Kv {
    let config = Config { address: server.url().parse().unwrap(), ..Config::default() };
    Kv::consul(Client::new(config).unwrap(), "lictor/")
}

/// A node with a runtime of its own, so that it can be killed.
struct Node {
    lease: Lease,
    tasks: Tasks,
    runtime: Runtime,
}

impl Node {
    fn start(name: &str, kv: &Kv, key: &str, params: Params) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (tasks, clock) = (Tasks::new(), Clock::fresh());
        let lease = {
            let _inside = runtime.enter();
            let incarnation = format!("process of {name}");
            Lease::start(kv.clone(), key.to_owned(), name.to_owned(), incarnation, params, clock, &tasks)
        };
        Self { lease, tasks, runtime }
    }

    /// The token, once this node believes.
    fn holds(&self) -> u64 {
        wait::until(LONG, || self.lease.believes()).unwrap_or_else(|| panic!("{:?}", self.lease))
    }

    fn sees(&self, holder: &str) {
        let expected = LeaseState::Other { holder: holder.to_owned() };
        let state = self.lease.state();
        let seen = wait::until(LONG, || (*state.borrow() == expected).then_some(()));
        assert!(seen.is_some(), "{:?}", self.lease);
    }

    /// Ends all at once; nothing is given back.
    fn kill(self) -> Lease {
        self.runtime.shutdown_background();
        self.lease
    }

    /// Stops in order.
    fn stop(self) -> Lease {
        assert!(self.runtime.block_on(self.tasks.drain(LONG)));
        self.lease
    }
}

/// Runs something of the records to its end.
fn now<F: Future>(work: F) -> F::Output {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn leave(kv: &Kv, key: &str, released: bool) {
    let record = Record {
        holder: "n9".into(),
        incarnation: "gone".into(),
        token: 7,
        beat: 1,
        length: hasty().length(),
        released: released.then_some(Next::Anyone),
        roll: None,
    };
    let value = wire::encode(&wire::Lease::from(&record)).unwrap();
    now(kv.txn(&[Op::put(key, value)])).unwrap();
}

fn read(kv: &Kv, key: &str) -> wire::Lease {
    let pair = now(kv.get(key)).unwrap().unwrap();
    wire::decode(&pair.value).unwrap()
}

#[test]
fn what_a_node_left_in_consul_is_taken_after_the_length_and_not_before() {
    let kv = records(consul::shared());
    leave(&kv, "lease/left", false);
    let clock = Clock::fresh();
    let started = clock.boot();
    let node = Node::start("n1", &kv, "lease/left", hasty());
    assert_eq!(node.holds(), 8);
    let waited = clock.boot().since(started);
    assert!(waited >= hasty().length(), "{waited:?}");
    assert_eq!(*node.lease.state().borrow(), LeaseState::Held { token: 8 });
    assert_eq!(read(&kv, "lease/left").holder, "n1");
    node.stop();
}

#[test]
fn the_lease_of_a_killed_node_in_consul_passes_to_the_other_and_is_never_held_twice() {
    let kv = records(consul::shared());
    leave(&kv, "lease/killed", true);
    let first = Node::start("n1", &kv, "lease/killed", hasty());
    assert_eq!(first.holds(), 8);
    let second = Node::start("n2", &kv, "lease/killed", hasty());
    second.sees("n1");
    let first = first.kill();
    let token = wait::until(LONG, || {
        // In this order: the first cannot begin again.
        let (second, first) = (second.lease.believes(), first.believes());
        assert!(first.is_none() || second.is_none(), "{first:?} and {second:?}");
        second
    });
    assert_eq!(token, Some(9));
    second.stop();
}

#[test]
fn a_lease_given_back_to_consul_is_taken_without_a_wait() {
    let kv = records(consul::shared());
    leave(&kv, "lease/given", true);
    let first = Node::start("n1", &kv, "lease/given", patient());
    assert_eq!(first.holds(), 8);
    let second = Node::start("n2", &kv, "lease/given", patient());
    second.sees("n1");
    let first = first.stop();
    assert_eq!(first.believes(), None);
    // Waiting it out would take longer than this test may.
    assert_eq!(second.holds(), 9);
    second.stop();
    let record = read(&kv, "lease/given");
    assert!(record.released && record.holder == "n2", "{record:?}");
}

#[test]
fn nobody_holds_a_lease_while_consul_is_frozen_and_one_does_afterwards() {
    let mut server = Server::with(Options { in_memory: true, ..Options::default() });
    let kv = records(&server);
    leave(&kv, "lease/frozen", true);
    let nodes = ["n1", "n2"].map(|name| Node::start(name, &kv, "lease/frozen", hasty()));
    let holders = || nodes.iter().filter(|node| node.lease.believes().is_some()).count();
    let one = || wait::until(LONG, || (holders() == 1).then_some(())).is_some();
    assert!(one());
    server.pause();
    assert!(wait::until(LONG, || (holders() == 0).then_some(())).is_some());
    // Nobody begins while nothing can be read, however long that is.
    let begun = wait::until(hasty().length() * 2, || (holders() > 0).then_some(()));
    assert_eq!(begun, None);
    for node in &nodes {
        assert!(matches!(&*node.lease.state().borrow(), LeaseState::Unknown { .. }), "{:?}", node.lease);
    }
    server.resume();
    assert!(one());
    assert_eq!(wait::until(hasty().length(), || (holders() > 1).then_some(())), None);
    nodes.into_iter().for_each(|node| drop(node.stop()));
}

#[test]
fn a_lease_outlasts_the_loss_of_the_leader_of_a_cluster() {
    let mut cluster = Cluster::start();
    let follower = cluster.followers()[0];
    let kv = records(cluster.server(follower));
    leave(&kv, "lease/steady", true);
    let node = Node::start("n1", &kv, "lease/steady", Params::STEADY);
    assert_eq!(node.holds(), 8);
    let renewals = || now(kv.get("lease/steady")).ok().flatten().map(|pair| pair.revision);
    let before = renewals();
    cluster.kill_leader();
    let renewed = wait::until(LONG, || {
        assert_eq!(node.lease.believes(), Some(8));
        renewals().filter(|after| Some(*after) != before)
    });
    assert!(renewed.is_some());
    node.stop();
}

#[test]
fn a_renewed_lease_stays_with_its_holder() {
    let kv = Kv::memory();
    let first = Node::start("n1", &kv, "lease/kept", hasty());
    assert_eq!(first.holds(), 1);
    let second = Node::start("n2", &kv, "lease/kept", hasty());
    second.sees("n1");
    assert_eq!(wait::until(hasty().length() * 2, || second.lease.believes()), None);
    assert_eq!(first.lease.believes(), Some(1));
    assert!(read(&kv, "lease/kept").beat > 10, "it was renewed");
    first.stop();
    second.stop();
}

#[test]
fn a_record_of_a_newer_program_is_left_alone() {
    let kv = Kv::memory();
    now(kv.txn(&[Op::put("lease/newer", r#"{"v":2,"holder":"n2"}"#)])).unwrap();
    let node = Node::start("n1", &kv, "lease/newer", hasty());
    assert_eq!(wait::until(hasty().length() * 2, || node.lease.believes()), None);
    let LeaseState::Unknown { why } = node.lease.state().borrow().clone() else { panic!("{:?}", node.lease) };
    assert!(why.contains("version 2"), "{why}");
    node.stop();
}
