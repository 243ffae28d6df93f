//! The watcher under its old name: it finds its peers, and tells a chat of Telegram what became of them.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lictor_testkit::consul::Server;
use lictor_testkit::process::Child;
use lictor_testkit::service::{Answer, Service};
use lictor_testkit::{ports, wait};
use tempfile::TempDir;
use url::form_urlencoded::parse;

use crate::node::{LONG, Node, program, run};
use crate::together::{listen, teller};

/// The state file of `node-a.peers.test`: its `cksum`.
const NODE_A: &str = "3228428739.state";

/// A chat of Telegram.
struct Chat {
    service: Service,
    /// The status with which it answers.
    status: Arc<AtomicU16>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Chat {
    fn open() -> Self {
        let (status, told) = (Arc::new(AtomicU16::new(200)), Arc::new(Mutex::new(Vec::new())));
        let (says, hears) = (Arc::clone(&status), Arc::clone(&told));
        let service = Service::start(move |call| {
            assert_eq!(call.path, "/bottest-token/sendMessage");
            let fields: Vec<(String, String)> = parse(call.body.as_bytes()).into_owned().collect();
            assert_eq!(fields[0], ("chat_id".to_owned(), "test-chat".to_owned()));
            match says.load(Ordering::SeqCst) {
                200 => {
                    hears.lock().unwrap().push(fields[1].1.clone());
                    Answer::new(200, "{\"ok\":true}")
                }
                429 => Answer::new(429, "{\"ok\":false,\"parameters\":{\"retry_after\":1}}"),
                status => Answer::new(status, "{\"ok\":false}"),
            }
        });
        Self { service, status, told }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Waits until so many messages were told, and a while longer that there are no more.
    fn told(&self, count: usize) -> Vec<String> {
        let enough = || Some(()).filter(|()| self.told.lock().unwrap().len() >= count);
        wait::until(LONG, enough);
        #[expect(clippy::disallowed_methods, reason = "that nothing comes gives no event to wait on")]
        std::thread::sleep(Duration::from_millis(1_500));
        let told = self.told.lock().unwrap().clone();
        assert_eq!(told.len(), count, "{told:#?}");
        told
    }
}

/// A watcher with peers that a stand-in for `dig` names, all of them on this machine.
struct Watcher {
    dir: TempDir,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Watcher {
    fn new(chat: &Chat, records: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let watcher = Self { dir, environment: Vec::new(), child: None };
        watcher.names(records);
        watcher.script("getent", "[ \"$2\" = nowhere ] && exit 2\necho \"127.0.0.1  $2\"");
        let path = |name: &str| watcher.path(name).display().to_string();
        let environment = [
            ("DIG", path("dig")),
            ("GETENT", path("getent")),
            ("SELF", "10.0.0.1".to_owned()),
            ("PEERS_SRV", "_sentinella._tcp.peers.test".to_owned()),
            ("TG_TOKEN", "test-token".to_owned()),
            ("TG_CHAT_ID", "test-chat".to_owned()),
            ("TG_API_URL", chat.service.url()),
            ("POLLING_INTERVAL_SEC", "0.3".to_owned()),
            ("TIMEOUT", "2".to_owned()),
            ("STATE_DIR", path("state")),
        ];
        let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value));
        Self { environment: environment.collect(), ..watcher }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        let (path, new) = (self.path(name), self.path("new"));
        fs::write(&new, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// What the name server says from now on.
    fn names(&self, records: &str) {
        self.script("dig", &format!("cat <<'END'\n{records}\nEND"));
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn command(&self) -> Command {
        let mut command = program();
        command.arg0("watcher").envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn start(&mut self) {
        self.child = Some(Child::spawn("watcher", self.command(), self.dir.path()).unwrap());
    }

    fn kill(&mut self) {
        self.child.take().unwrap().kill().unwrap();
    }

    fn state(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("state").join(name)).ok()
    }

    fn until_state(&self, name: &str, wanted: &str) {
        let found = wait::until(LONG, || self.state(name).filter(|state| state == wanted));
        assert!(found.is_some(), "{:?} is not {wanted}", self.state(name));
    }
}

/// A probe on a port, whose only URL is bad when it is to be.
struct Probe(
    #[expect(dead_code, reason = "it ends with this")] Child,
    #[expect(dead_code, reason = "the log lies in it")] TempDir,
);

impl Probe {
    fn start(port: u16, urls: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = program();
        command.arg0("probe").env("PORT", port.to_string()).env("VOLUMES", "/").env("URLS", urls);
        let child = Child::spawn("probe", command, dir.path()).unwrap();
        let up = wait::until(LONG, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        assert!(up.is_some(), "{}", child.log_tail());
        Self(child, dir)
    }
}

/// A port that is free at every address: a probe under its old name takes all.
fn everywhere_free() -> u16 {
    ports::free_on(Ipv4Addr::UNSPECIFIED)
}

fn record(port: u16) -> String {
    format!("0 10 {port} node-a.peers.test.")
}

#[test]
fn the_state_of_a_peer_is_in_its_file_although_nobody_can_be_told() {
    let (chat, port) = (Chat::open(), everywhere_free());
    chat.service.stop();
    let _probe = Probe::start(port, "");
    let mut watcher = Watcher::new(&chat, &record(port));
    watcher.start();
    watcher.until_state(NODE_A, "up:0/0:200");
}

#[test]
fn each_peer_is_told_once_when_it_is_first_seen_when_it_fails_and_when_it_is_back() {
    let (chat, port) = (Chat::open(), everywhere_free());
    let probe = Probe::start(port, "");
    let mut watcher = Watcher::new(&chat, &record(port));
    watcher.start();
    assert_eq!(chat.told(1), ["OK  : node-a.peers.test (127.0.0.1) [0/0]"]);
    drop(probe);
    assert_eq!(chat.told(2)[1], "FAIL: node-a.peers.test (127.0.0.1) [0/0]");
    watcher.until_state(NODE_A, "down:0/0:000");
    let bad = Probe::start(port, "http://127.0.0.1:1/x");
    let words = "FAIL: node-a.peers.test (127.0.0.1) [0/1] — http://127.0.0.1:1/x(000)";
    assert_eq!(chat.told(3)[2], words, "the URL that fails, and no other");
    watcher.until_state(NODE_A, "down:0/1:200");
    // A restart repeats nothing.
    watcher.kill();
    watcher.start();
    chat.told(3);
    drop(bad);
    chat.told(4);
    let _well = Probe::start(port, "");
    let told = chat.told(5);
    assert!(told[4].starts_with("OK  : node-a.peers.test (127.0.0.1) [0/0] — down for "), "{told:?}");
}

#[test]
fn what_the_chat_refused_is_told_when_it_can_be_also_after_a_crash() {
    let (chat, port) = (Chat::open(), everywhere_free());
    let probe = Probe::start(port, "");
    let mut watcher = Watcher::new(&chat, &record(port));
    watcher.start();
    chat.told(1);
    chat.answers(429);
    drop(probe);
    let asked = |more: usize| {
        let before = chat.service.calls().len();
        wait::until(LONG, || Some(()).filter(|()| chat.service.calls().len() >= before + more)).unwrap();
    };
    asked(1);
    chat.answers(500);
    asked(1);
    watcher.kill();
    chat.answers(403);
    watcher.start();
    asked(1);
    let _back = Probe::start(port, "");
    watcher.until_state(NODE_A, "up:0/0:200");
    chat.answers(200);
    let told = chat.told(3);
    assert_eq!(told[1], "FAIL: node-a.peers.test (127.0.0.1) [0/0]", "in its order, and not forgotten");
    assert!(told[2].starts_with("OK  : node-a.peers.test (127.0.0.1) [0/0] — down for "), "{told:?}");
}

#[test]
fn the_state_of_the_old_program_is_taken_over_in_silence() {
    let (chat, port) = (Chat::open(), everywhere_free());
    let _probe = Probe::start(port, "");
    let mut watcher = Watcher::new(&chat, &format!("{}\n0 10 1 node-b.peers.test.", record(port)));
    fs::create_dir_all(watcher.path("state")).unwrap();
    // As its last version wrote it: of an answer it had not read.
    fs::write(watcher.path("state").join(NODE_A), "up:0/0:200").unwrap();
    watcher.start();
    assert_eq!(chat.told(1), ["FAIL: node-b.peers.test (127.0.0.1) [0/0]"], "only the one that is new");
}

#[test]
fn what_the_old_program_told_when_it_had_its_place_back_is_not_told_again() {
    let (chat, port) = (Chat::open(), everywhere_free());
    let probe = Probe::start(port, "");
    let mut watcher = Watcher::new(&chat, &record(port));
    watcher.start();
    watcher.until_state(NODE_A, "up:0/0:200");
    chat.told(1);
    watcher.kill();
    // The old program sees it go down, and tells that.
    drop(probe);
    fs::write(watcher.path("state").join(NODE_A), "down:0/0:000").unwrap();
    watcher.start();
    chat.told(1);
    watcher.kill();
    // And that it is back.
    let _probe = Probe::start(port, "");
    fs::write(watcher.path("state").join(NODE_A), "up:0/0:200").unwrap();
    watcher.start();
    chat.told(1);
    watcher.kill();
    // It told that it went down once more: the end of it is told by us.
    fs::write(watcher.path("state").join(NODE_A), "down:0/0:000").unwrap();
    watcher.start();
    assert!(chat.told(2)[1].starts_with("OK  : node-a.peers.test (127.0.0.1) [0/0]"));
}

#[test]
fn a_peer_that_went_down_meanwhile_is_told() {
    let chat = Chat::open();
    let mut watcher = Watcher::new(&chat, &record(1));
    fs::create_dir_all(watcher.path("state")).unwrap();
    fs::write(watcher.path("state").join(NODE_A), "up:2/2:200").unwrap();
    watcher.start();
    assert_eq!(chat.told(1), ["FAIL: node-a.peers.test (127.0.0.1) [0/0]"]);
}

#[test]
fn two_ports_of_a_host_are_two_peers() {
    let (chat, one, two) = (Chat::open(), everywhere_free(), everywhere_free());
    let (low, high) = (one.min(two), one.max(two));
    let (_one, _two) = (Probe::start(low, ""), Probe::start(high, ""));
    let mut watcher = Watcher::new(&chat, &format!("{}\n{}", record(low), record(high)));
    watcher.start();
    chat.told(2);
    watcher.until_state(NODE_A, "up:0/0:200");
    let files = fs::read_dir(watcher.path("state")).unwrap();
    let states = files.filter(|file| Path::new(&file.as_ref().unwrap().file_name()).extension().is_some());
    assert_eq!(states.count(), 2);
}

#[test]
fn spam_tells_in_every_round() {
    let (chat, port) = (Chat::open(), everywhere_free());
    let _probe = Probe::start(port, "");
    let mut watcher = Watcher::new(&chat, &record(port)).with("SPAM", "1");
    watcher.start();
    let often = wait::until(LONG, || Some(()).filter(|()| chat.told.lock().unwrap().len() >= 4));
    assert!(often.is_some());
}

#[test]
fn what_is_missing_is_named_as_before_with_exit_3() {
    let left = |names: &[&str]| {
        let mut command = program();
        command.arg0("watcher").env("STATE_DIR", tempfile::tempdir().unwrap().path());
        for (name, value) in [("PEERS_SRV", "x"), ("TG_TOKEN", "t"), ("TG_CHAT_ID", "c")] {
            if !names.contains(&name) {
                command.env(name, value);
            }
        }
        let (code, _, said) = run(command);
        (code, said)
    };
    assert_eq!(left(&["PEERS_SRV", "TG_TOKEN", "TG_CHAT_ID"]), (3, "PEERS_SRV not set\n".to_owned()));
    assert_eq!(left(&["TG_TOKEN", "TG_CHAT_ID"]), (3, "TG_TOKEN not set\n".to_owned()));
    assert_eq!(left(&["TG_CHAT_ID"]), (3, "TG_CHAT_ID not set\n".to_owned()));
}

#[test]
fn three_agents_agree_on_who_is_down_and_any_of_them_shows_it() {
    let chat = Chat::open();
    let ports: Vec<u16> = (0..3).map(|_| everywhere_free()).collect();
    let peers: Vec<String> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let node = |place: usize| {
        let others: Vec<&str> = peers
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place)
            .map(|(_, peer)| peer.as_str())
            .collect();
        let blocks = format!(
            "probe {{\n  address = \"127.0.0.1:{}\"\n}}\n\
             peers {{\n  static = [{}]\n  own = [\"192.0.2.1\"]\n  every = \"500ms\"\n  timeout = \"400ms\"\n  \
             confirm = 2\n}}\n\
             notify \"telegram\" \"ops\" {{\n  token = \"test-token\"\n  chat_id = \"test-chat\"\n  url = \"{}\"\n}}\n\
             route {{\n  to = [\"ops\"]\n  group_wait = \"0s\"\n}}\n",
            ports[place],
            others.join(", "),
            chat.service.url()
        );
        Node::named(&format!("n{}", place + 1), &blocks)
    };
    let mut nodes: Vec<Node> = (0..3).map(node).collect();
    nodes.iter_mut().for_each(Node::start);
    let down = format!("127.0.0.1:{}", ports[2]);
    let shown = |node: &mut Node, wanted: &str| {
        node.until(wanted, |node| {
            let (_, said, _) = node.says(&["peers", "status", "--format", "json"]);
            let view: serde_json::Value = serde_json::from_str(&said).ok()?;
            let peer = view["peers"].as_array()?.iter().find(|peer| peer["peer"] == down.as_str())?.clone();
            (peer["status"] == wanted).then_some(peer)
        })
    };
    shown(&mut nodes[0], "passing");
    nodes[2].kill();
    let peer = shown(&mut nodes[0], "critical");
    assert!(
        peer["opinions"].as_array().is_some_and(|all| all.iter().any(|one| one["node"] == "n2")),
        "{peer}"
    );
    shown(&mut nodes[1], "critical");
}

#[test]
fn where_nodes_share_their_alerts_a_peer_is_told_of_by_the_one_that_tells() {
    let (consul, port) = (Server::start(), everywhere_free());
    let (hook, heard) = listen();
    let node = |name: &str, peers: &str| {
        let blocks = format!(
            "consul {{\n  address = \"http://{}\"\n}}\nalerts {{\n  consul {{}}\n}}\n{peers}\
             notify \"http\" \"hook\" {{\n  url = \"{}/told\"\n  batch = \"alert\"\n}}\n\
             route {{\n  source = \"peers\"\n  to = [\"hook\"]\n  group_wait = \"0s\"\n  group_interval = \"0s\"\n}}\n",
            consul.http_address(),
            hook.url()
        );
        Node::named(name, &blocks)
    };
    let mut first = node("n1", "");
    first.start();
    let mut nodes = vec![first];
    assert!(wait::until(LONG, || teller(&nodes).filter(|place| *place == 0)).is_some());
    let peers = format!(
        "peers {{\n  static = [\"127.0.0.1:{port}\"]\n  own = [\"192.0.2.1\"]\n  every = \"300ms\"\n  timeout = \"300ms\"\n}}\n"
    );
    let mut second = node("n2", &peers);
    second.start();
    nodes.push(second);
    let told = |tells: &str| {
        let all = heard.lock().unwrap();
        all.iter().filter(|one| one.check == format!("peer :{port}") && one.tells == tells).count()
    };
    assert!(wait::until(LONG, || Some(()).filter(|()| told("firing") == 1)).is_some());
    let _probe = Probe::start(port, "");
    assert!(wait::until(LONG, || Some(()).filter(|()| told("resolved") == 1)).is_some());
    assert_eq!((teller(&nodes), told("firing"), told("resolved")), (Some(0), 1, 1));
}

#[test]
fn where_nodes_share_their_alerts_what_is_announced_is_told_once() {
    let (consul, port) = (Server::start(), everywhere_free());
    let (hook, heard) = listen();
    let blocks = format!(
        "consul {{\n  address = \"http://{}\"\n}}\nalerts {{\n  consul {{}}\n}}\n\
         peers {{\n  static = [\"127.0.0.1:{port}\"]\n  own = [\"192.0.2.1\"]\n  every = \"300ms\"\n  timeout = \"300ms\"\n  \
         fail_after = 1\n  announce = \"changes\"\n}}\n\
         notify \"http\" \"hook\" {{\n  url = \"{}/told\"\n  batch = \"alert\"\n}}\n\
         route {{\n  source = \"peers\"\n  to = [\"hook\"]\n  group_wait = \"0s\"\n  group_interval = \"0s\"\n}}\n",
        consul.http_address(),
        hook.url()
    );
    let told = || {
        let all = heard.lock().unwrap();
        let of_peer = all.iter().filter(|one| one.check == format!("peer :{port}"));
        of_peer.map(|one| one.tells.clone()).collect::<Vec<_>>()
    };
    let until = |wanted: &[&str]| {
        let found = wait::until(LONG, || Some(()).filter(|()| told() == wanted));
        assert!(found.is_some(), "{:?} and not {wanted:?}", told());
    };
    let probe = Probe::start(port, "");
    let mut node = Node::named("n1", &blocks);
    node.start();
    until(&["resolved"]);
    drop(probe);
    let failing = Probe::start(port, "http://127.0.0.1:1/x");
    // Dead for a moment, perhaps, and then with a check that fails.
    let fails =
        wait::until(LONG, || Some(told()).filter(|told| told.last().is_some_and(|last| last == "firing")));
    assert!(fails.is_some(), "{:?}", told());
    node.until("its check is seen", |node| {
        let mesh = node.ask(&["peers", "status", "--format", "json"]).ok()?;
        (mesh["peers"][0]["seen"]["failing"][0]["url"] == "http://127.0.0.1:1/x").then_some(())
    });
    drop(failing);
    let _well = Probe::start(port, "");
    let over = wait::until(LONG, || {
        Some(told()).filter(|told| told.last().is_some_and(|last| last == "resolved") && told.len() > 2)
    });
    let before = over.unwrap_or_else(|| panic!("{:?}", told()));
    // What was announced is known after a restart, and by the records that the nodes share: once they say so.
    node.until("that it was accepted is recorded", |node| {
        let all = node.ask(&["alerts", "queue", "--format", "json"]).ok()?;
        all["queue"].as_array()?.is_empty().then_some(())
    });
    node.kill();
    node.start();
    node.until("it has looked again", |node| {
        let mesh = node.ask(&["peers", "status", "--format", "json"]).ok()?;
        (mesh["peers"][0]["seen"]["up"] == true).then_some(())
    });
    #[expect(clippy::disallowed_methods, reason = "that nothing comes gives no event to wait on")]
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(told(), before);
}

#[test]
fn a_node_that_cannot_ask_says_so_and_not_that_all_others_are_down() {
    let chat = Chat::open();
    let blocks = format!(
        "peers {{\n  static = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n  own = [\"192.0.2.1\"]\n  every = \"300ms\"\n  \
         timeout = \"300ms\"\n  token_file = \"@DIR@/token\"\n}}\n\
         notify \"telegram\" \"ops\" {{\n  token = \"test-token\"\n  chat_id = \"test-chat\"\n  url = \"{}\"\n}}\n\
         route {{\n  to = [\"ops\"]\n  group_wait = \"0s\"\n}}\n",
        chat.service.url()
    );
    let mut node = Node::named("n1", &blocks);
    fs::write(node.path("token"), "dTpw").unwrap();
    fs::remove_file(node.path("token")).unwrap();
    node.start();
    node.until("what it cannot do", |node| {
        let (_, said, _) = node.says(&["alerts", "--format", "json"]);
        said.contains("this node cannot ask its peers").then_some(())
    });
    let (_, said, _) = node.says(&["alerts", "--format", "json"]);
    assert!(!said.contains("\"peer :1") && !said.contains("cut off"), "{said}");
}
