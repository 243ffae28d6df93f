//! Five nodes that watch each other over a network of their own, with a real name server: whatever befalls one of
//! them, or a way between them, is told once by each that sees it so, and so is its end, and nothing else.

mod chat;
mod long;
mod old;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use lictor_testkit::dns::NameServer;
use lictor_testkit::net::{Loss, Net, v4, v6};
use lictor_testkit::wait;

use crate::clock::libfaketime;
use crate::node::{LONG, Node};
use crate::together::calm;
use chat::{Chat, Mood, WAIT};

/// The nodes. On host 0 are the name server and the chat.
const ALL: [usize; 5] = [1, 2, 3, 4, 5];

const PORT: u16 = 5988;

/// So long nothing more may be told: three rounds.
const QUIET: Duration = Duration::from_millis(1_600);

const BLOCKS: &str = r#"
watch "exec" "own" {
  command = ["/bin/sh", "-c", "test ! -e @DIR@/broken || exit 2"]
  every   = "1s"
}
probe {
  address = "[::]:5988"
  open    = true
  checks  = [check.own]
}
peers {
  srv        = "_sentinella._tcp.test"
  server     = "10.77.0.2"
  every      = "500ms"
  timeout    = "500ms"
  fail_after = 3
  pass_after = 3
}
notify "telegram" "ops" {
  token       = "@NAME@"
  chat_id     = "-100"
  url         = "@CHAT@"
  batch       = "alert"
  timeout     = "3s"
  backoff     = "100ms"
  backoff_max = "1s"
}
route {
  to             = ["ops"]
  group_wait     = "0s"
  group_interval = "0s"
  not {
    source = "own"
  }
}
"#;

/// The nodes, and what was told of them.
struct Fleet {
    chat: Chat,
    dns: NameServer,
    nodes: Vec<Node>,
    net: Net,
    /// So much of what was told was expected.
    heard: usize,
}

impl Fleet {
    fn start(ttl: u32) -> Self {
        Self::start_in(ttl, |_| Vec::new())
    }

    /// Starts each node in an environment of its own.
    fn start_in(ttl: u32, environment: impl Fn(&Node) -> Vec<(&'static str, String)>) -> Self {
        let net = Net::new(1 + ALL.len());
        let chat = net.on(0, || Chat::open(v4(0)));
        let dns = net.on(0, || NameServer::start_at(SocketAddr::from((v4(0), 53)), &records(ttl, &ALL)));
        let node = |number: usize| {
            let name = format!("n{number}");
            Node::named(&name, &BLOCKS.replace("@NAME@", &name).replace("@CHAT@", &chat.url()))
        };
        let nodes = ALL.iter().copied().map(node).collect();
        let mut fleet = Self { chat, dns, nodes, net, heard: 0 };
        for number in ALL {
            let node = &mut fleet.nodes[number - 1];
            let own = environment(node);
            let own: Vec<_> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
            fleet.net.on(number, || node.start_in(&own));
        }
        for number in ALL {
            fleet.until_all_are_well(number);
        }
        // Those that start later are not there at first, and may be told of.
        fleet.heard = fleet.chat.all_resolved();
        fleet
    }

    fn until_all_are_well(&mut self, number: usize) {
        self.until_well(number, ALL.len() - 1);
    }

    /// Waits until a node sees so many of its peers well.
    fn until_well(&mut self, number: usize, wanted: usize) {
        let Self { net, nodes, .. } = self;
        net.on(number, || {
            nodes[number - 1].until(&format!("{wanted} peers are well"), |node| {
                let view = node.ask(&["peers", "status", "--format", "json"]).ok()?;
                let peers = view["peers"].as_array()?;
                let well = peers.iter().filter(|peer| peer["status"] == "passing").count();
                (well == wanted).then_some(())
            });
        });
    }

    fn node(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number - 1]
    }

    fn start_node(&mut self, number: usize) {
        let Self { net, nodes, .. } = self;
        net.on(number, || nodes[number - 1].start());
    }

    /// What the name server says from now on.
    fn names(&mut self, records: &str) {
        let Self { net, dns, .. } = self;
        net.on(0, || dns.change(records));
    }

    /// Waits until these were told, and a while longer that nothing else is.
    #[track_caller]
    fn hear(&mut self, when: &str, mut wanted: Vec<String>) {
        let told = || self.chat.told().split_off(self.heard);
        wait::until(LONG, || (told().len() >= wanted.len()).then_some(()));
        calm(QUIET);
        let mut all = told();
        self.heard += all.len();
        all.sort();
        wanted.sort();
        if all != wanted {
            let logs: String = self.nodes.iter().map(|node| format!("{}\n", node.log())).collect();
            panic!("{when}: told\n{all:#?}\nand not\n{wanted:#?}\n{logs}");
        }
    }
}

/// The records of a name server that names these nodes. One has no address of version 4, and one none of version 6.
fn records(ttl: u32, nodes: &[usize]) -> String {
    let mut lines = vec![format!("local-ttl={ttl}")];
    for &node in nodes {
        let (four, six) = (v4(node), v6(node));
        lines.push(format!("srv-host=_sentinella._tcp.test,n{node}.test,{PORT}"));
        lines.push(match node {
            4 => format!("host-record=n{node}.test,{four}"),
            5 => format!("host-record=n{node}.test,{six}"),
            _ => format!("host-record=n{node}.test,{four},{six}"),
        });
    }
    lines.join("\n")
}

fn others(of: usize) -> Vec<usize> {
    ALL.into_iter().filter(|&node| node != of).collect()
}

/// What is told when each of these sees each of those so.
fn say(word: &str, by: &[usize], of: &[usize]) -> Vec<String> {
    let pairs = by.iter().flat_map(|by| of.iter().map(move |of| (by, of)));
    pairs.filter(|(by, of)| by != of).map(|(by, of)| format!("n{by}: {word}: peer on n{of}.test")).collect()
}

fn down(by: &[usize], of: &[usize]) -> Vec<String> {
    say("CRITICAL", by, of)
}

fn up(by: &[usize], of: &[usize]) -> Vec<String> {
    say("RESOLVED", by, of)
}

/// What a node tells of itself.
fn itself(word: &str, nodes: &[usize], what: &str) -> Vec<String> {
    nodes.iter().map(|node| format!("n{node}: {word}: {what} on n{node}")).collect()
}

#[test]
fn each_fault_is_told_once_by_each_that_sees_it_and_so_is_its_end() {
    // Each on a network of its own. They wait most of the time.
    let scenarios: [(&str, fn()); 5] = [
        ("nodes that die, freeze, flap or are ill", nodes_fail),
        ("ways that are cut or narrow", ways_fail),
        ("names that go or change", names_fail),
        ("clocks that jump", clocks_jump),
        ("a chat that refuses", the_chat_fails),
    ];
    let running = scenarios.map(|(name, scenario)| {
        (name, thread::Builder::new().name(name.to_owned()).spawn(scenario).unwrap())
    });
    let failed = running.map(|(name, thread)| thread.join().err().map(|_said| name));
    let failed: Vec<_> = failed.into_iter().flatten().collect();
    assert!(failed.is_empty(), "failed: {failed:?}");
}

fn nodes_fail() {
    let mut fleet = Fleet::start(60);

    fleet.node(5).kill();
    fleet.hear("killed", down(&others(5), &[5]));
    fleet.start_node(5);
    fleet.hear("started again", up(&others(5), &[5]));

    fleet.node(1).agent().pause().unwrap();
    fleet.hear("frozen", down(&others(1), &[1]));
    fleet.node(1).agent().resume().unwrap();
    fleet.hear("thawed", up(&others(1), &[1]));

    for _ in 0..3 {
        fleet.node(2).agent().pause().unwrap();
        calm(Duration::from_millis(300));
        fleet.node(2).agent().resume().unwrap();
        calm(Duration::from_millis(1_500));
    }
    fleet.hear("too short to count", Vec::new());
    for _ in 0..4 {
        fleet.node(2).agent().pause().unwrap();
        calm(Duration::from_millis(2_500));
        fleet.node(2).agent().resume().unwrap();
        calm(Duration::from_millis(400));
    }
    fleet.hear("flapped", [down(&others(2), &[2]), up(&others(2), &[2])].concat());

    std::fs::write(fleet.node(3).path("broken"), "").unwrap();
    fleet.hear("ill", down(&others(3), &[3]));
    std::fs::remove_file(fleet.node(3).path("broken")).unwrap();
    fleet.hear("well", up(&others(3), &[3]));
}

fn ways_fail() {
    let mut fleet = Fleet::start(60);

    fleet.net.cut(1, 2, Loss::To(PORT));
    fleet.hear("cut one way", down(&[1], &[2]));
    let said = fleet.chat.whole("n1");
    assert!(said.contains("seen by n3, n4 and n5: the way from here to it is cut"), "{said}");
    fleet.net.mend_all();
    fleet.hear("mended", up(&[1], &[2]));

    // The answers of the other one are lost on it as well.
    fleet.net.cut(3, 4, Loss::All);
    fleet.hear("packets lost one way", [down(&[3], &[4]), down(&[4], &[3])].concat());
    fleet.net.mend_all();
    fleet.hear("mended", [up(&[3], &[4]), up(&[4], &[3])].concat());

    let (some, rest) = (&[1, 2], &[3, 4, 5]);
    for one in some {
        for other in rest {
            fleet.net.part(*one, *other);
        }
    }
    fleet.hear("parted", [down(some, rest), down(rest, some)].concat());
    fleet.net.mend_all();
    fleet.hear("joined", [up(some, rest), up(rest, some)].concat());

    for other in others(5) {
        fleet.net.part(5, other);
    }
    let alone = |word| itself(word, &[5], "sight of peers");
    let cut_off = [down(&others(5), &[5]), down(&[5], &others(5)), alone("CRITICAL")].concat();
    fleet.hear("cut off", cut_off);
    fleet.net.mend_all();
    fleet.hear("back", [up(&others(5), &[5]), up(&[5], &others(5)), alone("RESOLVED")].concat());

    fleet.net.slow(4, 20_000);
    fleet.hear("a narrow line", Vec::new());
    fleet.net.hasten(4);
}

fn names_fail() {
    let mut fleet = Fleet::start(60);
    let finding = |word: &str, nodes: &[usize]| itself(word, nodes, "finding peers");

    // What was said holds for a minute; who starts now knows the others, and where they were.
    fleet.dns.kill();
    fleet.node(3).kill();
    fleet.hear("no name server", down(&others(3), &[3]));
    fleet.start_node(3);
    fleet.hear("started without one", [up(&others(3), &[3]), finding("WARNING", &[3])].concat());
    fleet.names(&records(1, &ALL));
    fleet.hear("it is back", finding("RESOLVED", &[3]));

    // A second after what was said last nobody knows any more who the others are.
    fleet.dns.pause();
    fleet.hear("the name server hangs", finding("WARNING", &ALL));
    fleet.node(4).kill();
    fleet.hear("killed meanwhile", down(&others(4), &[4]));
    fleet.dns.resume();
    fleet.hear("the name server goes on", finding("RESOLVED", &others(4)));
    fleet.start_node(4);
    fleet.hear("started again", [up(&others(4), &[4]), finding("RESOLVED", &[4])].concat());

    // Of one `host-record` with two addresses of a version dnsmasq takes the last.
    let moved = |addresses: &[&str]| {
        let at: String = addresses.iter().map(|at| format!("host-record=n2.test,{at}\n")).collect();
        format!("{}\nsrv-host=_sentinella._tcp.test,n2.test,5988\n{at}", records(1, &[1, 3, 4, 5]))
    };
    fleet.names(&moved(&["10.77.2.2", "10.77.2.9"]));
    fleet.hear("one of two addresses leads nowhere", Vec::new());
    fleet.net.moves(2, 9);
    fleet.hear("and now the other one", Vec::new());
    fleet.names(&moved(&["10.77.2.9"]));
    fleet.hear("it has moved", Vec::new());
    fleet.node(2).kill();
    fleet.hear("killed there", down(&others(2), &[2]));
    fleet.start_node(2);
    fleet.hear("started there", up(&others(2), &[2]));

    let named = moved(&["10.77.2.9"]);
    fleet.names(&named.replace("srv-host=_sentinella._tcp.test,n1.test,5988\n", ""));
    fleet.hear("no longer named", say("WARNING", &others(1), &[1]));
    fleet.names(&named);
    fleet.hear("named again", up(&others(1), &[1]));
}

fn clocks_jump() {
    let library = libfaketime().display().to_string();
    let mut fleet = Fleet::start_in(60, |node| {
        let step = node.path("step");
        std::fs::write(&step, "+0\n").unwrap();
        vec![
            ("LD_PRELOAD", library.clone()),
            ("FAKETIME_TIMESTAMP_FILE", step.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    });
    let step = |fleet: &mut Fleet, number: usize, by: &str| {
        std::fs::write(fleet.node(number).path("step"), format!("{by}\n")).unwrap();
    };
    step(&mut fleet, 1, "+86400");
    step(&mut fleet, 2, "-7200");
    step(&mut fleet, 3, "+315360000");
    fleet.hear("clocks are stepped", Vec::new());
    fleet.node(5).agent().pause().unwrap();
    fleet.hear("frozen", down(&others(5), &[5]));
    step(&mut fleet, 1, "-86400");
    step(&mut fleet, 3, "+0");
    step(&mut fleet, 4, "+3600");
    fleet.hear("and stepped again", Vec::new());
    fleet.node(5).agent().resume().unwrap();
    fleet.hear("thawed", up(&others(5), &[5]));
}

fn the_chat_fails() {
    let mut fleet = Fleet::start(60);
    let asked = |fleet: &Fleet, more: usize| {
        let before = fleet.chat.asked();
        wait::until(LONG, || (fleet.chat.asked() >= before + more).then_some(())).unwrap();
    };

    fleet.net.on(0, || fleet.chat.close());
    fleet.node(5).kill();
    fleet.hear("nobody can be told", Vec::new());
    calm(Duration::from_secs(2));
    fleet.net.on(0, || fleet.chat.again());
    fleet.hear("it is there again", down(&others(5), &[5]));

    fleet.chat.is(Mood::Refuses(500));
    fleet.start_node(5);
    asked(&fleet, 8);
    fleet.chat.is(Mood::Takes(Duration::ZERO));
    fleet.hear("it takes what it refused", up(&others(5), &[5]));

    fleet.chat.is(Mood::Refuses(429));
    fleet.node(5).kill();
    asked(&fleet, 5);
    let shortest = fleet.chat.shortest_wait().unwrap();
    assert!(shortest > WAIT.mul_f64(0.95), "{shortest:?}");
    fleet.chat.is(Mood::Takes(Duration::from_millis(1_200)));
    fleet.hear("it takes its time", down(&others(5), &[5]));
    fleet.start_node(5);
    fleet.hear("and again", up(&others(5), &[5]));

    // What begins and ends meanwhile.
    fleet.chat.is(Mood::Refuses(500));
    fleet.node(1).kill();
    for node in others(1) {
        fleet.until_well(node, ALL.len() - 2);
    }
    asked(&fleet, 4);
    fleet.start_node(1);
    fleet.until_all_are_well(2);
    calm(Duration::from_secs(2));
    fleet.chat.is(Mood::Takes(Duration::ZERO));
    fleet.hear("a fault that is over", [down(&others(1), &[1]), up(&others(1), &[1])].concat());
}
