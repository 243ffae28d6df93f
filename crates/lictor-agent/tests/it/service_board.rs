//! Services of the configuration: whole agents on a real Consul, with units that only say whether they run.
#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lictor_agent::service::{AskError, Asking, Guard, Here, Machine, Made, Pause, Units};
use lictor_agent::{Clock, LeaseState};
use lictor_core::Wall;
use lictor_core::service::operation::{Operation, Phase, What};
use lictor_testkit::consul::{Datacenters, Server};
use tokio::time::{Instant, sleep};

use crate::service_rig::{Guards, Here as Unit, World, lock};
use crate::watch_rig::LONG;
use crate::whole_rig::Whole;

/// Two nodes with the service `web`.
pub(crate) struct Fleet {
    pub(crate) nodes: [Whole; 2],
    pub(crate) world: Arc<World>,
    consul: Server,
    _guards: Guards,
}

const CLUSTER: &str = "cluster {\n  address = \"127.0.0.1:0\"\n  key = \"a key that the nodes share\"\n}\n";

fn blocks(consul: &Server, service: &str) -> String {
    format!(
        "consul {{\n  address = \"{}\"\n}}\n{CLUSTER}\
         watch \"heartbeat\" \"alive\" {{\n  within = \"1h\"\n}}\n{service}",
        consul.url()
    )
}

fn service(attributes: &str) -> String {
    format!("service \"web\" {{\n  nodes = [\"n1\", \"n2\"]\n  units = [\"web\"]\n{attributes}\n}}\n")
}

/// A machine on which the unit of each service only says whether it runs.
pub(crate) fn machine(node: &str, world: &Arc<World>) -> Machine {
    let (node, world) = (node.to_owned(), Arc::clone(world));
    Arc::new(move |_service| {
        let unit = Arc::new(Unit { node: node.clone(), world: Arc::clone(&world), broken: Arc::default() });
        let stamp = Clock::fresh().stamp();
        let guarded = lock(&world.beliefs).get(&node).map_or(Duration::ZERO, |belief| belief.left(stamp));
        let here =
            Here { units: Arc::clone(&unit) as Arc<dyn Units>, guard: unit as Arc<dyn Guard>, guarded };
        Box::pin(async move { Ok(here) })
    })
}

impl Fleet {
    async fn new(attributes: &str) -> Self {
        Self::with(attributes, "", machine).await
    }

    /// With more blocks, on such machines.
    pub(crate) async fn with(
        attributes: &str,
        more: &str,
        machine: impl Fn(&str, &Arc<World>) -> Machine,
    ) -> Self {
        let consul = Server::start();
        let world = Arc::new(World::default());
        let guards = Guards::over(&world);
        let text = blocks(&consul, &service(attributes)) + more;
        let node = async |name: &str| Whole::named(name, &text, Some(machine(name, &world))).await;
        let nodes = [node("n1").await, node("n2").await];
        Self { nodes, world, consul, _guards: guards }
    }

    pub(crate) fn at(&self, node: usize) -> lictor_agent::service::Services {
        self.nodes[node].agent().services()
    }

    pub(crate) async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LONG;
        while !so(self) {
            let states = [0, 1].map(|node| self.at(node).all());
            assert!(Instant::now() < deadline, "{what}: it never is so\n{states:#?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn asks(&self, node: usize, what: What) -> Result<Operation, AskError> {
        let id = format!("{:x}", rand::random::<u64>());
        let asking = Asking { id, what, from: None, by: "ann".to_owned(), deadline: LONG };
        self.at(node).service("web").unwrap().ask(asking).await
    }

    /// The end of what was asked for, as a node sees it.
    pub(crate) async fn end_of(&self, node: usize, operation: &Operation) -> Phase {
        let mut state = self.at(node).service("web").unwrap().state();
        let over = state.wait_for(|state| {
            state.operation.as_ref().is_some_and(|seen| seen.id == operation.id && seen.is_over())
        });
        let state = tokio::time::timeout(LONG, over).await.expect("it is never over").unwrap();
        state.operation.clone().unwrap().phase
    }

    /// Has the first node read its configuration again, which is this now; what it says.
    async fn reload(&self, text: String) -> String {
        let config = Arc::clone(&self.nodes[0].config);
        let before = config.lock().unwrap().clone();
        let head = before.split_once("consul {").unwrap().0.to_owned();
        *config.lock().unwrap() = format!("{head}{}", blocks(&self.consul, &text));
        self.nodes[0].agent().reloads().reload().await.unwrap()
    }

    pub(crate) fn starts(&self) -> Vec<(String, u64)> {
        lock(&self.world.starts).clone()
    }
}

fn on(node: &str, token: u64) -> (String, u64) {
    (node.to_owned(), token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_the_configuration_passes_between_agents_as_people_ask() {
    let fleet = Fleet::new("  roles = \"cluster/web\"").await;
    let roles = r#"{"active_nodes":["n2"],"standby_nodes":["n1"],"comment":"ours"}"#;
    fleet.consul.put("/v1/kv/cluster/web", roles).unwrap();
    let active = |node: &'static str| {
        move |fleet: &Fleet| {
            let (_, roles) = fleet.consul.get("/v1/kv/cluster/web?raw").unwrap();
            roles.contains(&format!(r#""active_nodes":["{node}"]"#)) && roles.contains(r#""comment":"ours""#)
        }
    };
    fleet
        .until("nobody runs it before it was set up", |fleet| {
            (0..2).all(|node| fleet.at(node).one("web").unwrap().state.able.is_some())
        })
        .await;
    assert_eq!(fleet.starts(), []);
    assert_eq!(fleet.at(1).init("web").await, Ok(Made::New));
    assert_eq!(fleet.at(0).init("web").await, Ok(Made::Before));
    let key = |path: &str| fleet.consul.get(&format!("/v1/kv/{path}?raw")).unwrap().1;
    for node in ["n1", "n2"] {
        let asked = ["promote", "demote"].map(|word| key(&format!("service/web/{node}/{word}")));
        assert_eq!(asked, ["NULL", "NULL"], "what powerconsul wants to find");
    }
    fleet.until("the first of its nodes runs it", |fleet| fleet.world.runs_on("n1")).await;
    let first = fleet.starts()[0].1;
    fleet.until("other programs read that it does", active("n1")).await;

    let restarted = fleet.at(0).service("web").unwrap();
    restarted.restart().await.unwrap();
    assert_eq!(fleet.starts(), [on("n1", first), on("n1", first)], "under the same token");
    let elsewhere = fleet.at(1).service("web").unwrap().restart().await;
    assert_eq!(elsewhere, Err("the service does not run on this node".to_owned()));

    // It lasts until the second one has asked.
    *lock(&fleet.world.slow) = Duration::from_secs(2);
    let moved = fleet.asks(0, What::Switchover { to: "n2".to_owned() }).await.unwrap();
    let second = fleet.asks(1, What::Stop).await;
    assert_eq!(second, Err(AskError::Busy { by: "ann".to_owned() }));
    assert_eq!(fleet.end_of(0, &moved).await, Phase::Done);
    assert!(fleet.world.runs_on("n2"));
    fleet.until("other programs read where it is now", active("n2")).await;
    let other = LeaseState::Other { holder: "n2".to_owned() };
    fleet.until("it is seen there", |fleet| fleet.at(0).one("web").unwrap().state.lease == other).await;
    let stopped = fleet.asks(0, What::Stop).await.unwrap();
    assert_eq!(fleet.end_of(1, &stopped).await, Phase::Done);
    assert!(lock(&fleet.world.running).is_empty());

    assert_eq!(fleet.end_of(0, &stopped).await, Phase::Done);
    let wanted = [
        "service web: it is stopped here",
        "service web: this node can run it",
        &format!("service web: this node holds its lease, token {first}"),
        &format!("service web: it runs here, token {first}"),
        "service web: ann asks for a switchover to n2",
        "service web: a switchover from n1 to n2 is done",
        "service web: n2 holds its lease",
        "service web: a stop is done",
        "service web: nobody holds its lease",
    ];
    // What becomes of an operation and of the lease is read one after the other.
    let all = async |node: &Whole| {
        let said = node.events("service").await;
        wanted.iter().all(|wanted| said.iter().any(|said| said == wanted))
    };
    fleet.nodes[0].until(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_consul_does_not_answer_the_nodes_ask_each_other_and_the_service_goes_on() {
    let mut fleet = Fleet::new("failover = \"automatic\"").await;
    fleet.at(0).init("web").await.unwrap();
    fleet.until("it runs", |fleet| fleet.world.runs_on("n1")).await;
    // They know where the other one is once a renewal was answered.
    sleep(Duration::from_secs(1)).await;
    fleet.consul.pause();
    let (begun, limit) = (Instant::now(), Duration::from_secs(8));
    while begun.elapsed() < limit {
        assert!(fleet.world.runs_on("n1"), "it was stopped after {:?}", begun.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    fleet.consul.resume();
    let moved = fleet.asks(1, What::Switchover { to: "n2".to_owned() }).await.unwrap();
    assert_eq!(fleet.end_of(1, &moved).await, Phase::Done);
    assert_eq!(fleet.starts().len(), 2, "{:?}", fleet.starts());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_over_what_is_paused_until_the_pause_ends_by_itself() {
    let mut fleet = Fleet::new("failover = \"automatic\"").await;
    fleet.at(0).init("web").await.unwrap();
    fleet.until("it runs", |fleet| fleet.world.runs_on("n1")).await;
    let now = Clock::fresh().now().wall.as_unix_millis();
    let lasts = 9_000;
    let pause = Pause {
        until: Wall::from_unix_millis(now + lasts),
        by: "ann".to_owned(),
        why: "a new kernel".to_owned(),
    };
    fleet.at(0).pause("web", &pause).await.unwrap();
    let known = |fleet: &Fleet| fleet.at(1).one("web").unwrap().state.pause.as_ref() == Some(&pause);
    fleet.until("the other one knows it", known).await;
    // The agent stops and its guard kills what runs.
    fleet.nodes[0].stop().await;
    let world = &fleet.world;
    let ends = async {
        while !world.runs_on("n2") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, ends).await.expect("nobody takes it over");
    let taken = Clock::fresh().now().wall.as_unix_millis() - now;
    // A lease of 4.2 s was over long before.
    assert!(taken >= lasts, "after {taken} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn between_datacenters_the_lease_lies_in_the_one_that_is_named() {
    let mut sites = Datacenters::start(&["dc1", "dc2"]);
    let world = Arc::new(World::default());
    let _guards = Guards::over(&world);
    let text = |site: usize, home: &str| {
        let home = format!("  failover = \"automatic\"\n  datacenter = \"{home}\"");
        blocks(sites.server(site), &service(&home))
    };
    let moved_to_dc2 = text(1, "dc2");
    let node = async |name: &str, site: usize| {
        Whole::named(name, &text(site, "dc1"), Some(machine(name, &world))).await
    };
    let nodes = [node("n1", 0).await, node("n2", 1).await];
    let services = nodes.each_ref().map(|node| node.agent().services());
    let until = async |what: &str, so: &(dyn Fn() -> bool + Sync)| {
        let deadline = Instant::now() + LONG;
        while !so() {
            let states = services.each_ref().map(lictor_agent::service::Services::all);
            assert!(Instant::now() < deadline, "{what}: it never is so\n{states:#?}");
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert_eq!(services[1].init("web").await, Ok(Made::New));
    let records = |site: usize| sites.server(site).get("/v1/kv/?keys").unwrap().1;
    assert!(records(0).contains("service/web/lease"), "{}", records(0));
    assert!(!records(1).contains("service/web"), "{}", records(1));
    let asks = async |node: usize, what: What| {
        let id = format!("{:x}", rand::random::<u64>());
        let asking = Asking { id, what, from: None, by: "ann".to_owned(), deadline: LONG };
        services[node].service("web").unwrap().ask(asking).await.map(drop)
    };
    asks(0, What::Take { to: "n1".to_owned() }).await.unwrap();
    until("it runs in the first one", &|| world.runs_on("n1")).await;
    until("that is over", &|| {
        services[0].one("web").unwrap().state.operation.as_ref().is_some_and(Operation::is_over)
    })
    .await;
    asks(0, What::Switchover { to: "n2".to_owned() }).await.unwrap();
    until("it runs in the second one", &|| world.runs_on("n2")).await;
    let before = lock(&world.starts).last().unwrap().1;
    let head = nodes[1].config.lock().unwrap().split_once("consul {").unwrap().0.to_owned();
    *nodes[1].config.lock().unwrap() = format!("{head}{moved_to_dc2}");
    let told = nodes[1].agent().reloads().reload().await.unwrap();
    assert!(told.contains("the service web stays, because it runs here"), "{told}");

    // The first datacenter is lost with all that is in it.
    sites.kill(0);
    let [mut gone, mut left] = nodes;
    gone.stop().await;
    until("without its lease it is stopped", &|| !world.runs_on("n2")).await;
    assert!(services[1].init("web").await.is_err(), "there is no record to be reached");
    until("nothing is believed", &|| services[1].one("web").unwrap().believes.is_none()).await;
    left.agent().reloads().reload().await.unwrap();
    assert_eq!(services[1].init("web").await, Ok(Made::New));
    asks(1, What::Take { to: "n2".to_owned() }).await.unwrap();
    until("it runs again", &|| world.runs_on("n2")).await;
    let after = lock(&world.starts).last().unwrap().1;
    assert!(after > before, "{after} after {before}");
    left.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_leaves_what_runs_alone() {
    let fleet = Fleet::new("failover = \"automatic\"").await;
    fleet.at(0).init("web").await.unwrap();
    fleet.until("it runs", |fleet| fleet.world.runs_on("n1")).await;
    let reload = |text: String| fleet.reload(text);
    // Another configuration of it is another task, which goes on where the one before was.
    let told = reload(service("failover = \"manual\"\nattempts = 7")).await;
    assert!(told.contains("service web changed"), "{told}");
    fleet.until("it is held again", |fleet| fleet.at(0).one("web").unwrap().believes.is_some()).await;
    assert_eq!(fleet.starts().len(), 1, "{:?}", fleet.starts());
    // One that runs here cannot be taken out of the configuration.
    let told = reload(String::new()).await;
    assert!(told.contains("the service web stays, because it runs here"), "{told}");
    assert!(fleet.at(0).one("web").unwrap().believes.is_some());
    // Nor begin beside it under another name.
    let told = reload(service("").replace("\"web\" {", "\"shop\" {")).await;
    assert!(
        told.contains("the service shop cannot begin: its units are those of web, which stays"),
        "{told}"
    );
    assert!(fleet.at(0).one("shop").is_none());
    let moved = fleet.asks(0, What::Switchover { to: "n2".to_owned() }).await.unwrap();
    assert_eq!(fleet.end_of(0, &moved).await, Phase::Done);
    reload(String::new()).await;
    assert!(fleet.at(0).one("web").is_none());
    assert!(fleet.world.runs_on("n2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_lets_a_start_end_before_the_service_follows_and_waits_for_nothing_else() {
    let fleet = Fleet::new("failover = \"automatic\"").await;
    *lock(&fleet.world.slow) = Duration::from_secs(8);
    fleet.at(0).init("web").await.unwrap();
    let begun = |fleet: &Fleet| lock(&fleet.world.starting).get("n1").copied();
    fleet.until("it is being started", |fleet| begun(fleet).is_some()).await;
    let first = begun(&fleet);
    // What does not touch it does nothing to it.
    let more = "watch \"heartbeat\" \"other\" {\n  within = \"1h\"\n}\n";
    let told = fleet.reload(format!("{more}{}", service("failover = \"automatic\""))).await;
    assert!(!told.contains("web"), "{told}");
    let asked = Instant::now();
    for attempts in [5, 7] {
        let told = fleet.reload(service(&format!("failover = \"automatic\"\nattempts = {attempts}"))).await;
        assert!(told.contains("the service web follows when its start or stop is over"), "{told}");
    }
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert_eq!((begun(&fleet), fleet.at(0).one("web").unwrap().config.attempts), (first, 3));
    let follows = |fleet: &Fleet| fleet.at(0).one("web").is_some_and(|view| view.config.attempts == 7);
    fleet.until("it follows", follows).await;
    fleet.until("it is held again", |fleet| fleet.at(0).one("web").unwrap().believes.is_some()).await;
    assert_eq!(fleet.starts(), [on("n1", first.unwrap().0)]);
    assert!(fleet.world.runs_on("n1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_can_run_a_service_after_all_is_found_without_a_restart() {
    let ready = Arc::new(AtomicBool::new(false));
    let fleet = Fleet::with("failover = \"automatic\"", "", |node, world| {
        let (usual, ready, ours) = (machine(node, world), Arc::clone(&ready), node == "n1");
        Arc::new(move |service| match ours && !ready.load(Ordering::SeqCst) {
            true => Box::pin(async { Err("the agent must be root for that".to_owned()) }),
            false => usual(service),
        })
    })
    .await;
    let able = |fleet: &Fleet| fleet.at(0).one("web").unwrap().state.able;
    fleet.until("it says why", |fleet| able(fleet).is_some()).await;
    assert_eq!(able(&fleet), Some(Err("the agent must be root for that".to_owned())));
    assert!(fleet.at(0).one("web").unwrap().state.blind);
    fleet.at(0).init("web").await.unwrap();
    fleet.until("the other one runs it", |fleet| fleet.world.runs_on("n2")).await;
    ready.store(true, Ordering::SeqCst);
    fleet.until("it can", |fleet| able(fleet) == Some(Ok(()))).await;
    let moved = fleet.asks(1, What::Switchover { to: "n1".to_owned() }).await.unwrap();
    assert_eq!(fleet.end_of(1, &moved).await, Phase::Done);
    assert!(fleet.world.runs_on("n1"));
    let said = fleet.nodes[0].events("service").await;
    for wanted in [
        "service web: this node cannot run it: the agent must be root for that",
        "service web: this node cannot tell how it stands here: it neither keeps nor takes its lease",
        "service web: this node can tell again how it stands here",
    ] {
        assert!(said.iter().any(|said| said == wanted), "{wanted}\n{said:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_stays_steady_until_the_nodes_can_ask_each_other_to_wait() {
    let (consul, world) = (Server::start(), Arc::new(World::default()));
    let _guards = Guards::over(&world);
    let text = blocks(&consul, &service(""));
    let mut node = Whole::named("n1", &text.replace(CLUSTER, ""), Some(machine("n1", &world))).await;
    let view = |node: &Whole| node.agent().services().one("web").unwrap();
    let length = |node: &Whole| view(node).state.record.map(|record| record.length.as_secs());
    node.agent().services().init("web").await.unwrap();
    let runs = async |node: &Whole| {
        let runs = async {
            while view(node).believes.is_none() || !world.runs_on("n1") {
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LONG, runs).await.expect("it does not run");
    };
    runs(&node).await;
    let before = node.config.lock().unwrap().clone();
    let head = before.split_once("consul {").unwrap().0.to_owned();
    *node.config.lock().unwrap() = format!("{head}{text}");
    let told = node.agent().reloads().reload().await.unwrap_err();
    assert_eq!(told, "cluster can only change with a restart");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert!(length(&node).is_none_or(|length| length == 32), "{:?}", length(&node));
        sleep(Duration::from_millis(50)).await;
    }
    assert!(view(&node).believes.is_some() && world.runs_on("n1"));
    node.stop().await;
    node.again().await;
    let fast = async {
        while length(&node) != Some(4) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, fast).await.expect("it never becomes fast");
    assert_eq!(lock(&world.starts).len(), 1, "it ran on all the time");
}
