//! Fleets of nodes in virtual time: who says what when which way is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::check::Status;
use crate::time::{Boot, Now, Wall};

const EVERY: u64 = 10;

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn plan(node: &str) -> MeshPlan {
    MeshPlan {
        node: node.to_owned(),
        every: Duration::from_secs(EVERY),
        timeout: Duration::from_secs(5),
        fail_after: count(2),
        pass_after: count(1),
        confirm: count(1),
        tell: WhoTells::Each,
        watchers: None,
        vanished: true,
    }
}

fn at(seconds: u64) -> Now {
    Now {
        boot: Boot::from_millis(seconds * 1_000),
        wall: Wall::from_unix_millis(i64::try_from(seconds).unwrap() * 1_000),
    }
}

fn id(node: usize) -> String {
    format!("n{node}:5988")
}

fn peer(node: usize) -> Peer {
    Peer { id: id(node), host: format!("n{node}"), addresses: Vec::new() }
}

fn well() -> Seen {
    Seen::Report { good: 1, total: 1, failing: Vec::new() }
}

fn silent() -> Seen {
    Seen::Silent { why: "timed out".to_owned() }
}

/// Nodes `n1` to `nN` that watch each other.
struct Fleet {
    nodes: BTreeMap<usize, Mesh>,
    /// Ways that are cut, each in one direction.
    cut: BTreeSet<(usize, usize)>,
    dead: BTreeSet<usize>,
    /// Nodes whose words nobody accepts.
    unheard: BTreeSet<usize>,
    /// What discovery names.
    named: BTreeSet<usize>,
    /// What a node reports of itself when it is not well.
    ill: BTreeMap<usize, Seen>,
    /// Nodes of the old kind.
    old: BTreeSet<usize>,
    time: u64,
    last: BTreeMap<(usize, String), Status>,
    /// `n1: critical n2:5988`: what those who are told came to know, in order.
    said: Vec<String>,
}

impl Fleet {
    fn new(size: usize, shape: impl Fn(&mut MeshPlan)) -> Self {
        let nodes = (1..=size).map(|node| {
            let mut plan = plan(&format!("n{node}"));
            shape(&mut plan);
            (node, Mesh::new(plan, Vec::new()))
        });
        let mut fleet = Self {
            nodes: nodes.collect(),
            cut: BTreeSet::new(),
            dead: BTreeSet::new(),
            unheard: BTreeSet::new(),
            named: (1..=size).collect(),
            ill: BTreeMap::new(),
            old: BTreeSet::new(),
            time: 100,
            last: BTreeMap::new(),
            said: Vec::new(),
        };
        fleet.rounds(2);
        fleet.said.clear();
        fleet
    }

    fn rounds(&mut self, rounds: u64) {
        for _ in 0..rounds {
            self.time += EVERY;
            for node in self.nodes.keys().copied().collect::<Vec<_>>() {
                if !self.dead.contains(&node) {
                    self.round(node);
                }
            }
        }
    }

    fn round(&mut self, node: usize) {
        let now = at(self.time + u64::try_from(node).unwrap() % EVERY);
        let named = self.named.iter().filter(|other| **other != node).map(|other| peer(*other)).collect();
        let own = self.named.contains(&node).then(|| id(node));
        let mut mesh = self.nodes.remove(&node).unwrap();
        mesh.found(named, own, now);
        let targets: Vec<_> = mesh.to_look_at().map(|peer| peer.id.clone()).collect();
        for target in targets {
            let other: usize = target.trim_start_matches('n').split(':').next().unwrap().parse().unwrap();
            let reached = !self.dead.contains(&other) && !self.cut.contains(&(node, other));
            let looked = match (reached, self.nodes.get(&other)) {
                (true, Some(there)) => Looked {
                    seen: self.ill.get(&other).cloned().unwrap_or_else(well),
                    address: None,
                    says: (!self.old.contains(&other)).then(|| (format!("n{other}"), there.sights(now))),
                },
                (true, None) | (false, _) => Looked { seen: silent(), address: None, says: None },
            };
            mesh.looked(&target, looked, now);
        }
        let told: Vec<_> = mesh.told().map(|peer| peer.id.clone()).collect();
        for other in told {
            mesh.waits(&other, self.unheard.contains(&node), now);
        }
        let changes = mesh.judge(false, now);
        for Change { peer, verdict, .. } in changes.peers {
            let last = self.last.insert((node, peer.id.clone()), verdict.status);
            // Else only the words changed.
            if last != Some(verdict.status) {
                self.said.push(format!("n{node}: {} {}", verdict.status.as_str(), peer.id));
            }
        }
        for (what, verdict) in [("finding", changes.finding), ("alone", changes.alone)] {
            if let Some(verdict) = verdict {
                self.said.push(format!("n{node}: {} {what}", verdict.status.as_str()));
            }
        }
        self.said.extend(changes.gone.iter().map(|peer| format!("n{node}: gone {}", peer.id)));
        self.nodes.insert(node, mesh);
    }

    fn kill(&mut self, node: usize) {
        self.dead.insert(node);
    }

    fn wake(&mut self, node: usize) {
        self.dead.remove(&node);
    }

    fn cut_off(&mut self, node: usize) {
        for other in self.nodes.keys().filter(|other| **other != node) {
            self.cut.extend([(node, *other), (*other, node)]);
        }
    }

    /// What was said since the last time, of what is wrong or ended; not that all is well as before.
    fn news(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.said);
        let of_itself =
            |line: &String| line.ends_with(": passing alone") || line.ends_with(": passing finding");
        lines.into_iter().filter(|line| !of_itself(line)).collect()
    }

    fn verdict(&self, node: usize, of: usize) -> Verdict {
        let mesh = &self.nodes[&node];
        mesh.known().into_iter().find(|known| known.peer.id == id(of)).unwrap().verdict.unwrap()
    }
}

#[test]
fn a_dead_node_is_told_once_by_each_of_the_others_and_its_return_too() {
    let mut fleet = Fleet::new(4, |_| {});
    assert_eq!(fleet.news(), [""; 0]);
    fleet.kill(3);
    fleet.rounds(1);
    assert_eq!(fleet.news(), [""; 0], "one look is not enough");
    fleet.rounds(5);
    assert_eq!(fleet.news(), ["n1: critical n3:5988", "n2: critical n3:5988", "n4: critical n3:5988"]);
    assert_eq!(fleet.verdict(1, 3).output, "no answer: timed out; not seen by n2 and n4 either");
    fleet.wake(3);
    fleet.rounds(5);
    assert_eq!(fleet.news(), ["n1: passing n3:5988", "n2: passing n3:5988", "n4: passing n3:5988"]);
}

#[test]
fn a_way_that_is_cut_is_called_that() {
    let mut fleet = Fleet::new(3, |_| {});
    fleet.cut.insert((1, 2));
    fleet.rounds(4);
    assert_eq!(fleet.news(), ["n1: critical n2:5988"]);
    let output = "no answer: timed out; seen by n3: the way from here to it is cut";
    assert_eq!(fleet.verdict(1, 2).output, output);
    let view = fleet.nodes[&1].view(at(fleet.time));
    assert_eq!(view.groups, [["n1", "n2", "n3"]]);
}

#[test]
fn nodes_that_see_each_other_say_whom_none_of_them_sees() {
    let mut fleet = Fleet::new(3, |_| {});
    fleet.cut_off(3);
    fleet.rounds(4);
    let view = fleet.nodes[&1].view(at(fleet.time));
    assert_eq!(view.groups, [vec!["n1".to_owned(), "n2".to_owned()], vec!["n3".to_owned()]]);
    assert!(view.cut_off.is_none());
    assert!(fleet.nodes[&3].view(at(fleet.time)).cut_off.is_some());
}

#[test]
fn what_others_see_well_is_not_told_where_two_must_agree() {
    let mut fleet = Fleet::new(4, |plan| plan.confirm = count(2));
    fleet.cut.insert((1, 2));
    fleet.rounds(8);
    assert_eq!(fleet.news(), [""; 0]);
    let output = "no answer: timed out; seen by n3 and n4: the way from here to it is cut";
    assert_eq!(fleet.verdict(1, 2).output, output, "but it is shown");
    fleet.kill(2);
    fleet.rounds(8);
    assert_eq!(fleet.news(), ["n1: critical n2:5988", "n3: critical n2:5988", "n4: critical n2:5988"]);
}

#[test]
fn a_node_that_sees_too_few_to_confirm_says_that_once_and_not_that_all_others_are_down() {
    let mut fleet = Fleet::new(5, |plan| plan.confirm = count(2));
    fleet.cut_off(5);
    fleet.rounds(10);
    let news = fleet.news();
    let of_5: Vec<_> = news.iter().filter(|line| line.starts_with("n5:")).collect();
    assert_eq!(of_5, ["n5: critical alone"]);
    assert_eq!(news.iter().filter(|line| line.ends_with("critical n5:5988")).count(), 4);
    fleet.cut.clear();
    fleet.rounds(3);
    let news = fleet.news();
    assert!(!news.iter().any(|line| line.contains("critical")), "{news:?}");
}

#[test]
fn old_nodes_cannot_be_asked_and_that_is_said() {
    let mut fleet = Fleet::new(4, |plan| plan.confirm = count(3));
    fleet.old = [2, 3].into();
    fleet.kill(4);
    fleet.rounds(12);
    assert!(fleet.news().contains(&"n1: critical n4:5988".to_owned()));
    assert_eq!(fleet.verdict(1, 4).output, "no answer: timed out; unconfirmed: 1 of 3 nodes could be asked");
}

#[test]
fn one_node_tells_and_the_next_one_when_it_cannot() {
    let mut fleet = Fleet::new(5, |plan| plan.tell = WhoTells::One);
    fleet.kill(5);
    fleet.rounds(20);
    let news = fleet.news();
    assert_eq!(news.len(), 1, "{news:?}");
    let teller = news[0].trim_start_matches('n').split(':').next().unwrap();
    let teller: usize = teller.parse().unwrap();
    fleet.kill(teller);
    fleet.rounds(30);
    let news = fleet.news();
    let again = news.iter().filter(|line| line.ends_with("critical n5:5988")).count();
    let of_teller = news.iter().filter(|line| line.ends_with(&format!("critical n{teller}:5988"))).count();
    assert_eq!((again, of_teller), (1, 1), "{news:?}");
}

#[test]
fn the_next_one_tells_when_nobody_accepts_the_word_of_the_first() {
    let mut fleet = Fleet::new(5, |plan| plan.tell = WhoTells::One);
    fleet.kill(5);
    fleet.rounds(20);
    let teller = fleet.news()[0].trim_start_matches('n').split(':').next().unwrap().parse().unwrap();
    fleet.wake(5);
    fleet.rounds(20);
    fleet.news();
    fleet.unheard.insert(teller);
    fleet.kill(5);
    // As long as it may yet be accepted nobody else tells.
    fleet.rounds(4);
    assert_eq!(fleet.news(), [format!("n{teller}: critical n5:5988")]);
    fleet.rounds(30);
    let news = fleet.news();
    let next = news[0].split(':').next().unwrap().to_owned();
    assert_eq!(news, [format!("{next}: critical n5:5988")], "one of the others, once");
    // What is accepted at last is not told again.
    fleet.unheard.clear();
    fleet.rounds(10);
    assert_eq!(fleet.news(), Vec::<String>::new());
    fleet.wake(5);
    fleet.rounds(3);
    assert_eq!(fleet.news().len(), 2, "both say that it is over");
}

#[test]
fn a_peer_that_nobody_wants_watched_is_forgotten_without_a_word() {
    let mut mesh = Mesh::new(plan("n1"), Vec::new());
    mesh.found(vec![peer(2), peer(3)], Some(id(1)), at(1));
    for round in 1..4 {
        mesh.looked(&id(2), Looked { seen: silent(), address: None, says: None }, at(round * 10));
        mesh.looked(&id(3), Looked { seen: well(), address: None, says: None }, at(round * 10));
        mesh.judge(false, at(round * 10));
    }
    mesh.other_peers();
    mesh.found(vec![peer(3)], Some(id(1)), at(35));
    let changes = mesh.judge(false, at(40));
    assert_eq!((changes.gone, changes.peers.len()), (vec![peer(2)], 0));
    assert!(mesh.known().iter().all(|known| known.peer.id == id(3)));
}

#[test]
fn what_a_peer_says_of_its_checks_is_believed_and_told_anew_when_others_fail() {
    let mut fleet = Fleet::new(2, |_| {});
    let ill = |urls: &[&str], code| Seen::Report {
        good: 1,
        total: 3,
        failing: urls.iter().map(|url| Failing { url: (*url).to_owned(), code }).collect(),
    };
    fleet.ill.insert(2, ill(&["https://a/", "https://b/"], 500));
    fleet.rounds(3);
    assert_eq!(fleet.news(), ["n1: critical n2:5988"]);
    let first = fleet.verdict(1, 2);
    assert_eq!(first.output, "1 of 3 checks are good: https://a/ (500), https://b/ (500)");
    fleet.ill.insert(2, ill(&["https://b/", "https://a/"], 502));
    fleet.rounds(1);
    assert_eq!(fleet.verdict(1, 2).detail, first.detail, "another status is no news");
    fleet.ill.insert(2, ill(&["https://a/", "https://c/"], 500));
    fleet.rounds(1);
    assert_ne!(fleet.verdict(1, 2).detail, first.detail);
}

#[test]
fn a_peer_that_is_no_longer_named_is_told_of_and_forgotten_after_an_hour() {
    let mut fleet = Fleet::new(3, |_| {});
    fleet.named.remove(&3);
    fleet.rounds(2);
    assert_eq!(fleet.news(), [""; 0], "a part of the answer may be missing");
    fleet.rounds(2);
    assert_eq!(fleet.news(), ["n1: warning n3:5988", "n2: warning n3:5988"]);
    assert!(!fleet.nodes[&1].to_look_at().any(|peer| peer.id == id(3)));
    fleet.rounds(3_600 / EVERY + 1);
    assert_eq!(fleet.news(), ["n1: gone n3:5988", "n2: gone n3:5988"]);
}

#[test]
fn nobody_to_watch_is_told_and_a_failing_discovery_keeps_the_last_known() {
    let mut mesh = Mesh::new(plan("n1"), Vec::new());
    mesh.found(Vec::new(), Some(id(1)), at(1));
    let changes = mesh.judge(true, at(1));
    assert_eq!(changes.finding.unwrap().status, Status::Critical);

    mesh.found(vec![peer(2)], Some(id(1)), at(10));
    assert_eq!(mesh.judge(false, at(10)).finding.unwrap().status, Status::Passing);
    mesh.not_found("SERVFAIL", at(20));
    assert!(mesh.judge(false, at(20)).finding.is_none(), "once is nothing");
    mesh.not_found("SERVFAIL", at(30));
    let lost = mesh.judge(false, at(30)).finding.unwrap();
    assert_eq!(lost.status, Status::Warning);
    assert_eq!(lost.output, "peers cannot be found; the last 1 known are watched on: SERVFAIL");
    assert_eq!(mesh.to_look_at().count(), 1);
}

#[test]
fn a_restart_repeats_nothing_and_forgets_nothing() {
    let mut fleet = Fleet::new(3, |_| {});
    fleet.kill(3);
    fleet.rounds(3);
    let known = fleet.nodes[&1].known();
    let mut mesh = Mesh::new(plan("n1"), known.clone());
    let now = at(fleet.time + 60);
    mesh.not_found("the server does not answer", now);
    let down = Looked { seen: silent(), address: None, says: None };
    mesh.looked(&id(3), down, now);
    mesh.looked(&id(2), Looked { seen: well(), address: None, says: None }, now);
    let all = mesh.judge(true, now);
    let status = |id: &str| all.peers.iter().find(|change| change.peer.id == id).unwrap().verdict.status;
    assert_eq!((status("n2:5988"), status("n3:5988")), (Status::Passing, Status::Critical));
    let since = mesh.known().into_iter().map(|one| one.stood).collect::<Vec<_>>();
    assert_eq!(since, known.into_iter().map(|one| one.stood).collect::<Vec<_>>());
}

#[test]
fn each_peer_is_watched_by_so_many_nodes_and_the_load_is_even() {
    let size = 60;
    let fleet = Fleet::new(size, |plan| plan.watchers = Some(count(5)));
    let mut watched = BTreeMap::<String, usize>::new();
    let mut most = 0;
    for mesh in fleet.nodes.values() {
        let targets: Vec<_> = mesh.to_look_at().map(|peer| peer.id.clone()).collect();
        most = most.max(targets.len());
        for target in targets {
            *watched.entry(target).or_default() += 1;
        }
    }
    assert_eq!(watched.len(), size);
    assert!(watched.values().all(|count| *count == 5), "{watched:?}");
    assert!(most <= 15, "{most}");
}

#[test]
fn a_node_that_joins_takes_from_the_others_only_what_is_its_own() {
    let names: Vec<String> = (0..200).map(id).collect();
    let of = |nodes: &[String], subject: &str| -> Vec<String> {
        nearest(subject, 3, nodes.iter().map(String::as_str)).into_iter().map(str::to_owned).collect()
    };
    let (few, all) = (&names[..199], &names[..]);
    for subject in few {
        let (before, after) = (of(few, subject), of(all, subject));
        let kept = after.iter().filter(|node| before.contains(node)).count();
        assert!(kept >= 2 && (kept == 3 || after.contains(&names[199])), "{before:?} {after:?}");
        let place = rank(subject, &after[1], all.iter().map(String::as_str));
        assert_eq!(place, 1);
    }
}

#[test]
fn what_turns_out_to_be_this_node_was_never_a_peer() {
    let mut mesh = Mesh::new(plan("n1"), Vec::new());
    mesh.found(vec![peer(1), peer(2)], None, at(1));
    for round in 1..4 {
        mesh.looked(&id(1), Looked { seen: silent(), address: None, says: None }, at(round * 10));
        mesh.judge(false, at(round * 10));
    }
    mesh.is_us(&[id(1)]);
    mesh.found(vec![peer(2)], Some(id(1)), at(40));
    let changes = mesh.judge(false, at(40));
    assert_eq!(changes.gone, [peer(1)]);
    assert!(mesh.to_look_at().all(|peer| peer.id == id(2)));
}

#[test]
fn a_node_that_can_ask_nobody_says_why_and_is_not_cut_off() {
    let mut mesh = Mesh::new(plan("n1"), Vec::new());
    mesh.found(vec![peer(2), peer(3)], Some(id(1)), at(1));
    for round in 1..4 {
        mesh.cannot_ask(Some("the token cannot be read".to_owned()));
        let changes = mesh.judge(false, at(round * 10));
        assert!(changes.peers.is_empty());
        if round == 2 {
            let alone = changes.alone.unwrap();
            assert_eq!(alone.output, "this node cannot ask its peers: the token cannot be read");
        }
    }
    mesh.cannot_ask(None);
    assert_eq!(mesh.judge(false, at(50)).alone.unwrap().status, Status::Passing);
}

#[test]
fn addresses_are_kept_while_nobody_can_say_where_a_peer_is() {
    let known = Peer { addresses: vec!["192.0.2.2".parse().unwrap()], ..peer(2) };
    let mut mesh = Mesh::new(plan("n1"), Vec::new());
    mesh.found(vec![known.clone()], None, at(1));
    mesh.found(vec![peer(2)], None, at(10));
    assert_eq!(mesh.to_look_at().collect::<Vec<_>>(), [&known]);
}

#[test]
fn a_node_under_two_names_counts_once_and_this_one_not_at_all() {
    let mut mesh = Mesh::new(MeshPlan { confirm: count(2), ..plan("n1") }, Vec::new());
    mesh.found(vec![peer(2), peer(3), peer(4)], None, at(1));
    let says = |node: &str| {
        let sight = Sight {
            peer: id(4),
            up: false,
            since: Duration::from_secs(9),
            age: Duration::ZERO,
            told: false,
            waits: None,
        };
        Looked { seen: well(), address: None, says: Some((node.to_owned(), vec![sight])) }
    };
    for round in 1..3 {
        mesh.looked(&id(2), says("n1"), at(round * 10));
        mesh.looked(&id(3), says("n1"), at(round * 10));
        mesh.looked(&id(4), Looked { seen: silent(), address: None, says: None }, at(round * 10));
    }
    let changes = mesh.judge(false, at(20));
    let down = changes.peers.iter().find(|change| change.peer.id == id(4)).unwrap();
    assert!(down.verdict.output.contains("unconfirmed: 1 of 2"), "{}", down.verdict.output);
}
