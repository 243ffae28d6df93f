//! `lictor replicate run`: keys copied by hand between two datacenters of real Consul servers.

use std::process::Command;
use std::time::Duration;

use lictor_testkit::consul::{Datacenters, Site};
use lictor_testkit::process::Child;
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use crate::keys::Keys;
use crate::node::{LONG, Node, program, run};

/// Two datacenters; it is copied from the first one to the second one.
struct Rig(Datacenters);

impl Rig {
    fn new() -> Self {
        Self(Datacenters::of(&[Site::new("dc1"), Site::new("dc2")]))
    }

    fn source(&self) -> Keys<'_> {
        Keys(self.0.server(0))
    }

    fn there(&self) -> Keys<'_> {
        Keys(self.0.server(1))
    }

    fn address(&self) -> String {
        self.0.server(1).http_address().to_string()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = program();
        command.args(["replicate", "run"]).args(words).env("CONSUL_HTTP_ADDR", self.address());
        command
    }

    /// How it ended, what it showed, and what it said.
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        run(self.command(words))
    }
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let rig = Rig::new();
    rig.source().put_many("global/", 20);
    rig.there().put("copy/mine", "x");
    let (code, out, said) = rig.run(&["global/@dc1:copy/", "--delete", "--dry-run"]);
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    assert!(out.contains("by-hand, global/@dc1:copy/: it would write 20 keys and delete 1"), "{out}");
    assert_eq!(rig.there().below("copy/"), ["mine"]);
    assert!(rig.there().below("lictor/").is_empty(), "{:?}", rig.there().below("lictor/"));
}

#[test]
fn it_copies_once_and_leaves_the_lease_for_the_next() {
    let rig = Rig::new();
    rig.source().put_many("global/", 150);
    rig.source().put("global/local/a", "x");
    rig.there().put("copy/mine", "x");
    for written in [150, 0] {
        let begun = Instant::now();
        let words = ["global@dc1:copy", "--folder", "--exclude", "global/local/", "--once", "--format=json"];
        let (code, out, said) = rig.run(&words);
        assert_eq!((code, said.as_str()), (0, ""), "{out}");
        let answer: Value = serde_json::from_str(&out).unwrap();
        let copy = &answer["copies"][0];
        assert_eq!((&copy["written"], &copy["phase"]), (&written.into(), &"following".into()), "{copy}");
        assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
    }
    assert_eq!(rig.there().below("copy/").len(), 151);
}

#[test]
fn what_is_held_back_is_deleted_when_its_id_is_said() {
    let rig = Rig::new();
    rig.source().put_many("global/", 20);
    rig.there().put_many("copy/gone/", 15);
    let words = ["global/@dc1:copy/", "--delete", "--once"];
    let (code, out, _) = rig.run(&words);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("15 deletes are held back since "), "{out}");
    assert!(out.contains(": 15 of 35 keys are more than 10 %\n  copy/gone/000\n"), "{out}");
    let id = out.split_once("--approve ").unwrap().1.split(' ').next().unwrap().to_owned();
    assert_eq!(rig.there().below("copy/").len(), 35);

    // Of a list that has become another one nobody has approved.
    rig.there().put("copy/one-more", "x");
    let (code, out, _) = rig.run(&[&words[..], &["--approve", &id]].concat());
    assert!(code == 1 && out.contains("16 of 36 keys"), "{out}");
    rig.there().delete("copy/one-more");
    let (code, out, said) = rig.run(&[&words[..], &["--approve", &id]].concat());
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    assert_eq!(rig.there().below("copy/").len(), 20);
}

#[test]
fn where_an_agent_copies_it_says_who() {
    let rig = Rig::new();
    rig.source().put_many("global/", 20);
    let blocks = format!(
        "consul {{\n  address = \"{}\"\n}}\nreplicate \"config\" {{\n  prefixes = [\"global/@dc1:copy/\"]\n}}\n",
        rig.address()
    );
    let mut node = Node::new(&blocks);
    node.start();
    node.until("the agent copies", |_| (rig.there().below("copy/").len() == 20).then_some(()));
    let config = node.config().display().to_string();
    let (code, out, said) = rig.run(&["--config", &config, "--name", "config", "--once"]);
    assert_eq!(code, 1, "{out}");
    assert!(said.contains("not all was copied: test copies"), "{said}");
    // Without the agent it is done by hand, from the same file.
    node.kill();
    rig.source().put("global/new", "x");
    let (code, out, said) = rig.run(&["--config", &config, "--once"]);
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    assert_eq!(rig.there().below("copy/").len(), 21);
}

#[test]
fn it_follows_until_it_is_stopped_and_gives_the_lease_back() {
    let rig = Rig::new();
    let dir = tempfile::tempdir().unwrap();
    let mut child = Child::spawn("by-hand", rig.command(&["global/@dc1"]), dir.path()).unwrap();
    for value in ["one", "two"] {
        rig.source().put("global/a", value);
        rig.there().until("global/a", Some(value), &child);
    }
    child.signal(Signal::INT).unwrap();
    let ended = child.wait(LONG).unwrap().unwrap();
    assert_eq!(ended.code(), Some(0), "{}", child.log_tail());
    assert!(child.log_tail().contains("stopped"), "{}", child.log_tail());
    let lease = rig.there().get("lictor/lease/replicate/by-hand").unwrap();
    let lease: Value = serde_json::from_str(&lease).unwrap();
    assert_eq!(lease["released"], true, "{lease}");
}

#[test]
fn mistakes_are_told_with_their_way_out() {
    let rig = Rig::new();
    let told = |words: &[&str], code: i32, parts: &[&str]| {
        let (ended, out, said) = rig.run(words);
        assert_eq!((ended, out.as_str()), (code, ""), "{said}");
        parts.iter().for_each(|part| assert!(said.contains(part), "{part}: {said}"));
    };
    told(
        &["global/", "--once"],
        3,
        &["the datacenter of the source is missing", "write `global/@DATACENTER`"],
    );
    told(&["a@dc1:b", "c@dc1:bb", "--once"], 3, &["bb"]);
    told(&["a@dc1", "--delete-limit", "3"], 2, &["--delete"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lictor.hcl");
    std::fs::write(&file, "consul {\n}\n").unwrap();
    let file = file.to_str().unwrap();
    told(
        &["--config", file, "--name", "config"],
        5,
        &["no block replicate `config`", "lictor replicate run"],
    );
    let mut away = rig.command(&["a@dc1", "--once"]);
    away.env("CONSUL_HTTP_ADDR", "127.0.0.1:1");
    let (code, _, said) = run(away);
    assert!(
        code == 1 && said.contains("error: not all was copied: nobody is known to copy: "),
        "{code} {said}"
    );
}
