//! Several nodes that share their alerts over a real Consul: whichever of them dies, freezes or is
//! cut off, everybody hears what is wrong and that it is over, and hardly ever twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lictor_testkit::consul::Server;
use lictor_testkit::service::{Answer, Service};
use lictor_testkit::wait;
use serde_json::Value;
use tokio::time::Instant;

use crate::node::{LONG, Node};
use crate::wire::Wire;

const CHECKS: usize = 12;

const BLOCKS: &str = r#"
consul {
  address = "@CONSUL@"
}
watch "exec" "own" {
  command = ["/bin/sh", "-c", "test ! -e @DIR@/broken || exit 2"]
  every   = "1s"
}
notify "http" "hook" {
  url      = "@HOOK@/told"
  parallel = 4
  backoff  = "100ms"
  batch    = "alert"
}
alerts {
  consul {
    @SHARED@
  }
}
route {
  to             = ["hook"]
  group_wait     = "0s"
  group_interval = "0s"
}
"#;

/// One thing that was told, in the order in which the hook got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) check: String,
    pub(crate) node: String,
    /// Empty for checks that are not Consul's.
    pub(crate) datacenter: String,
    pub(crate) tells: String,
    /// The same each time a message is sent.
    pub(crate) id: String,
}

/// All that was told, in order.
pub(crate) type Ears = Arc<Mutex<Vec<Heard>>>;

/// A hook that keeps what it is told.
pub(crate) fn listen() -> (Service, Ears) {
    let heard = Ears::default();
    let keeps = Arc::clone(&heard);
    let hook = Service::start(move |call| {
        let message: Value = serde_json::from_str(&call.body).unwrap();
        for item in message["items"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let label = |name: &str| text(&item["labels"][name]);
            keeps.lock().unwrap().push(Heard {
                check: match label("check_id") {
                    none if none.is_empty() => label("check"),
                    id => id,
                },
                node: label("node"),
                datacenter: label("datacenter"),
                tells: text(&item["tells"]),
                id: text(&message["id"]),
            });
        }
        Answer::new(200, "{}")
    });
    (hook, heard)
}

/// Which node tells, as the nodes say.
pub(crate) fn teller(nodes: &[Node]) -> Option<usize> {
    nodes.iter().position(|node| {
        let answer = node.ask(&["alerts", "--format", "json"]).unwrap_or_default();
        answer["teller"]["who"] == "this"
    })
}

struct Fleet {
    consul: Server,
    hook: Service,
    nodes: Vec<Node>,
    /// The way of each node to Consul.
    wires: Vec<Wire>,
    heard: Ears,
}

impl Fleet {
    /// So many nodes, each with a way of its own to Consul, and checks that all pass.
    fn start(count: usize) -> Self {
        Self::with(count, "")
    }

    /// With this besides in `alerts.consul`.
    fn with(count: usize, shared: &str) -> Self {
        let consul = Server::start();
        for number in 0..CHECKS {
            let body = format!(
                "{{\"Name\": \"c{number}\", \"ID\": \"c{number}\", \"TTL\": \"1h\", \"Status\": \"passing\"}}"
            );
            let (status, said) = consul.put("/v1/agent/check/register", &body).unwrap();
            assert_eq!(status, 200, "{said}");
        }
        let (hook, heard) = listen();
        let wires: Vec<_> = (0..count).map(|_| Wire::to(consul.http_address())).collect();
        let mut nodes: Vec<Node> = wires
            .iter()
            .enumerate()
            .map(|(number, wire)| {
                let blocks = BLOCKS.replace("@CONSUL@", &wire.url()).replace("@HOOK@", &hook.url());
                let blocks = blocks.replace("@SHARED@", shared);
                Node::named(&format!("n{number}"), &blocks)
            })
            .collect();
        nodes.iter_mut().for_each(Node::start);
        Self { consul, hook, nodes, wires, heard }
    }

    fn set(&self, check: usize, well: bool) {
        let word = if well { "pass" } else { "fail" };
        let (status, said) = self.consul.put(&format!("/v1/agent/check/{word}/c{check}"), "").unwrap();
        assert_eq!(status, 200, "{said}");
    }

    #[track_caller]
    fn until_one_tells(&mut self) -> usize {
        wait::until(LONG, || teller(&self.nodes)).unwrap_or_else(|| panic!("nobody tells:\n{}", self.logs()))
    }

    /// What was told last of each check.
    fn last(&self) -> BTreeMap<String, String> {
        let heard = self.heard.lock().unwrap();
        let of_consul = heard.iter().filter(|one| one.check != "own");
        of_consul.map(|one| (one.check.clone(), one.tells.clone())).collect()
    }

    /// Waits until exactly these were told to be wrong last, and all others to be over or nothing.
    #[track_caller]
    fn until_told(&self, wrong: &BTreeSet<usize>) {
        let wanted: BTreeSet<String> = wrong.iter().map(|number| format!("c{number}")).collect();
        let firing = || -> BTreeSet<String> {
            let last = self.last().into_iter();
            last.filter(|(_, tells)| tells != "resolved").map(|(check, _)| check).collect()
        };
        let told = wait::until(LONG, || (firing() == wanted).then_some(()));
        assert!(told.is_some(), "told {:?} and not {wanted:?}\n{}", firing(), self.logs());
    }

    /// Waits until that was heard of a check so many times.
    #[track_caller]
    fn until_heard(&self, check: &str, tells: &str, times: usize) {
        let told = || {
            let heard = self.heard.lock().unwrap();
            heard.iter().filter(|one| one.check == check && one.tells == tells).count()
        };
        let heard = wait::until(LONG, || (told() >= times).then_some(()));
        assert!(heard.is_some(), "{check} is not told to be {tells}\n{}", self.logs());
    }

    /// Messages that the hook got more than once.
    fn repeats(&self) -> usize {
        let heard = self.heard.lock().unwrap();
        let mut seen = BTreeSet::new();
        heard.iter().filter(|one| !seen.insert((one.id.clone(), one.check.clone()))).count()
    }

    fn logs(&self) -> String {
        self.nodes.iter().map(|node| format!("{}\n", node.log())).collect()
    }
}

#[test]
fn after_the_death_of_the_one_that_tells_another_goes_on_within_six_seconds() {
    let mut fleet = Fleet::start(3);
    let first = fleet.until_one_tells();
    fleet.set(0, false);
    fleet.until_told(&[0].into());
    // A silence that a node made which does not tell.
    let other = (first + 1) % 3;
    let (code, out, err) = fleet.nodes[other].says(&["silence", "add", "check_id=c5", "--for", "1h"]);
    assert_eq!(code, 0, "{out}{err}\n{}", fleet.logs());

    fleet.nodes[first].kill();
    let died = Instant::now();
    fleet.set(1, false);
    fleet.set(5, false);
    fleet.until_told(&[0, 1].into());
    let took = died.elapsed();
    assert!(took < Duration::from_secs(15), "it took {took:?}\n{}", fleet.logs());
    assert_eq!(fleet.repeats(), 0, "{:?}", fleet.heard.lock().unwrap());
    let next = fleet.until_one_tells();
    assert_ne!(next, first);
    let answer = fleet.nodes[next].ask(&["silence", "list", "--format", "json"]).unwrap();
    assert_eq!(answer["silences"].as_array().map(Vec::len), Some(1), "{answer}");

    // The one that died comes back, and stands by.
    fleet.nodes[first].start();
    fleet.set(0, true);
    fleet.until_told(&[1].into());
    // It shows what is wrong all the same.
    fleet.nodes[first].until("it stands by", |node| {
        let shown = node.says(&["alerts"]).1;
        (shown.contains(&format!("n{next} tells; this node stands by")) && shown.contains("c1")).then_some(())
    });
}

#[test]
fn a_stop_in_order_hands_over_at_once() {
    let mut fleet = Fleet::start(2);
    let first = fleet.until_one_tells();
    fleet.set(0, false);
    fleet.until_told(&[0].into());
    let asked = Instant::now();
    let (code, _, err) = stop(&mut fleet.nodes[first]);
    assert_eq!(code, 0, "{err}");
    fleet.set(1, false);
    fleet.until_told(&[0, 1].into());
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(4), "it took {took:?}\n{}", fleet.logs());
    assert_eq!(fleet.repeats(), 0);
}

/// Ends an agent as its service manager does.
fn stop(node: &mut Node) -> (i32, String, String) {
    let agent = node.agent();
    agent.signal(rustix::process::Signal::TERM).unwrap();
    let ended = agent.wait(Duration::from_secs(20)).unwrap();
    (ended.and_then(|status| status.code()).unwrap_or(-1), String::new(), node.log())
}

#[test]
fn one_that_was_frozen_sends_nothing_that_is_past() {
    let mut fleet = Fleet::start(2);
    let first = fleet.until_one_tells();
    fleet.nodes[first].agent().pause().unwrap();
    fleet.set(0, false);
    fleet.until_told(&[0].into());
    fleet.set(0, true);
    fleet.until_told(&BTreeSet::new());
    // Its own check was frozen with it, and may be told.
    let heard = |fleet: &Fleet| fleet.heard.lock().unwrap().iter().filter(|one| one.check != "own").count();
    let before = heard(&fleet);
    fleet.nodes[first].agent().resume().unwrap();
    calm(Duration::from_secs(2));
    assert_eq!(heard(&fleet), before, "{}", fleet.logs());
    assert_eq!(fleet.repeats(), 0);
}

#[test]
fn a_node_that_is_cut_off_for_long_tells_of_its_own_checks_alone() {
    let mut fleet = Fleet::with(2, "alone_after = \"10s\"");
    let first = fleet.until_one_tells();
    let other = 1 - first;
    let own = |node: &Node, well: bool| {
        let file = node.path("broken");
        if well { std::fs::remove_file(file).unwrap() } else { std::fs::write(file, "").unwrap() }
    };
    fleet.wires[other].cut();
    own(&fleet.nodes[other], false);
    fleet.until_heard("own", "firing", 1);
    until_called(&fleet.hook, &format!("node n{other} alone"));
    fleet.wires[other].mend();
    // Nobody is told again, and the node that tells knows who was told.
    until_known(&fleet.nodes[first], 1);
    calm(Duration::from_secs(3));
    own(&fleet.nodes[other], true);
    fleet.until_heard("own", "resolved", 1);
    let heard = fleet.heard.lock().unwrap().clone();
    let own: Vec<_> = heard.iter().filter(|one| one.check == "own").map(|one| one.tells.as_str()).collect();
    assert_eq!(own, ["firing", "resolved"], "{}", fleet.logs());
}

/// Waits until a hook was called with this text.
#[track_caller]
pub(crate) fn until_called(hook: &Service, text: &str) {
    let called = wait::until(LONG, || hook.calls().iter().any(|call| call.body.contains(text)).then_some(()));
    assert!(called.is_some(), "never called with `{text}`: {:?}", hook.calls());
}

/// Waits until the node that tells knows of so many alerts of `own` who was told.
#[track_caller]
pub(crate) fn until_known(teller: &Node, alerts: usize) {
    let ask = || teller.ask(&["alerts", "--format", "json", "check=own"]);
    let known = wait::until(LONG, || {
        let all = ask().ok()?;
        let told = |alert: &&Value| alert["told"].as_array().is_some_and(|told| !told.is_empty());
        (all["alerts"].as_array()?.iter().filter(told).count() == alerts).then_some(())
    });
    assert!(known.is_some(), "{:?}\n{}", ask(), teller.log());
}

/// Lets time pass in which something must not happen.
pub(crate) fn calm(lasting: Duration) {
    assert_eq!(wait::until(lasting, || None::<()>), None);
}

/// A small generator of numbers, so that a round can be played again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

#[test]
fn whatever_befalls_the_one_that_tells_nothing_is_lost() {
    // Two hundred take eight minutes: `LICTOR_ROUNDS=200`.
    let wanted = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let rounds: u64 = wanted("LICTOR_ROUNDS").unwrap_or(6);
    let seed: u64 = wanted("LICTOR_SEED").unwrap_or(1);
    let mut fleet = Fleet::start(3);
    let mut wrong = BTreeSet::new();
    let mut faults = 0;
    for round in 0..rounds {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(round));
        let teller = fleet.until_one_tells();
        let toggled: BTreeSet<usize> =
            (0..1 + dice.below(4)).map(|_| usize::try_from(dice.below(12)).unwrap()).collect();
        for check in toggled {
            let well = wrong.contains(&check);
            fleet.set(check, well);
            if well {
                wrong.remove(&check)
            } else {
                wrong.insert(check)
            };
        }
        // Between judging and the answer of the hook there are some 60 ms.
        calm(Duration::from_millis(dice.below(90)));
        faults += 1;
        let kind = dice.below(3);
        println!("round {round}: fault {kind} at n{teller}");
        match kind {
            0 => {
                fleet.nodes[teller].kill();
                fleet.until_told(&wrong);
                fleet.nodes[teller].start();
            }
            1 => {
                fleet.nodes[teller].agent().pause().unwrap();
                fleet.until_told(&wrong);
                fleet.nodes[teller].agent().resume().unwrap();
            }
            _ => {
                fleet.wires[teller].cut();
                fleet.until_told(&wrong);
                fleet.wires[teller].mend();
            }
        }
        fleet.until_told(&wrong);
        assert!(fleet.repeats() <= faults * 4, "round {round}: {} repeats", fleet.repeats());
    }
    for check in std::mem::take(&mut wrong) {
        fleet.set(check, true);
    }
    fleet.until_told(&wrong);
    // At most what was in flight at a fault was sent twice: four at a time.
    let repeats = fleet.repeats();
    let heard = fleet.heard.lock().unwrap().len();
    println!("{rounds} rounds, {heard} told, {repeats} repeats, {} calls", fleet.hook.calls().len());
}
