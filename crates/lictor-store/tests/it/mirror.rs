//! Copies of a node's runs and incidents, and what becomes of them when its disk is lost.

use std::time::Duration;

use lictor_consul::{Client, Secret};
use lictor_core::{Boot, Ending, Row, RunId, RunState};
use lictor_store::kv::{Kv, KvError, Op};
use lictor_store::{Adopted, Batch, Mirror, MirrorError, MirrorState, NodeStore, wire};
use lictor_testkit::consul::{Options, Server};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::*;

const LONG: Duration = Duration::from_secs(60);

/// A node: its store and the task that copies.
struct Node {
    dir: tempfile::TempDir,
    store: NodeStore,
    state: watch::Receiver<MirrorState>,
    mirror: JoinSet<MirrorError>,
}

impl Node {
    /// A node that may act, with its copies in `kv`.
    async fn start(kv: &Kv) -> Self {
        Self::resume(scratch(), kv).await
    }

    async fn resume(dir: tempfile::TempDir, kv: &Kv) -> Self {
        let store = open(dir.path()).store;
        store.confirm().await.unwrap();
        let mirror = Mirror::new(kv.clone(), store.clone());
        Self::run(dir, store, mirror)
    }

    fn run(dir: tempfile::TempDir, store: NodeStore, mirror: Mirror) -> Self {
        let state = mirror.state();
        let mut task = JoinSet::new();
        task.spawn(mirror.run());
        Self { dir, store, state, mirror: task }
    }

    async fn commit(&self, seconds: u64, rows: impl IntoIterator<Item = Row>) {
        let mut batch = Batch::default();
        batch.anchor = Some(anchor(seconds));
        rows.into_iter().for_each(|row| batch.put(row));
        self.store.commit(batch).await.unwrap();
    }

    /// Waits until all that was recorded is copied.
    async fn in_step(&mut self) {
        let target = *self.store.commits().borrow();
        let copied =
            |state: &MirrorState| matches!(state, MirrorState::InStep { commit } if *commit >= target);
        let waited = timeout(LONG, self.state.wait_for(copied)).await.is_ok();
        assert!(waited, "{:?}", self.state.borrow());
    }

    async fn behind(&mut self) {
        let behind = |state: &MirrorState| matches!(state, MirrorState::Behind { .. });
        timeout(LONG, self.state.wait_for(behind)).await.unwrap().unwrap();
    }

    /// The agent stops; its directory is left.
    async fn stop(mut self) -> tempfile::TempDir {
        self.mirror.shutdown().await;
        self.store.close().await;
        self.dir
    }
}

/// The copies below `node/node1/`, without `self`: their keys and whether they are not over.
async fn copies(kv: &Kv) -> Vec<(String, bool)> {
    let pairs = kv.list("node/node1/").await.unwrap().pairs;
    let rows = pairs.into_iter().filter(|pair| !pair.key.ends_with("/self"));
    rows.map(|pair| {
        let copy: wire::Copy = wire::decode(&pair.value).unwrap();
        (pair.key.trim_start_matches("node/node1/").to_owned(), copy.row.is_some())
    })
    .collect()
}

fn ended(id: u64) -> Row {
    Row::Run(run(id, RunState::Ended(Ending::Done, at(50))))
}

/// A store on a new disk, and its mirror.
fn new_disk(kv: &Kv) -> (tempfile::TempDir, NodeStore, Mirror) {
    let dir = scratch();
    let store = open(dir.path()).store;
    assert!(!store.confirmed());
    let mirror = Mirror::new(kv.clone(), store.clone());
    (dir, store, mirror)
}

#[tokio::test]
async fn unfinished_runs_and_open_incidents_are_copied_until_they_are_over() {
    let kv = Kv::memory();
    let mut node = Node::start(&kv).await;
    node.commit(10, [Row::Run(acting(17)), incident(5, true), check_row("web", 10)]).await;
    node.in_step().await;
    assert_eq!(copies(&kv).await, [("incident/5".to_owned(), true), ("run/17".to_owned(), true)]);
    let meta = kv.get("meta").await.unwrap().unwrap();
    assert_eq!(wire::decode::<wire::Canary>(&meta.value).unwrap().made_by, "node1");

    node.commit(20, [ended(17), incident(6, true)]).await;
    node.in_step().await;
    let over = [("incident/5", true), ("incident/6", true), ("run/17", false)];
    assert_eq!(copies(&kv).await, over.map(|(key, open)| (key.to_owned(), open)));
    node.stop().await;
}

#[tokio::test]
async fn what_began_and_ended_between_two_copies_leaves_no_trace() {
    let kv = Kv::memory();
    let mut node = Node::start(&kv).await;
    node.in_step().await;
    let mut began = Batch::default();
    began.put(Row::Run(acting(1)));
    let mut over = Batch::default();
    over.put(ended(1));
    let (one, two) = tokio::join!(node.store.commit(began), node.store.commit(over));
    one.and(two).unwrap();
    node.commit(10, [Row::Run(acting(2))]).await;
    node.in_step().await;
    let seen = copies(&kv).await;
    assert!(seen == [("run/2".to_owned(), true)] || seen.len() == 2 && !seen[0].1, "{seen:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_thousand_changes_are_few_transactions_and_the_latest_wins() {
    let kv = Kv::memory();
    let mut node = Node::start(&kv).await;
    node.in_step().await;
    let before = kv.list("").await.unwrap().revision.0;
    for round in 0..1_000 {
        let since = Boot::from_millis(round);
        node.commit(round, [Row::Run(run(1, RunState::Acting { attempt: 1, since }))]).await;
    }
    node.in_step().await;
    let listing = kv.list("node/node1/run/").await.unwrap();
    let copy: wire::Copy = wire::decode(&listing.pairs[0].value).unwrap();
    let state = wire::RunState::Acting { attempt: 1, since_boot_ms: 999 };
    assert!(matches!(copy.row, Some(wire::Row::Run(run)) if run.state == state));
    assert!(listing.revision.0 - before < 100, "{} transactions", listing.revision.0 - before);
    node.stop().await;
}

#[tokio::test]
async fn a_node_that_lost_its_disk_is_told_what_it_was_doing() {
    let kv = Kv::memory();
    let mut old = Node::start(&kv).await;
    let lineage = old.store.lineage();
    let waiting = RunState::Waiting { attempt: 1, since: Boot::from_millis(80_000), held: None };
    old.commit(100, [Row::Run(run(17, waiting)), incident(5, true)]).await;
    old.in_step().await;
    old.commit(110, [Row::Run(acting(40))]).await;
    old.in_step().await;
    old.commit(120, [ended(40)]).await;
    old.in_step().await;
    old.stop().await;

    let (dir, store, mut mirror) = new_disk(&kv);
    let adopted = mirror.adopt(at(7)).await.unwrap();
    assert_eq!(adopted.lineage.as_deref(), Some(lineage.as_str()));
    assert_eq!((adopted.highest_run, adopted.highest_incident, adopted.unreadable), (40, 5, 0));
    let [run] = &adopted.runs[..] else { panic!("{:?}", adopted.runs) };
    assert_eq!(run.id, RunId(17));
    // It was copied at 100 s of an axis that is gone; now is 7 s.
    assert_eq!(run.deadline, Boot::from_millis(9_000_000 - 100_000 + 7_000));
    let RunState::Waiting { since, .. } = run.state else { panic!("{:?}", run.state) };
    assert_eq!(since, Boot::from_millis(0));
    assert_eq!(adopted.incidents.len(), 1);

    // A new store that has begun to count anew hides nothing.
    let mut meanwhile = Batch::default();
    let mut other = acting(17);
    other.started = at(3);
    meanwhile.put(Row::Run(other));
    store.commit(meanwhile).await.unwrap();

    // Asked again before what is adopted was recorded: the same.
    assert_eq!(mirror.adopt(at(7)).await.unwrap().runs, adopted.runs);
    let mut batch = Batch::default();
    batch.anchor = Some(anchor(7));
    batch.put(Row::Run(lictor_core::Run { id: RunId(41), ..run.clone() }));
    batch.put(Row::Incident(adopted.incidents[0].clone()));
    store.commit(batch).await.unwrap();
    // What is here is not asked for again.
    let again = mirror.adopt(at(8)).await.unwrap();
    assert_eq!((again.runs, again.incidents, again.highest_run), (vec![], vec![], 40));
    store.confirm().await.unwrap();

    let mut new = Node::run(dir, store, mirror);
    new.in_step().await;
    for pair in kv.list("node/node1/").await.unwrap().pairs {
        if pair.key.ends_with("run/17") || pair.key.ends_with("incident/5") {
            let copy: wire::Copy = wire::decode(&pair.value).unwrap();
            assert_eq!(copy.lineage, new.store.lineage(), "{} is ours now", pair.key);
        }
    }
    new.stop().await;
}

#[tokio::test]
async fn two_machines_of_one_name_do_not_write_in_turn() {
    let kv = Kv::memory();
    let mut first = Node::start(&kv).await;
    first.commit(10, [Row::Run(acting(1))]).await;
    first.in_step().await;

    let (dir, store, mut mirror) = new_disk(&kv);
    mirror.adopt(at(1)).await.unwrap();
    store.confirm().await.unwrap();
    let second = Node::run(dir, store, mirror);
    first.commit(20, [Row::Run(acting(2))]).await;
    let error = timeout(LONG, first.mirror.join_next()).await.unwrap().unwrap().unwrap();
    let MirrorError::Duplicate { node, lineage } = error else { panic!("{error}") };
    assert_eq!((node, lineage), ("node1".to_owned(), second.store.lineage()));
    assert_eq!(*first.state.borrow(), MirrorState::Duplicate);
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn a_copied_machine_is_found_out_although_it_has_the_same_lineage() {
    let kv = Kv::memory();
    let mut original = Node::start(&kv).await;
    original.commit(10, [Row::Run(acting(1))]).await;
    original.in_step().await;
    let dir = original.stop().await;
    let twin = scratch();
    std::fs::copy(dir.path().join("state.redb"), twin.path().join("state.redb")).unwrap();

    let mut original = Node::resume(dir, &kv).await;
    original.commit(20, [Row::Run(acting(2))]).await;
    original.in_step().await;
    let mut twin = Node::resume(twin, &kv).await;
    let error = timeout(LONG, twin.mirror.join_next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(error, MirrorError::Duplicate { .. }), "{error}");
    original.commit(30, [Row::Run(acting(3))]).await;
    original.in_step().await;
    twin.stop().await;
    original.stop().await;
}

#[tokio::test]
async fn what_is_over_is_swept_after_thirty_days() {
    let kv = Kv::memory();
    let mut node = Node::start(&kv).await;
    node.commit(10, [Row::Run(acting(1)), Row::Run(acting(2))]).await;
    node.in_step().await;
    node.commit(20, [ended(1)]).await;
    node.in_step().await;
    let dir = node.stop().await;
    let days = |days: u64| days * 86_400;
    let mut node = Node::resume(dir, &kv).await;
    node.commit(days(29), [check_row("web", 1)]).await;
    node.in_step().await;
    let dir = node.stop().await;
    assert_eq!(copies(&kv).await.len(), 2);
    let store = open(dir.path()).store;
    let mut batch = Batch::default();
    batch.anchor = Some(anchor(days(31)));
    batch.put(check_row("web", 2));
    store.commit(batch).await.unwrap();
    store.close().await;
    let mut node = Node::resume(dir, &kv).await;
    node.in_step().await;
    assert_eq!(copies(&kv).await, [("run/2".to_owned(), true)]);
    node.stop().await;
}

#[tokio::test]
async fn the_copies_catch_up_after_consul_was_away() {
    let mut server = Server::start();
    let kv = Kv::consul(client(&server.url()), "lictor/");
    let mut node = Node::start(&kv).await;
    node.commit(10, [Row::Run(acting(1))]).await;
    node.in_step().await;
    server.kill();
    for round in 2..40 {
        node.commit(10 + round, [ended(round - 1), Row::Run(acting(round))]).await;
    }
    node.behind().await;

    // A new disk is not trusted while nobody can be asked.
    let (_dir, store, mut mirror) = new_disk(&kv);
    let error = mirror.adopt(at(1)).await.unwrap_err();
    assert!(matches!(error, MirrorError::Kv(KvError::Unavailable { .. })), "{error}");
    assert!(!store.confirmed());
    store.close().await;

    server.restart();
    node.in_step().await;
    assert_eq!(copies(&kv).await, [("run/1".to_owned(), false), ("run/39".to_owned(), true)]);
    node.stop().await;
}

/// A token with exactly these rights.
async fn token(server: &Server, name: &str, rules: &str) -> Client {
    let admin = Secret::new(server.token().unwrap());
    let admin = client(&server.url()).with_token(Some(&admin)).unwrap();
    let policy = serde_json::json!({ "Name": name, "Rules": rules });
    admin.raw().put("/v1/acl/policy", &policy).await.unwrap();
    let token = serde_json::json!({ "Policies": [{ "Name": name }] });
    let made = admin.raw().put("/v1/acl/token", &token).await.unwrap().value;
    let made: serde_json::Value = serde_json::from_slice(&made).unwrap();
    let secret = Secret::new(made["SecretID"].as_str().unwrap());
    client(&server.url()).with_token(Some(&secret)).unwrap()
}

/// The policy of the manual.
fn documented() -> &'static str {
    let page = include_str!("../../../../docs/consul-acl.md");
    let (_, rest) = page.split_once("```hcl consul\n").unwrap();
    rest.split_once("```").unwrap().0
}

#[tokio::test]
async fn the_documented_policy_is_enough_and_less_is_noticed() {
    let server = Server::with(Options { acl: true, in_memory: true, ..Options::default() });
    let allowed = token(&server, "documented", documented()).await;
    crate::contract::keeps_the_contract(&Kv::consul(allowed.clone(), "lictor/contract/")).await;
    let kv = Kv::consul(allowed.clone(), "lictor/");
    let mut node = Node::start(&kv).await;
    node.commit(10, [Row::Run(acting(1))]).await;
    node.in_step().await;
    node.stop().await;
    let ttl = lictor_consul::CheckKind::Ttl(Duration::from_secs(30));
    let service = lictor_consul::NewService {
        name: "lictor".into(),
        checks: vec![lictor_consul::NewCheck::new("lictor agent", ttl)],
        ..Default::default()
    };
    allowed.agent().register_service(&service).await.unwrap();
    let outside = Kv::consul(allowed, "other/").txn(&[Op::put("a", "1")]).await;
    assert!(matches!(outside, Err(KvError::Denied { .. })), "{outside:?}");

    // A token that may not read a part of it gets a shorter list, without a word from Consul.
    let rules = r#"key_prefix "lictor/" { policy = "write" } key_prefix "lictor/node/node1/run/" { policy = "deny" }"#;
    let narrow = Kv::consul(token(&server, "narrow", rules).await, "lictor/");
    let (_dir, store, mut mirror) = new_disk(&narrow);
    for _ in 0..2 {
        let error = mirror.adopt(at(1)).await.unwrap_err();
        assert!(matches!(error, MirrorError::Hidden { .. }), "{error}");
    }
    let full = Mirror::new(kv, store.clone()).adopt(at(1)).await.unwrap();
    assert_eq!(full.runs.len(), 1);
    store.close().await;

    let nobody = Kv::consul(client(&server.url()), "lictor/");
    let (_dir, store, mut mirror) = new_disk(&nobody);
    let error = mirror.adopt(at(1)).await.unwrap_err();
    assert!(matches!(error, MirrorError::Kv(KvError::Denied { .. })), "{error}");
    store.close().await;
}

#[tokio::test]
async fn a_new_node_adopts_nothing() {
    let kv = Kv::memory();
    let (_dir, store, mut mirror) = new_disk(&kv);
    assert_eq!(mirror.adopt(at(1)).await.unwrap(), Adopted::default());
    store.close().await;
}
