//! The connection monitor against a real qBittorrent and a real Consul.

use lictor_testkit::gluetun::Auth;
use lictor_testkit::qbittorrent::PASSWORD;
use lictor_testkit::tracker::Mode;

use crate::node::Node;
use crate::site::{HOME, KEY, Site, TOKEN};

/// Leases of 4 s, so that a test ends.
const QUICK: [(&str, &str); 1] = [("LICTOR_LEASE", "4000")];

/// Time in which something would have happened that must not.
fn a_while() {
    lictor_testkit::wait::until(std::time::Duration::from_secs(5), || None::<()>);
}

#[test]
fn a_dead_tunnel_is_cured_and_exactly_what_was_stopped_is_started_again() {
    let site = Site::new();
    let mut node = site.node("");
    node.start();
    node.stable();
    site.cut();
    let stopped = node.until("its torrents are stopped and noted", |_| {
        let paused = site.qbittorrent().state(&site.plain)?.starts_with("paused");
        // Its copy in Consul comes a moment after the record here.
        paused.then(|| site.key("remediation/stopped_torrents")).filter(|noted| noted != "None")
    });
    assert!(stopped.contains(&site.plain) && stopped.contains(&site.forced), "{stopped}");
    assert!(!stopped.contains(&site.resting) && !stopped.contains(&site.foreign), "{stopped}");
    assert!(!site.qbittorrent().state(&site.foreign).unwrap().starts_with("paused"));
    assert_eq!(node.ended("sp"), "done", "{}", node.events());
    site.comes_back(&node);
    assert_eq!(site.restarts(), 1, "{}", node.events());
    node.until("the record says so", |_| (site.phase() == "None").then_some(()));
    assert_eq!(site.key("remediation/stopped_torrents"), "None");
    node.until("stable again", |_| (site.key("state/connection_state") == "stable").then_some(()));
    assert_eq!(site.key("vpn/vpn_status"), "running");
    let said = node.events();
    for phase in ["stopping_torrents", "restarting_nomad", "waiting_for_stability", "restarting_torrents"] {
        assert!(said.contains(phase), "{said}");
    }
    // Nothing that must not be known is anywhere.
    let (_, status, _) = node.says(&["status", "--format", "json"]);
    let everything = format!("{said}{status}{}{}", node.log(), crate::consul::copied(&site.consul, ""));
    for secret in [site.ours.passkey(), site.other.passkey(), PASSWORD, KEY, TOKEN] {
        assert!(!everything.contains(secret), "{secret} is in what was said");
    }
}

#[test]
fn what_cannot_be_told_never_causes_a_restart_and_neither_does_a_tracker_alone() {
    let site = Site::new();
    let mut node = site.node("");
    node.start();
    node.stable();
    // After an upgrade gluetun wants a key it has not been told of.
    site.gluetun.set(|settings| settings.auth = Auth::ApiKey("another".into()));
    node.until("unknown", |node| (node.status("sp") == "unknown").then_some(()));
    site.gluetun.stop();
    site.ours.set(Mode::Failure("down for the night".into()));
    site.qbittorrent().post("torrents/reannounce", &[("hashes", "all")]);
    node.until("the tracker fails", |node| (node.status("sp-qbittorrent") == "warning").then_some(()));
    a_while();
    assert_eq!((node.runs().len(), site.restarts()), (0, 0), "{}", node.events());
    site.gluetun.resume();
    site.gluetun.set(|settings| settings.auth = Auth::ApiKey(KEY.into()));
    node.until("warning only", |node| (node.status("sp") == "warning").then_some(()));
    assert!(node.runs().is_empty(), "{}", node.events());
}

#[test]
fn a_leak_stops_everything_at_once_and_what_was_stopped_comes_back() {
    let site = Site::new();
    let mut node = site.node("");
    node.start();
    node.stable();
    let before = site.gluetun.asked().len();
    site.gluetun.set(|settings| settings.ip = serde_json::json!({ "public_ip": HOME }));
    node.until("everything is stopped", |_| {
        let qbittorrent = site.qbittorrent();
        let stopped = |hash: &str| qbittorrent.state(hash).is_some_and(|state| state.starts_with("paused"));
        [&site.plain, &site.forced, &site.foreign].into_iter().all(|hash| stopped(hash)).then_some(())
    });
    assert!(site.gluetun.asked().len() > before);
    let listed = node.until("it is in the record", |_| {
        let list = site.key("remediation/stopped_torrents");
        list.contains(&site.foreign).then_some(list)
    });
    assert!(!listed.contains(&site.resting), "{listed}");
    node.until("a person is told", |node| node.events().contains("LEAK").then_some(()));
    site.gluetun.set(|settings| settings.ip = serde_json::json!({ "public_ip": "203.0.113.77" }));
    site.comes_back(&node);
    assert!(node.events().contains("ip of sp-ip changed from"), "{}", node.events());
    // Metrics never have an address.
    let metrics = metrics(node.port);
    assert!(!metrics.contains(HOME) && !metrics.contains("203.0.113.77"), "{metrics}");
}

fn metrics(port: u16) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn what_qbitcheck_had_begun_goes_on() {
    let site = Site::new();
    site.qbittorrent().post("torrents/pause", &[("hashes", &site.plain)]);
    site.set(&[
        ("state/connection_state", "unstable"),
        ("state/last_state_change_time", "1763389603.5"),
        ("remediation/state", "waiting_for_stability"),
        ("remediation/start_time", "1763389604.5"),
        ("remediation/stabilization_checks", "7"),
        ("stability/start_time", "1763389700.5"),
        ("vpn/vpn_status", "\"running\""),
        (
            "remediation/stopped_torrents",
            &format!(r#"{{"v":1,"torrents":[{{"h":"{}","f":false}}],"confirmed":true}}"#, site.plain),
        ),
    ]);
    let mut node = site.node("");
    node.start();
    assert_eq!(node.ended("sp"), "done", "{}", node.events());
    site.comes_back(&node);
    assert_eq!(site.restarts(), 0, "{}", node.events());
    let said = node.events();
    assert!(said.contains("another program wrote it last: waiting_for_stability"), "{said}");
    node.until("it is ours now", |_| (site.phase() == "None").then_some(()));
}

#[test]
fn without_consul_it_goes_on_and_catches_up() {
    let mut site = Site::new();
    let mut node = site.node("");
    node.start();
    node.stable();
    node.until("known there", |_| (site.key("state/connection_state") == "stable").then_some(()));
    site.consul.kill();
    site.cut();
    assert_eq!(node.ended("sp"), "done", "{}", node.events());
    site.comes_back(&node);
    assert_eq!(site.restarts(), 1);
    site.consul.restart();
    node.until("it has caught up", |_| {
        (site.key("remediation/writer").contains("test") && site.key("vpn/vpn_status") == "running")
            .then_some(())
    });
}

#[test]
fn a_person_can_pause_it_by_a_key() {
    let site = Site::new();
    let mut node = site.node("");
    site.set(&[("control/paused", "true")]);
    node.start();
    node.stable();
    site.cut();
    node.until("it says why nothing is done", |node| node.events().contains("control/paused").then_some(()));
    a_while();
    assert_eq!((node.runs().len(), site.restarts()), (0, 0), "{}", node.events());
    site.set(&[("control/paused", "false")]);
    assert_eq!(node.ended("sp"), "done", "{}", node.events());
    assert_eq!(site.restarts(), 1);
}

/// Two nodes with the same monitor; the first holds the lease.
fn two(site: &Site) -> (Node, Node) {
    let blocks = site.blocks("  instances = 2");
    let (mut one, mut two) = (Node::named("one", &blocks), Node::named("two", &blocks));
    one.start_in(&QUICK);
    one.until("it has the lease", |node| node.events().contains("this node holds it").then_some(()));
    two.start_in(&QUICK);
    two.until("it knows who acts", |node| {
        node.events().contains("lease connection_monitor/sp: one holds it").then_some(())
    });
    (one, two)
}

#[test]
fn of_two_monitors_one_acts_and_the_other_waits_and_says_so() {
    let site = Site::new();
    let (mut one, mut two) = two(&site);
    two.until("it watches as well", |node| (node.status("sp") == "passing").then_some(()));
    site.cut();
    let said = two.until("it says so", |node| {
        let (_, text, _) = node.says(&["status"]);
        text.contains("this node does not act: one holds it").then_some(text)
    });
    assert!(said.contains("sp: "), "{said}");
    assert_eq!(one.ended("sp"), "done", "{}", one.events());
    a_while();
    assert_eq!((site.is_as_before(), site.restarts(), two.runs().len()), (Ok(()), 1, 0), "{}", two.events());
}

/// The one that acts is killed in a phase, and the other goes on.
fn the_other_goes_on(step: &str) {
    let site = Site::new();
    let (mut one, mut two) = two(&site);
    one.stable();
    site.cut();
    one.until("the phase has come", |node| (node.run_of("sp")?.1 == step).then_some(()));
    one.kill();
    assert_eq!(two.ended("sp"), "done", "{step}\n{}", two.events());
    site.comes_back(&two);
    assert_eq!(site.restarts(), 1, "{step}\n{}", two.events());
    assert!(two.events().contains("taken over from one"), "{step}\n{}", two.events());
}

#[test]
fn when_the_one_that_acts_dies_while_it_restarts_the_other_goes_on() {
    the_other_goes_on("restarting_nomad");
}

#[test]
fn when_the_one_that_acts_dies_while_it_waits_the_other_goes_on() {
    the_other_goes_on("waiting_for_stability");
}

#[test]
fn without_consul_neither_of_two_acts() {
    let mut site = Site::new();
    let (mut one, mut two) = two(&site);
    one.stable();
    site.consul.kill();
    one.until("it knows nothing of the lease", |node| {
        node.events().contains("it is not known who holds it").then_some(())
    });
    site.cut();
    one.until("it is seen", |node| (node.status("sp") == "critical").then_some(()));
    a_while();
    assert_eq!(site.restarts(), 0, "{}", one.events());
    site.consul.restart();
    let (one, two) = (&mut one, &mut two);
    one.until("one of them acts", |one| {
        let done = |node: &Node| node.run_of("sp").is_some_and(|(state, _)| state == "done");
        (done(one) || done(two)).then_some(())
    });
    a_while();
    assert_eq!((site.is_as_before(), site.restarts()), (Ok(()), 1), "{}\n{}", one.events(), two.events());
}

#[test]
fn what_is_kept_of_a_removed_monitor_is_listed_and_forgotten() {
    let site = Site::new();
    let mut node = site.node("");
    node.start();
    node.stable();
    node.until("known there", |_| (site.key("state/connection_state") == "stable").then_some(()));
    let (code, _, said) = node.says(&["state", "forget", "sp"]);
    assert!(code == 6 && said.contains("is in the configuration"), "{code} {said}");
    let consul =
        format!("consul {{\n  address = \"{}\"\n}}\nwatch \"disk\" \"d\" {{\n}}\n", site.consul.url());
    node.configure(&consul);
    node.agent().signal(rustix::process::Signal::HUP).unwrap();
    let listed = node.until("it is listed as removed", |node| {
        let (_, text, _) = node.says(&["state", "list"]);
        text.contains("until ").then_some(text)
    });
    assert!(listed.contains("sp") && listed.contains("qbitcheck/connection_monitor/"), "{listed}");
    let (code, out, _) = node.says(&["state", "forget", "sp"]);
    assert!(code == 0 && out.contains("was removed"), "{out}");
    assert_eq!(crate::consul::copied(&site.consul, "qbitcheck/"), "");
    let (code, _, said) = node.says(&["state", "forget", "sp"]);
    assert!(code == 5 && said.contains("lictor state list"), "{code} {said}");
}
