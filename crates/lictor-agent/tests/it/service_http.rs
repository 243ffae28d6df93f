//! Services over HTTP: whole agents on a real Consul, asked as people and load balancers ask.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use lictor_agent::Clock;
use lictor_agent::service::{Guard, Here, Machine, Units};
use lictor_testkit::consul::Server;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::service_rig::{Guards, Here as Unit, World, lock};
use crate::watch_rig::LONG;
use crate::whole_rig::Whole;

struct Pair {
    nodes: [Whole; 2],
    world: Arc<World>,
    _consul: Server,
    _guards: Guards,
}

/// A machine on which the unit of a service only says whether it runs.
fn machine(node: &str, world: &Arc<World>) -> Machine {
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

impl Pair {
    async fn new() -> Self {
        let consul = Server::start();
        let world = Arc::new(World::default());
        let guards = Guards::over(&world);
        let text = format!(
            "consul {{\n  address = \"{}\"\n}}\n\
             cluster {{\n  address = \"127.0.0.1:0\"\n  key = \"a key that the nodes share\"\n}}\n\
             watch \"heartbeat\" \"alive\" {{\n  within = \"1h\"\n}}\n\
             service \"web\" {{\n  nodes = [\"n1\", \"n2\"]\n  units = [\"web\"]\n}}\n",
            consul.url()
        );
        let node = async |name: &str| Whole::named(name, &text, Some(machine(name, &world))).await;
        let nodes = [node("n1").await, node("n2").await];
        Self { nodes, world, _consul: consul, _guards: guards }
    }

    async fn asks(&self, node: usize, verb: &str, body: Value) -> (u16, Value) {
        self.nodes[node].ask("POST", &format!("/v1/services/web/{verb}"), "", &body.to_string()).await
    }

    async fn shows(&self, node: usize) -> Value {
        self.nodes[node].get("/v1/services/web").await
    }

    async fn until(&self, node: usize, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LONG;
        loop {
            let shown = self.shows(node).await;
            if so(&shown) {
                return shown;
            }
            assert!(Instant::now() < deadline, "{what}: it never is so\n{shown:#}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until what was asked for is over, on the node that was asked and on the other one.
    async fn over(&self, answer: &Value) -> Value {
        let id = &answer["operation"]["id"];
        let over = |shown: &Value| &shown["operation"]["id"] == id && shown["operation"]["over"] == true;
        self.until(0, "it is over", over).await;
        self.until(1, "it is over", over).await
    }

    /// What a load balancer finds at each node.
    async fn active(&self) -> [u16; 2] {
        [self.status(0).await, self.status(1).await]
    }

    async fn status(&self, node: usize) -> u16 {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.nodes[node].address).await.unwrap();
        let request = "HEAD /v1/service/web/active HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_made_moved_stopped_and_started_over_http() {
    let pair = Pair::new().await;
    let looked = |shown: &Value| shown["here"]["able"] == true && shown["lease"]["state"] == "free";
    let shown = pair.until(0, "somebody has looked", looked).await;
    assert_eq!(shown.get("active"), None, "{shown}");
    assert_eq!(pair.active().await, [503, 503]);
    let (status, made) = pair.asks(1, "init", json!({})).await;
    assert_eq!((status, &made["message"]), (200, &json!("the record of the lease of web is made")));
    pair.until(0, "it runs on the first node", |shown| shown["active"] == "n1").await;
    assert_eq!(pair.active().await, [200, 503]);
    let (status, restarted) = pair.asks(0, "restart", json!({})).await;
    assert_eq!((status, &restarted["message"]), (200, &json!("web was restarted on n1")));

    let (status, moved) = pair.asks(0, "switchover", json!({"by": "ann"})).await;
    assert_eq!(
        (status, &moved["operation"]["to"], &moved["operation"]["by"]),
        (202, &json!("n2"), &json!("ann"))
    );
    let shown = pair.over(&moved).await;
    assert_eq!((&shown["operation"]["phase"], &shown["active"]), (&json!("done"), &json!("n2")), "{shown}");
    assert_eq!(pair.active().await, [503, 200]);
    assert!(pair.world.runs_on("n2") && !pair.world.runs_on("n1"));
    let elsewhere = pair.until(0, "the other one sees it", |shown| shown["active"] == "n2").await;
    assert_eq!(elsewhere["lease"]["state"], "other");

    let (status, stopped) = pair.asks(0, "stop", json!({})).await;
    assert_eq!(status, 202, "{stopped}");
    assert_eq!(pair.over(&stopped).await["operation"]["phase"], "done");
    assert_eq!(pair.active().await, [503, 503]);
    let stopped = |shown: &Value| shown["lease"]["why"] == "the service was stopped on purpose";
    pair.until(0, "that it was stopped is known", stopped).await;
    let (status, again) = pair.asks(0, "stop", json!({})).await;
    assert_eq!((status, &again["message"]), (200, &json!("web is stopped already")));

    let (status, started) = pair.asks(1, "start", json!({"to": "n1"})).await;
    assert_eq!(status, 202, "{started}");
    assert_eq!(pair.over(&started).await["operation"]["phase"], "done");
    assert_eq!(pair.active().await, [200, 503]);
    pair.until(1, "it is seen there", |shown| shown["active"] == "n1").await;
    let (status, again) = pair.asks(1, "start", json!({})).await;
    assert_eq!((status, &again["message"]), (200, &json!("web runs on n1 already")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_seen_by_all_and_the_second_one_who_asks_is_told_who_was_first() {
    let mut pair = Pair::new().await;
    assert_eq!(pair.asks(0, "init", json!({})).await.0, 200);
    pair.until(1, "it runs on the first node", |shown| shown["active"] == "n1").await;
    let pause = json!({"for_ms": 60_000, "by": "ann", "why": "a move"});
    let (status, paused) = pair.asks(0, "pause", pause).await;
    assert_eq!(status, 200, "{paused}");
    let shown = pair.until(1, "the other node knows of it", |shown| shown.get("paused").is_some()).await;
    assert_eq!((&shown["paused"]["by"], &shown["paused"]["why"]), (&json!("ann"), &json!("a move")));
    assert_eq!(pair.asks(1, "resume", json!({})).await.0, 200);
    pair.until(0, "its end is known", |shown| shown.get("paused").is_none()).await;

    // The other node never says that it is ready.
    pair.nodes[1].stop().await;
    let (status, first) = pair.asks(0, "switchover", json!({"by": "ann", "deadline_ms": 600_000})).await;
    assert_eq!(status, 202, "{first}");
    pair.until(0, "it is known", |shown| shown["operation"]["by"] == "ann").await;
    let (status, second) = pair.asks(0, "stop", json!({"by": "bob"})).await;
    assert_eq!((status, &second["error"]["code"]), (409, &json!("busy")));
    let said = "ann was first and has asked for a switchover to n2, which is `asked`";
    assert_eq!(second["error"]["message"], said);
}
