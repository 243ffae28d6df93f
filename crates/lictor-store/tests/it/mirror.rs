//! Copies of a node's runs and incidents, and what becomes of them when its disk is lost.

use std::time::Duration;

use lictor_consul::{Client, Secret};
use lictor_core::{Boot, Ending, Row, RunId, RunState};
use lictor_store::kv::{Kv, KvError, Op};
use lictor_store::{Adopted, Batch, Mirror, MirrorError, MirrorState, NodeStore, Pulse, wire};
use lictor_testkit::consul::{Options, Server};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::*;

const LONG: Duration = Duration::from_secs(60);

/// What is alive shows it ten times before it is held for dead.
const PULSE: Pulse = Pulse { beat: Duration::from_millis(200), silence: Duration::from_secs(2) };

/// A node: its store and the task that copies.
struct Node {
    dir: tempfile::TempDir,
    store: NodeStore,
    state: watch::Receiver<MirrorState>,
    mirror: JoinSet<()>,
    part: Option<oneshot::Sender<()>>,
}

impl Node {
    /// A node that may act, with its copies in `kv`.
    async fn start(kv: &Kv) -> Self {
        Self::resume(scratch(), kv).await
    }

    async fn resume(dir: tempfile::TempDir, kv: &Kv) -> Self {
        let store = open(dir.path()).store;
        store.confirm().await.unwrap();
        let mirror = Mirror::new(kv.clone(), store.clone(), PULSE);
        Self::run(dir, store, mirror)
    }

    fn run(dir: tempfile::TempDir, store: NodeStore, mut mirror: Mirror) -> Self {
        let state = mirror.state();
        let mut task = JoinSet::new();
        let (part, parting) = oneshot::channel();
        task.spawn(async move {
            let asked = tokio::select! {
                () = mirror.run() => false,
                asked = parting => asked.is_ok(),
            };
            if asked {
                mirror.part().await.unwrap();
            }
        });
        Self { dir, store, state, mirror: task, part: Some(part) }
    }

    /// Waits until another machine is known to have the name; what is said of it.
    async fn duplicate(&mut self) -> String {
        let found = |state: &MirrorState| matches!(state, MirrorState::Duplicate { .. });
        let state = timeout(LONG, self.state.wait_for(found)).await.unwrap().unwrap();
        state.why().unwrap().to_owned()
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

    /// The agent is killed; its directory is left.
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
    let mirror = Mirror::new(kv.clone(), store.clone(), PULSE);
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

/// Asks again and again what an earlier store left, for as long as that one is alive.
async fn adopt(mut mirror: Mirror) -> (Mirror, Adopted) {
    let asked = async {
        loop {
            match mirror.adopt(at(1)).await {
                Ok(adopted) => break adopted,
                Err(MirrorError::Duplicate { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let adopted = timeout(LONG, asked).await.unwrap();
    (mirror, adopted)
}

/// `self` as it is.
async fn owner(kv: &Kv) -> wire::Owner {
    wire::decode(&kv.get("node/node1/self").await.unwrap().unwrap().value).unwrap()
}

#[tokio::test]
async fn of_two_live_machines_of_one_name_the_first_goes_on_and_the_second_takes_over_when_it_is_dead() {
    let server = Server::start();
    let kv = Kv::consul(client(&server.url()), "lictor/");
    let mut first = Node::start(&kv).await;
    first.commit(10, [Row::Run(acting(17))]).await;
    first.in_step().await;

    let (dir, store, mut mirror) = new_disk(&kv);
    let state = mirror.state();
    let error = mirror.adopt(at(1)).await.unwrap_err();
    let MirrorError::Duplicate { node, lineage } = &error else { panic!("{error}") };
    assert_eq!((node.as_str(), lineage), ("node1", &first.store.lineage()));
    assert!(matches!(&*state.borrow(), MirrorState::Duplicate { why } if *why == error.to_string()));
    assert!(error.to_string().contains("another node.name"), "{error}");

    // The second waits; the first is not disturbed and its copies are its own.
    let waiting = tokio::time::Instant::now();
    let mut second = JoinSet::new();
    second.spawn(adopt(mirror));
    for round in 2..10 {
        tokio::time::sleep(PULSE.silence / 4).await;
        first.commit(10 * round, [Row::Run(acting(17 + round))]).await;
        first.in_step().await;
    }
    assert!(waiting.elapsed() >= PULSE.silence * 2);
    assert!(second.try_join_next().is_none(), "it took over what another one is doing");
    assert_eq!(owner(&kv).await.lineage, first.store.lineage());
    assert!(!store.confirmed());

    let dead = tokio::time::Instant::now();
    drop(first.stop().await);
    let (mirror, adopted) = second.join_next().await.unwrap().unwrap();
    assert!(dead.elapsed() >= PULSE.silence - PULSE.beat, "{:?}", dead.elapsed());
    assert_eq!((adopted.runs.len(), adopted.highest_run), (9, 26));
    store.confirm().await.unwrap();
    let mut second = Node::run(dir, store, mirror);
    second.in_step().await;
    second.stop().await;
}

#[tokio::test]
async fn a_machine_that_a_person_calls_new_does_not_copy_over_a_live_one_either() {
    let kv = Kv::memory();
    let mut first = Node::start(&kv).await;
    first.commit(10, [Row::Run(acting(1))]).await;
    first.in_step().await;
    let mut second = Node::start(&kv).await;
    let why = second.duplicate().await;
    assert!(why.contains("another machine called `node1` is alive"), "{why}");
    second.commit(10, [Row::Run(acting(2))]).await;
    first.commit(20, [Row::Run(acting(3))]).await;
    first.in_step().await;
    assert_eq!(copies(&kv).await, [("run/1".to_owned(), true), ("run/3".to_owned(), true)]);
    first.stop().await;
    second.in_step().await;
    assert_eq!(owner(&kv).await.lineage, second.store.lineage());
    second.stop().await;
}

#[tokio::test]
async fn a_beat_is_one_write_and_none_is_needed_beside_copies() {
    let kv = Kv::memory();
    let mut node = Node::start(&kv).await;
    node.in_step().await;
    let before = owner(&kv).await.beat;
    tokio::time::sleep(PULSE.beat * 10).await;
    let beats = owner(&kv).await.beat - before;
    assert!((2..=10).contains(&beats), "{beats} in the time of ten");

    let (revision, beat) = (kv.list("").await.unwrap().revision.0, owner(&kv).await.beat);
    for round in 0..100 {
        node.commit(round, [Row::Run(acting(1 + round % 2))]).await;
        tokio::time::sleep(PULSE.beat / 10).await;
    }
    let (writes, beats) = (kv.list("").await.unwrap().revision.0 - revision, owner(&kv).await.beat - beat);
    assert!(writes <= beats + 1, "each write is a beat: {writes} writes, {beats} beats");
    node.stop().await;
}

#[tokio::test]
async fn after_an_orderly_stop_a_new_store_need_not_wait_nor_does_the_same_one_ever() {
    let kv = Kv::memory();
    let mut node = Node::start(&kv).await;
    node.commit(10, [Row::Run(acting(1))]).await;
    node.in_step().await;
    let dir = node.stop().await;
    let started = tokio::time::Instant::now();
    let mut node = Node::resume(dir, &kv).await;
    node.in_step().await;
    assert!(started.elapsed() < PULSE.silence, "its own copies: {:?}", started.elapsed());

    node.commit(20, [ended(1), Row::Run(acting(2))]).await;
    node.part.take().unwrap().send(()).unwrap();
    node.mirror.join_next().await.unwrap().unwrap();
    assert!(owner(&kv).await.stopped);
    let last = [("run/1".to_owned(), false), ("run/2".to_owned(), true)];
    assert_eq!(copies(&kv).await, last, "the last changes are copied before it says so");
    node.stop().await;
    let (_dir, store, mut mirror) = new_disk(&kv);
    let started = tokio::time::Instant::now();
    assert_eq!(mirror.adopt(at(1)).await.unwrap().runs.len(), 1);
    assert!(started.elapsed() < PULSE.silence, "{:?}", started.elapsed());
    assert!(!owner(&kv).await.stopped);
    store.close().await;
}

#[tokio::test]
async fn a_stop_of_a_machine_that_was_seen_alive_is_not_taken_for_its_end() {
    let kv = Kv::memory();
    let mut first = Node::start(&kv).await;
    first.in_step().await;
    let (_dir, store, mut mirror) = new_disk(&kv);
    mirror.adopt(at(1)).await.unwrap_err();
    // It is restarted.
    first.part.take().unwrap().send(()).unwrap();
    first.mirror.join_next().await.unwrap().unwrap();
    let dir = first.stop().await;
    let mut second = JoinSet::new();
    second.spawn(adopt(mirror));
    tokio::time::sleep(PULSE.silence / 4).await;
    assert!(second.try_join_next().is_none());
    let mut first = Node::resume(dir, &kv).await;
    first.in_step().await;
    tokio::time::sleep(PULSE.silence * 2).await;
    assert!(second.try_join_next().is_none());
    assert_eq!(owner(&kv).await.lineage, first.store.lineage());
    second.shutdown().await;
    store.close().await;
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
    let why = twin.duplicate().await;
    assert!(why.contains("another machine called `node1` is alive"), "{why}");
    original.commit(30, [Row::Run(acting(3))]).await;
    original.in_step().await;
    twin.stop().await;
    original.stop().await;
}

#[tokio::test]
async fn a_copied_machine_that_was_not_told_apart_at_first_is_found_out_by_a_beat() {
    let kv = Kv::memory();
    let mut original = Node::start(&kv).await;
    original.commit(10, [Row::Run(acting(1))]).await;
    original.in_step().await;
    let twin = scratch();
    std::fs::copy(original.dir.path().join("state.redb"), twin.path().join("state.redb")).unwrap();
    // Nothing happens on the original meanwhile: the twin looks like its next start.
    let mut twin = Node::resume(twin, &kv).await;
    twin.commit(20, [Row::Run(acting(2))]).await;
    original.duplicate().await;
    twin.in_step().await;
    twin.stop().await;
    original.in_step().await;
    original.stop().await;
}

#[tokio::test]
async fn a_number_that_was_used_is_not_used_again_though_the_run_was_never_copied() {
    let kv = Kv::memory();
    let (dir, store, _) = new_disk(&kv);
    store.confirm().await.unwrap();
    let no_beat = Pulse { beat: LONG, ..PULSE };
    let mirror = Mirror::new(kv.clone(), store.clone(), no_beat);
    let mut node = Node::run(dir, store, mirror);
    node.in_step().await;
    node.commit(10, [ended(7)]).await;
    node.in_step().await;
    assert_eq!(owner(&kv).await.highest_run, 7);
    node.stop().await;
    let (_dir, store, mut mirror) = new_disk(&kv);
    assert_eq!(mirror.adopt(at(1)).await.unwrap().highest_run, 7);
    store.close().await;
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
    let full = Mirror::new(kv, store.clone(), PULSE).adopt(at(1)).await.unwrap();
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
