//! Nodes that watch each other, as a person meets them: who is told of a dead one, and of one that nobody wants
//! watched any more.

use std::time::Duration;

use lictor_core::peers::rank;

use lictor_testkit::service::{Answer, Call, Service};
use lictor_testkit::{ports, wait};
use rustix::process::Signal;

use crate::node::{LONG, Node};

/// A peer that is well.
fn peer() -> Service {
    Service::answering(vec![Answer::new(200, r#"{"checks":[],"summary":{"total":0,"ok":0}}"#)])
}

fn id(service: &Service) -> String {
    service.url().trim_start_matches("http://").to_owned()
}

/// Rounds of a second over these, all at this machine, with a word to `hook` at once.
fn blocks(peers: &[&str], more: &str, hook: &str) -> String {
    let peers: Vec<String> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
    format!(
        "peers {{\n  static = [{}]\n  own = [\"192.0.2.1\"]\n  every = \"1s\"\n  timeout = \"500ms\"\n  fail_after = 1\n{more}}}\n\
         notify \"http\" \"hook\" {{\n  url = \"{hook}\"\n  backoff = \"500ms\"\n  backoff_max = \"500ms\"\n}}\n\
         route \"all\" {{\n  source = \"peers\"\n  to = [\"hook\"]\n  group_wait = \"0s\"\n  group_interval = \"0s\"\n}}\n",
        peers.join(", ")
    )
}

/// The calls that are about a peer.
fn about(hook: &Service, peer: &str) -> Vec<Call> {
    let named = format!("\"{peer}\"");
    hook.calls().into_iter().filter(|call| call.body.contains(&named)).collect()
}

#[test]
fn the_next_node_tells_when_nobody_accepts_what_the_first_one_says() {
    let dying = peer();
    let dead = id(&dying);
    let [first, second] = if rank(&dead, "a", ["b"]) == 0 { ["a", "b"] } else { ["b", "a"] };
    let (broken, subject) = (format!("/{first}"), format!("\"{dead}\""));
    let hook = Service::start(move |call| {
        let refused = call.path == broken && call.body.contains(&subject);
        Answer::new(if refused { 503 } else { 200 }, "{}")
    });
    let probes = [ports::free(), ports::free()];
    let mut nodes = [("a", 0), ("b", 1)].map(|(name, place): (&str, usize)| {
        let other = format!("127.0.0.1:{}", probes[1 - place]);
        let blocks = blocks(&[&other, &dead], "  tell = \"one\"\n", &format!("{}/{name}", hook.url()));
        let probe = format!("probe {{\n  address = \"127.0.0.1:{}\"\n  volumes = []\n}}\n", probes[place]);
        Node::named(name, &(blocks + &probe))
    });
    for node in &mut nodes {
        node.start();
    }
    for node in &mut nodes {
        node.until("each hears what the other says of the third", |node| {
            let mesh = node.ask(&["peers", "status", "--format", "json"]).ok()?;
            let third = mesh["peers"].as_array()?.iter().find(|peer| peer["peer"] == dead.as_str())?;
            (third["opinions"][0]["up"] == true).then_some(())
        });
    }
    dying.stop();
    let told_by = |name: &str| about(&hook, &dead).iter().any(|call| call.path == format!("/{name}"));
    assert!(wait::until(LONG, || told_by(first).then_some(())).is_some(), "{first} tries to tell");
    assert!(!told_by(second), "{second} waits for it");
    assert!(wait::until(LONG, || told_by(second).then_some(())).is_some(), "{second} tells in its place");
}

#[test]
fn a_peer_taken_out_of_the_list_is_watched_no_longer_and_has_not_vanished() {
    let (gone, stays) = (format!("127.0.0.1:{}", ports::free()), peer());
    let hook = Service::answering(vec![Answer::new(200, "{}")]);
    let mut node = Node::new(&blocks(&[&gone, &id(&stays)], "", &hook.url()));
    node.start();
    node.until("it is told as down", |_| (about(&hook, &gone).len() == 1).then_some(()));
    node.configure(&blocks(&[&id(&stays)], "", &hook.url()));
    node.agent().signal(Signal::HUP).unwrap();
    node.until("it is told that it is over", |_| (about(&hook, &gone).len() == 2).then_some(()));
    // Longer than it takes to miss a peer three times.
    #[expect(clippy::disallowed_methods, reason = "that nothing comes gives no event to wait on")]
    std::thread::sleep(Duration::from_secs(5));
    let told = about(&hook, &gone);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].body.contains("it is no longer watched"), "{}", told[1].body);
    let (_, shown, _) = node.says(&["peers", "status"]);
    assert!(shown.contains(&id(&stays)) && !shown.contains(&gone), "{shown}");
}
